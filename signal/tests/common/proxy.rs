//! A bad line: a TCP proxy that delays, holds up, swallows, cuts and throttles what passes through it. It runs on a
//! thread of its own, so that a scene that blocks does not disturb it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::sleep;

/// How a line treats what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Pass,
    Delay(Duration),
    /// Bytes a second, each way.
    Throttle(u32),
    /// What comes is kept, and passes when the line is well again.
    Stall,
    /// The same, for answers alone.
    HoldAnswers,
    /// What comes is lost, and no end hears of it: a half-open connection stays one for good.
    Swallow,
    /// Connections are ended, and new ones are refused.
    Cut,
}

/// Bytes that are taken at once.
const PIECE: usize = 16 * 1024;

/// A line to somewhere.
pub(crate) struct Proxy {
    /// Where it begins.
    pub(crate) address: SocketAddr,
    manner: Arc<watch::Sender<Manner>>,
    trap: Trap,
    _over: oneshot::Sender<()>,
}

impl Proxy {
    /// A line that is well, to `target`, which need not be there yet.
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a listener");
        let (manner, trap) = (Arc::new(watch::Sender::new(Manner::Pass)), Trap::default());
        let line = Line { manner: manner.clone(), trap: trap.clone() };
        let (over, is_over) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listener");
                tokio::select! {
                    () = serve(listener, target, line) => {}
                    _ = is_over => {}
                }
            });
        });
        Self { address, manner, trap, _over: over }
    }

    /// Is well again.
    pub(crate) fn passes(&self) {
        self.manner.send_replace(Manner::Pass);
    }

    /// Takes so long for every piece, each way.
    pub(crate) fn delays(&self, by: Duration) {
        self.manner.send_replace(Manner::Delay(by));
    }

    /// Lets so many bytes a second pass, each way.
    pub(crate) fn throttles(&self, bytes: u32) {
        self.manner.send_replace(Manner::Throttle(bytes));
    }

    /// Holds up everything until it is well again.
    pub(crate) fn stalls(&self) {
        self.manner.send_replace(Manner::Stall);
    }

    /// Holds up what comes back until it is well again.
    pub(crate) fn holds_answers(&self) {
        self.manner.send_replace(Manner::HoldAnswers);
    }

    /// Holds up what comes back as soon as `words` have passed, which pass themselves: the other end does what it is asked
    /// and who asked does not hear of it.
    pub(crate) fn holds_answers_after(&self, words: &str) {
        *self.trap.lock().expect("nobody panics with it") = Some(words.as_bytes().to_vec());
    }

    /// Loses everything, and says nothing of it.
    pub(crate) fn swallows(&self) {
        self.manner.send_replace(Manner::Swallow);
    }

    /// Ends everything, and refuses what is new.
    pub(crate) fn cuts(&self) {
        self.manner.send_replace(Manner::Cut);
    }
}

/// What has to pass for answers to be held.
type Trap = Arc<Mutex<Option<Vec<u8>>>>;

#[derive(Clone)]
struct Line {
    manner: Arc<watch::Sender<Manner>>,
    trap: Trap,
}

impl Line {
    /// Closes behind the words that it waits for.
    fn sees(&self, request: &[u8]) {
        let mut trap = self.trap.lock().expect("nobody panics with it");
        let found = |words: &Vec<u8>| request.windows(words.len()).any(|window| window == words);
        if trap.as_ref().is_some_and(found) {
            *trap = None;
            self.manner.send_replace(Manner::HoldAnswers);
        }
    }
}

async fn serve(listener: TcpListener, target: SocketAddr, line: Line) {
    while let Ok((near, _)) = listener.accept().await {
        if *line.manner.borrow() == Manner::Cut {
            continue;
        }
        let line = line.clone();
        tokio::spawn(async move {
            let Ok(far) = TcpStream::connect(target).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            let mut cut = line.manner.subscribe();
            tokio::select! {
                () = pump(near_read, far_write, &line, false) => {}
                () = pump(far_read, near_write, &line, true) => {}
                _ = cut.wait_for(|manner| *manner == Manner::Cut) => {}
            }
        });
    }
}

/// Until one end has closed, and the other has everything that was sent before.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, line: &Line, answers: bool) {
    let mut manner = line.manner.subscribe();
    let mut piece = vec![0; PIECE];
    let mut half_open = false;
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        if !answers {
            line.sees(&piece[..read]);
        }
        let held = |manner: &Manner| *manner == Manner::Stall || (answers && *manner == Manner::HoldAnswers);
        let Ok(now) = manner.wait_for(|manner| !held(manner)).await.map(|manner| *manner) else { break };
        match now {
            Manner::Swallow => half_open = true,
            Manner::Delay(by) => sleep(by).await,
            Manner::Throttle(bytes) => {
                sleep(Duration::from_secs_f64(read as f64 / f64::from(bytes))).await;
            }
            _ => {}
        }
        if !half_open && to.write_all(&piece[..read]).await.is_err() {
            break;
        }
    }
    if half_open {
        // The other end is not told.
        std::future::pending::<()>().await;
    }
}
