//! Attachments of tasks to networks: after that they are `PENDING`, and the scheduler's.

use std::sync::Arc;

use super::addresses::Addresses;
use super::network::ready;
use super::ports::needs_ingress;
use super::service::{is_allocated, target_id, write};
use crate::objects::{
    Moment, NetworkAttachment, NetworkAttachmentConfig, NetworkId, Service, Task, TaskState,
};
use crate::store::{Transaction, View};

const DONE: &str = "pending task scheduling";

pub(super) fn allocate(tx: &mut Transaction<'_>, addresses: &mut Addresses, now: Moment) {
    let new: Vec<Arc<Task>> = tx
        .tasks_in_state(TaskState::NEW)
        .filter(|task| task.desired_state <= TaskState::COMPLETE)
        .cloned()
        .collect();
    for task in new {
        let service = task.service_id.as_ref().and_then(|id| tx.services().get(id.as_str())).cloned();
        // The task of a service waits for what the service itself still lacks.
        if service.as_ref().is_some_and(|service| !is_allocated(tx, service)) {
            continue;
        }
        let Some(networks) = attachments(tx, addresses, &task, service.as_deref()) else { continue };
        let endpoint = service.and_then(|service| service.endpoint.clone()).map(|mut endpoint| {
            // What the task was made for stays its own, so that it is seen to be out of date.
            if let Some(own) = &task.endpoint {
                endpoint.spec = own.spec.clone();
            }
            endpoint
        });
        write::<Task>(tx, &task.id, |task| {
            task.networks = networks;
            task.endpoint = endpoint.or(task.endpoint.take());
            task.decide(TaskState::PENDING, DONE, now);
        });
    }
}

/// `None` while a network is not there, not allocated, or full.
fn attachments(
    tx: &Transaction<'_>,
    addresses: &mut Addresses,
    task: &Task,
    service: Option<&Service>,
) -> Option<Vec<NetworkAttachment>> {
    let mut attachments = Vec::new();
    if service.is_some_and(|service| needs_ingress(&service.spec)) {
        let ingress = tx.ingress_network()?.id.clone();
        attachments.push(attach(tx, addresses, ingress, &NetworkAttachmentConfig::default())?);
    }
    for network in networks_of(task, service) {
        let id = target_id(tx, network.target.as_deref().unwrap_or_default());
        let asked = task.networks.iter().find(|asked| asked.network_id == id && !asked.addresses.is_empty());
        let mut attachment = attach(tx, addresses, id, network)?;
        if let Some(asked) = asked {
            attachment.addresses.clone_from(&asked.addresses);
        }
        attachments.push(attachment);
    }
    Some(attachments)
}

fn networks_of<'a>(task: &'a Task, service: Option<&'a Service>) -> &'a [NetworkAttachmentConfig] {
    let own = task.spec.networks.as_deref().unwrap_or_default();
    if !own.is_empty() { own } else { service.and_then(|it| it.spec.networks.as_deref()).unwrap_or_default() }
}

fn attach(
    view: &View,
    addresses: &mut Addresses,
    id: NetworkId,
    config: &NetworkAttachmentConfig,
) -> Option<NetworkAttachment> {
    let network = ready(view, &id)?;
    let given = if network.driver() == "overlay" { vec![addresses.take(view, network)?] } else { Vec::new() };
    Some(NetworkAttachment {
        network_id: id,
        addresses: given,
        aliases: config.aliases.clone().unwrap_or_default(),
        driver_options: config.driver_opts.clone().unwrap_or_default(),
    })
}
