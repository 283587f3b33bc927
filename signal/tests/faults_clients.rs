//! What clients do to nodes: they vanish, do not read, and come back all at once. Everybody else is served.

use std::fmt;
use std::time::{Duration, Instant};

use crate::common::{self, Client, Crowd, House, Ledger, Pass, Proxy, Settings, Wire, scenes, until, within};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Who does not answer a ping is missed after 2 s, and waited for 4 s longer.
const WATCHFUL: Settings<'_> = &[
    ("SOCKET__PING_INTERVAL", "1s"),
    ("SOCKET__PING_TIMEOUT", "1s"),
    ("CAMUS__GRACE", "6s"),
    ("REDIS__LEASE", "4s"),
    ("ROOMS__EMPTY_FOR", "1s"),
];
/// Who does not read has two seconds; who sends may send much.
const HASTY: Settings<'_> = &[
    ("SOCKET__WRITE_TIMEOUT", "2s"),
    ("LIMITS__BYTE_BURST", "256MiB"),
    ("REDIS__LEASE", "4s"),
    ("ROOMS__EMPTY_FOR", "1s"),
];
/// Who does not read has all the time that there is.
const PATIENT: Settings<'_> = &[
    ("SOCKET__WRITE_TIMEOUT", "60s"),
    ("SOCKET__PING_TIMEOUT", "60s"),
    ("LIMITS__BYTE_BURST", "256MiB"),
    ("REDIS__LEASE", "4s"),
    ("ROOMS__EMPTY_FOR", "1s"),
];
/// Both sides of a storm are on one machine, which may have others to serve too: nobody is dead for being late.
const CROWDED: Settings<'_> = &[
    ("REDIS__LEASE", "30s"),
    ("ROOMS__EMPTY_FOR", "1s"),
    ("LIMITS__ROOMS_PER_MINUTE", "10000"),
    ("LOG", "info"),
];
/// For so long the others are looked at before the storm.
const CALM: Duration = Duration::from_secs(2);
/// Between two of their messages.
const BREATH: Duration = Duration::from_millis(5);
const SLOW: &str = "signal_goodbyes_total{reason=\"slow\"}";
const RESIDENT: &str = "process_resident_memory_bytes";

scenes!(two_nodes, WATCHFUL; one_who_vanishes_without_a_word_is_missed_and_held_for);
scenes!(two_nodes, HASTY;
    one_who_does_not_read_is_sent_away_and_nobody_else_is_disturbed,
    one_who_reads_too_late_finds_all_that_was_on_its_way_and_the_end,
);
scenes!(two_nodes, PATIENT; one_who_asks_on_and_reads_nothing_is_sent_away_when_too_much_waits);
scenes!(wide_nodes, CROWDED; a_crowd_that_drops_and_comes_back_at_once_disturbs_nobody_for_long);

/// The same pass, used through a line.
fn through(line: &Proxy, mut pass: Pass) -> Pass {
    pass.browser.address = line.address;
    pass
}

/// Fault 23.
async fn one_who_vanishes_without_a_word_is_missed_and_held_for(house: &mut House) {
    let mut alice = house.enters("Alice", "capsule").await;
    let line = Proxy::to(house.node_of("Bob").address);
    let pass = house.browser("Bob").gets_into("capsule", json!({ "username": "Bob" })).await;
    let mut bob = through(&line, pass).connects().await;
    bob.introduces_herself().await;
    alice.sees(&["Alice", "Bob"]).await;
    let silent = "signal_goodbyes_total{reason=\"silent\"}";

    line.swallows();
    alice.says(&bob.id, "text", json!(1)).await;
    house.node_of("Bob").counts(silent, |goodbyes| goodbyes == 1.0).await;
    alice.says(&bob.id, "text", json!(2)).await;
    alice.finds(&["Alice", "Bob"]).await;
    // What he was sent into the void is sent once more; he comes another way.
    bob.cuts_her_wire().await;
    bob.comes_back_through(house.node_of("Bob")).await;
    for n in [1, 2] {
        assert_eq!(bob.hears("text").await.data(), n);
    }

    let bob_again = through(&line, bob.pass.clone());
    line.passes();
    let mut bob_again = bob_again.connects().await;
    bob_again.checks_in().await;
    bob.is_sent_away(4001).await;
    line.swallows();
    alice.sees(&["Alice"]).await;
    house.is_as_it_should_be("capsule", vec![alice], vec![]).await;
}

/// Fault 21. Bob takes nothing more; Dave, on his node and in his room, hears everything. Where the system's buffers are
/// full, what the node says last has no way to him: it stands behind what he does not take.
async fn one_who_does_not_read_is_sent_away_and_nobody_else_is_disturbed(house: &mut House) {
    const PAGES: usize = 400;
    let [mut alice, mut dave] = house.meet(["Alice", "Dave"], "capsule").await;
    let line = Proxy::to(house.node_of("Bob").address);
    let pass = house.browser("Bob").gets_into("capsule", json!({ "username": "Bob" })).await;
    let mut bob = through(&line, pass).connects().await;
    bob.introduces_herself().await;
    let nodes = [house.node_of("Alice"), house.node_of("Bob")];
    let mut memory = Vec::new();
    for node in nodes {
        memory.push(node.metric(RESIDENT).await);
    }
    line.stalls();
    let page = "x".repeat(100_000);
    let mut slowest = Duration::ZERO;
    // Into the kernels' buffers between first, and then his node has to wait for him.
    for said in 0..PAGES {
        alice.says(&bob.id, "page", json!(page)).await;
        let asked = Instant::now();
        alice.says(&dave.id, "text", json!(said)).await;
        assert_eq!(dave.hears("text").await.data(), said);
        slowest = slowest.max(asked.elapsed());
    }
    house.node_of("Bob").counts(SLOW, |slow| slow == 1.0).await;
    assert!(slowest < Duration::from_secs(2), "a neighbour waited for {slowest:?}, as if for him");
    for (node, before) in nodes.into_iter().zip(memory) {
        let grown = node.metric(RESIDENT).await - before;
        assert!(grown < 16e6, "a node has grown by {grown} bytes over {} that were said", PAGES * page.len());
    }
    bob.cuts_her_wire().await;
    // More was sent than is held for anybody: that is told, and the rest waits for him.
    bob.comes_back_through(house.node_of("Bob")).await;
    bob.checks_in().await;
    until("every page to be heard or told", async || {
        bob.checks_in().await;
        alice.checks_in().await;
        bob.heard_so_far("page") + alice.heard_so_far("error") >= PAGES
    })
    .await;
    house.is_as_it_should_be("capsule", vec![alice, bob, dave], vec![]).await;
}

/// Fault 21, seen by the one who reads again: the system's buffers had room for all of it, so behind it stands the end.
async fn one_who_reads_too_late_finds_all_that_was_on_its_way_and_the_end(house: &mut House) {
    let (mut alice, bob, wire) = alice_meets_one_who_does_not_listen(house).await;
    for n in 0..20 {
        alice.says(&bob.id, "text", json!(n)).await;
    }
    house.node_of("Bob").counts(SLOW, |slow| slow == 1.0).await;
    assert_eq!(reads_to_its_end(wire).await, ((0..20).collect(), Some(4008)));
    // His node cannot know that: he hears it again.
    let mut bob = bob.connects().await;
    for n in 0..20 {
        assert_eq!(bob.hears("text").await.data(), n);
    }
    alice.has_not_heard("error");
    house.is_as_it_should_be("capsule", vec![alice, bob], vec![]).await;
}

/// The same where he is given all the time, and more and more waits for him: he asks, and does not take the answers.
async fn one_who_asks_on_and_reads_nothing_is_sent_away_when_too_much_waits(house: &mut House) {
    let (mut alice, bob, mut wire) = alice_meets_one_who_does_not_listen(house).await;
    let node = house.node_of("Bob");
    // As many as are written to somebody who has confirmed none; they are small, and fit into the buffers.
    let letters = 256;
    let heard = "signal_messages_total{dialect=\"camus\",direction=\"out\"}";
    let before = node.metric(heard).await;
    for n in 0..letters {
        alice.says(&bob.id, "text", json!(n)).await;
    }
    node.counts(heard, |heard| heard >= before + f64::from(letters)).await;
    let memory = node.metric(RESIDENT).await;
    let question =
        json!({ "receiver": common::SERVER, "type": "ping", "data": "x".repeat(100_000) }).to_string();
    let mut asked = 0;
    while node.metric(SLOW).await == 0.0 {
        wire.send(Message::text(question.clone())).await.expect("he is heard");
        assert!(node.metric("signal_mailbox_bytes").await < 4e6, "more waits than may");
        asked += 1;
        assert!(asked < 100, "he would have to be sent away by now");
    }
    assert!(asked >= 20, "no more than {asked} answers waited");
    let grown = node.metric(RESIDENT).await - memory;
    assert!(grown < 16e6, "his node has grown by {grown} bytes");
    assert_eq!(reads_to_its_end(wire).await, ((0..letters).collect(), Some(4008)));
    let mut bob = bob.connects().await;
    for n in 0..letters {
        assert_eq!(bob.hears("text").await.data(), n);
    }
    house.is_as_it_should_be("capsule", vec![alice, bob], vec![]).await;
}

/// Alice, and Bob on a wire from which nothing is read.
async fn alice_meets_one_who_does_not_listen(house: &House) -> (Client, Pass, Wire) {
    let mut alice = house.enters("Alice", "capsule").await;
    let bob = house.browser("Bob").gets_into("capsule", json!({ "username": "Bob" })).await;
    let mut wire = bob.knocks().await.expect("a wire");
    let introduction = json!({ "receiver": common::SERVER, "type": "get-room-info" });
    wire.send(Message::text(introduction.to_string())).await.expect("he is heard");
    alice.sees(&["Alice", "Bob"]).await;
    (alice, bob, wire)
}

/// What was said to him on this wire, and the close code behind it.
async fn reads_to_its_end(mut wire: Wire) -> (Vec<i32>, Option<u16>) {
    let mut heard = Vec::new();
    loop {
        match within("what was on its way", wire.next()).await {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                if frame["type"] == "text" {
                    heard.push(serde_json::from_value(frame["data"].clone()).expect("a number"));
                }
            }
            Some(Ok(Message::Close(close))) => return (heard, close.map(|close| close.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (heard, None),
        }
    }
}

/// Fault 20, as far as one machine goes that plays both sides. What the others wait for meanwhile is printed.
async fn a_crowd_that_drops_and_comes_back_at_once_disturbs_nobody_for_long(house: &mut House) {
    const CROWD: usize = 2_000;
    let [mut alice, mut bob, mut dave] = house.meet(["Alice", "Bob", "Dave"], "capsule").await;
    let node = house.node_of("Bob");
    let mut crowd = Box::pin(Crowd::gathers(house, "Bob", CROWD)).await;
    let turned_away = "signal_turned_away_total";
    let before = node.metric(turned_away).await;

    let (calm, ()) = Waits::of([&mut alice, &mut bob, &mut dave], tokio::time::sleep(CALM)).await;
    crowd.drops();
    let (stormy, back) = Waits::of([&mut alice, &mut bob, &mut dave], crowd.comes_back()).await;
    eprintln!(
        "{CROWD} were back after {:.1?}; {} times one was asked to come again",
        back.took, back.turned_away
    );
    eprintln!("the others' messages: {calm}; during the storm: {stormy}");
    let of_the_limit = node.metric(turned_away).await - before;
    // On a busy machine the directory may be late too.
    assert!(
        of_the_limit > 0.0 && of_the_limit <= back.turned_away as f64,
        "{of_the_limit} did not come in at once"
    );
    assert!(back.took < Duration::from_secs(40), "everybody was back after {:?}", back.took);

    let seated = format!("sg:{{n:{}}}:idx", house.id_of("Bob").await);
    until("all to be where they were", async || {
        // Each of them, Bob and Dave, and that there is this node.
        house.asks_redis::<usize>(&["SCARD", &seated]).await >= CROWD + 2
            && node.metric("signal_connections{dialect=\"camus\"}").await == (CROWD + 2) as f64
    })
    .await;
    for client in [&mut alice, &mut bob, &mut dave] {
        client.has_not_heard("error");
    }
    let mut ledger = Ledger::default();
    ledger.one_round(&mut [&mut alice, &mut bob, &mut dave]).await;
    assert_eq!(ledger.is_settled(&mut [&mut alice, &mut bob, &mut dave]).await, 0, "told");
    crowd.leaves().await;
    house.is_as_it_should_be("capsule", vec![alice, bob, dave], vec![]).await;
}

/// How long messages took from mouth to ear.
#[derive(Default)]
struct Waits {
    on_one_node: Vec<Duration>,
    across_nodes: Vec<Duration>,
}

impl Waits {
    /// The second one hears from the first, who is elsewhere, and from the third, who is here, again and again while
    /// something goes on; what came of that.
    async fn of<T>(
        [elsewhere, ear, here]: [&mut Client; 3],
        meanwhile: impl Future<Output = T>,
    ) -> (Self, T) {
        let mut meanwhile = Box::pin(meanwhile);
        let mut waits = Self::default();
        loop {
            for (mouth, took) in
                [(&mut *elsewhere, &mut waits.across_nodes), (&mut *here, &mut waits.on_one_node)]
            {
                let asked = Instant::now();
                mouth.says(&ear.id, "text", json!(took.len())).await;
                assert_eq!(ear.hears("text").await.data(), took.len());
                took.push(asked.elapsed());
            }
            if let Ok(came) = tokio::time::timeout(BREATH, &mut meanwhile).await {
                return (waits, came);
            }
        }
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |waits: &[Duration]| {
            let mut sorted = waits.to_vec();
            sorted.sort_unstable();
            let at = |share: usize| sorted[(sorted.len() - 1) * share / 100];
            format!("p50 {:.1?}, p99 {:.1?}, longest {:.1?} of {}", at(50), at(99), at(100), sorted.len())
        };
        write!(f, "on one node {}, across nodes {}", part(&self.on_one_node), part(&self.across_nodes))
    }
}
