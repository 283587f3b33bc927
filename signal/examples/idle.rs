//! What an idle connection costs: starts a node, joins it many times, and reads how much memory the node has become.
//!
//!     cargo build --release -p signal && cargo run --release -p signal --example idle -- [CONNECTIONS] [PROGRAM]
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement for the terminal; what fails ends it"
)]

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, protocol::WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Members of each room.
const ROOM: usize = 4;
/// Handshakes under way at once.
const AT_ONCE: usize = 64;
/// What is read again and again until it no longer changes by more than this.
const SETTLED_KB: u64 = 64;

struct Node {
    process: Child,
    address: String,
}

impl Node {
    fn start(program: &PathBuf) -> Self {
        let mut process = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--ops.listen", "127.0.0.1:0", "--log", "warn"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let address = first.rsplit("http://").next().unwrap().trim().trim_end_matches('/').to_owned();
        Self { process, address }
    }

    /// Resident memory, in KiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Resident memory once it has stopped changing.
    async fn settled(&self) -> u64 {
        let mut before = self.resident();
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = self.resident();
            if now.abs_diff(before) <= SETTLED_KB {
                return now;
            }
            before = now;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn token(address: &str, room: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST /api/rooms/{room}/clients HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap();
    body["token"].as_str().unwrap().to_owned()
}

/// Joins, says its first word, and has asked who is there: what every page does before it falls silent.
async fn join(address: String, room: String) -> WebSocketStream<TcpStream> {
    let token = token(&address, &room).await;
    let stream = TcpStream::connect(&address).await.unwrap();
    let small = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(1024);
    let url = format!("ws://{address}/room/{room}/ws?token={token}");
    let (mut socket, _) = client_async_with_config(url, stream, Some(small)).await.unwrap();
    for kind in ["ping", "get-ice-servers", "get-room-info"] {
        socket
            .send(Message::text(format!(r#"{{"receiver":"ground control","type":"{kind}"}}"#)))
            .await
            .unwrap();
    }
    for _ in 0..3 {
        socket.next().await.unwrap().unwrap();
    }
    socket
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let connections: usize = arguments.next().map_or(5_000, |n| n.parse().unwrap());
    let beside_this = || std::env::current_exe().unwrap().parent().unwrap().with_file_name("signal");
    let node = Node::start(&arguments.next().map_or_else(beside_this, PathBuf::from));

    let first =
        futures_util::future::join_all((0..ROOM).map(|_| join(node.address.clone(), "warm".into()))).await;
    let before = node.settled().await;
    let started = Instant::now();
    let joins =
        (0..connections).map(|n| tokio::spawn(join(node.address.clone(), format!("room-{}", n / ROOM))));
    let sockets: Vec<_> = futures_util::stream::iter(joins).buffer_unordered(AT_ONCE).collect().await;
    let took = started.elapsed();
    let after = node.settled().await;
    assert!(sockets.iter().all(Result::is_ok), "not every connection was made");

    println!("idle joined connections   {connections}, in rooms of {ROOM}");
    println!("resident before           {before} KiB");
    println!("resident with them        {after} KiB");
    println!("per connection            {:.1} kB", (after - before) as f64 * 1.024 / connections as f64);
    println!("joins per second          {:.0}", connections as f64 / took.as_secs_f64());
    drop(first);
}
