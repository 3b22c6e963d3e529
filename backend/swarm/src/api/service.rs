//! Services.

use std::sync::Arc;

use bollard_stubs::models as wire;
use serde::Serialize;

use super::{date, version};
use crate::objects::{Endpoint, Mode, Service, ServiceSpec, Task, TaskState, UpdateStatus};
use crate::store::View;

/// A service with the spec before, which the API's model lacks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceAnswer {
    #[serde(flatten)]
    pub service: wire::Service,
    #[serde(rename = "PreviousSpec", skip_serializing_if = "Option::is_none")]
    pub previous_spec: Option<ServiceSpec>,
}

/// Without the counts of its tasks, which a list adds when asked to.
pub fn service(service: &Service) -> ServiceAnswer {
    let answer = wire::Service {
        id: Some(service.id.to_string()),
        version: Some(version(service.meta.version)),
        created_at: Some(date(service.meta.created_at)),
        updated_at: Some(date(service.meta.updated_at)),
        spec: Some(shown(&service.spec)),
        endpoint: Some(endpoint(service.endpoint.as_ref())),
        update_status: service.update_status.as_ref().map(update_status),
        service_status: None,
        job_status: service.job_status.map(|status| wire::ServiceJobStatus {
            job_iteration: Some(version(status.iteration)),
            last_execution: Some(date(status.last_execution)),
        }),
    };
    ServiceAnswer { service: answer, previous_spec: service.previous_spec.as_deref().map(shown) }
}

fn shown(spec: &ServiceSpec) -> ServiceSpec {
    let mut spec = spec.clone();
    spec.task_template = spec.task_template.map(super::task::shown);
    spec
}

fn endpoint(endpoint: Option<&Endpoint>) -> wire::ServiceEndpoint {
    let Some(endpoint) = endpoint else {
        return wire::ServiceEndpoint { spec: Some(wire::EndpointSpec::default()), ..Default::default() };
    };
    let vips = endpoint.virtual_ips.iter().map(|vip| wire::ServiceEndpointVirtualIps {
        network_id: Some(vip.network_id.to_string()),
        addr: Some(vip.addr.clone()),
    });
    wire::ServiceEndpoint {
        spec: Some(endpoint.spec.clone()),
        ports: (!endpoint.ports.is_empty()).then(|| endpoint.ports.clone()),
        virtual_ips: (!endpoint.virtual_ips.is_empty()).then(|| vips.collect()),
    }
}

fn update_status(status: &UpdateStatus) -> wire::ServiceUpdateStatus {
    wire::ServiceUpdateStatus {
        state: Some(status.state),
        started_at: (!status.started_at.is_unset()).then(|| date(status.started_at)),
        completed_at: status.completed_at.map(date),
        message: Some(status.message.clone()),
    }
}

/// How many of its tasks run, and how many are wanted. What ran on a node that is down runs, as far as anybody knows, no more.
pub fn service_status(view: &View, service: &Service) -> wire::ServiceServiceStatus {
    let mode = service.mode();
    let run = service.job_status.map(|status| status.iteration);
    let (mut running, mut desired, mut completed) = (0, 0, 0);
    let counted = |task: &&Arc<Task>| run.is_none() || task.job_iteration == run;
    for task in view.service_tasks(&service.id).filter(counted) {
        let (state, wanted) = (task.status.state, task.desired_state);
        running += u64::from(state == TaskState::RUNNING && !is_lost(view, task));
        completed += u64::from(run.is_some() && state == TaskState::COMPLETE);
        let unfinished = wanted == TaskState::COMPLETE && state != TaskState::COMPLETE;
        desired += u64::from(mode.is_global() && (wanted == TaskState::RUNNING || unfinished));
    }
    match mode {
        Mode::Replicated { replicas } => desired = replicas,
        Mode::ReplicatedJob { concurrent, .. } => desired = concurrent,
        Mode::Global | Mode::GlobalJob => {}
    }
    wire::ServiceServiceStatus {
        running_tasks: Some(running),
        desired_tasks: Some(desired),
        completed_tasks: Some(completed),
    }
}

fn is_lost(view: &View, task: &Task) -> bool {
    let node = task.node_id.as_ref().and_then(|id| view.nodes().get(id.as_str()));
    node.is_some_and(|node| node.is_down())
}
