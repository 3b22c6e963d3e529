//! `docker network create` and `rm` for networks of the swarm.

use std::sync::Arc;

use super::missing;
use crate::allocator::{is_predefined, needs_ingress};
use crate::objects::{Network, NetworkCreateRequest, NetworkId, Service, Task, TaskState, networks_of};
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

/// A plain container, or what is left of a service.
fn task_on<'a>(view: &'a View, id: &NetworkId) -> Option<&'a Arc<Task>> {
    view.tasks().iter().find(|task| {
        task.desired_state <= TaskState::RUNNING
            && task.is_alive()
            && task.networks.iter().any(|attachment| attachment.network_id == *id)
    })
}
