//! `echo BASE [KEYS] [FLOOD_BYTES]`: how fast a terminal answers through the real WebSocket of a running gateway.
//!
//! Makes a session with one node, types into `cat` and waits for each echo, then lets `yes` flood the terminal.
//! Prints one line of JSON: microseconds of p50, p99 and the largest echo, megabytes per second of the flood, and
//! bytes lost (there must be none).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use drydock_wire::session::{Instance, Terminal};
use drydock_wire::terminal::{ClientFrame, ServerFrame};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Between acknowledgements, bytes; the page's own pace.
const ACK_EVERY: u64 = 64 * 1024;
/// Between keys, so that each is a key of its own.
const PAUSE: Duration = Duration::from_millis(2);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let base = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".to_owned());
    let keys: usize = arguments.next().map_or(Ok(2000), |text| text.parse())?;
    let flood: u64 = arguments.next().map_or(Ok(100_000_000), |text| text.parse())?;
    let base = base.trim_end_matches('/').to_owned();

    let http = reqwest::Client::new();
    let made: Value =
        http.post(&base).header("X-Requested-With", "XMLHttpRequest").send().await?.json().await?;
    let id = made["session_id"].as_str().with_context(|| format!("no session: {made}"))?.to_owned();
    let session = format!("{base}/sessions/{id}");
    let outcome = measure(&http, &base, &id, keys, flood).await;
    http.delete(&session).send().await?;
    println!("{}", outcome?);
    Ok(())
}

async fn measure(http: &reqwest::Client, base: &str, id: &str, keys: usize, flood: u64) -> Result<Value> {
    let instances = format!("{base}/sessions/{id}/instances");
    let node: Instance =
        http.post(&instances).json(&json!({})).send().await?.error_for_status()?.json().await?;
    let terminals = format!("{instances}/{}/terminals", node.name);
    let terminal: Terminal = http.post(&terminals).send().await?.error_for_status()?.json().await?;
    let mut screen = Screen::open(&format!("{terminals}/{}/ws", terminal.id)).await?;

    screen.run("cat >/dev/null").await?;
    let mut echoes = Vec::with_capacity(keys);
    for _ in 0..keys {
        tokio::time::sleep(PAUSE).await;
        let before = screen.received;
        let typed = Instant::now();
        screen.send(ClientFrame::Input(b"x")).await?;
        while screen.received == before {
            screen.receive().await?;
        }
        echoes.push(typed.elapsed().as_micros() as u64);
    }
    screen.send(ClientFrame::Input(b"\x03")).await?;
    screen.settle().await?;
    echoes.sort_unstable();

    let before = screen.received;
    let began = Instant::now();
    // The clear line break first: the echo of the command is not part of the flood.
    screen
        .send(ClientFrame::Input(
            format!("clear; yes 1234567 | head -c {flood}; echo FLOOD-$((1+1))END\r").as_bytes(),
        ))
        .await?;
    screen.until(b"FLOOD-2END").await?;
    let took = began.elapsed();
    let bytes = screen.received - before;
    ensure!(bytes >= flood, "{} of {flood} bytes came", bytes);
    let at = |share: f64| echoes[((echoes.len() - 1) as f64 * share) as usize];
    Ok(json!({
        "keys": keys,
        "echo_p50_us": at(0.5),
        "echo_p99_us": at(0.99),
        "echo_max_us": echoes.last(),
        "flood_bytes": bytes,
        "flood_mb_per_s": bytes as f64 / 1e6 / took.as_secs_f64(),
        "lost_bytes": screen.lost,
    }))
}

/// A terminal as a browser has it.
struct Screen {
    socket: WebSocketStream<TcpStream>,
    received: u64,
    acknowledged: u64,
    lost: u64,
    /// The last bytes, to look for words in.
    tail: Vec<u8>,
}

impl Screen {
    async fn open(url: &str) -> Result<Self> {
        let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = tokio_tungstenite::client_async(url.replacen("http", "ws", 1), stream).await?;
        Ok(Self { socket, received: 0, acknowledged: 0, lost: 0, tail: Vec::new() })
    }

    async fn send(&mut self, frame: ClientFrame<'_>) -> Result<()> {
        Ok(self.socket.send(Message::binary(frame.encode())).await?)
    }

    /// Takes one message.
    async fn receive(&mut self) -> Result<()> {
        let message = self.socket.next().await.context("the socket ended")??;
        let Message::Binary(message) = message else { return Ok(()) };
        match ServerFrame::decode(&message).ok().context("an unknown frame")? {
            ServerFrame::Hello { .. } | ServerFrame::Resized { .. } => {}
            ServerFrame::Output { offset, data } => {
                self.lost += offset.saturating_sub(self.received);
                self.received = offset + data.len() as u64;
                self.tail.extend_from_slice(data);
                let keep = self.tail.len().saturating_sub(64);
                self.tail.drain(..keep);
            }
            ServerFrame::Gap { resume } => {
                self.lost += resume.saturating_sub(self.received);
                self.received = resume;
            }
            other => anyhow::bail!("{other:?}"),
        }
        if self.received - self.acknowledged >= ACK_EVERY {
            self.acknowledged = self.received;
            self.send(ClientFrame::Ack { offset: self.received }).await?;
        }
        Ok(())
    }

    async fn until(&mut self, word: &[u8]) -> Result<()> {
        while !self.tail.windows(word.len()).any(|part| part == word) {
            self.receive().await?;
        }
        Ok(())
    }

    /// Runs a command that says nothing and waits until the terminal is quiet.
    async fn run(&mut self, command: &str) -> Result<()> {
        self.settle().await?;
        self.send(ClientFrame::Input(format!("{command}\r").as_bytes())).await?;
        self.settle().await
    }

    async fn settle(&mut self) -> Result<()> {
        while let Ok(received) = tokio::time::timeout(Duration::from_millis(300), self.receive()).await {
            received?;
        }
        Ok(())
    }
}
