//! The modules use each other in one direction only, and what is said and who hears it have neither I/O nor a clock.
//!
//! All sources of the crate are read, from `lib.rs` and `main.rs` on along their `mod` declarations; what is compiled
//! for tests only is left out.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, Meta, TraitItem, UseTree};

/// A module at the top of the crate, and the question that it answers.
struct Row {
    module: &'static str,
    answers: &'static str,
}

const fn row(module: &'static str, answers: &'static str) -> Row {
    Row { module, answers }
}

/// The order of the modules, the most independent one first: each may use those above it, and what is its own.
const ORDER: &[Row] = &[
    row("breakage", "which rules are broken on purpose, in tests"),
    row("chance", "what is different each time"),
    row("message", "what is said: the one vocabulary"),
    row("dialect", "how it is written on a wire"),
    row("goodbye", "every way out"),
    row("hub", "who on this node hears it"),
    row("backplane", "how it travels to other nodes"),
    row("metrics", "what is counted"),
    row("ice", "which STUN and TURN servers a peer may use"),
    row("access", "who may"),
    row("router", "here, or elsewhere?"),
    row("settings", "what the operator wants"),
    row("handlers", "what a program adds to a protocol"),
    row("socket", "one connection"),
    row("http", "the doors"),
    row("node", "the parts put together"),
    row("program", "from its command line to its end"),
    row("main", "the program"),
];

/// Modules, with what is in them, to which time is an argument, and which nobody can make wait.
const PURE: &[&str] =
    &["message", "dialect", "hub", "backplane::link", "backplane::pressure", "backplane::pulse"];

/// Crates that a pure module does not use.
const IMPURE: &[&str] = &["house", "tokio", "tokio_util", "tracing", "log"];

/// What reads a clock.
const CLOCKS: &[&str] = &["Instant", "SystemTime", "chance"];

#[test]
fn no_module_goes_against_the_grain() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let faults: Vec<_> =
        sources(&source).iter().flat_map(faults).map(|fault| format!("  {fault}\n")).collect();
    assert!(faults.is_empty(), "against the grain:\n{}the order:\n{}", faults.concat(), order());
}

fn order() -> String {
    ORDER.iter().map(|row| format!("  {:9}  {}\n", row.module, row.answers)).collect()
}

/// A file of the crate, as far as it is not for tests.
struct Source {
    /// Its place in the crate: of `hub/room.rs`, `hub` and `room`; of `main.rs`, `main`.
    module: Vec<String>,
    items: Vec<Item>,
}

/// All files of the crate whose sources are in `directory`.
fn sources(directory: &Path) -> Vec<Source> {
    let mut found = Vec::new();
    read(&directory.join("lib.rs"), directory, &[], &mut found);
    let main = parse(&fs::read_to_string(directory.join("main.rs")).unwrap());
    found.push(Source { module: vec!["main".into()], items: main });
    found
}

fn read(file: &Path, directory: &Path, module: &[String], found: &mut Vec<Source>) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let items = parse(&text);
    for inner in items.iter().filter_map(declared) {
        let module = [module, &[inner.ident.to_string()]].concat();
        let place: PathBuf = module.iter().collect();
        let beside = directory.join(&place).with_extension("rs");
        let file = if beside.exists() { beside } else { directory.join(&place).join("mod.rs") };
        read(&file, directory, &module, found);
    }
    found.push(Source { module: module.to_vec(), items });
}

fn parse(text: &str) -> Vec<Item> {
    syn::parse_file(text).unwrap().items
}

/// A module of the crate that has a file of its own.
fn declared(item: &Item) -> Option<&ItemMod> {
    match item {
        Item::Mod(module) if module.content.is_none() && !is_for_tests(&module.attrs) => Some(module),
        _ => None,
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    let is_test = |attribute: &Attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            condition == "test" || condition.starts_with("all(test,")
        }
        _ => false,
    };
    attributes.iter().any(is_test)
}

/// One use that should not be.
#[derive(Debug, PartialEq)]
struct Fault {
    module: String,
    used: String,
    why: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} uses {}: {}", self.module, self.used, self.why)
    }
}

fn faults(source: &Source) -> Vec<Fault> {
    // What stands in `lib.rs` itself is the map of the crate.
    let Some(top) = source.module.first() else { return Vec::new() };
    let mut reader = Reader { module: source.module.clone(), top: top.clone(), faults: Vec::new() };
    source.items.iter().for_each(|item| reader.visit_item(item));
    reader.faults.dedup();
    reader.faults
}

/// Looks at every path in a file.
struct Reader {
    /// Where in the crate the reading is, modules within the file included.
    module: Vec<String>,
    top: String,
    faults: Vec<Fault>,
}

impl Reader {
    fn found(&mut self, path: &[String]) {
        let outside = self.inside(path).map_err(|path| self.is_pure().then(|| impure(path)).flatten());
        let why = match outside {
            Ok(path) => against_the_order(&self.top, path.first().map(String::as_str)),
            Err(impure) => impure,
        };
        if let Some(why) = why {
            self.faults.push(Fault { module: self.module.join("::"), used: path.join("::"), why });
        }
    }

    /// The same path from the root of the crate, or, if it leads out of the crate or to what is near, as it was.
    fn inside<'a>(&self, path: &'a [String]) -> Result<Vec<String>, &'a [String]> {
        let is_main = self.top == "main";
        let (mut from, mut rest): (Vec<String>, _) = match path.first().map(String::as_str) {
            // By itself it is a function of tokio's, or any other thing of that name.
            Some("signal") if is_main && path.len() > 1 => (Vec::new(), &path[1..]),
            Some("crate" | "$crate") if !is_main => (Vec::new(), &path[1..]),
            Some("self" | "super") if !is_main => (self.module.clone(), path),
            _ => return Err(path),
        };
        while let Some((step @ ("self" | "super"), after)) =
            rest.split_first().map(|(step, after)| (step.as_str(), after))
        {
            if step == "super" {
                from.pop();
            }
            rest = after;
        }
        Ok([&from, rest].concat())
    }

    /// What a macro or an attribute is given need not be Rust, so paths are looked for in its words.
    fn words(&mut self, tokens: &str) {
        let text = tokens.replace(" :: ", "::").replace("$ ", "$");
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | ':' | '$');
        for word in text.split(|c| !is_part(c)).filter(|word| word.contains("::")) {
            let path: Vec<_> = word.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect();
            self.found(&path);
        }
    }

    fn is_pure(&self) -> bool {
        let module = self.module.join("::");
        PURE.iter().any(|pure| module == *pure || module.starts_with(&format!("{pure}::")))
    }

    fn used(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.used(&with(&path.ident), &path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.used(before, tree)),
            UseTree::Glob(_) => self.found(before),
            UseTree::Name(name) if name.ident == "self" => self.found(before),
            UseTree::Name(name) => self.found(&with(&name.ident)),
            UseTree::Rename(rename) => {
                self.found(&with(&rename.ident));
                // A clock by another name could not be told from anything else.
                if self.is_pure() && CLOCKS.iter().any(|clock| rename.ident == clock) {
                    let used = format!("{} as {}", with(&rename.ident).join("::"), rename.rename);
                    self.faults.push(Fault {
                        module: self.module.join("::"),
                        used,
                        why: "a clock in disguise",
                    });
                }
            }
        }
    }
}

/// Why a module may not use another one, if it may not.
fn against_the_order(user: &str, used: Option<&str>) -> Option<&'static str> {
    let Some(used) = used else { return Some("that is the whole crate") };
    if user == used {
        return None;
    }
    match (place(user), place(used)) {
        (Some(of_user), Some(of_used)) => (of_used > of_user).then_some("that is below it in the order"),
        (None, _) => Some("the user has no row in the order"),
        (_, None) => Some("what is used has no row in the order"),
    }
}

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|row| row.module == module)
}

/// What in a path out of the crate has I/O or a clock.
fn impure(path: &[String]) -> Option<&'static str> {
    if path.first().is_some_and(|name| IMPURE.contains(&name.as_str())) {
        return Some("no I/O and no log here");
    }
    let reads = path.windows(2).any(|pair| CLOCKS.contains(&pair[0].as_str()) && pair[1] == "now");
    reads.then_some("time is an argument here")
}

/// The attributes of whatever kind of item this is.
macro_rules! attributes {
    ($item:expr, $of:ident: $($kind:ident)*) => {
        match $item {
            $($of::$kind(item) => item.attrs.as_slice(),)*
            _ => &[],
        }
    };
}

impl Visit<'_> for Reader {
    fn visit_item(&mut self, item: &Item) {
        let attributes = attributes!(item, Item: Const Enum ExternCrate Fn ForeignMod Impl Macro Mod Static Struct Trait
            TraitAlias Type Union Use);
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &ImplItem) {
        if !is_for_tests(attributes!(item, ImplItem: Const Fn Type Macro)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &TraitItem) {
        if !is_for_tests(attributes!(item, TraitItem: Const Fn Type Macro)) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.used(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.found(&names);
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &syn::ExprMethodCall) {
        if self.is_pure() && call.method == "elapsed" && call.args.is_empty() {
            let why = "time is an argument here";
            self.faults.push(Fault { module: self.module.join("::"), used: "elapsed".into(), why });
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_visibility(&mut self, _: &syn::Visibility) {
        // `pub(crate)` and `pub(super)` use nothing.
    }

    fn visit_macro(&mut self, invoked: &syn::Macro) {
        self.visit_path(&invoked.path);
        self.words(&invoked.tokens.to_string());
    }

    fn visit_meta_list(&mut self, list: &syn::MetaList) {
        self.visit_path(&list.path);
        self.words(&list.tokens.to_string());
    }
}

mod tests {
    use super::*;

    /// What is wrong with `text`, if it stands in `module`.
    fn wrong(module: &str, text: &str) -> Vec<String> {
        let module = module.split("::").map(str::to_owned).collect();
        let found = faults(&Source { module, items: parse(text) });
        found.into_iter().map(|fault| fault.used).collect()
    }

    #[test]
    fn a_use_against_the_grain_is_found() {
        assert_eq!(wrong("hub", "use crate::router::Router;"), ["crate::router::Router"]);
        assert_eq!(wrong("message", "pub use crate::dialect;"), ["crate::dialect"]);
        assert_eq!(wrong("hub::room", "use crate::backplane::*;"), ["crate::backplane"]);
        assert_eq!(wrong("dialect::camus", "use crate::hub as house;"), ["crate::hub"]);
        assert_eq!(wrong("http", "mod inner { fn f() { use crate::node::Node; } }"), ["crate::node::Node"]);
    }

    #[test]
    fn a_use_with_the_grain_is_not() {
        let uses =
            "use crate::message::Frame; use crate::dialect::{self, Dialect}; use std::collections::HashMap;";
        assert!(wrong("hub", uses).is_empty());
        assert!(
            wrong("hub::room", "use super::session::Session; use crate::hub::mailbox::Letter;").is_empty()
        );
        assert!(wrong("router::news", "use super::*; pub(super) use super::Router;").is_empty());
        assert!(wrong("node", "use crate::{http, router::Router, settings::Settings};").is_empty());
    }

    #[test]
    fn nested_groups_are_found() {
        let uses =
            "use crate::{message::{Frame, PeerId}, router, http::{self, pages::{Page, Site as Place}}};";
        let expected =
            ["crate::router", "crate::http", "crate::http::pages::Page", "crate::http::pages::Site"];
        assert_eq!(wrong("hub", uses), expected);
        assert_eq!(
            wrong("message", "use crate::{dialect, hub::room};"),
            ["crate::dialect", "crate::hub::room"]
        );
    }

    #[test]
    fn paths_in_expressions_types_and_macros_are_found() {
        assert_eq!(wrong("hub", "fn f() { crate::router::send(1) }"), ["crate::router::send"]);
        assert_eq!(wrong("hub", "struct S(Vec<crate::socket::Socket>);"), ["crate::socket::Socket"]);
        assert_eq!(wrong("hub", "impl crate::node::Start for S {}"), ["crate::node::Start"]);
        assert_eq!(
            wrong("hub", "fn f() { <S as crate::node::Start>::start() }"),
            ["crate::node::Start::start"]
        );
        assert_eq!(wrong("hub", "fn f() { g::<crate::node::Node>() }"), ["crate::node::Node"]);
        assert_eq!(wrong("hub", "fn f(x: u8) { matches!(x, crate::node::X) }"), ["crate::node::X"]);
        assert_eq!(wrong("hub", "macro_rules! m { () => { $crate::node::f() } }"), ["$crate::node::f"]);
        assert_eq!(wrong("hub", "#[derive(crate::node::D)] struct S;"), ["crate::node::D"]);
        assert_eq!(wrong("hub", "fn f() { m!(x as crate::node::N, 1) }"), ["crate::node::N"]);
    }

    #[test]
    fn the_way_up_is_no_way_around() {
        assert_eq!(wrong("hub", "use super::router::Router;"), ["super::router::Router"]);
        assert_eq!(wrong("hub::room", "use super::super::router;"), ["super::super::router"]);
        assert_eq!(
            wrong("hub", "mod inner { use self::super::super::router; }"),
            ["self::super::super::router"]
        );
        assert_eq!(wrong("hub::room", "use crate::*;"), ["crate"]);
        assert_eq!(wrong("hub", "use super::*;"), ["super"]);
        assert_eq!(wrong("node", "use crate as all;"), ["crate"]);
    }

    #[test]
    fn the_program_uses_the_library() {
        assert!(
            wrong("main", "use signal::{node::Node, settings::Cli}; use tokio::signal::unix::signal;")
                .is_empty()
        );
        assert!(wrong("main", "fn f() { signal(SignalKind::terminate()) }").is_empty());
        assert_eq!(wrong("main", "use signal::nothing;"), ["signal::nothing"]);
    }

    #[test]
    fn what_is_above_may_be_used_and_what_is_below_may_not() {
        assert!(wrong("hub::mailbox", "use crate::{goodbye::Goodbye, message::Frame};").is_empty());
        assert_eq!(wrong("dialect", "use crate::goodbye::Goodbye;").len(), 1);
        assert_eq!(wrong("backplane::redis", "use crate::{settings::Settings, metrics::Metrics};").len(), 2);
        assert!(wrong("node", "use crate::{metrics, settings, router};").is_empty());
    }

    #[test]
    fn a_module_without_a_row_is_found() {
        assert_eq!(wrong("node", "use crate::helpers::help;"), ["crate::helpers::help"]);
        assert_eq!(wrong("helpers", "use crate::message::Frame;"), ["crate::message::Frame"]);
    }

    #[test]
    fn io_and_logs_are_found_where_there_are_none() {
        for module in [
            "message",
            "dialect",
            "dialect::camus",
            "hub",
            "hub::room",
            "backplane::link",
            "backplane::pulse",
        ] {
            assert_eq!(wrong(module, "use tokio::sync::mpsc;"), ["tokio::sync::mpsc"], "{module}");
            assert_eq!(wrong(module, "fn f() { tracing::debug!(\"x\") }"), ["tracing::debug"], "{module}");
            assert_eq!(wrong(module, "use ::log::info as say;"), ["log::info"], "{module}");
            assert_eq!(
                wrong(module, "#[tracing::instrument] fn f() {}"),
                ["tracing::instrument"],
                "{module}"
            );
        }
        let text = "use tokio::sync::mpsc; fn f() { Instant::now(); tracing::debug!(\"x\") }";
        for module in ["backplane", "backplane::linked", "backplane::redis", "router", "socket", "main"] {
            assert!(wrong(module, text).is_empty(), "{module}");
        }
    }

    #[test]
    fn clocks_are_found_where_time_is_an_argument() {
        assert_eq!(wrong("hub", "fn f() { Instant::now() }"), ["Instant::now"]);
        assert_eq!(wrong("hub", "fn f() { std::time::SystemTime::now() }"), ["std::time::SystemTime::now"]);
        assert_eq!(wrong("hub", "fn f() { a.map(Instant::now) }"), ["Instant::now"]);
        assert_eq!(wrong("hub", "fn f() { vec![Instant::now()] }"), ["Instant::now"]);
        assert_eq!(wrong("hub", "use std::time::Instant as Clock;"), ["std::time::Instant as Clock"]);
        assert_eq!(wrong("hub", "fn f(since: Instant) { since.elapsed() }"), ["elapsed"]);
        assert!(
            wrong("hub", "use std::time::Instant; fn f(now: Instant, d: Duration) -> Instant { now + d }")
                .is_empty()
        );
    }

    #[test]
    fn what_is_for_tests_only_is_not_looked_at() {
        let inner = "use crate::node::Node; fn f() { Instant::now() }";
        assert!(wrong("hub", &format!("#[cfg(test)] mod tests {{ {inner} }}")).is_empty());
        assert!(wrong("hub", &format!("#[cfg(all(test, unix))] mod tests {{ {inner} }}")).is_empty());
        assert!(wrong("hub", "#[cfg(test)] use crate::node::Node;").is_empty());
        assert!(wrong("hub", "impl S { #[cfg(test)] fn f() { crate::node::f() } }").is_empty());
        assert!(wrong("hub", "trait T { #[cfg(test)] fn f() { crate::node::f() } }").is_empty());
        assert_eq!(wrong("hub", "#[cfg(not(test))] use crate::node::Node;"), ["crate::node::Node"]);
    }

    #[test]
    fn every_name_in_the_tables_has_a_row() {
        for path in PURE {
            assert!(place(path.split("::").next().unwrap()).is_some(), "{path}");
        }
    }

    #[test]
    fn the_files_of_the_crate_are_read() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let modules: Vec<_> = sources(&source).iter().map(|source| source.module.join("::")).collect();
        for expected in ["settings", "hub::room", "backplane::redis::outbox", "main"] {
            assert!(modules.iter().any(|module| module == expected), "{modules:?}");
        }
    }
}
