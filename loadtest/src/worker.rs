//! A process of the driver: it lets its peers in, rings for them when something is due, and counts the seconds.

use std::rc::Rc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, LocalSet, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::clock::{Alarm, processor_time};
use crate::connect::{BadTarget, Doors};
use crate::dialect::{self, Newcomer};
use crate::floor::{Floor, Happenings, Phase};
use crate::ledger::Tally;
use crate::measure::Second;
use crate::peer::Peer;
use crate::plan::Plan;

/// From the word to talk until the first message: every peer has turned to it by then.
pub const COUNTDOWN: Duration = Duration::from_millis(200);
/// A message that comes twice may do so after all is accounted for.
const AFTERMATH: Duration = Duration::from_millis(500);
/// How long everybody has to go home.
const LEAVING: Duration = Duration::from_secs(5);

/// What a process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Everybody is seated everywhere: talk.
    Talk,
    /// That is enough.
    Stop,
}

/// What a process tells.
#[derive(Debug, Serialize, Deserialize)]
pub enum Note {
    /// What the last second brought, before the talk.
    Joining(Second),
    /// All its peers are seated, or never will be.
    Seated {
        /// What happened on the way.
        happenings: Happenings,
    },
    /// What the so-manieth second of the talk brought.
    Talking(u32, Second),
    /// It is over.
    Done(Box<Done>),
    /// It could not be done, and why.
    Failed(String),
}

/// What a process knows at its end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Done {
    /// What became of its messages.
    pub tally: Tally,
    /// What else happened.
    pub happenings: Happenings,
    /// Processor time while peers came in.
    pub cpu_joining: Duration,
    /// Processor time from the first message until all were accounted for.
    pub cpu_talking: Duration,
    /// How long that was.
    pub talked: Duration,
}

#[derive(Debug, thiserror::Error)]
enum CannotRun {
    #[error(transparent)]
    Target(#[from] BadTarget),
    #[error("there is no protocol “{0}”")]
    Dialect(String),
    #[error("room {room} cannot be made: {why}")]
    Room { room: u32, why: crate::connect::NotIn },
    #[error("no timer: {0}")]
    Timer(std::io::Error),
    #[error("whoever started this process is gone")]
    Alone,
}

/// Does what the plan says, on this thread alone, and tells how it goes.
pub fn work(plan: Plan, orders: mpsc::UnboundedReceiver<Order>, notes: &mpsc::UnboundedSender<Note>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let last = match runtime {
        Ok(runtime) => LocalSet::new().block_on(&runtime, Box::pin(run(plan, orders, notes.clone()))),
        Err(why) => Err(CannotRun::Timer(why)),
    };
    let last = match last {
        Ok(done) => Note::Done(Box::new(done)),
        Err(why) => Note::Failed(why.to_string()),
    };
    let _ = notes.send(last);
}

async fn run(
    plan: Plan,
    mut orders: mpsc::UnboundedReceiver<Order>,
    notes: mpsc::UnboundedSender<Note>,
) -> Result<Done, CannotRun> {
    let dialect = dialect::named(&plan.dialect).ok_or_else(|| CannotRun::Dialect(plan.dialect.clone()))?;
    let doors = Doors::find(&plan.urls, &plan.trust, plan.sources, plan.joins.handshake_timeout).await?;
    let floor = Rc::new(Floor::new(plan, dialect, doors));
    let seconds = spawn_local(tell_each_second(floor.clone(), notes.clone()));
    let mut peers = let_in(&floor).await?;
    let cpu_joining = processor_time();
    tell(&floor, &notes);
    let _ = notes.send(Note::Seated { happenings: floor.happenings.borrow().clone() });

    if orders.recv().await.ok_or(CannotRun::Alone)? == Order::Talk {
        talk(&floor, &mut orders).await?;
        settle(&floor).await;
    }
    let talked = match floor.phase.get() {
        Phase::Talking { since, .. } => floor.clock.now().saturating_sub(since),
        _ => Duration::ZERO,
    };
    let cpu_talking = processor_time() - cpu_joining;
    seconds.abort();
    tell(&floor, &notes);
    floor.turn_to(Phase::Leaving);
    let _ = timeout(LEAVING, async { while peers.join_next().await.is_some() {} }).await;
    let tally = floor.ledger.borrow().closed();
    let happenings = floor.happenings.borrow().clone();
    Ok(Done { tally, happenings, cpu_joining, cpu_talking, talked })
}

/// Lets everybody in; back when all are seated, or never will be.
async fn let_in(floor: &Rc<Floor>) -> Result<JoinSet<()>, CannotRun> {
    let plan = &floor.plan;
    for room in plan.rooms.clone() {
        let peer = room * plan.room;
        let first = Newcomer { run: plan.run, peer, room, members: plan.room, asks_for_roster: false };
        let door = floor.doors.door(plan.url_of(peer, 0), peer);
        floor.dialect.prepare(&first, door).await.map_err(|why| CannotRun::Room { room, why })?;
    }
    let share = plan.share();
    let began = floor.clock.now();
    let mut peers = JoinSet::new();
    for peer in share.clone() {
        let nth = f64::from(peer - share.start);
        let rate = plan.joins.rate.map(|rate| rate * plan.part());
        let come_at = rate.map_or(began, |rate| began + Duration::from_secs_f64(nth / rate));
        peers.spawn_local(Box::pin(Peer::new(floor.clone(), peer).live(come_at)));
    }
    // It is never closed.
    let _ = floor.arrivals.acquire_many(share.len() as u32).await;
    Ok(peers)
}

/// Talks for as long as is planned, or until somebody has had enough.
async fn talk(floor: &Rc<Floor>, orders: &mut mpsc::UnboundedReceiver<Order>) -> Result<(), CannotRun> {
    let since = floor.clock.now() + COUNTDOWN;
    floor.turn_to(Phase::Talking { since, length: floor.plan.length });
    let mut alarm = Alarm::new().map_err(CannotRun::Timer)?;
    tokio::select! {
        () = sleep(COUNTDOWN + floor.plan.length) => {}
        why = ring(floor, since, &mut alarm) => return Err(CannotRun::Timer(why)),
        () = churn(floor) => {}
        _ = orders.recv() => {}
    }
    let length = floor.clock.now().saturating_sub(since).min(floor.plan.length);
    // Rings once more for everybody: what was due in the last moment is still said.
    floor.turn_to(Phase::Talking { since, length });
    Ok(())
}

/// Rings for each speaker when its next message is due.
async fn ring(floor: &Floor, since: Duration, alarm: &mut Alarm) -> std::io::Error {
    let Some(schedule) = floor.schedule() else { return std::future::pending().await };
    let turns: Vec<_> = floor.plan.share().filter_map(|peer| Some((peer, floor.turn_of(peer)?))).collect();
    for nth in 0.. {
        for (peer, turn) in &turns {
            let due = since + schedule.due(*turn, nth);
            let now = floor.clock.now();
            if due > now
                && let Err(why) = alarm.wait(due - now).await
            {
                return why;
            }
            floor.bell(*peer).rings.notify_one();
        }
    }
    std::future::pending().await
}

/// Sends somebody away, again and again.
async fn churn(floor: &Floor) {
    let Some(churn) = floor.plan.churn else { return std::future::pending().await };
    let mut times = interval(Duration::from_secs_f64(1.0 / (churn.rate * floor.plan.part())));
    times.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        times.tick().await;
        let peer = rand::random_range(floor.plan.share());
        if floor.is_there(peer) {
            let bell = floor.bell(peer);
            bell.go_away.set(Some(churn.away));
            bell.rings.notify_one();
        }
    }
}

/// Waits until everybody is back and everything accounted for, and then a moment for what should not come; but not
/// longer than planned.
async fn settle(floor: &Floor) {
    let seated = floor.plan.share().len() as u64 - floor.happenings.borrow().outside;
    let is_settled = || floor.ledger.borrow().so_far().missing() == 0 && floor.present() as u64 == seated;
    let settled = timeout(floor.plan.settle, async {
        // At least once: somebody may be about to say something.
        loop {
            sleep(Duration::from_millis(20)).await;
            if is_settled() {
                break;
            }
        }
    });
    if settled.await.is_ok() {
        sleep(AFTERMATH).await;
    }
}

async fn tell_each_second(floor: Rc<Floor>, notes: mpsc::UnboundedSender<Note>) {
    loop {
        let now = floor.clock.now();
        let (Phase::Talking { since, .. }, second) = (floor.phase.get(), Duration::from_secs(1)) else {
            sleep(Duration::from_secs(1)).await;
            tell(&floor, &notes);
            continue;
        };
        // Seconds of the talk end where its own seconds do.
        let next = (now.saturating_sub(since).as_secs() + 1) as u32 * second;
        sleep((since + next).saturating_sub(now)).await;
        tell(&floor, &notes);
    }
}

fn tell(floor: &Floor, notes: &mpsc::UnboundedSender<Note>) {
    let second = std::mem::take(&mut *floor.second.borrow_mut());
    let note = match floor.phase.get() {
        Phase::Talking { since, .. } if floor.clock.now() > since => {
            let number = floor.clock.now().saturating_sub(since + Duration::from_millis(500)).as_secs();
            Note::Talking(number as u32, second)
        }
        _ => Note::Joining(second),
    };
    let _ = notes.send(note);
}
