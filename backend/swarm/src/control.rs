//! One look at the whole swarm, and what shall change.
//!
//! ```text
//!  specs, reports ─▶ orchestrator ─▶ allocator ─▶ scheduler ─▶ one batch
//!                    tasks wanted    addresses    nodes
//! ```
//!
//! The leader looks after every batch that was applied, and when the time has come that the last
//! look named. Nothing is remembered between two looks: delays, updates and their failures stand
//! in the store. A refused batch and a change of leaders therefore cost another look and nothing
//! else, and where nothing is to be done the look proposes nothing.

use crate::objects::{Moment, Timestamp};
use crate::random::Random;
use crate::store::Transaction;
use crate::{allocator, orchestrator, scheduler};

/// The clock of one look, and when to look again though nothing changed.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub now: Moment,
    next: Option<Timestamp>,
}

impl Clock {
    pub fn at(now: impl Into<Moment>) -> Self {
        Self { now: now.into(), next: None }
    }

    /// Whether the swarm's own time has come; if not, it is looked for again then.
    pub(crate) fn has_reached(&mut self, time: Timestamp) -> bool {
        if self.now.clock >= time {
            return true;
        }
        self.next = Some(self.next.map_or(time, |next| next.min(time)));
        false
    }

    /// When something becomes due by itself.
    pub fn next(&self) -> Option<Timestamp> {
        self.next
    }
}

/// Changes what is to be changed at `now`. The answer is when to look again, by the swarm's own time, though nothing changed.
pub fn look(tx: &mut Transaction<'_>, now: impl Into<Moment>, random: &mut Random) -> Option<Timestamp> {
    let mut clock = Clock::at(now);
    let now = clock.now;
    orchestrator::orchestrate(tx, &mut clock, random);
    allocator::allocate(tx, now);
    scheduler::schedule(tx, now, random);
    clock.next()
}
