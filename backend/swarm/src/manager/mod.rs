//! A node of a swarm, put together: identity, agent, and on managers raft, the calls and the leader's loops.
//!
//! ```text
//!            init, join                       unlock
//!  Inactive ───────────▶ Active ── restart ─▶ Locked ─▶ Active
//!     ▲                    │ leave
//!     └────────────────────┘
//!
//!  Active: agent          talks to the leader, runs tasks
//!          keeper         renews the certificate; follows role, trust root
//!          supervisor     has a Manager while the certificate says so
//!            Manager      raft, server; has a Lead while raft says so
//!              Lead       dispatcher, log broker, roles, rotation, control loops
//! ```
//! Each level is started and ended by the one above it, with its token and tracker. Begin with [`cluster`], the engine's handle.

pub mod calls;
pub mod cluster;
pub mod error;
mod keeper;
mod lead;
mod look;
mod node;
mod office;
mod roles;
pub mod settings;
mod supervisor;

pub use cluster::{Cluster, InitRequest, JoinRequest, LocalState};
pub use error::ClusterError;
pub use office::Manager;
pub use settings::Settings;
