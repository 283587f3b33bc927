//! A proxy that makes mistakes on purpose, so that one sees whether the ledger finds them:
//!
//!     cargo run --release -p loadtest --example faults -- --to 127.0.0.1:8080 --drop 100,200 --double 300 --swap 400
//!
//! It counts the messages between peers that it carries from the server to its clients, and does to those with the given
//! numbers what was asked for. One that is swapped is sent after the next one of the same two peers.

use std::io::{self, Cursor, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Parser;
use loadtest::stamp::Stamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;

/// A proxy for WebSockets that drops, doubles and swaps given messages.
#[derive(Parser)]
struct Faults {
    /// The node.
    #[arg(long)]
    to: SocketAddr,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Numbers of messages that never arrive.
    #[arg(long, value_delimiter = ',')]
    drop: Vec<u64>,
    /// Numbers of messages that arrive twice.
    #[arg(long, value_delimiter = ',')]
    double: Vec<u64>,
    /// Numbers of messages that arrive after the next one.
    #[arg(long, value_delimiter = ',')]
    swap: Vec<u64>,
    /// Messages seen so far; the first has number 1.
    #[arg(skip)]
    seen: AtomicU64,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let faults = Arc::new(Faults::parse());
    let listener = TcpListener::bind(faults.listen).await?;
    writeln!(io::stdout(), "Faults are at http://{}", listener.local_addr()?)?;
    loop {
        let (client, _) = listener.accept().await?;
        let faults = faults.clone();
        // A connection that breaks is over; the other ones go on.
        tokio::spawn(async move { drop(carry(client, faults).await) });
    }
}

async fn carry(client: TcpStream, faults: Arc<Faults>) -> io::Result<()> {
    let server = TcpStream::connect(faults.to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, to_client) = client.into_split();
    let (from_server, mut to_server) = server.into_split();
    let there = async {
        copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    let back = Connection { faults, to_client, swapped: Vec::new() };
    tokio::try_join!(there, back.carry_back(from_server)).map(drop)
}

/// What comes from the server on one connection.
struct Connection {
    faults: Arc<Faults>,
    to_client: OwnedWriteHalf,
    /// What waits for the next message of the same two peers.
    swapped: Vec<(Stamp, Vec<u8>)>,
}

impl Connection {
    async fn carry_back(mut self, mut server: OwnedReadHalf) -> io::Result<()> {
        let mut read = Vec::new();
        let mut is_upgraded = false;
        while server.read_buf(&mut read).await? > 0 {
            if !is_upgraded {
                let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
                is_upgraded = read.starts_with(b"HTTP/1.1 101");
                let head: Vec<u8> = read.drain(..end + 4).collect();
                self.to_client.write_all(&head).await?;
                if !is_upgraded {
                    self.to_client.write_all(&read).await?;
                    copy(&mut server, &mut self.to_client).await?;
                    return self.to_client.shutdown().await;
                }
            }
            let mut out = Vec::new();
            while let Some((length, payload)) = first_frame(&read) {
                let frame: Vec<u8> = read.drain(..length).collect();
                let stamp = std::str::from_utf8(&frame[payload..]).ok().and_then(Stamp::find);
                match stamp {
                    None => out.extend(frame),
                    Some(stamp) => self.pass(stamp, frame, &mut out),
                }
            }
            self.to_client.write_all(&out).await?;
        }
        for (_, frame) in std::mem::take(&mut self.swapped) {
            self.to_client.write_all(&frame).await?;
        }
        self.to_client.shutdown().await
    }

    fn pass(&mut self, stamp: Stamp, frame: Vec<u8>, out: &mut Vec<u8>) {
        let number = self.faults.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let tell = |what: &str| {
            let Stamp { from, to, seq, .. } = stamp;
            let _ = writeln!(io::stdout(), "{what} message {number}: from {from} to {to}, its number {seq}");
        };
        let waiting =
            self.swapped.iter().position(|(older, _)| (older.from, older.to) == (stamp.from, stamp.to));
        if self.faults.drop.contains(&number) {
            tell("dropped");
        } else if self.faults.double.contains(&number) {
            tell("doubled");
            out.extend([&frame[..], &frame[..]].concat());
        } else if self.faults.swap.contains(&number) && waiting.is_none() {
            tell("swapped");
            return self.swapped.push((stamp, frame));
        } else {
            out.extend(frame);
        }
        if let Some(place) = waiting {
            out.extend(self.swapped.swap_remove(place).1);
        }
    }
}

/// The length of the first frame if all of it is there, and where its payload begins.
fn first_frame(read: &[u8]) -> Option<(usize, usize)> {
    let mut cursor = Cursor::new(read);
    // What is no frame stays, and the client waits for it: a server that says such things is another one's case.
    let (_, length) = FrameHeader::parse(&mut cursor).ok()??;
    let payload = usize::try_from(cursor.position()).ok()?;
    let end = payload + usize::try_from(length).ok()?;
    (read.len() >= end).then_some((end, payload))
}
