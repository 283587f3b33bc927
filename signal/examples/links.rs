//! What a saturated link costs Redis: two nodes in one process, of which one says as much as the link takes.
//!
//! `cargo run --release -p signal --example links -- redis://127.0.0.1:6379 [seconds] [bytes of each message]`
#![allow(clippy::print_stdout, reason = "what it has measured")]

use std::error::Error;
use std::time::{Duration, Instant};

use signal::backplane::redis::{AllBounds, Pace, Redis, RedisSettings, Tls};
use signal::backplane::{Backplane, Delivery, Envelope, Lifetimes, Notice};
use signal::hub::mailbox::{Bounds, Letter};
use signal::message::{Frame, NodeId, PeerId, RoomId, Undelivered};
use tokio::sync::mpsc::Receiver;

/// So many messages at a time: what comes back is to be heard too.
const AT_ONCE: u32 = 64;

fn node(url: &str, name: &str) -> Result<(Redis, Receiver<Notice>), Box<dyn Error>> {
    let hour = Duration::from_secs(3600);
    let settings = RedisSettings {
        url: url.to_owned(),
        tls: Tls::default(),
        node: NodeId::new(format!("{name}.{:08x}", rand::random::<u32>())),
        address: None,
        key: [7; 32],
        lifetimes: Lifetimes { empty_room: hour, gone: hour },
        pace: Pace::of_lease(Duration::from_secs(10)),
        bounds: AllBounds {
            link: Bounds { messages: 20_000, bytes: 8 << 20 },
            patience: Duration::from_secs(3),
            inbox: Bounds { messages: 4_096, bytes: 32 << 20 },
        },
    };
    Ok(Redis::connect(settings)?)
}

/// Processor time that Redis has used, in seconds.
async fn used(url: &str) -> Result<f64, Box<dyn Error>> {
    let mut wire = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let info: redis::InfoDict = redis::cmd("INFO").arg("cpu").query_async(&mut wire).await?;
    let part = |name: &str| info.get::<f64>(name).unwrap_or_default();
    Ok(part("used_cpu_user") + part("used_cpu_sys"))
}

/// Hears messages until they have stopped: how many.
async fn hears(mut notices: Receiver<Notice>) -> u64 {
    let mut heard = 0;
    while let Ok(Some(notice)) = tokio::time::timeout(Duration::from_secs(1), notices.recv()).await {
        heard += u64::from(matches!(notice, Notice::Arrived { .. }));
    }
    heard
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("the URL of a Redis is missing")?;
    let seconds = arguments.next().map_or(Ok(5.0), |seconds| seconds.parse())?;
    let bytes = arguments.next().map_or(Ok(300), |bytes| bytes.parse())?;
    let ((here, _notices), (there, notices)) = (node(&url, "here")?, node(&url, "there")?);
    for redis in [&here, &there] {
        redis.up().wait_for(|up| *up).await?;
    }
    let to = there.node().clone();
    let delivery = Delivery {
        room: RoomId::of("camus", "a room"),
        to: PeerId::new("0123456789abcdef0123456789abcdef"),
        letter: Letter::from_server(Frame::new("x".repeat(bytes))),
        spent: Duration::ZERO,
    };
    let hears = tokio::spawn(hears(notices));
    let (before, began) = (used(&url).await?, Instant::now());
    let mut said = 0_u64;
    while began.elapsed().as_secs_f64() < seconds {
        for _ in 0..AT_ONCE {
            match here.carry(&to, Envelope::Deliver(delivery.clone())) {
                Ok(()) => said += 1,
                Err(Undelivered::Full) => tokio::task::yield_now().await,
                Err(why) => return Err(format!("not carried: {}", why.label()).into()),
            }
        }
        match here.relief(&to) {
            Some(relief) => relief.await,
            None => tokio::task::yield_now().await,
        }
    }
    let heard = hears.await?;
    let took = began.elapsed().as_secs_f64() - 1.0;
    let used = used(&url).await? - before;
    let frames = here.counters().published.load(std::sync::atomic::Ordering::Relaxed);
    println!("{said} messages of {bytes} bytes, {heard} heard, {:.0} a second", said as f64 / took);
    println!("{:.1} messages in a frame", said as f64 / frames as f64);
    println!("{:.2} µs of Redis for each message", used * 1e6 / said as f64);
    Ok(())
}
