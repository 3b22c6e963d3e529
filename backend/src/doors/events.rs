//! The session socket: play-with-docker's events and ours, as JSON text both ways.
//!
//! A browser that falls behind loses events and is sent the states again. Terminal output goes here only to clients
//! of play-with-docker's kind, which show that they are by typing or resizing here ([`super::relay`]).

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use drydock_wire::session::Event;
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::found::InSession;
use super::origin::SameOrigin;
use super::relay::Relay;
use crate::playground::Session;
use crate::playground::end::Reason;
use crate::state::AppState;

const PING: Duration = Duration::from_secs(25);
const STUCK: Duration = Duration::from_secs(60);
/// Of one message from a browser, bytes.
const LARGEST: usize = 256 * 1024;
/// Bytes read at once; each socket has such a buffer.
const READ: usize = 4096;

pub fn router() -> Router<AppState> {
    Router::new().route("/sessions/{session}/ws/", get(open)).route("/sessions/{session}/ws", get(open))
}

async fn open(
    _: SameOrigin,
    State(state): State<AppState>,
    InSession(session): InSession,
    upgrade: WebSocketUpgrade,
) -> Response {
    upgrade.read_buffer_size(READ).max_message_size(LARGEST).max_frame_size(LARGEST).on_upgrade(
        move |socket| async move {
            let _counted = state.metrics.event_sockets.hold();
            converse(state, session, socket).await;
        },
    )
}

async fn converse(state: AppState, session: std::sync::Arc<Session>, socket: WebSocket) {
    // Subscribed before the states are read: what changes in between comes twice, never not at all.
    let mut events = session.events.subscribe();
    let _watching = session.watch();
    // A lab's checks run while somebody looks.
    let _following = session.attempt.get().map(|attempt| attempt.watch());
    let (mut down, mut up) = socket.split();
    if !send_states(&session, &mut down).await {
        return;
    }
    let (relayed, mut terminals) = mpsc::channel::<Utf8Bytes>(16);
    let mut relay = Relay::new(session.clone(), relayed);
    let mut pings = tokio::time::interval(PING);
    loop {
        let alive = tokio::select! {
            event = events.recv() => match event {
                Ok(text) => send(&mut down, Message::Text(text)).await,
                Err(RecvError::Lagged(_)) => send_states(&session, &mut down).await,
                Err(RecvError::Closed) => false,
            },
            Some(output) = terminals.recv() => send(&mut down, Message::Text(output)).await,
            message = up.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    hear(&state, &session, &mut relay, &text).await;
                    true
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => true,
                _ => false,
            },
            _ = pings.tick() => send(&mut down, Message::Ping(Bytes::new())).await,
            () = session.ended.cancelled() => {
                // `session end` was published before; it is the last thing a browser hears.
                while let Ok(text) = events.try_recv() {
                    send(&mut down, Message::Text(text)).await;
                }
                false
            }
        };
        if !alive {
            // A peer that is gone cannot be told so.
            let _ = down.close().await;
            return;
        }
    }
}

async fn send_states(session: &Session, down: &mut SplitSink<WebSocket, Message>) -> bool {
    for state in session.events.states() {
        if !send(down, Message::Text(state)).await {
            return false;
        }
    }
    true
}

async fn send(down: &mut SplitSink<WebSocket, Message>, message: Message) -> bool {
    matches!(tokio::time::timeout(STUCK, down.send(message)).await, Ok(Ok(())))
}

/// Does what a browser asks; what is not understood is passed over, as play-with-docker does.
async fn hear(state: &AppState, session: &Session, relay: &mut Relay, text: &str) {
    let Ok(event) = serde_json::from_str::<Event>(text) else { return };
    match event.name.as_str() {
        "session close" => {
            let (playground, id) = (state.playground.clone(), session.id());
            // This socket is one of the things that end.
            tokio::spawn(async move { playground.end(&id, Reason::Closed).await });
        }
        "instance terminal in" => {
            if let [instance, data, ..] = event.args.as_slice()
                && let (Some(instance), Some(data)) = (instance.as_str(), data.as_str())
            {
                relay.attach_all();
                relay.type_into(instance, data).await;
            }
        }
        "instance viewport resize" => {
            if let [cols, rows, ..] = event.args.as_slice()
                && let (Some(cols), Some(rows)) = (cells(cols), cells(rows))
            {
                relay.attach_all();
                relay.resize(cols, rows).await;
            }
        }
        _ => {}
    }
}

fn cells(value: &serde_json::Value) -> Option<u16> {
    value.as_u64().and_then(|cells| u16::try_from(cells).ok()).filter(|cells| *cells > 0)
}
