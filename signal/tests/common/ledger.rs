//! Who said what to whom, and whether it was heard.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Client, until_at_last};

/// After a fault, all that was said is heard or told in this time.
const SETTLED: Duration = Duration::from_secs(30);
/// Between two rounds of talking.
const BREATH: Duration = Duration::from_millis(20);

/// Every message between some people: each is numbered, and has to be heard once and in order, or told to its sender.
#[derive(Default)]
pub(crate) struct Ledger {
    pairs: BTreeMap<(String, String), Pair>,
    may_repeat: bool,
    /// What each message has beside its number.
    page: String,
}

#[derive(Default)]
struct Pair {
    said: u64,
    told: u64,
    heard: Vec<u64>,
}

impl Ledger {
    /// One for when a node is taken for dead and is not: what its peers have heard, and had not confirmed by then, they may
    /// hear once more.
    pub(crate) fn that_takes_repeats() -> Self {
        Self { may_repeat: true, ..Self::default() }
    }

    /// One for messages of so many bytes.
    pub(crate) fn of_pages(bytes: usize) -> Self {
        Self { page: "x".repeat(bytes), ..Self::default() }
    }

    /// Everybody says something to everybody else, again and again for `span`.
    pub(crate) async fn talk(&mut self, people: &mut [&mut Client], span: Duration) {
        let until = Instant::now() + span;
        while Instant::now() < until {
            self.one_round(people).await;
            tokio::time::sleep(BREATH).await;
        }
    }

    /// Everybody says something to everybody else, once.
    pub(crate) async fn one_round(&mut self, people: &mut [&mut Client]) {
        let ids: Vec<_> = people.iter().map(|client| client.id.clone()).collect();
        for client in people {
            let from = client.id.clone();
            let others: Vec<_> = ids.iter().map(String::as_str).filter(|to| *to != from).collect();
            self.says(client, &others, 1).await;
        }
    }

    /// One says something to some, `times` times.
    pub(crate) async fn says(&mut self, client: &mut Client, to: &[&str], times: usize) {
        for _ in 0..times {
            for to in to {
                let pair = self.pairs.entry((client.id.clone(), (*to).to_owned())).or_default();
                client.says(to, "numbered", json!([pair.said, self.page])).await;
                pair.said += 1;
            }
        }
    }

    /// Everything that was said is heard or told; how many were told.
    pub(crate) async fn is_settled(&mut self, people: &mut [&mut Client]) -> u64 {
        self.is_accounted_for(people).await;
        // What comes twice may come late.
        self.one_round(people).await;
        self.is_accounted_for(people).await;
        for ((from, to), pair) in &self.pairs {
            let mut heard = pair.heard.clone();
            if self.may_repeat {
                let mut seen = BTreeSet::new();
                heard.retain(|number| seen.insert(*number));
            }
            let in_order = heard.is_sorted_by(|one, next| one < next);
            assert!(in_order, "from {from} to {to}, out of order or twice: {:?}", pair.heard);
            assert_eq!(
                pair.said,
                pair.told + heard.len() as u64,
                "from {from} to {to}: told of {}",
                pair.told
            );
        }
        self.pairs.values().map(|pair| pair.told).sum()
    }

    async fn is_accounted_for(&mut self, people: &mut [&mut Client]) {
        until_at_last(SETTLED, "every message to be heard or told", async || {
            for client in &mut *people {
                self.listens(client).await;
            }
            self.pairs.values().all(|pair| {
                let heard: BTreeSet<_> = pair.heard.iter().collect();
                pair.said <= pair.told + heard.len() as u64
            })
        })
        .await;
    }

    async fn listens(&mut self, client: &mut Client) {
        client.checks_in().await;
        for frame in client.takes("numbered") {
            let pair = self.pairs.entry((frame.sender.clone(), client.id.clone())).or_default();
            pair.heard.push(frame.data()[0].as_u64().expect("a number"));
        }
        for frame in client.takes("error") {
            let why = frame.data();
            let why = why.as_str().expect("an error is a string");
            let of = self.pairs.iter_mut().find(|((from, to), _)| *from == client.id && why.contains(to));
            of.unwrap_or_else(|| panic!("{} is told of nobody: {why}", client.id)).1.told += 1;
        }
    }
}
