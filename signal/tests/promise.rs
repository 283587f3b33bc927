//! What is promised names the tests that show it. They are there.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let sources = entries.flat_map(|path| match path.extension() {
        _ if path.is_dir() && !path.ends_with("node_modules") => sources(&path),
        Some(extension) if extension == "rs" => vec![path],
        _ => Vec::new(),
    });
    sources.collect()
}

#[test]
fn every_promise_names_tests_that_there_are() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for path in ["src", "tests", "../loadtest/tests"].iter().flat_map(|place| sources(&here.join(place))) {
        code.push_str(&fs::read_to_string(path).expect("a file"));
    }
    let promise = fs::read_to_string(here.join("docs/promise.md")).expect("the promise");
    let rows = promise.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise"));
    let mut shown = 0;
    for row in rows {
        let (promised, by) = row.trim_matches('|').rsplit_once('|').expect("two columns");
        let names: Vec<_> = by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{promised}: no test shows it");
        for name in names {
            assert!(code.contains(&format!("fn {name}")), "{promised}: there is no test {name}");
            shown += 1;
        }
    }
    assert!(shown > 40, "{shown} tests are named");
}
