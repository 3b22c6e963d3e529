//! Whether a spec makes sense by itself, in the words swarmkit refuses it with.
//!
//! Pure text and numbers: what else is in the swarm is looked at where a spec is taken in, in
//! [`crate::verbs`].

mod cluster;
mod container;
mod image;
mod names;
mod network;
mod secret;
mod service;

pub use cluster::validate_cluster;
pub use network::validate_network;
pub use secret::{validate_config, validate_secret};
pub use service::validate_service;

use crate::status::Status;

type Verdict = Result<(), Status>;

/// Refuses with `message` when `bad` is so.
fn refuse_if(bad: bool, message: impl FnOnce() -> String) -> Verdict {
    if bad { Err(Status::invalid(message())) } else { Ok(()) }
}
