//! A node with a message type of its own: strokes on a whiteboard that everybody sees, beside the calls of the mesh
//! protocol.
//!
//! `cargo run --release -p signal --example whiteboard -- --listen 127.0.0.1:8080`, with every flag and setting that the
//! node itself has: with `--redis.url` it is one of many. Clients connect to `/mesh` and say
//!
//! ```json
//! {"type": "STROKE", "payload": {"color": "#ff8800", "points": [[0, 0], [10.5, 20]]}}
//! {"type": "WIPE", "payload": {}}
//! ```

use std::process::ExitCode;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use signal::handlers::{Limits, Lobby, Payload, Problem, Signed, User};
use signal::node::{Builder, Node};
use signal::settings::Settings;

/// What a client says. Whatever is no stroke is answered with `ERROR`, which says why.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Stroke {
    color: String,
    points: Vec<(f64, f64)>,
}

/// What the others hear.
#[derive(Serialize)]
struct Drawn {
    user: User,
    #[serde(flatten)]
    stroke: Stroke,
}

fn main() -> ExitCode {
    signal::program::run(node)
}

/// The node, with two handlers more than it has by itself.
pub(crate) fn node(settings: Settings) -> Builder {
    let quick = Limits { deadline: Duration::from_secs(1), payload_bytes: 8 * 1024, ..Limits::default() };
    Node::builder(settings).register_handler_with(&["STROKE"], quick, draw).register_handler(&["WIPE"], wipe)
}

async fn draw(user: User, Payload(stroke): Payload<Stroke>, lobby: Lobby) -> Result<(), Problem> {
    if !is_color(&stroke.color) {
        let color = stroke.color;
        return Err(Problem::new(format!("STROKE: `{color}` is no color; right would be like `#ff8800`")));
    }
    lobby.tell_others("STROKE", &Drawn { user, stroke }).await
}

/// The board is empty for everybody, the one who wiped it too: so all have the same, in the order of what was said.
async fn wipe(Signed(said): Signed, lobby: Lobby) -> Result<(), Problem> {
    lobby.tell_everyone("WIPE", &said).await
}

fn is_color(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|digits| digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}
