//! What the scenes are played with: houses of real nodes, and the people who call each other through them.

// Each file of scenes is a crate of its own, and needs only some of the people.
#![allow(dead_code, unused_imports, unused_macros)]

mod browser;
mod client;
mod crowd;
mod house;
mod ledger;
mod peerjs;
mod proxy;
mod server;
mod talker;

use std::time::Duration;

pub(crate) use browser::{Browser, Page, Reply};
pub(crate) use client::{Client, Frame, Pass, Wire};
pub(crate) use crowd::{Crowd, Return};
pub(crate) use house::{House, Node, Settings};
pub(crate) use ledger::Ledger;
pub(crate) use peerjs::{PeerJs, counts};
pub(crate) use proxy::Proxy;
pub(crate) use talker::Talker;

/// Nobody waits longer than this for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// No scene takes longer than this.
const CURTAIN: Duration = Duration::from_secs(60);

/// The server's own address.
pub(crate) const SERVER: &str = "ground control";
/// The address of everybody in the room.
pub(crate) const ROOM: &str = "room";

/// Nothing but what every house has.
pub(crate) const PLAIN: Settings<'_> = &[];

/// What comes of `future`, which has until the deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    in_time(DEADLINE, Box::pin(future)).await.unwrap_or_else(|| panic!("waited {DEADLINE:?} for {what}"))
}

/// What comes of `future`, if it takes no longer than `limit`. A machine that stands still for a while, and everybody on
/// it, makes nobody late: the time is counted in small parts, of which that is one.
async fn in_time<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    const PARTS: u32 = 100;
    let mut future = std::pin::pin!(future);
    for _ in 0..PARTS {
        if let Ok(value) = tokio::time::timeout(limit / PARTS, &mut future).await {
            return Some(value);
        }
    }
    None
}

/// A frame as it has to come: these members, in this order.
pub(crate) fn frame(sender: &str, receiver: &str, kind: &str, data: &str) -> String {
    format!(r#"{{"sender":"{sender}","receiver":"{receiver}","type":"{kind}","data":{data}}}"#)
}

/// Asks again until the answer is yes.
pub(crate) async fn until(what: &str, ask: impl AsyncFnMut() -> bool) {
    until_at_last(DEADLINE, what, ask).await;
}

/// Asks again until the answer is yes, for what takes longer than everything else.
pub(crate) async fn until_at_last(deadline: Duration, what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let asking = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asked = in_time(deadline, Box::pin(asking)).await;
    assert!(asked.is_some(), "waited {deadline:?} for {what}");
}

/// Plays `scene` in `house`.
pub(crate) async fn play(house: House, scene: impl AsyncFnOnce(&mut House)) {
    play_for(CURTAIN, house, scene).await;
}

/// Plays a `scene` that may take so long.
pub(crate) async fn play_for(curtain: Duration, house: House, scene: impl AsyncFnOnce(&mut House)) {
    let mut house = house;
    let played = in_time(curtain, Box::pin(scene(&mut house))).await;
    assert!(played.is_some(), "the scene is not over after {curtain:?}");
}

/// Makes tests of scenes: `scenes!(house, SETTINGS; scene, …)`. With `both` for a house each is played on one node in
/// memory, and again on two nodes and a Redis, with Alice on the first and Bob on the second.
macro_rules! scenes {
    (both, $settings:ident; $($scene:ident),+ $(,)?) => {$(
        mod $scene {
            #[tokio::test]
            async fn one_node() {
                $crate::common::play($crate::common::House::one_node(super::$settings).await, super::$scene).await;
            }

            #[tokio::test]
            async fn two_nodes() {
                $crate::common::play($crate::common::House::two_nodes(super::$settings).await, super::$scene).await;
            }
        }
    )+};
    ($house:ident, $settings:ident; $($scene:ident),+ $(,)?) => {$(
        mod $scene {
            #[tokio::test]
            async fn $house() {
                $crate::common::play($crate::common::House::$house(super::$settings).await, super::$scene).await;
            }
        }
    )+};
}
pub(crate) use scenes;
