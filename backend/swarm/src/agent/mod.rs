//! The agent of a node: does what the leader wants of the node, and says what became of it.
//!
//! ```text
//!  leader ── assignments ─▶ Worker ── one task manager for each task ─▶ Controller (the engine's containers)
//!    ▲                         │ Database: what a restart needs
//!    └── statuses ─ Reporter ◀─┘
//! ```
//!
//! The agent alone writes what is observed of a task. It goes on without a leader: tasks run, end and are taken down as last wished,
//! and the statuses wait. Refuses to know how a task runs: that is [`Executor`]'s. Begin with [`session`], then [`task`].

pub mod assets;
pub mod database;
pub mod executor;
mod logs;
pub mod remotes;
pub mod reporter;
pub mod session;
pub mod task;
pub mod worker;

pub use assets::Assets;
pub use database::Database;
pub use executor::{Controller, Executor, Exit, TaskError};
pub use remotes::Remotes;
pub use reporter::Reporter;
pub use session::Agent;
pub use worker::Worker;
