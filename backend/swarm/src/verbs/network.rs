//! `docker network create` and `rm` for networks of the swarm.

use std::sync::Arc;

use super::missing;
use crate::allocator::{claim, is_predefined, needs_ingress};
use crate::api;
use crate::ask::AttachRequest;
use crate::objects::{
    Annotations, Network, NetworkAttachment, NetworkAttachmentConfig, NetworkCreateRequest, NetworkId,
    NodeId, Service, Task, TaskSpec, TaskSpecNetworkAttachmentSpec, TaskState, networks_of,
};
use crate::random::Random;
use crate::status::{Code, Status};
use crate::store::{Transaction, View};
use crate::validate::validate_network;

pub fn create(
    tx: &mut Transaction<'_>,
    spec: NetworkCreateRequest,
    random: &mut Random,
) -> Result<NetworkId, Status> {
    validate_network(&spec)?;
    if spec.ingress.unwrap_or(false)
        && let Some(present) = tx.ingress_network()
    {
        let message = format!("ingress network ({}) is already present", present.id);
        return Err(Status::new(Code::AlreadyExists, message));
    }
    let id = NetworkId::from(random.id());
    tx.create(Network { id: id.clone(), spec, ..Network::default() })?;
    Ok(id)
}

/// A task for a plain container on the network; the network's id.
pub fn attach(tx: &mut Transaction<'_>, node: &NodeId, request: &AttachRequest) -> Result<NetworkId, Status> {
    let found = tx.resolve(tx.networks(), &request.network);
    let found = found.map_err(|ambiguous| api::ambiguous("network", &request.network, ambiguous))?;
    let network = found.cloned().ok_or_else(|| api::not_found("network", &request.network))?;
    if !network.spec.attachable.unwrap_or(false) {
        let message = format!("network {} not manually attachable", network.name());
        return Err(Status::new(Code::PermissionDenied, message));
    }
    let place = NetworkAttachmentConfig {
        target: Some(network.id.to_string()),
        aliases: Some(request.aliases.clone()),
        ..NetworkAttachmentConfig::default()
    };
    let container = TaskSpecNetworkAttachmentSpec { container_id: Some(request.container_id.clone()) };
    let spec = TaskSpec {
        network_attachment_spec: Some(container),
        networks: Some(vec![place]),
        runtime: Some("attachment".to_owned()),
        ..TaskSpec::default()
    };
    let asked = NetworkAttachment {
        network_id: network.id.clone(),
        addresses: chosen(tx, &network, &request.addresses)?,
        ..NetworkAttachment::default()
    };
    let mut task = Task {
        id: request.task_id.clone(),
        node_id: Some(node.clone()),
        spec,
        annotations: Annotations { name: request.container_name.clone(), ..Annotations::default() },
        desired_state: TaskState::RUNNING,
        networks: vec![asked],
        ..Task::default()
    };
    task.status.state = TaskState::NEW;
    task.status.message = "created".to_owned();
    tx.create(task)?;
    Ok(network.id.clone())
}

/// The address that a user chose, with the length of the network's mask.
fn chosen(view: &View, network: &Network, asked: &[String]) -> Result<Vec<String>, Status> {
    let Some(address) = asked.first() else { return Ok(Vec::new()) };
    match claim(view, network, address) {
        Some(address) => Ok(vec![address]),
        None => Err(Status::invalid(format!(
            "address {address} of network {} is not free, or not of a subnet of it",
            network.name()
        ))),
    }
}

pub fn remove(tx: &mut Transaction<'_>, id: &NetworkId) -> Result<(), Status> {
    let Some(network) = tx.networks().get(id.as_str()) else { return Err(missing("network", id.as_str())) };
    let failed = |message: String| Err(Status::new(Code::FailedPrecondition, message));
    if is_predefined(network) {
        let name = network.name();
        return failed(format!("network {name} ({id}) is a swarm predefined network and cannot be removed"));
    }
    if network.is_ingress() {
        if let Some(service) = tx.services().iter().find(|service| needs_ingress(&service.spec)) {
            let message = "ingress network cannot be removed because service";
            return failed(format!("{message} {} depends on it", service.id));
        }
    } else if let Some(service) = service_on(tx, network) {
        return failed(format!("network {id} is in use by service {}", service.id));
    } else if let Some(task) = task_on(tx, id) {
        return failed(format!("network {id} is in use by task {}", task.id));
    }
    Ok(tx.delete::<Network>(id)?)
}

fn service_on<'a>(view: &'a View, network: &Network) -> Option<&'a Arc<Service>> {
    let names = |target: &str| target == network.id.as_str() || target == network.name();
    view.services()
        .iter()
        .find(|service| networks_of(&service.spec).iter().filter_map(|it| it.target.as_deref()).any(names))
}

/// A plain container, or a task of a service that once was on the network. What is left of a service that was removed
/// keeps nothing: it is about to end.
fn task_on<'a>(view: &'a View, id: &NetworkId) -> Option<&'a Arc<Task>> {
    let is_over = |task: &Task| {
        task.service_id.as_ref().is_some_and(|service| !view.services().contains(service.as_str()))
    };
    view.tasks().iter().find(|task| {
        task.desired_state <= TaskState::RUNNING
            && task.is_alive()
            && !is_over(task)
            && task.networks.iter().any(|attachment| attachment.network_id == *id)
    })
}
