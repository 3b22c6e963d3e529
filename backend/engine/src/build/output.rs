//! What a build says, as lines of JSON.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use drydock_builder::host::Output;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

/// Where lines go: to the client at once or, with `-q`, nowhere unless the build fails.
#[derive(Debug)]
pub struct Lines {
    client: UnboundedSender<Bytes>,
    held: Option<Mutex<Vec<Bytes>>>,
}

impl Lines {
    pub fn new(client: UnboundedSender<Bytes>, quiet: bool) -> Self {
        Self { client, held: quiet.then(Mutex::default) }
    }

    /// A line of text.
    pub fn say(&self, text: &str) {
        self.send(&json!({ "stream": text }));
    }

    /// A line for the client even with `-q`.
    pub fn result(&self, text: &str) {
        let _ = self.client.send(line(&json!({ "stream": text })));
    }

    /// What was held back, when it turns out to matter.
    pub fn release(&self) {
        let held = self
            .held
            .as_ref()
            .map(|held| std::mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner)));
        for line in held.into_iter().flatten() {
            let _ = self.client.send(line);
        }
    }

    /// A sender for lines that others write.
    pub fn sender(&self) -> UnboundedSender<Bytes> {
        match &self.held {
            None => self.client.clone(),
            // A quiet build's pulls are not shown.
            Some(_) => tokio::sync::mpsc::unbounded_channel().0,
        }
    }

    fn send(&self, value: &Value) {
        match &self.held {
            // The client may be gone; the build is about to be cancelled then.
            None => drop(self.client.send(line(value))),
            Some(held) => held.lock().unwrap_or_else(PoisonError::into_inner).push(line(value)),
        }
    }
}

pub fn line(value: &Value) -> Bytes {
    Bytes::from(format!("{value}\r\n"))
}

impl Output for Lines {
    fn stdout(&self, text: &str) {
        self.say(text);
    }

    /// Red, as moby writes it.
    fn stderr(&self, text: &str) {
        self.say(&format!("\u{1b}[91m{text}\u{1b}[0m"));
    }

    fn image(&self, id: &str) {
        self.send(&json!({"aux": {"ID": id}}));
    }
}
