//! The direct protocol: a name is registered by HTTP, and its cookies open the WebSocket; messages name their targets.

use std::borrow::Cow;

use futures_util::future::LocalBoxFuture;
use hyper::HeaderMap;
use hyper::header::{COOKIE, HeaderValue, SET_COOKIE};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{Dialect, Heard, Newcomer, Pass, To, name_of};
use crate::connect::{Door, NotIn, Reply};
use crate::schedule::Word;

/// No message: the node answers it at once, and by itself.
const HELLO: &str = "hello";

pub(super) struct Direct;

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, default)]
    originator: Option<Cow<'a, str>>,
    #[serde(borrow)]
    target: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
}

impl Dialect for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn knock<'a>(&'a self, who: &'a Newcomer, door: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>> {
        Box::pin(async move {
            let address = name_of(who);
            let wish = json!({ "username": address });
            let reply = door.post("/v1/register", Some(wish.to_string())).await?;
            let cookies = cookies(&reply).ok_or_else(|| {
                NotIn::Broken(format!("no cookies: {}", String::from_utf8_lossy(&reply.body)))
            })?;
            let headers = HeaderMap::from_iter([(COOKIE, cookies)]);
            Ok(Pass { path: "/v1/connect".into(), headers, address })
        })
    }

    fn greetings(&self, _: &Newcomer, _: &str) -> Vec<String> {
        vec![HELLO.into()]
    }

    fn say(&self, _: &Newcomer, to: To<'_>, word: Word, payload: &str) -> String {
        let target = match to {
            To::Peer(address) => address,
            To::Room => "",
        };
        let kind = match word {
            Word::Offer => "OFFER",
            Word::Answer => "ANSWER",
            Word::Candidate | Word::Text => "CANDIDATE",
        };
        [r#"{"target":""#, target, r#"","type":""#, kind, r#"","payload":""#, payload, r#""}"#].concat()
    }

    fn hear<'a>(&self, frame: &'a str) -> Heard<'a> {
        let Ok(Frame { originator, target, kind, payload }) = serde_json::from_str(frame) else {
            return Heard::Other;
        };
        match (originator, &*kind) {
            (Some(from), _) => {
                let payload = payload.and_then(|text| text.get().strip_prefix('"')?.strip_suffix('"'));
                Heard::Said { from, payload: payload.unwrap_or_default() }
            }
            // One for all that were on their way to somebody whose node died.
            (None, "TARGET_NOT_FOUND") => Heard::ToldOfAll(Some(target.into_owned())),
            (None, "INVALID_MESSAGE") => Heard::Seated,
            _ => Heard::Other,
        }
    }
}

/// What the answer sets, as it is shown later.
fn cookies(reply: &Reply) -> Option<HeaderValue> {
    let set = reply.headers.get_all(SET_COOKIE).iter();
    let pairs: Vec<_> = set.filter_map(|cookie| cookie.to_str().ok()?.split(';').next()).collect();
    HeaderValue::from_str(&pairs.join("; ")).ok().filter(|shown| !shown.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_addressed_and_read_back() {
        let frame = Direct.say(&Newcomer::default(), To::Peer("bob"), Word::Offer, "hello");
        assert_eq!(frame, r#"{"target":"bob","type":"OFFER","payload":"hello"}"#);
        let frame = r#"{"originator":"ada","target":"bob","type":"OFFER","payload":"hello"}"#;
        assert_eq!(Direct.hear(frame), Heard::Said { from: "ada".into(), payload: "hello" });
    }

    #[test]
    fn the_servers_words_are_understood() {
        let invalid = r#"{"target":"","type":"INVALID_MESSAGE","payload":"expected a JSON object"}"#;
        assert_eq!(Direct.hear(invalid), Heard::Seated);
        let missing = r#"{"target":"bob","type":"TARGET_NOT_FOUND","payload":null}"#;
        assert_eq!(Direct.hear(missing), Heard::ToldOfAll(Some("bob".into())));
    }
}
