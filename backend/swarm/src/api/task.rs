//! Tasks.

use bollard_stubs::models as wire;
use serde::Serialize;

use super::network::NetworkAttachmentAnswer;
use super::{date, version};
use crate::objects::{Task, TaskSpec, TaskStatus};
use crate::store::View;

/// A task with its places in networks, which the API's model lacks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TaskAnswer {
    #[serde(flatten)]
    pub task: wire::Task,
    #[serde(rename = "NetworksAttachments", skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<NetworkAttachmentAnswer>,
}

pub fn task(view: &View, task: &Task) -> TaskAnswer {
    let answer = wire::Task {
        id: Some(task.id.to_string()),
        version: Some(version(task.meta.version)),
        created_at: Some(date(task.meta.created_at)),
        updated_at: Some(date(task.meta.updated_at)),
        name: (!task.annotations.name.is_empty()).then(|| task.annotations.name.clone()),
        labels: Some(task.annotations.labels.clone()),
        spec: Some(shown(task.spec.clone())),
        service_id: task.service_id.as_ref().map(ToString::to_string),
        slot: (task.slot != 0).then_some(task.slot as i64),
        node_id: task.node_id.as_ref().map(ToString::to_string),
        assigned_generic_resources: (!task.assigned_generic_resources.is_empty())
            .then(|| task.assigned_generic_resources.clone()),
        status: Some(status(&task.status)),
        desired_state: Some(task.desired_state),
        job_iteration: task.job_iteration.map(version),
    };
    let networks = task.networks.iter().map(|attachment| NetworkAttachmentAnswer::of(view, attachment));
    TaskAnswer { task: answer, networks: networks.collect() }
}

/// As moby says it where nothing was chosen.
pub fn shown(mut spec: TaskSpec) -> TaskSpec {
    if let Some(container) = &mut spec.container_spec {
        container.isolation.get_or_insert(wire::TaskSpecContainerSpecIsolationEnum::DEFAULT);
    }
    spec
}

fn status(status: &TaskStatus) -> wire::TaskStatus {
    wire::TaskStatus {
        timestamp: Some(date(status.timestamp)),
        state: Some(status.state),
        message: Some(status.message.clone()),
        err: (!status.err.is_empty()).then(|| status.err.clone()),
        container_status: status.container.clone(),
        port_status: Some(wire::PortStatus {
            ports: (!status.ports.is_empty()).then(|| status.ports.clone()),
        }),
    }
}
