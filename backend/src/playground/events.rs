//! What a session tells its browsers: a stream of events, and for those who come late the last of each kind that
//! describes a state.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use axum::extract::ws::Utf8Bytes;
use drydock_wire::session::Event;
use serde_json::Value;
use tokio::sync::broadcast;

/// Events a slow browser may fall behind before it is sent the states again instead.
const BACKLOG: usize = 256;

#[derive(Debug)]
pub struct Events {
    stream: broadcast::Sender<Utf8Bytes>,
    /// By kind and subject.
    states: Mutex<BTreeMap<(&'static str, String), Utf8Bytes>>,
}

impl Default for Events {
    fn default() -> Self {
        Self { stream: broadcast::Sender::new(BACKLOG), states: Mutex::default() }
    }
}

impl Events {
    pub fn subscribe(&self) -> broadcast::Receiver<Utf8Bytes> {
        self.stream.subscribe()
    }

    /// Something happened. Nobody may be listening.
    pub fn publish(&self, name: &str, args: Vec<Value>) {
        let _ = self.stream.send(encoded(name, args));
    }

    /// Something is so from now on. `subject` tells apart states of one kind (an instance's name, or empty).
    pub fn publish_state(&self, name: &'static str, subject: &str, args: Vec<Value>) {
        let text = encoded(name, args);
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.insert((name, subject.to_owned()), text.clone()).as_ref() != Some(&text) {
            let _ = self.stream.send(text);
        }
    }

    /// Forgets all states of a subject.
    pub fn forget(&self, subject: &str) {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, other), _| other != subject);
    }

    pub fn states(&self) -> Vec<Utf8Bytes> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

fn encoded(name: &str, args: Vec<Value>) -> Utf8Bytes {
    let event = Event { name: name.to_owned(), args };
    serde_json::to_string(&event).expect("an event is plain data").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_sent_when_it_changes_and_kept_for_those_who_come_late() {
        let events = Events::default();
        let mut early = events.subscribe();
        events.publish_state("session ready", "", vec![Value::Bool(false)]);
        events.publish_state("session ready", "", vec![Value::Bool(false)]);
        events.publish_state("session ready", "", vec![Value::Bool(true)]);
        events.publish("instance new", vec![]);
        let received: Vec<_> = std::iter::from_fn(|| early.try_recv().ok()).collect();
        assert_eq!(
            received,
            [
                r#"{"name":"session ready","args":[false]}"#,
                r#"{"name":"session ready","args":[true]}"#,
                r#"{"name":"instance new","args":[]}"#
            ]
        );
        assert_eq!(events.states(), [r#"{"name":"session ready","args":[true]}"#]);
        events.forget("");
        assert!(events.states().is_empty());
    }
}
