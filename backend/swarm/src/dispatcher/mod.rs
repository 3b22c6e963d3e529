//! The leader's side of the agents: who is alive, what each node shall do, what it says it did, and its logs.
//!
//! ```text
//!  agent ── Session ────────▶ registered; told of managers, keys, its own node
//!        ── Heartbeat ──────▶ Sessions ── silent for three periods ──▶ node down
//!        ◀── Assignments ─── everything once, then what changed
//!        ── UpdateTaskStatus ▶ gathered, one write for all that came meanwhile
//! ```
//!
//! A dispatcher lives as long as its manager leads. What a node gets is a pure function of the store ([`assignments`]); who is alive is
//! a pure table ([`sessions`]) with the time as an argument. Begin with [`service`].

pub mod assignments;
pub mod calls;
pub mod landscape;
pub mod logs;
pub mod service;
pub mod sessions;

pub use assignments::Assigned;
pub use landscape::Landscape;
pub use logs::LogBroker;
pub use service::Dispatcher;
