//! The replicated state machine: every manager applies the same batches in raft's order and holds
//! the same objects.
//!
//! ```text
//!  loop or API ── propose(|tx| …) ──▶ changes ── raft ──▶ apply(index, batch) on every manager
//!       ▲                                                       │
//!       └───────────────────────── watch ◀──────────────────────┘
//! ```
//!
//! Pure and deterministic: the time stands in the batch and ids are in the objects. A batch is
//! taken whole or refused whole. Who proposes does it against a state that may be older than the
//! one his batch meets; the version in each update is what tells, as in swarmkit: the later one
//! is refused with `update out of sequence` and looks again.

mod change;
mod refusal;
mod snapshot;
mod table;
mod tasks;
mod transaction;
mod view;
mod watch;

use std::ops::Deref;

pub use change::{Batch, Change};
pub use refusal::Refusal;
pub use snapshot::Snapshot;
pub use table::Table;
pub use transaction::Transaction;
pub use view::{Ambiguous, View};
pub use watch::{Changed, Event, Watch};

use crate::objects::{Timestamp, Version};
use transaction::Undo;
use watch::Watchers;

/// All objects at one index of the log, and those who watch them change. Read it through [`View`].
#[derive(Debug, Default)]
pub struct Store {
    view: View,
    /// Index of the last batch that was applied or refused.
    index: u64,
    /// The swarm's own time at the newest batch.
    clock: Timestamp,
    watchers: Watchers,
}

impl Deref for Store {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Store {
    pub fn new() -> Self {
        Self::default()
    }

    /// Index of the last batch that was applied or refused.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The swarm's own time when the newest batch was proposed; nothing before the first.
    pub fn clock(&self) -> Option<Timestamp> {
        (!self.clock.is_unset()).then_some(self.clock)
    }

    /// Takes the batch that stands at `index` in the log: all of it, or nothing when a change of it
    /// is refused. Written objects get `index` as their version and the batch's time.
    pub fn apply(&mut self, index: u64, batch: &Batch) -> Result<(), Refusal> {
        self.index = index;
        self.clock = self.clock.max(batch.clock());
        let mut undo = Undo::default();
        for change in &batch.changes {
            let stamped = change.stamped(&self.view, Version { index }, batch.at);
            if let Err(refusal) = undo.perform(&mut self.view, &stamped) {
                undo.back(&mut self.view);
                return Err(refusal);
            }
        }
        self.watchers.publish(index, undo, &self.view);
        Ok(())
    }

    /// Lets `decide` try changes and see them, then takes them back and answers what they were.
    /// Nothing is changed until the answer comes back through [`Store::apply`].
    pub fn propose<R>(&mut self, decide: impl FnOnce(&mut Transaction<'_>) -> R) -> (R, Vec<Change>) {
        let mut transaction = Transaction::begin(&mut self.view);
        let answer = decide(&mut transaction);
        (answer, transaction.finish())
    }

    /// Proposes and applies at once, as the next index: for a swarm that is its own log.
    pub fn commit<R>(
        &mut self,
        at: Timestamp,
        decide: impl FnOnce(&mut Transaction<'_>) -> R,
    ) -> Result<R, Refusal> {
        let (answer, changes) = self.propose(decide);
        if !changes.is_empty() {
            self.apply(self.index + 1, &Batch { at, clock: at, changes })?;
        }
        Ok(answer)
    }

    /// What happens from now on.
    pub fn watch(&self) -> Watch {
        self.watchers.join()
    }

    /// Everything, for a manager that comes later.
    pub fn save(&self) -> Snapshot {
        Snapshot::of(self.index, self.clock, &self.view)
    }

    /// Takes over what another manager saved. Watchers are told to look anew.
    pub fn restore(&mut self, snapshot: Snapshot) {
        (self.index, self.clock) = (snapshot.index, snapshot.clock);
        self.view = snapshot.into_view();
        self.watchers.restored(self.index);
    }
}
