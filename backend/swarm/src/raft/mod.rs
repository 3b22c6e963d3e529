//! Consensus: one log that all managers agree on, kept encrypted on disk, and the store that it drives.
//!
//! ```text
//!  update(|tx| …) ── Batch ──▶ openraft ──▶ Log (disk) ──▶ quorum ──▶ Machine ──▶ Store
//!                                 │ calls between managers: calls.rs, network.rs
//!                                 └ Leader: Here / At(address) / None, for the wire and the control loops
//! ```
//!
//! A leader that has not heard from a quorum within an election's time does not call itself one any more: openraft lets it wait for
//! ever, but its state may be behind, and clients are owed an answer.
//!
//! Knows nothing of nodes' roles or certificates beyond the name and address of a member. Begin with [`node`].

pub mod calls;
mod clock;
mod dice;
mod frames;
mod log;
mod machine;
mod network;
pub mod node;
mod recovery;
mod replica;
mod snapshots;
mod types;

pub use dice::seed_this_thread;
pub use frames::{FrameError, Frames};
pub(crate) use log::chain;
pub use log::{Io, Log};
pub use machine::Machine;
pub use network::{Links, Reach};
pub use node::{RaftNode, Settings, StartError};
pub use recovery::force_new_cluster;
pub use replica::Replica;
pub use snapshots::Snapshots;
pub use types::{Manager, Outcome, RaftId, Types};
