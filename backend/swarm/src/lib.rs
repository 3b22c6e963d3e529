//! The swarm: what a cluster of engines has agreed on, and who decides what happens next.
//!
//! The middle of this crate is pure. [`store`] is the replicated state machine: batches of changes
//! in, a refusal or a new version out. [`control`] looks at it, through [`orchestrator`],
//! [`allocator`] and [`scheduler`], and proposes the next batch; [`verbs`] and [`validate`] take in
//! what a user asks, and [`api`] tells him what there is. Time and randomness are arguments.
//!
//! Each piece of state has one writer, as in swarmkit's task model: the user writes specs, the
//! orchestrators write tasks and what is desired of them, the allocator addresses and ports, the
//! scheduler nodes, and only the agent on a node what it observed.
//!
//! Refuses to know: containers, images, links and HTTP. Begin with [`objects`], then [`store`].
#![forbid(unsafe_code)]

pub mod agent;
pub mod allocator;
pub mod api;
pub mod ask;
pub mod ca;
pub mod control;
pub mod dispatcher;
pub mod identity;
pub mod manager;
pub mod network_keys;
pub mod objects;
pub mod orchestrator;
pub mod raft;
pub mod random;
pub mod scheduler;
pub mod status;
pub mod store;
pub mod validate;
pub mod verbs;
pub mod wire;

pub use random::Random;
pub use status::{Code, Status};
pub use store::Store;
