//! The processes of the driver: this one if it is enough, or as many more as there are descriptors for.
//!
//! A process is started as this program with [`WORKER`] as its argument. Its plan and its orders are lines of JSON on
//! its standard input, and its notes on its standard output.

use std::io::{self, BufRead, Write};
use std::process::Stdio;
use std::thread;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::plan::Plan;
use crate::worker::{Note, Order, work};

/// The hidden command that makes this program one of several.
pub const WORKER: &str = "worker";

/// All processes of a run.
pub struct Crew {
    orders: Vec<UnboundedSender<Order>>,
    notes: UnboundedReceiver<Note>,
    // They end with this.
    _processes: Vec<Child>,
}

impl Crew {
    /// Starts them, one for each plan; a single one is this process itself.
    pub fn start(plans: Vec<Plan>) -> io::Result<Self> {
        let (note, notes) = unbounded_channel();
        let mut crew = Self { orders: Vec::new(), notes, _processes: Vec::new() };
        let is_alone = plans.len() == 1;
        for plan in plans {
            let (order, orders) = unbounded_channel();
            crew.orders.push(order);
            let note = note.clone();
            if is_alone {
                thread::Builder::new().name("worker".into()).spawn(move || work(plan, orders, &note))?;
            } else {
                crew._processes.push(start_process(&plan, orders, note)?);
            }
        }
        Ok(crew)
    }

    /// How many there are.
    pub fn size(&self) -> usize {
        self.orders.len()
    }

    /// Tells all of them.
    pub fn tell(&self, order: Order) {
        for orders in &self.orders {
            // Who is gone has said why.
            let _ = orders.send(order);
        }
    }

    /// What one of them says next; `None` when none can say anything any more.
    pub async fn note(&mut self) -> Option<Note> {
        self.notes.recv().await
    }
}

fn start_process(
    plan: &Plan,
    mut orders: UnboundedReceiver<Order>,
    notes: UnboundedSender<Note>,
) -> io::Result<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg(WORKER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is for the first process, which then tells the others.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("a process without pipes"));
    };
    let plan = line(plan);
    tokio::spawn(async move {
        input.write_all(plan.as_bytes()).await?;
        pass_on(&mut orders, &mut input).await
    });
    tokio::spawn(async move {
        let mut lines = BufReader::new(output).lines();
        let mut has_ended = false;
        while let Ok(Some(line)) = lines.next_line().await {
            let note = serde_json::from_str(&line)
                .unwrap_or_else(|why| Note::Failed(format!("a process said something strange: {why}")));
            has_ended |= matches!(note, Note::Done(_) | Note::Failed(_));
            let _ = notes.send(note);
        }
        if !has_ended {
            let _ = notes.send(Note::Failed("one of the driver's processes ended before its time".into()));
        }
    });
    Ok(child)
}

async fn pass_on(orders: &mut UnboundedReceiver<Order>, input: &mut ChildStdin) -> io::Result<()> {
    while let Some(order) = orders.recv().await {
        input.write_all(line(&order).as_bytes()).await?;
    }
    Ok(())
}

fn line<T: Serialize>(value: &T) -> String {
    let mut line = serde_json::to_string(value).unwrap_or_default();
    line.push('\n');
    line
}

/// The life of a process that [`Crew::start`] has started: back when it has said all. Fails if it is not told what to do.
pub fn be_one_of_several() -> io::Result<()> {
    let mut plan = String::new();
    io::stdin().read_line(&mut plan)?;
    let plan: Plan = serde_json::from_str(&plan)?;
    let (order, orders) = unbounded_channel();
    let (note, mut notes) = unbounded_channel();
    // Ends with the process: nobody waits for what is read from standard input.
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if let Ok(parsed) = serde_json::from_str(&line)
                && order.send(parsed).is_err()
            {
                return;
            }
        }
    });
    let writer = thread::spawn(move || {
        let mut out = io::stdout().lock();
        while let Some(note) = notes.blocking_recv() {
            let note: Note = note;
            out.write_all(line(&note).as_bytes())?;
            out.flush()?;
        }
        Ok::<_, io::Error>(())
    });
    work(plan, orders, &note);
    drop(note);
    writer.join().unwrap_or_else(|_| Err(io::Error::other("nothing could be told")))
}
