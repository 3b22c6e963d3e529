//! The store of this manager, shared between raft, which alone changes it, and all who read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use time::OffsetDateTime;

use super::clock::SwarmTime;
use crate::objects::{Moment, Timestamp};
use crate::store::{Batch, Change, Refusal, Snapshot, Store, Transaction, View, Watch};

/// Clones are one store.
#[derive(Debug, Clone, Default)]
pub struct Replica {
    store: Arc<Mutex<Store>>,
    time: SwarmTime,
}

impl Replica {
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the objects as they are now. Short: nothing is applied meanwhile.
    pub fn view<R>(&self, look: impl FnOnce(&View) -> R) -> R {
        look(&self.lock())
    }

    /// What happens from now on.
    pub fn watch(&self) -> Watch {
        self.lock().watch()
    }

    /// Index of the last batch that was applied.
    pub fn index(&self) -> u64 {
        self.lock().index()
    }

    /// Now, by the swarm's own time and by this manager's wall clock.
    pub fn now(&self) -> Moment {
        let wall = Timestamp::at(OffsetDateTime::now_utc());
        Moment { clock: self.time.now(wall), wall }
    }

    pub(super) fn apply(&self, index: u64, batch: &Batch) -> Result<(), Refusal> {
        let mut store = self.lock();
        let applied = store.apply(index, batch);
        store.clock().into_iter().for_each(|clock| self.time.was(clock));
        applied
    }

    pub(super) fn restore(&self, snapshot: Snapshot) {
        let mut store = self.lock();
        store.restore(snapshot);
        store.clock().into_iter().for_each(|clock| self.time.was(clock));
    }

    /// What `decide` would change; nothing is.
    pub(super) fn propose<R>(&self, decide: impl FnOnce(&mut Transaction<'_>) -> R) -> (R, Vec<Change>) {
        self.lock().propose(decide)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
