//! The event bus behind `docker events`: a ring of the newest messages and a live broadcast.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::broadcast;

use crate::quiet::Activity;

/// Messages kept for `--since`; moby keeps as many.
const RING: usize = 256;
/// How far a slow listener may lag before it misses messages.
const LAG: usize = 1024;

/// One message in the Engine API's own shape.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    #[serde(rename = "status", skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(rename = "id", skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "from", skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(rename = "Type")]
    pub kind: &'static str,
    #[serde(rename = "Action")]
    pub action: String,
    #[serde(rename = "Actor")]
    pub actor: Actor,
    pub scope: &'static str,
    pub time: i64,
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Actor {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "Attributes")]
    pub attributes: BTreeMap<String, String>,
}

/// The bus. Cheap to clone; every clone is the same bus.
#[derive(Clone, Debug)]
pub struct Events {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    ring: Mutex<VecDeque<Arc<Message>>>,
    live: broadcast::Sender<Arc<Message>>,
    published: AtomicU64,
    activity: Activity,
}

impl Default for Events {
    fn default() -> Self {
        let (live, _) = broadcast::channel(LAG);
        let ring = Mutex::new(VecDeque::with_capacity(RING));
        Self {
            inner: Arc::new(Inner {
                ring,
                live,
                published: AtomicU64::new(0),
                activity: Activity::default(),
            }),
        }
    }
}

impl Events {
    /// Publishes one message. `kind` is Docker's word: container, image, network, volume, daemon.
    pub fn publish(&self, kind: &'static str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // The three fields from before API 1.22; clients of containers and images still read them.
        let old_style = matches!(kind, "container" | "image");
        let message = Arc::new(Message {
            status: old_style.then(|| action.to_owned()),
            id: old_style.then(|| id.to_owned()),
            from: (kind == "container").then(|| attributes.get("image").cloned()).flatten(),
            kind,
            action: action.to_owned(),
            actor: Actor { id: id.to_owned(), attributes },
            scope: "local",
            time: now.as_secs() as i64,
            time_nano: now.as_nanos() as i64,
        });
        self.inner.published.fetch_add(1, Ordering::Relaxed);
        self.inner.activity.noted();
        let mut ring = self.inner.ring.lock().expect("no holder of the ring panics");
        if ring.len() == RING {
            ring.pop_front();
        }
        ring.push_back(message.clone());
        // Sent under the ring's lock, so that a subscriber sees each message exactly once.
        let _ = self.inner.live.send(message);
    }

    /// Where it is noted that the engine does something: each message is, and whoever does what has no message notes it himself.
    pub fn activity(&self) -> Activity {
        self.inner.activity.clone()
    }

    /// How many messages there have been.
    pub fn published(&self) -> u64 {
        self.inner.published.load(Ordering::Relaxed)
    }

    /// How many follow what happens.
    pub fn listeners(&self) -> usize {
        self.inner.live.receiver_count()
    }

    /// What the ring holds, and everything after it.
    pub fn subscribe(&self) -> (Vec<Arc<Message>>, broadcast::Receiver<Arc<Message>>) {
        let ring = self.inner.ring.lock().expect("no holder of the ring panics");
        (ring.iter().cloned().collect(), self.inner.live.subscribe())
    }
}
