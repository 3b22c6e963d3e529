//! "Capture here": tcpdump on a link of a node, as lines for a pane or as a pcap file.
//!
//! The interface is looked up among those the node has, and the words of the filter are arguments after `--`: no shell
//! reads them, and tcpdump takes none for an option. A capture ends with the socket or the download that asked for it
//! (the agent kills what nobody reads), and is bounded in time and size in any case.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use drydock_agent::client::{ExecEvent, Running};
use drydock_agent::protocol::ExecRequest;
use drydock_wire::capture::Caught;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, Stream, StreamExt, stream};
use http::{HeaderValue, header};
use serde::Deserialize;
use tokio::time::{MissedTickBehavior, interval};

use super::found::OnInstance;
use super::origin::SameOrigin;
use super::pcap::Whole;
use super::refusal::Refusal;
use crate::playground::Instance;
use crate::playground::create::chain;
use crate::state::AppState;

/// Of a filter, bytes.
const LONGEST_FILTER: usize = 256;
/// Of a pane.
const PANE_SECONDS: u64 = 1_800;
/// Of a file.
const FILE_SECONDS: u64 = 30;
const MOST_FILE_SECONDS: u64 = 600;
const MOST_PACKETS: u32 = 1_000_000;
/// Of a file, bytes.
const LARGEST_FILE: usize = 64 << 20;
/// Between two frames to a pane, and lines in one: a person reads no more.
const ROUND: Duration = Duration::from_millis(150);
const MOST_LINES: usize = 100;
/// Of one line, bytes.
const LONGEST_LINE: usize = 512;
/// A browser that takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(60);

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/sessions/{session}/instances/{instance}/capture", get(file))
        .route("/sessions/{session}/instances/{instance}/capture/ws", get(pane))
}

#[derive(Debug, Deserialize)]
struct Asked {
    #[serde(default)]
    interface: String,
    /// As tcpdump's own: `icmp or port 80`.
    #[serde(default)]
    filter: String,
    #[serde(default)]
    seconds: Option<u64>,
    #[serde(default)]
    packets: Option<u32>,
}

impl Asked {
    /// tcpdump with these options, on an interface that the node has.
    async fn command(
        &self,
        instance: &Instance,
        options: &[&str],
        seconds: u64,
    ) -> Result<ExecRequest, Refusal> {
        let (node, interface) = (instance.node.clone(), self.interface.clone());
        let has = move || node.traffic().is_ok_and(|links| links.iter().any(|link| link.link == interface));
        if !tokio::task::spawn_blocking(has).await.unwrap_or_default() {
            return Err(Refusal::not_found("interface on the node"));
        }
        Ok(ExecRequest { timeout_ms: Some(seconds * 1_000), ..ExecRequest::new(self.words(options)?) })
    }

    fn words(&self, options: &[&str]) -> Result<Vec<String>, Refusal> {
        if self.filter.len() > LONGEST_FILTER || self.filter.contains('\0') {
            return Err(Refusal::bad_request(format!("a filter may have {LONGEST_FILTER} bytes")));
        }
        let fixed = ["tcpdump", "-nn", "-i", &self.interface];
        let fixed = fixed.iter().chain(options).chain(&["--"]).copied();
        Ok(fixed.chain(self.filter.split_whitespace()).map(str::to_owned).collect())
    }
}

/// A pcap file, which grows as packets come and ends after `seconds` or `packets`.
async fn file(
    OnInstance { instance, .. }: OnInstance,
    Query(asked): Query<Asked>,
) -> Result<Response, Refusal> {
    let seconds = asked.seconds.unwrap_or(FILE_SECONDS);
    if !(1..=MOST_FILE_SECONDS).contains(&seconds) {
        return Err(Refusal::bad_request(format!("`seconds` is 1 to {MOST_FILE_SECONDS}")));
    }
    let packets = asked.packets.unwrap_or(MOST_PACKETS).clamp(1, MOST_PACKETS).to_string();
    let options = ["-U", "-w", "-", "-c", &packets];
    let command = asked.command(&instance, &options, seconds).await?;
    let mut tcpdump = instance.agent().start_exec(command).await?;
    let first = begun(&mut tcpdump).await?;
    let name = format!("{}-{}.pcap", instance.record.hostname, asked.interface);
    let disposition = format!("attachment; filename*=UTF-8''{}", super::files::percent_encoded(&name));
    let mut response = Body::from_stream(whole_packets(first, tcpdump)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.tcpdump.pcap"));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

/// The file's first bytes, which come as soon as tcpdump listens; or why it does not.
async fn begun(tcpdump: &mut Running) -> Result<Bytes, Refusal> {
    let mut said = String::new();
    loop {
        match tcpdump.next().await? {
            ExecEvent::Stdout(bytes) => return Ok(bytes),
            ExecEvent::Stderr(text) if said.len() < LONGEST_LINE => said += &String::from_utf8_lossy(&text),
            ExecEvent::Stderr(_) => {}
            ExecEvent::Exited(_) => return Err(Refusal::bad_request(said.trim())),
        }
    }
}

/// The file, which ends behind a packet: when its time is up, when it has its packets, or when it is as large as it may be.
fn whole_packets(first: Bytes, tcpdump: Running) -> impl Stream<Item = Result<Bytes, io::Error>> {
    let begun = (Some(first), tcpdump, Whole::within(LARGEST_FILE), false);
    stream::try_unfold(begun, |(mut first, mut tcpdump, mut whole, is_full)| async move {
        if is_full {
            return Ok(None);
        }
        loop {
            let event = match first.take() {
                Some(bytes) => ExecEvent::Stdout(bytes),
                None => tcpdump.next().await.map_err(io::Error::other)?,
            };
            match event {
                ExecEvent::Stdout(bytes) => {
                    let taken = whole.take(&bytes);
                    if taken.is_full || !taken.packets.is_empty() {
                        return Ok(Some((taken.packets, (None, tcpdump, whole, taken.is_full))));
                    }
                }
                ExecEvent::Exited(_) => return Ok(None),
                ExecEvent::Stderr(_) => {}
            }
        }
    })
}

async fn pane(
    _: SameOrigin,
    State(state): State<AppState>,
    OnInstance { session, instance }: OnInstance,
    Query(asked): Query<Asked>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let command = asked.command(&instance, &["-l"], PANE_SECONDS).await?;
    let tcpdump = instance.agent().start_exec(command).await?;
    Ok(upgrade.max_message_size(1024).max_frame_size(1024).on_upgrade(move |socket| async move {
        let _counted = state.metrics.capture_sockets.hold();
        let _watching = session.watch();
        tokio::select! {
            () = show(socket, tcpdump) => {}
            () = instance.ended.cancelled() => {}
        }
    }))
}

/// Sends what is caught until either side ends.
async fn show(socket: WebSocket, mut tcpdump: Running) {
    let (mut down, mut up) = socket.split();
    let mut lines = Lines::default();
    let mut round = interval(ROUND);
    round.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let over = tokio::select! {
            event = tcpdump.next() => match event {
                Ok(ExecEvent::Stdout(text) | ExecEvent::Stderr(text)) => {
                    lines.take(&text);
                    continue;
                }
                Ok(ExecEvent::Exited(_)) => Some("The capture is over.".to_owned()),
                Err(error) => Some(chain(&error)),
            },
            message = up.next() => match message {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                _ => return,
            },
            _ = round.tick() => None,
        };
        let is_over = over.is_some();
        let caught = lines.told(over);
        if caught != Caught::default() && !send(&mut down, &caught).await || is_over {
            // A peer that is gone cannot be told so.
            let _ = down.close().await;
            return;
        }
    }
}

async fn send(down: &mut SplitSink<WebSocket, Message>, caught: &Caught) -> bool {
    let text = serde_json::to_string(caught).expect("lines are plain data");
    matches!(tokio::time::timeout(STUCK, down.send(Message::text(text))).await, Ok(Ok(())))
}

/// Bytes as lines, of which so many are told in a round.
#[derive(Debug, Default)]
struct Lines {
    partial: Vec<u8>,
    caught: Caught,
}

impl Lines {
    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end(),
                byte if self.partial.len() < LONGEST_LINE => self.partial.push(*byte),
                _ => {}
            }
        }
    }

    fn end(&mut self) {
        let line = std::mem::take(&mut self.partial);
        if self.caught.lines.len() < MOST_LINES {
            self.caught.lines.push(String::from_utf8_lossy(&line).into_owned());
        } else {
            self.caught.left_out += 1;
        }
    }

    fn told(&mut self, over: Option<String>) -> Caught {
        if over.is_some() && !self.partial.is_empty() {
            self.end();
        }
        Caught { over, ..std::mem::take(&mut self.caught) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(filter: &str) -> Asked {
        Asked { interface: "eth0".to_owned(), filter: filter.to_owned(), seconds: None, packets: None }
    }

    #[test]
    fn a_filter_is_words_and_no_option_and_no_script() {
        let words = |filter: &str| asked(filter).words(&["-l"]).map(|words| words.join("|")).ok();
        let fixed = "tcpdump|-nn|-i|eth0|-l|--";
        assert_eq!(words("").as_deref(), Some(fixed));
        assert_eq!(words(" port  80\n").unwrap(), format!("{fixed}|port|80"));
        assert_eq!(words("-w /etc/passwd").unwrap(), format!("{fixed}|-w|/etc/passwd"));
        assert_eq!(words("$(id); rm").unwrap(), format!("{fixed}|$(id);|rm"));
        assert_eq!(words(&"a".repeat(LONGEST_FILTER + 1)), None);
        assert_eq!(words("a\0b"), None);
    }

    #[test]
    fn lines_come_whole_and_what_is_too_much_is_counted() {
        let mut lines = Lines::default();
        lines.take(b"one\ntw");
        assert_eq!(lines.told(None).lines, ["one"]);
        lines.take(b"o\n");
        assert_eq!(lines.told(None).lines, ["two"]);
        assert_eq!(lines.told(None), Caught::default());
        lines.take("x\n".repeat(MOST_LINES + 3).as_bytes());
        lines.take(&[b'y'; 2 * LONGEST_LINE]);
        let last = lines.told(Some("over".to_owned()));
        assert_eq!((last.lines.len(), last.left_out), (MOST_LINES, 4));
        assert_eq!(last.over.as_deref(), Some("over"));
    }
}
