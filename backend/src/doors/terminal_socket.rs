//! The terminal socket: `drydock_wire::terminal` towards the browser, the agent's frames towards the node.
//!
//! Two pumps in one task, and no queue between them: a browser that stops reading stops the pump, which stops the
//! agent, which stops the program that writes. Keystrokes go their own way meanwhile.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use bytes::Bytes;
use drydock_agent::client::{AgentError, Event, Events, Viewer};
use drydock_agent::protocol::{Mode, Pacing, Size};
use drydock_wire::terminal::{ClientFrame, MAX_INPUT, ServerFrame};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use tokio::time::{Instant, MissedTickBehavior};

use super::found::AtTerminal;
use super::origin::SameOrigin;
use super::refusal::Refusal;
use crate::playground::create::chain;
use crate::state::AppState;

/// Between two pings; proxies on the way forget quiet connections after a minute.
const PING: Duration = Duration::from_secs(25);
/// A browser that takes nothing for so long is gone.
const STUCK: Duration = Duration::from_secs(120);

/// Bytes read at once from a browser. Each socket has such a buffer, and clears it before every read; keystrokes are small.
const READ: usize = 1024;

/// Close codes of RFC 6455.
const POLICY: u16 = 1008;
const NORMAL: u16 = 1000;

#[derive(Debug, Deserialize)]
pub struct Viewing {
    /// Offset of the first byte the browser wants.
    #[serde(default)]
    from: u64,
    #[serde(default)]
    mode: ViewMode,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ViewMode {
    #[default]
    Rw,
    Ro,
}

pub async fn open(
    _: SameOrigin,
    State(state): State<AppState>,
    at: AtTerminal,
    Query(viewing): Query<Viewing>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let mode = match viewing.mode {
        ViewMode::Rw => Mode::ReadWrite,
        ViewMode::Ro => Mode::ReadOnly,
    };
    // Greeted before the upgrade, so that an unknown terminal is a plain 404.
    let attachment = at.instance.agent().attach(at.id, viewing.from, mode, Pacing::Acknowledged).await?;
    let (mut events, viewer) = attachment.split();
    let hello = events.next().await?.ok_or_else(|| Refusal::not_found("terminal"))?;
    // Nothing is gathered here: the agent sends what belongs together as one frame.
    let upgrade = upgrade.read_buffer_size(READ).write_buffer_size(0);
    Ok(upgrade.max_message_size(MAX_INPUT + 1024).max_frame_size(MAX_INPUT + 1024).on_upgrade(
        move |socket| async move {
            let _counted = state.metrics.terminal_sockets.hold();
            let watching = at.session.watch();
            let (to_browser, from_browser) = socket.split();
            let mut down = Down { socket: to_browser, written: &state.metrics.terminal_bytes };
            let outcome = tokio::select! {
                outcome = down.pump(hello, events) => outcome,
                outcome = pump_up(from_browser, viewer, mode) => outcome,
                () = at.instance.ended.cancelled() => Outcome::Over("the node is gone".to_owned()),
            };
            // A stuck browser must not keep the session's place.
            drop((watching, at));
            down.end(outcome).await;
        },
    ))
}

/// Why a socket ends.
enum Outcome {
    /// The browser went away.
    Left,
    /// No more output will come.
    Over(String),
    Refused(&'static str),
}

struct Down<'a> {
    socket: SplitSink<WebSocket, Message>,
    written: &'a super::metrics::Counter,
}

impl Down<'_> {
    /// From the node to the browser.
    async fn pump(&mut self, hello: Event, mut events: Events) -> Outcome {
        if !self.send(Message::Binary(encoded(&hello))).await {
            return Outcome::Left;
        }
        let mut pings = tokio::time::interval_at(Instant::now() + PING, PING);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // One timer for the socket's life: a timeout around each wait would be made and unmade with every key.
            let event = tokio::select! {
                biased;
                event = events.next() => event,
                _ = pings.tick() => {
                    if !self.send(Message::Ping(Bytes::new())).await {
                        return Outcome::Left;
                    }
                    continue;
                }
            };
            let event = match event {
                Ok(Some(Event::Closed { reason })) => return Outcome::Over(reason),
                Ok(Some(event)) => event,
                Ok(None) => return Outcome::Over("the terminal is gone".to_owned()),
                Err(error) => return Outcome::Over(broken(&error)),
            };
            if let Event::Output { data, .. } = &event {
                self.written.add(data.len() as u64);
            }
            if !self.send(Message::Binary(encoded(&event))).await {
                return Outcome::Left;
            }
        }
    }

    /// False when the browser is gone.
    async fn send(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(STUCK, self.socket.send(message)).await, Ok(Ok(())))
    }

    async fn end(mut self, outcome: Outcome) {
        let (code, reason) = match outcome {
            Outcome::Left => return,
            Outcome::Over(reason) => {
                let frame = ServerFrame::Closed { reason: &reason }.encode();
                self.send(Message::Binary(frame.into())).await;
                (NORMAL, reason)
            }
            Outcome::Refused(reason) => (POLICY, reason.to_owned()),
        };
        // At most 123 bytes fit into a close frame.
        let reason = reason.chars().take(30).collect::<String>();
        self.send(Message::Close(Some(CloseFrame { code, reason: reason.into() }))).await;
    }
}

/// From the browser to the node.
async fn pump_up(mut socket: SplitStream<WebSocket>, mut viewer: Viewer, mode: Mode) -> Outcome {
    while let Some(Ok(message)) = socket.next().await {
        let message = match message {
            Message::Binary(message) => message,
            Message::Close(_) => return Outcome::Left,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Text(_) => return Outcome::Refused("binary frames only"),
        };
        let sent = match ClientFrame::decode(&message) {
            Ok(ClientFrame::Input(_)) if mode == Mode::ReadOnly => return Outcome::Refused("read-only"),
            Ok(ClientFrame::Input(data)) => viewer.input(data).await,
            Ok(ClientFrame::Resize { cols, rows }) => viewer.resize(Size { cols, rows }).await,
            Ok(ClientFrame::Ack { offset }) => viewer.acknowledge(offset).await,
            Err(_) => return Outcome::Refused("malformed frame"),
        };
        if let Err(error) = sent {
            return Outcome::Over(broken(&error));
        }
    }
    Outcome::Left
}

fn encoded(event: &Event) -> Bytes {
    match event {
        Event::Hello { end, size } => ServerFrame::Hello { end: *end, cols: size.cols, rows: size.rows },
        Event::Output { offset, data } => ServerFrame::Output { offset: *offset, data },
        Event::Gap { resume } => ServerFrame::Gap { resume: *resume },
        Event::Resized(size) => ServerFrame::Resized { cols: size.cols, rows: size.rows },
        Event::ShellExited { code } => ServerFrame::ShellExited { code: *code },
        Event::Closed { reason } => ServerFrame::Closed { reason },
    }
    .encode()
    .into()
}

fn broken(error: &AgentError) -> String {
    tracing::warn!(error = %chain(error), "a terminal broke off");
    "the node does not answer".to_owned()
}
