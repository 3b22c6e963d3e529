//! Virtual addresses and ports of services.

use std::sync::Arc;

use super::addresses::Addresses;
use super::network::ready;
use super::ports::{needs_ingress, publish};
use crate::objects::{
    Endpoint, EndpointSpec, NetworkId, ResolutionMode, Service, ServiceId, Stored, VirtualIp,
};
use crate::store::{Transaction, View};

pub(super) fn allocate(tx: &mut Transaction<'_>, addresses: &mut Addresses) {
    let outdated: Vec<Arc<Service>> =
        tx.services().iter().filter(|service| !is_allocated(tx, service)).cloned().collect();
    outdated.iter().for_each(|service| allocate_one(tx, addresses, service));
}

/// The same for a service that is written in this transaction: its version does not change a moment later, under somebody who has
/// just read it to update it.
pub fn allocate_service(tx: &mut Transaction<'_>, id: &ServiceId) {
    let outdated = tx.services().get(id.as_str()).filter(|service| !is_allocated(tx, service)).cloned();
    if let Some(service) = outdated {
        allocate_one(tx, &mut Addresses::default(), &service);
    }
}

fn allocate_one(tx: &mut Transaction<'_>, addresses: &mut Addresses, service: &Service) {
    if let Some(endpoint) = endpoint_for(tx, addresses, service)
        && service.endpoint.as_ref() != Some(&endpoint)
    {
        write::<Service>(tx, &service.id, |service| service.endpoint = Some(endpoint));
    }
}

/// Whether the endpoint is the one for the service's present spec and networks.
pub(super) fn is_allocated(view: &View, service: &Service) -> bool {
    let Some(endpoint) = &service.endpoint else { return false };
    let has = endpoint.virtual_ips.iter().map(|vip| &vip.network_id);
    endpoint.spec == spec_of(service) && has.eq(&vip_networks(view, service))
}

fn spec_of(service: &Service) -> EndpointSpec {
    service.spec.endpoint_spec.clone().unwrap_or_default()
}

/// The networks the service shall have a virtual address in: those it is attached to, unless names
/// resolve to its tasks, and the ingress network for its ports.
fn vip_networks(view: &View, service: &Service) -> Vec<NetworkId> {
    let mut networks = Vec::new();
    if needs_ingress(&service.spec) {
        networks.extend(view.ingress_network().map(|network| network.id.clone()));
    }
    if spec_of(service).mode != Some(ResolutionMode::DNSRR) {
        networks.extend(attached(view, service).filter(|id| has_addresses(view, id)));
    }
    networks
}

fn has_addresses(view: &View, id: &NetworkId) -> bool {
    view.networks().get(id.as_str()).is_none_or(|network| network.driver() == "overlay")
}

/// The networks its tasks are attached to; one that is named is found too.
pub(super) fn attached<'a>(view: &'a View, service: &'a Service) -> impl Iterator<Item = NetworkId> + 'a {
    service
        .networks()
        .iter()
        .filter_map(|network| network.target.as_deref())
        .map(|target| target_id(view, target))
}

pub(super) fn target_id(view: &View, target: &str) -> NetworkId {
    let network = view.networks().get(target).or_else(|| view.networks().named(target));
    network.map_or_else(|| NetworkId::from(target), |network| network.id.clone())
}

fn endpoint_for(tx: &Transaction<'_>, addresses: &mut Addresses, service: &Service) -> Option<Endpoint> {
    if needs_ingress(&service.spec) && tx.ingress_network().is_none() {
        return None;
    }
    let ports = publish(tx, service)?;
    let had = service.endpoint.as_ref().map(|endpoint| endpoint.virtual_ips.clone()).unwrap_or_default();
    let mut virtual_ips = Vec::new();
    for id in vip_networks(tx, service) {
        let vip = match had.iter().find(|vip| vip.network_id == id) {
            Some(vip) => vip.clone(),
            None => VirtualIp { addr: addresses.take(tx, ready(tx, &id)?)?, network_id: id },
        };
        virtual_ips.push(vip);
    }
    Some(Endpoint { spec: spec_of(service), ports, virtual_ips })
}

/// Writes what was decided about an object of this same transaction.
pub(super) fn write<T: Stored>(tx: &mut Transaction<'_>, id: &T::Id, change: impl FnOnce(&mut T)) {
    tx.change(id, change).expect("what was read in a transaction is not stale in it");
}
