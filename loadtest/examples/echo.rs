//! A server that sends every text frame back, for `loadtest --dialect echo`:
//!
//!     cargo run --release -p loadtest --example echo -- [ADDRESS]

use std::io::{self, Write};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".into());
    let listener = TcpListener::bind(address).await?;
    writeln!(io::stdout(), "Echo is at ws://{}", listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // Whoever breaks off is gone.
        tokio::spawn(async move { drop(echo(stream).await) });
    }
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    stream.set_nodelay(true)?;
    let small = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(4096);
    let mut socket = Box::pin(accept_async_with_config(stream, Some(small))).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
