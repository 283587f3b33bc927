//! Thousands of people who do nothing but be there. They live on a thread of their own, so that nobody else in a scene
//! waits for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::SinkExt;
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::Message;

use super::client::{Pass, Wire};
use super::{Browser, House, SERVER};

/// So many sit in each of their rooms.
const TABLE: usize = 4;
/// So many come in at the same moment when nothing drives them.
const AT_ONCE: usize = 32;

/// They are all on one node.
pub(crate) struct Crowd {
    members: Vec<Member>,
    /// Shut down without waiting: a scene is no place to wait in.
    runtime: Option<Runtime>,
}

struct Member {
    pass: Pass,
    wire: Option<Wire>,
}

/// How it went when all of them came back at once.
#[derive(Debug)]
pub(crate) struct Return {
    /// Until the last one was in.
    pub(crate) took: Duration,
    /// How often somebody was asked to come again a little later.
    pub(crate) turned_away: usize,
}

impl Crowd {
    /// `size` people come to the node of `name`, in their own time.
    pub(crate) async fn gathers(house: &House, name: &str, size: usize) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let mut crowd = Self { members: Vec::new(), runtime: Some(runtime.expect("a thread")) };
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let newcomers = (0..size).map(|number| {
            let (browser, places) = (house.browser(name), places.clone());
            async move {
                let _place = places.acquire().await.expect("it is not closed");
                let pass = browser.gets_into(&format!("table-{}", number / TABLE), json!({})).await;
                let mut member = Member { pass, wire: None };
                member.comes().await;
                member
            }
        });
        crowd.members = crowd.all(newcomers).await;
        crowd
    }

    /// All sockets are closed at once, without a word.
    pub(crate) fn drops(&mut self) {
        for member in &mut self.members {
            member.wire = None;
        }
    }

    /// All come back at once, and whoever is asked to come again a little later does that.
    pub(crate) async fn comes_back(&mut self) -> Return {
        let began = Instant::now();
        let members = std::mem::take(&mut self.members);
        let coming = members.into_iter().map(|mut member| async move {
            let turned_away = member.comes().await;
            (member, turned_away)
        });
        let (members, turned_away): (Vec<_>, Vec<_>) = self.all(coming).await.into_iter().unzip();
        self.members = members;
        Return { took: began.elapsed(), turned_away: turned_away.into_iter().sum() }
    }

    /// All say goodbye.
    pub(crate) async fn leaves(mut self) {
        let members = std::mem::take(&mut self.members);
        self.all(members.into_iter().map(Member::leaves)).await;
    }

    async fn all<T: Send + 'static>(
        &self,
        each: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
    ) -> Vec<T> {
        let runtime = self.runtime.as_ref().expect("until it is dropped");
        let mut all = JoinSet::new();
        for one in each {
            all.spawn_on(one, runtime.handle());
        }
        all.join_all().await
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Member {
    /// Knocks until she is let in, when she is told to; how often she was asked to come again.
    async fn comes(&mut self) -> usize {
        let mut turned_away = 0;
        loop {
            match self.pass.knocks().await {
                Ok(wire) => {
                    self.wire = Some(wire);
                    return turned_away;
                }
                Err(busy) => {
                    assert_eq!(busy.status, 503, "{busy:?}");
                    let after = busy.header("retry-after").parse().expect("a number of seconds");
                    turned_away += 1;
                    // As every good program does: longer each time, and those who were told the same do not meet again.
                    let patience = (turned_away as f64).sqrt() * rand::random_range(1.0..1.5);
                    sleep(Duration::from_secs(after).mul_f64(patience)).await;
                }
            }
        }
    }

    async fn leaves(mut self) {
        let bye = json!({ "sender": self.pass.id, "receiver": SERVER, "type": "bye" }).to_string();
        let mut wire = self.wire.take().expect("she is there");
        wire.send(Message::text(bye)).await.expect("she is heard");
        let _ = wire.close(None).await;
    }
}
