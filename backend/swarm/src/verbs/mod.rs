//! What a user asks of the swarm, each a transaction: looked at, refused in moby's words, or written.
//!
//! The engine's doors call these inside a proposal. That it was accepted is known once the changes
//! come back through the log: there the version an update was made for may have become old.

pub mod cluster;
pub mod config;
pub mod network;
pub mod node;
pub mod secret;
pub mod service;

use std::sync::Arc;

use crate::objects::{Service, TaskSpecContainerSpec};
use crate::status::{Code, Status};
use crate::store::{Refusal, View};

/// A name that is taken, in the words that are for the kind of object.
fn named(refusal: Refusal, taken: impl FnOnce() -> String) -> Status {
    match refusal {
        Refusal::NameConflict { .. } => Status::new(Code::AlreadyExists, taken()),
        other => other.into(),
    }
}

fn missing(kind: &str, id: &str) -> Status {
    Status::not_found(format!("{kind} {id} not found"))
}

/// The names of the services whose containers refer to something.
fn users<'a>(view: &'a View, refers: impl Fn(&TaskSpecContainerSpec) -> bool + 'a) -> Vec<&'a str> {
    let uses = |service: &&Arc<Service>| container_of(service).is_some_and(&refers);
    view.services().iter().filter(uses).map(|service| service.name()).collect()
}

fn container_of(service: &Service) -> Option<&TaskSpecContainerSpec> {
    service.spec.task_template.as_ref()?.container_spec.as_ref()
}

fn in_use(kind: &str, name: &str, users: &[&str]) -> Result<(), Status> {
    if users.is_empty() {
        return Ok(());
    }
    let services = if users.len() == 1 { "service" } else { "services" };
    let users = users.join(", ");
    Err(Status::invalid(format!("{kind} '{name}' is in use by the following {services}: {users}")))
}
