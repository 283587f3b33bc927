#![doc = include_str!("../../docs/share.md")]

use std::borrow::Cow;

use rand::RngExt;
use rand::distr::Uniform;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Away, Customs, Dialect, Door, Knock, Names, Takeover, json, present, room_of};
use crate::message::{
    Command, Destination, Event, Frame, NotSeated, Parting, PeerId, Receipt, RoomId, Speaker, To, Undelivered,
};

/// The share protocol.
#[derive(Debug)]
pub struct Share;

/// Its name.
pub const NAME: &str = "share";
/// The host of each room. No user is called so: a user's name has no space at its ends.
const HOST: &str = " host";
/// Characters of a user's name, at most.
const MAX_NAME: usize = 30;
/// What rooms' names are made of, and how long they are.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const NAME_LENGTH: usize = 4;

static CUSTOMS: Customs = Customs {
    away: Away::Gone,
    default_profile: "",
    listed_by_first_message: false,
    announces_session: false,
    names: Names::OfRoom,
    takeover: Takeover::ByToken,
    host: Some(HOST),
    hurries_receipts: false,
};

/// A frame from a client: all that any of them may have.
#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    username: Option<&'a RawValue>,
    #[serde(borrow)]
    roomid: Option<&'a RawValue>,
    #[serde(borrow)]
    sdp: Option<&'a RawValue>,
    /// `null` is one too: there are no more.
    #[serde(borrow, default, deserialize_with = "present")]
    candidate: Option<&'a RawValue>,
}

/// A frame to a client.
#[derive(Default, Serialize)]
struct Outgoing<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roomid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sdp: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidate: Option<&'a RawValue>,
}

impl Dialect for Share {
    fn name(&self) -> &'static str {
        NAME
    }

    fn customs(&self) -> &Customs {
        &CUSTOMS
    }

    fn door(&self, _: &Knock<'_>) -> Option<Door> {
        Some(Door::Open)
    }

    fn decode(&self, speaker: &Speaker, text: &str) -> Command {
        let incoming = match read(text) {
            Ok(incoming) => incoming,
            Err(why) => return error(&why),
        };
        match &*incoming.kind {
            "CREATE_ROOM" => create(&incoming),
            "JOIN_ROOM" => join(&incoming),
            "LEAVE_ROOM" => Command::Go(Destination::Out),
            "REQUEST_SHARING" | "STOP_SHARING" | "ALLOW_SHARING" | "RCP_OFFER" | "RCP_ANSWER"
            | "ICE_CANDIDATE" => relay(speaker, &incoming),
            unknown => error(&format!("Unknown message type: {unknown}")),
        }
    }

    fn decode_binary(&self, _: &Speaker, _: &[u8]) -> Command {
        error("Not a message: binary frame; send JSON in a text frame")
    }

    fn new_room(&self) -> Option<RoomId> {
        let letters = Uniform::new(0, ALPHABET.len()).ok()?;
        let name = rand::rng().sample_iter(letters).take(NAME_LENGTH).map(|at| char::from(ALPHABET[at]));
        Some(RoomId::of(NAME, &name.collect::<String>()))
    }

    fn arrival(&self, peer: &PeerId) -> Vec<Frame> {
        if is_host(peer) { Vec::new() } else { vec![about("USER_JOINED", peer)] }
    }

    /// Users whose host only drops keep what they share: their media do not need us.
    fn parting(&self, peer: &PeerId, how: Parting, _: u64) -> Vec<Frame> {
        let host_left = say("ERROR", HOST_LEFT);
        match (is_host(peer), how) {
            (false, _) => vec![about("USER_LEFT", peer)],
            (true, Parting::OnPurpose) => {
                vec![frame(&Outgoing { kind: "STOP_SHARING", ..Outgoing::default() }), host_left]
            }
            (true, Parting::Dropped) => vec![host_left],
        }
    }

    fn concerns(&self, peer: &PeerId) -> To {
        if is_host(peer) { To::Others } else { To::Peer(PeerId::new(HOST)) }
    }

    fn encode(&self, event: &Event<'_>) -> Option<Frame> {
        Some(match event {
            Event::Told { from, to, kind, payload, .. } => {
                let for_host = matches!(to, To::Peer(peer) if is_host(peer));
                let username = for_host.then(|| from.as_str());
                let sdp = payload.filter(|_| *kind != "ICE_CANDIDATE");
                let candidate = payload.filter(|_| *kind == "ICE_CANDIDATE");
                frame(&Outgoing { kind, username, sdp, candidate, ..Outgoing::default() })
            }
            Event::Entered { room, made } => {
                let kind = if *made { "ROOM_CREATED" } else { "ROOM_JOINED" };
                frame(&Outgoing { kind, roomid: Some(room), ..Outgoing::default() })
            }
            Event::Out => frame(&Outgoing { kind: "LEFT_ROOM", ..Outgoing::default() }),
            Event::NotSeated(NotSeated::NoRoom) => say("INVALID_ROOM_ID", "Room with given ID not found"),
            Event::NotSeated(NotSeated::Taken) => {
                say("INVALID_USERNAME", "Username already exists in this room")
            }
            Event::NotSeated(NotSeated::TooMany) => say("ERROR", "The room is full"),
            Event::NotSeated(NotSeated::TooManyMade) => {
                say("ERROR", "Too many rooms made from this address; try again in a minute")
            }
            Event::Undelivered { to, .. } if is_host(to) => say("ERROR", HOST_LEFT),
            Event::Undelivered { why: Undelivered::Absent, .. } => say("ERROR", "User not found"),
            Event::Undelivered { to, why, .. } => {
                say("ERROR", &format!("{to} did not get your message ({})", why.label()))
            }
            Event::Busy => {
                say("ERROR", "Busy: the server cannot do that just now; try again in a few seconds")
            }
            _ => return None,
        })
    }
}

const HOST_LEFT: &str = "The host has left";

fn is_host(peer: &PeerId) -> bool {
    peer.as_str() == HOST
}

/// The message in `text`, or what is wrong with it.
fn read(text: &str) -> Result<Incoming<'_>, String> {
    super::read(text, "an object with a string `type`").map_err(|why| format!("Not a message: {why}"))
}

fn create(incoming: &Incoming<'_>) -> Command {
    match username(incoming) {
        Ok(_) => Command::Go(Destination::New(PeerId::new(HOST))),
        Err(why) => Command::Answer(say("INVALID_USERNAME", why)),
    }
}

fn join(incoming: &Incoming<'_>) -> Command {
    let Some(written) = incoming.roomid.and_then(text).filter(|room| !room.trim().is_empty()) else {
        return Command::Answer(say("INVALID_ROOM_ID", "Room ID is required"));
    };
    match username(incoming) {
        Ok(name) => {
            let room = room_of(NAME, &written.trim().to_lowercase());
            Command::Go(Destination::Room { room, peer: PeerId::new(name), written: written.into() })
        }
        Err(why) => Command::Answer(say("INVALID_USERNAME", why)),
    }
}

/// A user's name as it is to be, or what is wrong with it.
fn username(incoming: &Incoming<'_>) -> Result<String, &'static str> {
    let given = incoming.username.ok_or("Username missing")?;
    let name = text(given).map(|name| name.trim().to_owned());
    let fits =
        |name: &String| (1..=MAX_NAME).contains(&name.chars().count()) && name.chars().all(is_printable);
    name.filter(fits).ok_or("Invalid username")
}

/// Neither a control nor one that shows nothing, or changes how others are shown.
fn is_printable(c: char) -> bool {
    let shows_nothing = matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    !(c.is_control() || shows_nothing || (c.is_whitespace() && c != ' '))
}

/// The string that `value` is.
fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// What a member says to another one: users to the host, and the host to one user or to all.
fn relay(speaker: &Speaker, incoming: &Incoming<'_>) -> Command {
    let kind = &*incoming.kind;
    let (is_out, is_host) = (speaker.room.name().is_empty(), is_host(&speaker.peer));
    let payload = match kind {
        "RCP_OFFER" | "RCP_ANSWER" => Some((incoming.sdp, "sdp")),
        "ICE_CANDIDATE" => Some((incoming.candidate, "candidate")),
        _ => None,
    };
    match (kind, is_host) {
        _ if is_out => return error("You must join a room first"),
        ("ALLOW_SHARING" | "RCP_ANSWER", false) => {
            return error(&format!("{kind}: only the host may send it"));
        }
        ("REQUEST_SHARING" | "RCP_OFFER", true) => return error(&format!("{kind}: only a user may send it")),
        _ => {}
    }
    if let Some((None, member)) = payload {
        return error(&format!("{kind}: expected `{member}`"));
    }
    let to = match (is_host, incoming.username, kind) {
        (false, ..) => To::Peer(PeerId::new(HOST)),
        (true, None, "STOP_SHARING") => To::Others,
        (true, username, _) => match username.and_then(text) {
            Some(name) if name != HOST => To::Peer(PeerId::new(name)),
            Some(_) => return error("User not found"),
            None => return error(&format!("{kind}: expected a string `username`")),
        },
    };
    let payload = payload.and_then(|(value, _)| value).map(ToOwned::to_owned);
    Command::Tell { to, kind: kind.into(), payload, receipt: Receipt::TellSender, id: None }
}

fn error(message: &str) -> Command {
    Command::Answer(say("ERROR", message))
}

fn say(kind: &str, message: &str) -> Frame {
    frame(&Outgoing { kind, message: Some(message), ..Outgoing::default() })
}

fn about(kind: &str, user: &PeerId) -> Frame {
    frame(&Outgoing { kind, username: Some(user.as_str()), ..Outgoing::default() })
}

fn frame(outgoing: &Outgoing<'_>) -> Frame {
    Frame::new(json(outgoing))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Seat;

    fn at(room: &str, peer: &str) -> Speaker {
        Speaker { room: RoomId::of(NAME, room), peer: PeerId::new(peer), seat: Seat(1) }
    }

    fn read_as(frame: &Frame) -> String {
        String::from_utf8(frame.to(&PeerId::new("")).to_vec()).unwrap()
    }

    fn answer(speaker: &Speaker, text: &str) -> String {
        match Share.decode(speaker, text) {
            Command::Answer(frame) => read_as(&frame),
            other => panic!("{text}: {other:?}"),
        }
    }

    /// Whom what `speaker` says goes to, and what is read there.
    fn relayed(speaker: &Speaker, text: &str) -> (To, String) {
        let Command::Tell { to, kind, payload, .. } = Share.decode(speaker, text) else {
            panic!("{text} is not relayed")
        };
        let told = Event::Told {
            from: &speaker.peer,
            to: &to,
            kind: &kind,
            payload: payload.as_deref(),
            listeners: 1,
        };
        let frame = read_as(&Share.encode(&told).unwrap());
        (to, frame)
    }

    fn to(peer: &str) -> To {
        To::Peer(PeerId::new(peer))
    }

    #[test]
    fn what_a_user_says_goes_to_the_host_and_says_who_it_is() {
        let bob = at("ab12", "bob");
        assert_eq!(
            relayed(&bob, r#"{"type":"REQUEST_SHARING","username":"eve"}"#),
            (to(HOST), r#"{"type":"REQUEST_SHARING","username":"bob"}"#.into())
        );
        assert_eq!(
            relayed(&bob, r#"{"type":"STOP_SHARING"}"#),
            (to(HOST), r#"{"type":"STOP_SHARING","username":"bob"}"#.into())
        );
        assert_eq!(
            relayed(&bob, r#"{"type":"RCP_OFFER","sdp":{ "x":1e999 }}"#),
            (to(HOST), r#"{"type":"RCP_OFFER","username":"bob","sdp":{ "x":1e999 }}"#.into())
        );
        assert_eq!(
            relayed(&bob, r#"{"type":"ICE_CANDIDATE","candidate":null}"#).1,
            r#"{"type":"ICE_CANDIDATE","username":"bob","candidate":null}"#
        );
    }

    #[test]
    fn what_the_host_says_goes_to_one_user_or_to_all_and_names_nobody() {
        let host = at("ab12", HOST);
        assert_eq!(
            relayed(&host, r#"{"type":"ALLOW_SHARING","username":"bob"}"#),
            (to("bob"), r#"{"type":"ALLOW_SHARING"}"#.into())
        );
        assert_eq!(
            relayed(&host, r#"{"type":"RCP_ANSWER","username":"bob","sdp":"v=0"}"#),
            (to("bob"), r#"{"type":"RCP_ANSWER","sdp":"v=0"}"#.into())
        );
        assert_eq!(
            relayed(&host, r#"{"type":"ICE_CANDIDATE","username":"bob","candidate":"c"}"#).1,
            r#"{"type":"ICE_CANDIDATE","candidate":"c"}"#
        );
        assert_eq!(
            relayed(&host, r#"{"type":"STOP_SHARING"}"#),
            (To::Others, r#"{"type":"STOP_SHARING"}"#.into())
        );
        assert_eq!(relayed(&host, r#"{"type":"STOP_SHARING","username":"bob"}"#).0, to("bob"));
    }

    #[test]
    fn names_and_room_ids_are_checked_in_this_order() {
        let out = at("", "x");
        let invalid = |kind: &str, message: &str| format!(r#"{{"type":"{kind}","message":"{message}"}}"#);
        let room_required = invalid("INVALID_ROOM_ID", "Room ID is required");
        assert_eq!(answer(&out, r#"{"type":"JOIN_ROOM"}"#), room_required);
        assert_eq!(answer(&out, r#"{"type":"JOIN_ROOM","roomid":"","username":"bob"}"#), room_required);
        let missing = invalid("INVALID_USERNAME", "Username missing");
        assert_eq!(answer(&out, r#"{"type":"JOIN_ROOM","roomid":"ab12"}"#), missing);
        assert_eq!(answer(&out, r#"{"type":"CREATE_ROOM"}"#), missing);
        let wrong = invalid("INVALID_USERNAME", "Invalid username");
        for name in ["\"\"", "\"   \"", "7", "\"a\\nb\"", "\"a\\u200bb\"", &format!("\"{}\"", "x".repeat(31))]
        {
            assert_eq!(
                answer(&out, &format!(r#"{{"type":"CREATE_ROOM","username":{name}}}"#)),
                wrong,
                "{name}"
            );
        }
        assert!(matches!(
            Share.decode(&out, &format!(r#"{{"type":"CREATE_ROOM","username":"{}"}}"#, "é".repeat(30))),
            Command::Go(Destination::New(peer)) if is_host(&peer)
        ));
    }

    #[test]
    fn room_ids_are_compared_without_case_or_space_and_answered_as_written() {
        let Command::Go(Destination::Room { room, peer, written }) =
            Share.decode(&at("", "x"), r#"{"type":"JOIN_ROOM","roomid":" Ab12 ","username":" bob "}"#)
        else {
            panic!("does not go")
        };
        assert_eq!((room, peer, &*written), (RoomId::of(NAME, "ab12"), PeerId::new("bob"), " Ab12 "));
    }

    #[test]
    fn only_who_may_say_it_does() {
        let error = |message: &str| format!(r#"{{"type":"ERROR","message":"{message}"}}"#);
        let (out, bob, host) = (at("", "x"), at("ab12", "bob"), at("ab12", HOST));
        assert_eq!(answer(&out, r#"{"type":"RCP_OFFER","sdp":"v"}"#), error("You must join a room first"));
        for kind in ["ALLOW_SHARING", "RCP_ANSWER"] {
            let text = format!(r#"{{"type":"{kind}","username":"bob","sdp":"v"}}"#);
            assert_eq!(answer(&bob, &text), error(&format!("{kind}: only the host may send it")));
        }
        assert_eq!(
            answer(&host, r#"{"type":"RCP_OFFER","sdp":"v"}"#),
            error("RCP_OFFER: only a user may send it")
        );
        assert_eq!(answer(&bob, r#"{"type":"RCP_OFFER"}"#), error("RCP_OFFER: expected `sdp`"));
        assert_eq!(
            answer(&host, r#"{"type":"ALLOW_SHARING"}"#),
            error("ALLOW_SHARING: expected a string `username`")
        );
        assert_eq!(answer(&host, r#"{"type":"ALLOW_SHARING","username":" host"}"#), error("User not found"));
        assert!(answer(&bob, r#"{"type":"SHOUT"}"#).contains("Unknown message type: SHOUT"));
        assert!(answer(&bob, "{oops").contains("Not a message"));
        assert!(answer(&bob, r#"["LEAVE_ROOM"]"#).contains("Not a message"));
    }

    #[test]
    fn users_hear_how_their_host_left_and_the_host_who_of_them_did() {
        let texts = |peer: &str, how| -> Vec<String> {
            Share.parting(&PeerId::new(peer), how, 0).iter().map(read_as).collect()
        };
        let left = r#"{"type":"ERROR","message":"The host has left"}"#;
        assert_eq!(texts(HOST, Parting::OnPurpose), [r#"{"type":"STOP_SHARING"}"#, left]);
        assert_eq!(texts(HOST, Parting::Dropped), [left]);
        assert_eq!(texts("bob", Parting::Dropped), [r#"{"type":"USER_LEFT","username":"bob"}"#]);
        assert_eq!(Share.concerns(&PeerId::new("bob")), to(HOST));
        assert_eq!(Share.concerns(&PeerId::new(HOST)), To::Others);
    }

    #[test]
    fn new_rooms_have_four_letters_or_digits() {
        let room = Share.new_room().unwrap();
        assert_eq!(room.name().len(), 4);
        assert!(room.name().bytes().all(|byte| ALPHABET.contains(&byte)));
    }

    proptest! {
        #[test]
        fn any_text_is_a_command(text in any::<String>()) {
            Share.decode(&at("ab12", "bob"), &text);
            Share.decode(&at("ab12", HOST), &text);
        }

        #[test]
        fn nobody_speaks_as_somebody_else(username in "\\PC{0,20}", sdp in "\\PC{0,40}") {
            let text = format!(
                r#"{{"type":"RCP_OFFER","username":{},"sdp":{}}}"#, json(&*username), json(&*sdp)
            );
            let (to, text) = relayed(&at("ab12", "bob"), &text);
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(to, To::Peer(PeerId::new(HOST)));
            prop_assert_eq!(&read["username"], "bob");
            prop_assert_eq!(&read["sdp"], &sdp);
        }
    }
}
