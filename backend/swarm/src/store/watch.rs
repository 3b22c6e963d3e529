//! Telling who watches what a batch changed.

use std::sync::Arc;

use tokio::sync::broadcast;

use super::View;
use super::transaction::Undo;
use crate::objects::Object;

/// How many batches a watcher may lag behind before it has to look at everything anew.
const BACKLOG: usize = 1024;

/// What one batch did. At `index` the view shows it.
#[derive(Clone, Debug)]
pub struct Event {
    pub index: u64,
    /// Each object the batch touched, once. Shared between all who watch.
    pub changes: Arc<[Changed]>,
    /// The store was replaced by another manager's snapshot: everything may be different.
    pub restored: bool,
}

/// An object before and after: made, changed or gone.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub before: Option<Object>,
    pub after: Option<Object>,
}

/// What happens from a moment on. Who falls too far behind gets an error once, and looks anew.
pub type Watch = broadcast::Receiver<Event>;

#[derive(Debug)]
pub(super) struct Watchers(broadcast::Sender<Event>);

impl Default for Watchers {
    fn default() -> Self {
        Self(broadcast::channel(BACKLOG).0)
    }
}

impl Watchers {
    pub fn join(&self) -> Watch {
        self.0.subscribe()
    }

    pub fn publish(&self, index: u64, undo: Undo, view: &View) {
        if self.0.receiver_count() == 0 {
            return;
        }
        let changes = undo.touched().into_iter().map(|(kind, id, before)| {
            let after = view.object(kind, &id);
            Changed { before, after }
        });
        self.send(Event { index, changes: changes.collect(), restored: false });
    }

    pub fn restored(&self, index: u64) {
        self.send(Event { index, changes: Arc::new([]), restored: true });
    }

    /// That nobody listens is no failure.
    fn send(&self, event: Event) {
        _ = self.0.send(event);
    }
}
