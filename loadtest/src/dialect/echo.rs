//! A server that sends every text frame back: what the driver costs by itself, and how late it is.

use futures_util::future::LocalBoxFuture;
use hyper::HeaderMap;

use super::{Customs, Dialect, Heard, Newcomer, Pass, Says, To};
use crate::connect::{Door, NotIn};
use crate::schedule::Word;

/// What a peer says first.
const HELLO: &str = "hello";

pub(super) struct Echo;

impl Dialect for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn customs(&self) -> Customs {
        Customs { speech: Says::ToItself, ..Customs::PLAIN }
    }

    fn knock<'a>(&'a self, who: &'a Newcomer, _: Door<'a>) -> LocalBoxFuture<'a, Result<Pass, NotIn>> {
        let pass = Pass { path: "/".into(), headers: HeaderMap::new(), address: who.peer.to_string() };
        Box::pin(async { Ok(pass) })
    }

    fn greetings(&self, _: &Newcomer, _: &str) -> Vec<String> {
        vec![HELLO.into()]
    }

    fn say(&self, _: &Newcomer, to: To<'_>, _: Word, payload: &str) -> String {
        let address = match to {
            To::Peer(address) => address,
            To::Room => "room",
        };
        [address, " ", payload].concat()
    }

    fn hear<'a>(&self, frame: &'a str) -> Heard<'a> {
        match frame.split_once(' ') {
            Some((from, payload)) => Heard::Said { from: from.into(), payload },
            None if frame == HELLO => Heard::Seated,
            None => Heard::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_back_from_oneself() {
        let frame = Echo.say(&Newcomer::default(), To::Peer("7"), Word::Offer, "hello-you");
        assert_eq!(Echo.hear(&frame), Heard::Said { from: "7".into(), payload: "hello-you" });
        assert_eq!(Echo.hear(HELLO), Heard::Seated);
    }
}
