//! Host side of a node: makes, adopts and ends nodes and the switch each session's nodes hang on.
//!
//! A node is root only in its own user namespace: its own block of 65,536 ids, its own cgroup subtree, seccomp
//! profile, network and disk with a hard quota. This room refuses to know HTTP, accounts, expiry and what Docker
//! does inside; the inside is `drydock-agent`'s.
//!
//! Begin with [`Host`], then [`boot`](Host::boot) (the stages of a node's making, and how each is undone).
#![forbid(unsafe_code)]

mod config;
mod host;
mod id;

pub use config::{Capacity, HostConfig, Limits, NodeImage, NodeSpec};
pub use host::{BootError, EndError, Full, Host, Node, OpenError, Session, SessionError};
pub use id::{BadId, NodeId, SessionId};
