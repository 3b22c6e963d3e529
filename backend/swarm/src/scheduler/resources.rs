//! What a node has left for tasks that reserve some of it.

pub use super::generic::{discrete, named};

use super::generic;
use crate::objects::{GenericResourcesInner, Node, Task, TaskSpec};

/// May go below zero, when a node has less than when its tasks came to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Available {
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    pub generic: Vec<GenericResourcesInner>,
}

impl Available {
    /// All that the node says it has.
    pub fn of(node: &Node) -> Self {
        let resources = node.description.as_ref().and_then(|description| description.resources.as_ref());
        let Some(resources) = resources else { return Self::default() };
        Self {
            nano_cpus: resources.nano_cpus.unwrap_or(0),
            memory_bytes: resources.memory_bytes.unwrap_or(0),
            generic: resources.generic_resources.clone().unwrap_or_default(),
        }
    }

    pub fn has_room_for(&self, spec: &TaskSpec) -> bool {
        let wanted = Reserved::by(spec);
        wanted.nano_cpus <= self.nano_cpus.max(0)
            && wanted.memory_bytes <= self.memory_bytes.max(0)
            && wanted.generic.iter().all(|resource| generic::has_enough(&self.generic, resource))
    }

    /// Takes what the spec reserves, but for its generic resources.
    fn take_plain(&mut self, spec: &TaskSpec) {
        let wanted = Reserved::by(spec);
        self.nano_cpus -= wanted.nano_cpus;
        self.memory_bytes -= wanted.memory_bytes;
    }

    /// Takes what a task on the node holds.
    pub fn take(&mut self, task: &Task) {
        self.take_plain(&task.spec);
        generic::consume(&mut self.generic, &task.assigned_generic_resources);
    }

    /// Which generic resources a task of the spec shall have. They are taken with the task.
    pub fn claim(&self, spec: &TaskSpec) -> Vec<GenericResourcesInner> {
        generic::claim(&mut self.generic.clone(), Reserved::by(spec).generic)
    }

    /// Whether the node still has what the task was given.
    pub fn still_has(&self, task: &Task) -> bool {
        let wanted = Reserved::by(&task.spec);
        wanted.nano_cpus <= self.nano_cpus.max(0)
            && wanted.memory_bytes <= self.memory_bytes.max(0)
            && generic::has_all(&self.generic, &task.assigned_generic_resources)
    }
}

/// What a spec asks to be set aside.
pub struct Reserved<'a> {
    pub nano_cpus: i64,
    pub memory_bytes: i64,
    pub generic: &'a [GenericResourcesInner],
}

impl<'a> Reserved<'a> {
    pub fn by(spec: &'a TaskSpec) -> Self {
        let wanted = spec.resources.as_ref().and_then(|resources| resources.reservations.as_ref());
        Self {
            nano_cpus: wanted.and_then(|wanted| wanted.nano_cpus).unwrap_or(0),
            memory_bytes: wanted.and_then(|wanted| wanted.memory_bytes).unwrap_or(0),
            generic: wanted.and_then(|wanted| wanted.generic_resources.as_deref()).unwrap_or_default(),
        }
    }

    pub fn is_nothing(&self) -> bool {
        self.nano_cpus == 0 && self.memory_bytes == 0 && self.generic.is_empty()
    }
}
