//! A run: all come in, all talk, all is accounted for; and what that has shown.

use std::time::{Duration, Instant};

use crate::cli::Run;
use crate::crew::Crew;
use crate::floor::Happenings;
use crate::ledger::Tally;
use crate::machine;
use crate::measure::Second;
use crate::progress::Progress;
use crate::report::{Driver, Joins, Latency, Line, Load, Memory, Report, Row, Verdict};
use crate::watch::CannotWatch;
use crate::worker::{COUNTDOWN, Done, Note, Order};

/// Memory counts as settled when it changed by less than this in a second.
const SETTLED: u64 = 64 * 1024;
/// It is not waited for longer than so many seconds.
const SETTLE_TRIES: u32 = 20;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CannotRun {
    /// Somebody was not let in.
    #[error("{outside} of {peers} peers were not let in\n{why}")]
    NotIn {
        /// How many.
        outside: u64,
        /// Of how many.
        peers: u32,
        /// What they were told.
        why: String,
    },
    /// A process of the driver gave up.
    #[error("{0}")]
    Failed(String),
    /// There is no other process.
    #[error("a process of the driver cannot be started: {0}")]
    NoProcess(std::io::Error),
    /// Somebody is not there to be watched.
    #[error(transparent)]
    Watch(#[from] CannotWatch),
    /// A process is not there to be looked at.
    #[error("--pid {pid}: {why}")]
    Memory {
        /// The process.
        pid: u32,
        /// Why not.
        why: String,
    },
    /// Somebody pressed Ctrl-C before anything was said.
    #[error("stopped before all peers were there")]
    Stopped,
}

/// What is gathered on the way.
struct Gathered {
    seconds: Vec<Second>,
    joining: Second,
    so_far: Tally,
    happenings: Happenings,
    seated_workers: usize,
    took: Duration,
    done: Vec<Done>,
}

/// Runs it, and reports.
pub async fn run(run: &Run) -> Result<Report, CannotRun> {
    let weighed = run.weighed();
    let before = resident(weighed)?;
    let mut crew = Crew::start(run.plan.divided(run.processes)).map_err(CannotRun::NoProcess)?;
    let mut progress = Progress::new();
    let mut gathered = Gathered {
        seconds: Vec::new(),
        joining: Second::default(),
        so_far: Tally::default(),
        happenings: Happenings::default(),
        seated_workers: 0,
        took: Duration::ZERO,
        done: Vec::new(),
    };
    let told = conduct(run, &mut crew, &mut gathered, &mut progress).await;
    progress.end();
    let (with_all, loads) = told?;
    let memory = weighed.iter().zip(before.iter().zip(&with_all));
    let memory =
        memory.map(|(pid, (before, with_all))| Memory { pid: *pid, before: *before, with_all: *with_all });
    Ok(report(run, crew.size(), gathered, memory.collect(), loads))
}

/// Lets everybody in, has them talk, and waits for the end. Of those who are watched: the memory once all were seated, and
/// how busy they were.
async fn conduct(
    run: &Run,
    crew: &mut Crew,
    gathered: &mut Gathered,
    progress: &mut Progress,
) -> Result<(Vec<u64>, Vec<Load>), CannotRun> {
    let mut before = run.watch.read().await?;
    let began = Instant::now();
    while gathered.seated_workers < crew.size() {
        tokio::select! {
            note = crew.note() => gathered.take(run, note, progress)?,
            _ = tokio::signal::ctrl_c() => return Err(CannotRun::Stopped),
        }
    }
    gathered.took = began.elapsed();
    if gathered.happenings.outside > 0 && !run.only_joins {
        return Err(gathered.not_in(run));
    }
    let mut loads = None;
    if run.only_joins {
        loads = Some(run.watch.read().await?.since(&before));
    }
    let with_all = settled(run.weighed()).await?;
    before = run.watch.read().await?;
    crew.tell(if run.only_joins { Order::Stop } else { Order::Talk });
    let talk_ends = tokio::time::sleep(COUNTDOWN + run.plan.length);
    tokio::pin!(talk_ends);
    while gathered.done.len() < crew.size() {
        tokio::select! {
            () = &mut talk_ends, if loads.is_none() => loads = Some(run.watch.read().await?.since(&before)),
            note = crew.note() => gathered.take(run, note, progress)?,
            _ = tokio::signal::ctrl_c() => crew.tell(Order::Stop),
        }
    }
    Ok((with_all, loads.unwrap_or_default()))
}

fn resident(pids: &[u32]) -> Result<Vec<u64>, CannotRun> {
    let of = |pid: &u32| machine::resident(*pid).map_err(|why| CannotRun::Memory { pid: *pid, why });
    pids.iter().map(of).collect()
}

/// Resident memory once it has stopped changing.
async fn settled(pids: &[u32]) -> Result<Vec<u64>, CannotRun> {
    let mut before = resident(pids)?;
    for _ in 0..if pids.is_empty() { 0 } else { SETTLE_TRIES } {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = resident(pids)?;
        let is_settled = now.iter().zip(&before).all(|(now, before)| now.abs_diff(*before) <= SETTLED);
        before = now;
        if is_settled {
            break;
        }
    }
    Ok(before)
}

impl Gathered {
    fn take(&mut self, run: &Run, note: Option<Note>, progress: &mut Progress) -> Result<(), CannotRun> {
        let gone = || CannotRun::Failed("the driver's processes ended before their time".into());
        match note.ok_or_else(gone)? {
            Note::Joining(second) => {
                self.joining.add(&second);
                progress.joining(
                    self.joining.seated,
                    run.plan.peers,
                    self.happenings.refusals.values().sum(),
                );
            }
            Note::Seated { happenings } => {
                self.seated_workers += 1;
                self.happenings.add(happenings);
            }
            Note::Talking(number, second) => {
                let place = number as usize;
                if self.seconds.len() <= place {
                    self.seconds.resize_with(place + 1, Second::default);
                }
                self.so_far.sent += second.sent;
                self.so_far.received += second.received;
                self.so_far.told += second.sent_back;
                self.seconds[place].add(&second);
                progress.talking(number, run.plan.length, &self.seconds[place], &self.so_far);
            }
            Note::Done(done) => self.done.push(*done),
            Note::Failed(why) => return Err(CannotRun::Failed(why)),
        }
        Ok(())
    }

    fn not_in(&self, run: &Run) -> CannotRun {
        let row = |(why, count): (&String, &u64)| format!("  {count:>6} × {why}");
        let why: Vec<_> = self.happenings.refusals.iter().map(row).collect();
        CannotRun::NotIn { outside: self.happenings.outside, peers: run.plan.peers, why: why.join("\n") }
    }
}

fn line(times: &crate::measure::Times) -> Line {
    Line { figures: times.figures(), curve: times.curve() }
}

fn report(run: &Run, processes: usize, gathered: Gathered, memory: Vec<Memory>, loads: Vec<Load>) -> Report {
    // What is measured begins with a whole second.
    let warm_up = run.warm_up.as_millis().div_ceil(1000) as usize;
    let mut measured = Second::default();
    gathered.seconds.iter().skip(warm_up).for_each(|second| measured.add(second));
    let (mut tally, mut happenings) = (Tally::default(), Happenings::default());
    let (mut cpu_joining, mut cpu_talking, mut talked) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for done in gathered.done {
        tally += done.tally;
        happenings.add(done.happenings);
        cpu_joining += done.cpu_joining;
        cpu_talking += done.cpu_talking;
        talked = talked.max(done.talked);
    }
    happenings.nodes.sort();
    let plan = &run.plan;
    let seated = u64::from(plan.peers) - happenings.outside;
    let micros_for =
        |time: Duration, count: u64| (count > 0).then(|| time.as_secs_f64() * 1e6 / count as f64);
    let processors = if talked.is_zero() { 0.0 } else { cpu_talking.as_secs_f64() / talked.as_secs_f64() };
    Report {
        scenario: run.scenario,
        what: run.what.clone(),
        verdict: verdict(run, &tally, &happenings),
        dialect: plan.dialect.clone(),
        urls: plan.urls.clone(),
        nodes: happenings.nodes,
        peers: plan.peers,
        room: plan.room,
        rate: plan.traffic.map_or(0.0, |traffic| traffic.rate),
        seconds: (plan.length - run.warm_up).as_secs_f64(),
        warm_up: run.warm_up.as_secs_f64(),
        ledger: tally,
        latency: Latency {
            same_node: line(&measured.same),
            across_nodes: line(&measured.across),
            all: line(&measured.latency()),
        },
        driver: Driver {
            processes,
            lag: line(&measured.lag),
            cpu_micros_per_message: micros_for(cpu_talking, tally.sent),
            processors,
        },
        joins: Joins {
            seated,
            outside: happenings.outside,
            time: line(&gathered.joining.joins),
            took: gathered.took.as_secs_f64(),
            refusals: happenings.refusals,
            cpu_micros: micros_for(cpu_joining, seated).unwrap_or_default(),
        },
        memory,
        loads,
        lost_connections: happenings.lost_connections,
        complaints: happenings.complaints,
        came_back: happenings.came_back,
        timeline: gathered.seconds.iter().map(Row::of).collect(),
    }
}

fn verdict(run: &Run, tally: &Tally, happenings: &Happenings) -> Verdict {
    let lost_connections: u64 = happenings.lost_connections.values().sum();
    if run.only_joins {
        let words = match happenings.outside {
            0 => "Everybody is in.".into(),
            outside => format!("{outside} never got in."),
        };
        return Verdict { good: happenings.outside == 0, words };
    }
    if run.plan.traffic.is_none() {
        let words = match lost_connections {
            0 => "Every connection was held.".into(),
            lost => format!("{lost} connections ended that should have been held."),
        };
        return Verdict { good: lost_connections == 0, words };
    }
    let wrong: Vec<_> = tally.wrong().into_iter().map(|(what, count)| format!("{count} {what}")).collect();
    let words = if wrong.is_empty() {
        "Each message is accounted for.".into()
    } else {
        format!("Not every message is accounted for: {}.", wrong.join(", "))
    };
    Verdict { good: wrong.is_empty(), words }
}
