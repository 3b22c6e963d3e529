//! Host side of a node: makes, adopts and ends nodes and the switch each session's nodes hang on.
//!
//! A node is root only in its own user namespace: its own block of 65,536 ids, its own cgroup subtree, seccomp
//! profile, network and disk with a hard quota. This room refuses to know HTTP, accounts, expiry and what Docker
//! does inside; the inside is `drydock-agent`'s.
//!
//! Begin with [`Host`], then `boot` (the stages of a node's making) and `removal` (how any of them is undone).
//!
//! # How nothing is left behind
//!
//! Everything a node or a session consists of has a name that follows from its record, and the record is on disk
//! before the first of these things is made. So undoing a half-made node, ending a whole one, and sweeping up after a
//! process that was killed at any moment are one procedure, [`removal`](removal), which takes away whatever it
//! finds under those names. Mounts and loop devices need not even that: they live in a mount namespace that ends
//! with the node, and detach by themselves.
#![forbid(unsafe_code)]

mod adopt;
mod boot;
mod bundle;
mod capacity;
mod config;
mod control_groups;
mod disk;
mod faults;
mod firewall;
mod host;
mod id;
mod names;
mod node;
mod opening;
mod places;
mod processes;
mod record;
mod removal;
mod root;
mod runtime;
mod session;
mod state;
mod table;
mod traffic;
mod uplink;

pub use boot::BootError;
pub use capacity::Full;
pub use config::{Capacity, HostConfig, Limits, NodeImage, NodeSpec};
pub use faults::{Cable, FaultError, Loss};
pub use host::Host;
pub use id::{BadId, NodeId, SessionId};
pub use node::Node;
pub use opening::OpenError;
pub use removal::EndError;
pub use session::{Session, SessionError};
pub use traffic::{Counters, TrafficError};
