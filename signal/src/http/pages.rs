//! What people see: templates and files, compiled in, or read from a directory while they are worked on.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use house::http::{Answer, answer, problem};
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, StatusCode};
use include_dir::{Dir, include_dir};
use minijinja::{AutoEscape, Environment, Value, context};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::path_of;
use crate::dialect;
use crate::goodbye::Goodbye;
use crate::settings::Settings;

static COMPILED_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/web");

/// A page may load from this node and from nowhere else, and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    media-src 'self' blob: mediastream:; font-src 'self'; connect-src 'self'; form-action 'self'; \
    base-uri 'none'; frame-ancestors 'none'";

/// What the page for trying protocols is told of its node.
#[derive(Serialize)]
struct Node<'a> {
    spoken: Vec<Spoken>,
    /// What PeerJS clients call the key.
    key: &'a str,
    goodbyes: Vec<Word>,
}

/// A protocol, and where it is spoken.
#[derive(Serialize)]
struct Spoken {
    name: &'static str,
    /// With `{name}` where the name of a room belongs.
    path: String,
}

/// What a close frame of the node's means.
#[derive(Serialize)]
struct Word {
    code: u16,
    reason: &'static str,
}

/// The pages of a node.
#[derive(Debug)]
pub struct Pages {
    /// Where to read them anew each time.
    dir: Option<PathBuf>,
    templates: Environment<'static>,
}

impl Pages {
    /// The pages that are compiled in, or those in `dir`.
    pub fn new(dir: Option<PathBuf>) -> Self {
        let templates = environment(None);
        Self { dir, templates }
    }

    /// The template `name`, filled in.
    pub fn render(&self, status: StatusCode, name: &str, context: Value) -> Answer {
        let rendered = match &self.dir {
            None => self.templates.get_template(name).and_then(|template| template.render(context)),
            Some(dir) => environment(Some(dir.clone()))
                .get_template(name)
                .and_then(|template| template.render(context)),
        };
        match rendered {
            Ok(page) => {
                let mut answer = answer(status, "text/html; charset=utf-8", page);
                let headers = answer.headers_mut();
                headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
                answer
            }
            Err(error) => {
                tracing::error!(%error, template = name, "a page cannot be shown");
                problem(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "template",
                    "this page is broken: see the node's log",
                )
            }
        }
    }

    /// The page on which the protocols that this node speaks can be tried.
    pub fn trial(&self, settings: &Settings) -> Answer {
        let spoken = dialect::DIALECTS.iter();
        let goodbyes = Goodbye::ALL.iter().filter(|goodbye| goodbye.can_be_said());
        let node = Node {
            spoken: spoken
                .map(|row| Spoken { name: row.dialect.name(), path: path_of(row, settings) })
                .collect(),
            key: &settings.peerjs.key,
            goodbyes: goodbyes
                .map(|goodbye| Word { code: goodbye.code(), reason: goodbye.reason() })
                .collect(),
        };
        let node = serde_json::to_string(&node).unwrap_or_default();
        self.render(StatusCode::OK, "try.html", context! { node })
    }

    /// A file that a page loads. `headers` may say which version is known already.
    pub fn asset(&self, name: &str, headers: &HeaderMap) -> Answer {
        let is_template = Path::new(name).extension().is_some_and(|extension| extension == "html");
        let Some(bytes) = (!is_template).then(|| read(self.dir.as_deref(), name)).flatten() else {
            return problem(StatusCode::NOT_FOUND, "no_file", "there is no such file");
        };
        let tag = format!("\"{:.16}\"", hex(&Sha256::digest(&bytes)));
        let known =
            headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut answer = if known {
            answer(StatusCode::NOT_MODIFIED, "text/plain", Bytes::new())
        } else {
            answer(StatusCode::OK, kind(name), bytes.into_owned())
        };
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            answer.headers_mut().insert(header::ETAG, tag);
        }
        answer
    }
}

fn kind(name: &str) -> &'static str {
    match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        // By its ending alone it would be a film (MPEG transport stream).
        Some("ts") => "application/typescript",
        _ => mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream"),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn environment(dir: Option<PathBuf>) -> Environment<'static> {
    let mut templates = Environment::new();
    templates.set_auto_escape_callback(|_| AutoEscape::Html);
    templates.set_loader(move |name| {
        Ok(read(dir.as_deref(), name).and_then(|bytes| String::from_utf8(bytes.into_owned()).ok()))
    });
    templates
}

/// The file `name`, if it is one of the pages' own.
fn read(dir: Option<&Path>, name: &str) -> Option<Cow<'static, [u8]>> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    match dir {
        Some(dir) => plain.then(|| std::fs::read(dir.join(name)).ok()).flatten().map(Cow::Owned),
        None => COMPILED_IN.get_file(name).map(|file| Cow::Borrowed(file.contents())),
    }
}
