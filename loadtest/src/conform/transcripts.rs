//! The scenes are held against transcripts of the original servers: each word of one is in a scene.

use super::SCRIPTS;
use super::names::Names;
use super::script::{Action, Farewell, Scene, Script, Side, What};

/// What the original servers said when they were listened to, by protocol.
const TRANSCRIPTS: &[(&str, &str)] = &[
    ("peerjs", include_str!("../../tests/golden/peerjs_server_1.0.2.txt")),
    ("y-webrtc", include_str!("../../tests/golden/y_webrtc_10.3.0.txt")),
];

/// Where that PeerServer was.
const UNDER: &str = "/myapp";

/// A word of an original's.
enum Word<'a> {
    Frame(&'a str),
    Close,
    Refusal(&'a str),
    Answer { method: &'a str, path: &'a str, status: &'a str },
}

/// The word in a line of a transcript; none in headings, in what the server said to its operator, and in what is at other
/// addresses than the protocol's.
fn word(line: &str) -> Option<Word<'_>> {
    if let Some((_, frame)) = line.split_once(" <- TXT ") {
        return Some(Word::Frame(frame));
    }
    if let Some((_, status)) = line.split_once("Unexpected server response: ") {
        return Some(Word::Refusal(status));
    }
    if line.contains(" CLOSE ") {
        return Some(Word::Close);
    }
    let mut parts = line.splitn(4, ' ');
    let (method, path, status) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Word::Answer { method, path: plain(path.strip_prefix(UNDER)?), status })
}

/// A path without a query.
fn plain(path: &str) -> &str {
    path.split('?').next().unwrap_or_default().trim_end_matches('/')
}

/// Whether the original says this in the scene.
fn is_in(scene: &Scene, word: &Word<'_>) -> bool {
    let theirs = scene.steps.iter().filter(|step| step.side != Side::Ours);
    let mut asked = None;
    theirs.filter_map(|step| if let What::Does { what, .. } = &step.what { Some(what) } else { None }).any(
        |action| match (action, word) {
            (Action::Asks { method, path, .. }, _) => {
                asked = Some((method, plain(path)));
                false
            }
            (Action::IsAnswered { status: is, .. }, Word::Answer { method, path, status }) => {
                asked.is_some_and(|(by, at)| by == method && at.eq_ignore_ascii_case(path))
                    && is.to_string() == *status
            }
            (Action::Hears { patterns, .. }, Word::Frame(frame)) => {
                patterns.iter().any(|pattern| pattern.is(frame, &mut Names::default()))
            }
            (Action::IsClosed(Farewell::WithoutCode), Word::Close) => true,
            (Action::IsRefused { status: is, .. }, Word::Refusal(status)) => is.to_string() == *status,
            _ => false,
        },
    )
}

#[test]
fn each_word_of_the_originals_is_in_a_scene() {
    for (dialect, transcript) in TRANSCRIPTS {
        let (_, text) = SCRIPTS.iter().find(|(name, _)| name == dialect).unwrap();
        let script = Script::read(text).unwrap();
        let words = transcript.lines().filter_map(|line| Some((line, word(line)?)));
        let mut found = 0;
        for (line, word) in words {
            assert!(
                script.scenes.iter().any(|scene| is_in(scene, &word)),
                "{dialect}: no scene has “{line}”"
            );
            found += 1;
        }
        assert!(found > 10, "{dialect}: {found} words are in the transcript");
    }
}
