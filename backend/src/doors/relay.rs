//! Terminals for clients of play-with-docker's kind: each node's first terminal, as `instance terminal in`,
//! `instance terminal out` and `instance terminal status` over the session socket.
//!
//! Tasks: one per node, reading its terminal; they end with the relay.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use drydock_agent::client::{Attachment, Event, Events, Viewer};
use drydock_agent::protocol::{Mode, Pacing, Size};
use serde_json::json;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::playground::{Instance, Session};

pub struct Relay {
    session: Arc<Session>,
    output: mpsc::Sender<Utf8Bytes>,
    nodes: HashMap<String, Arc<Mutex<Keys>>>,
    size: Size,
    readers: JoinSet<()>,
}

/// Where a node's keystrokes go; those typed before the terminal is there wait for it under the lock.
#[derive(Default)]
struct Keys(Option<Viewer>);

impl Relay {
    pub fn new(session: Arc<Session>, output: mpsc::Sender<Utf8Bytes>) -> Self {
        Self { session, output, nodes: HashMap::new(), size: Size::default(), readers: JoinSet::new() }
    }

    /// Follows the first terminal of every node it does not follow yet.
    pub fn attach_all(&mut self) {
        while self.readers.try_join_next().is_some() {}
        let instances = self.session.instances();
        self.nodes.retain(|name, _| instances.iter().any(|instance| instance.name() == name));
        for instance in instances {
            if self.nodes.contains_key(instance.name()) {
                continue;
            }
            let keys = Arc::new(Mutex::new(Keys::default()));
            self.nodes.insert(instance.name().to_owned(), keys.clone());
            // Taken before the task runs, so that a keystroke right after this call waits for the terminal.
            let held = keys.clone().try_lock_owned().expect("nobody else knows the lock yet");
            let (output, size) = (self.output.clone(), self.size);
            self.readers.spawn(async move {
                let (mut held, mut status) = (held, "connect");
                // A terminal that was closed is followed by the node's next one.
                while let Some(Attachment { events, mut viewer }) = attach(&instance).await {
                    let _ = viewer.resize(size).await;
                    held.0 = Some(viewer);
                    drop(held);
                    let told = json!({
                        "name": "instance terminal status", "args": [instance.name(), status],
                    });
                    if output.send(told.to_string().into()).await.is_err()
                        || !read(&instance, events, &output).await
                    {
                        return;
                    }
                    held = keys.clone().lock_owned().await;
                    held.0 = None;
                    status = "reconnect";
                }
            });
        }
    }

    pub async fn type_into(&self, instance: &str, data: &str) {
        if let Some(keys) = self.nodes.get(instance)
            && let Some(viewer) = &mut keys.lock().await.0
        {
            // A node that is gone is told by its own event.
            let _ = viewer.input(data.as_bytes()).await;
        }
    }

    pub async fn resize(&mut self, cols: u16, rows: u16) {
        self.size = Size { cols, rows };
        for keys in self.nodes.values() {
            if let Some(viewer) = &mut keys.lock().await.0 {
                let _ = viewer.resize(self.size).await;
            }
        }
    }
}

async fn attach(instance: &Instance) -> Option<Attachment> {
    let agent = instance.agent();
    let first = agent.terminals().await.ok()?.first().map(|terminal| terminal.id);
    let id = match first {
        Some(id) => id,
        None => agent.open_terminal(Size::default()).await.ok()?,
    };
    // The socket's own back-pressure paces these clients: they acknowledge nothing.
    agent.attach(id, 0, Mode::ReadWrite, Pacing::Socket).await.ok()
}

/// Until the terminal ends; false when the client is gone.
async fn read(instance: &Instance, mut events: Events, output: &mpsc::Sender<Utf8Bytes>) -> bool {
    let mut decoder = Decoder::default();
    while let Ok(Some(event)) = events.next().await {
        let Event::Output { data, .. } = event else { continue };
        let text = decoder.decode(&data);
        let event = json!({ "name": "instance terminal out", "args": [instance.name(), text] });
        if !text.is_empty() && output.send(event.to_string().into()).await.is_err() {
            return false;
        }
    }
    true
}

/// UTF-8 across the edges of reads: the beginning of a character waits for its end.
#[derive(Debug, Default)]
struct Decoder {
    /// At most three bytes.
    begun: Vec<u8>,
}

impl Decoder {
    fn decode(&mut self, bytes: &[u8]) -> String {
        self.begun.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.begun.len());
        let mut rest = self.begun.as_slice();
        loop {
            match str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    rest = after;
                    match error.error_len() {
                        None => break,
                        Some(bad) => {
                            text.push(char::REPLACEMENT_CHARACTER);
                            rest = &rest[bad..];
                        }
                    }
                }
            }
        }
        self.begun = rest.to_vec();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_survive_any_split() {
        let text = "a\u{e9}\u{20ac}\u{1f433}z";
        for split in 0..=text.len() {
            let (first, second) = text.as_bytes().split_at(split);
            let mut decoder = Decoder::default();
            assert_eq!(decoder.decode(first) + &decoder.decode(second), text, "{split}");
        }
    }

    #[test]
    fn what_is_no_text_is_shown_as_such_and_keeps_nothing_back() {
        let mut decoder = Decoder::default();
        assert_eq!(decoder.decode(b"a\xffb\xc3("), "a\u{fffd}b\u{fffd}(");
        assert!(decoder.begun.is_empty());
    }
}
