//! The store of this manager, shared between raft, which alone changes it, and all who read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{Change, Store, Transaction, View, Watch};

/// Clones are one store.
#[derive(Debug, Clone, Default)]
pub struct Replica(Arc<Mutex<Store>>);

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

    /// What `decide` would change; nothing is.
    pub(super) fn propose<R>(&self, decide: impl FnOnce(&mut Transaction<'_>) -> R) -> (R, Vec<Change>) {
        self.lock().propose(decide)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
