//! Which tasks there shall be: as many as each service wants, of its current spec, and no others.
//!
//! ```text
//!  lost      tasks of services and nodes that are gone or silent
//!  enforce   tasks on nodes that no longer suit them
//!  restart   the end of a task, and its successor           ┐
//!  replicated, global, jobs   how many, and where           │ for each service
//!  update    tasks of an older spec, slot by slot           ┘
//!  hold      tasks made ready that may start now
//!  reaper    records that nobody needs any more
//! ```
//!
//! The only writer of desired states. A slot is a number of a replicated service or a node of a
//! global one. A successor is made ready at once, and started when its delay is over and those it
//! follows in its slot have stopped: that no slot runs twice rests on this.

mod enforce;
mod global;
mod hold;
mod jobs;
mod lost;
mod policy;
mod reaper;
mod replicated;
mod restart;
mod slot;
mod update;

use std::sync::Arc;

pub use policy::{DEFAULT_MONITOR, DEFAULT_RESTART_DELAY, Order, UpdatePolicy};
pub use slot::is_outdated;

use crate::control::Clock;
use crate::objects::{Mode, Node, NodeId, Service, Stored, Task};
use crate::random::Random;
use crate::store::{Transaction, View};

/// Brings the tasks of all services a step nearer to what is wanted.
pub fn orchestrate(tx: &mut Transaction<'_>, clock: &mut Clock, random: &mut Random) {
    lost::settle(tx, clock);
    enforce::reject_misplaced(tx, clock.now);
    let services: Vec<Arc<Service>> = tx.services().iter().cloned().collect();
    for service in &services {
        match service.mode() {
            Mode::Replicated { replicas } => replicated::reconcile(tx, clock, random, service, replicas),
            Mode::Global => global::reconcile(tx, clock, random, service),
            Mode::ReplicatedJob { concurrent, total } => {
                jobs::reconcile_replicated(tx, clock, random, service, concurrent, total);
            }
            Mode::GlobalJob => jobs::reconcile_global(tx, clock, random, service),
        }
    }
    hold::release(tx, clock);
    reaper::reap(tx);
}

/// Whether tasks cannot stay on the node: gone, down or drained.
fn is_unfit(node: Option<&Arc<Node>>) -> bool {
    node.is_none_or(|node| node.is_down() || node.is_drained())
}

/// Whether whatever a task left on its node has ended, or is out of reach for good.
fn is_out_of_reach(view: &View, node: Option<&NodeId>) -> bool {
    node.and_then(|id| view.nodes().get(id.as_str())).is_none_or(|node| node.is_down())
}

/// Writes what was decided about an object of this same transaction.
fn change<T: Stored>(tx: &mut Transaction<'_>, id: &T::Id, decide: impl FnOnce(&mut T)) {
    tx.change(id, decide).expect("what was read in a transaction is not stale in it");
}

fn create(tx: &mut Transaction<'_>, task: Task) {
    tx.create(task).expect("an id of this randomness is new");
}
