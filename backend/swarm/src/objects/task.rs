//! A task: one run of one container, on one node, once.
//!
//! ```text
//!  orchestrator   allocator   scheduler            agent of the node
//!  NEW ─────────▶ PENDING ──▶ ASSIGNED ──▶ ACCEPTED ▶ PREPARING ▶ READY ▶ STARTING ▶ RUNNING
//!                                                                                       │
//!               an end, never left again:  COMPLETE  SHUTDOWN  FAILED  REJECTED ◀───────┘
//! ```
//!
//! The observed state only ever grows. `desired_state` is the managers' wish: the agent takes a
//! task as far as it says; `REMOVE` means that the record goes too, once the agent has ended it.
//! `ORPHANED` is given to the tasks of a node that was silent for too long.

use serde::{Deserialize, Serialize};

use super::{
    Annotations, ContainerStatus, Endpoint, EndpointPortConfig, GenericResourcesInner, Meta, Moment,
    NetworkAttachment, NodeId, ServiceId, TaskId, TaskSpec, TaskSpecLogDriver, TaskState, Timestamp, Version,
};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Task {
    pub id: TaskId,
    pub meta: Meta,
    pub spec: TaskSpec,
    /// The service's spec version it was made from.
    pub spec_version: Option<Version>,
    /// Absent for a plain container attached to an overlay network.
    pub service_id: Option<ServiceId>,
    /// From 1; 0 for tasks of global services, which are told apart by their node.
    pub slot: u64,
    pub node_id: Option<NodeId>,
    pub annotations: Annotations,
    /// The service's name and labels when the task was made.
    pub service_annotations: Annotations,
    pub status: TaskStatus,
    pub desired_state: TaskState,
    pub networks: Vec<NetworkAttachment>,
    pub endpoint: Option<Endpoint>,
    pub log_driver: Option<TaskSpecLogDriver>,
    pub assigned_generic_resources: Vec<GenericResourcesInner>,
    pub job_iteration: Option<Version>,
    /// The service's, for the agent that pulls the image.
    pub registry_auth: Option<String>,
    /// Why it is only made ready, and not yet started.
    pub hold: Option<Hold>,
    /// The rolling update that made it, by the time that update began.
    pub made_by_update: Option<Timestamp>,
    /// When it was made, by the swarm's own time.
    pub made_at: Timestamp,
    /// When it was first seen running, by the swarm's own time.
    pub running_since: Option<Timestamp>,
    /// Where the tasks before it in its slot failed of late: the scheduler tries elsewhere.
    pub failures: Vec<Failure>,
}

/// The end of a task that should have gone on, and the node it came to it on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failure {
    pub node_id: NodeId,
    pub at: Timestamp,
}

/// What a task with the desired state `READY` waits for. It stands in the store, so that a new
/// leader knows of it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hold {
    /// The end of a restart's delay.
    pub until: Timestamp,
    /// Whether the tasks that were told to stop in its slot have to be gone first.
    pub alone: bool,
}

impl Task {
    /// Whether it may still come to run, or runs.
    pub fn is_alive(&self) -> bool {
        self.status.state <= TaskState::RUNNING
    }

    /// Whether it is wanted to run, or to be made ready to.
    pub fn is_wanted(&self) -> bool {
        self.desired_state <= TaskState::RUNNING
    }

    /// What a report of the agent makes of it: the manager notes who wrote it down and when, by the swarm's own time. A report
    /// that would go back, or says nothing new, changes nothing, and the answer is `false`.
    pub fn observe(&mut self, report: TaskStatus, manager: Option<NodeId>, now: Timestamp) -> bool {
        let known = &self.status;
        let same = report.state == known.state
            && report.message == known.message
            && report.err == known.err
            && report.container == known.container
            && report.ports == known.ports;
        if report.state < known.state || same {
            return false;
        }
        if report.state == TaskState::RUNNING {
            self.running_since.get_or_insert(now);
        }
        self.status = TaskStatus { applied_by: manager, applied_at: now, ..report };
        true
    }

    /// Goes on to a state by a manager's own decision.
    pub(crate) fn decide(&mut self, state: TaskState, message: &str, now: Moment) {
        self.status = TaskStatus {
            timestamp: now.wall,
            state,
            message: message.to_owned(),
            container: self.status.container.take(),
            applied_at: now.clock,
            ..TaskStatus::default()
        };
    }

    /// When it came to its state, by the swarm's own time where a manager wrote it down.
    pub fn changed_at(&self) -> Timestamp {
        if self.status.applied_at.is_unset() { self.status.timestamp } else { self.status.applied_at }
    }

    /// When it was made: records of older logs have their leader's clock alone.
    pub fn begun_at(&self) -> Timestamp {
        if self.made_at.is_unset() { self.meta.created_at } else { self.made_at }
    }

    /// Whether its run is over, one way or the other.
    pub fn has_ended(&self) -> bool {
        self.status.state > TaskState::RUNNING
    }

    /// `web.1` and its id, or `web.NODE` and its id: the container's name, and what `service ps` cuts.
    pub fn full_name(&self) -> String {
        if !self.annotations.name.is_empty() {
            return self.annotations.name.clone();
        }
        let node = self.node_id.as_ref().map_or("", NodeId::as_str);
        let slot = if self.slot == 0 { node.to_owned() } else { self.slot.to_string() };
        format!("{}.{slot}.{}", self.service_annotations.name, self.id)
    }
}

/// Written by the agent, but for the words of the allocator and scheduler while it is not assigned.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskStatus {
    pub timestamp: Timestamp,
    pub state: TaskState,
    /// How it came to this state: `started`, `pending task scheduling`.
    pub message: String,
    /// Why it cannot go on.
    pub err: String,
    pub container: Option<ContainerStatus>,
    /// Ports published on the node itself.
    pub ports: Vec<EndpointPortConfig>,
    /// The manager that wrote this status down, and when, by the swarm's own time.
    pub applied_by: Option<NodeId>,
    pub applied_at: Timestamp,
}
