//! Published ports of services in the routing mesh.

use std::collections::BTreeMap;

use super::pool::Pool;
use crate::objects::{EndpointPortConfig as Port, Protocol, PublishMode, Service, ServiceSpec};
use crate::scheduler::protocol;
use crate::store::View;

/// Where ports come from when the user names none.
const FIRST: u32 = 30000;
const LAST: u32 = 32767;

/// Whether the service has a port in the routing mesh.
pub fn needs_ingress(spec: &ServiceSpec) -> bool {
    ports_of(spec).iter().any(is_ingress)
}

/// In the mesh unless the user says otherwise.
pub(crate) fn is_ingress(port: &Port) -> bool {
    port.publish_mode != Some(PublishMode::HOST)
}

pub(crate) fn ports_of(spec: &ServiceSpec) -> &[Port] {
    spec.endpoint_spec.as_ref().and_then(|endpoint| endpoint.ports.as_deref()).unwrap_or_default()
}

/// The spec's ports, each in the mesh with a published one: the one it asks for, the one it had, or
/// a free one. `None` when one is taken by another service or none is left.
pub(super) fn publish(view: &View, service: &Service) -> Option<Vec<Port>> {
    let mut pools = in_use_by_others(view, service);
    let mut kept = service.endpoint.as_ref().map(|endpoint| endpoint.ports.clone()).unwrap_or_default();
    let mut ports: Vec<Port> = ports_of(&service.spec).iter().map(with_defaults).collect();
    // What the user names comes first: nothing it asks for is given away before.
    for port in ports.iter().filter(|port| is_ingress(port)) {
        if let Some(number) = published(port)
            && !pool(&mut pools, port).take(number)
        {
            return None;
        }
    }
    for port in ports.iter_mut().filter(|port| is_ingress(port) && published(port).is_none()) {
        let number = match take_kept(&mut kept, port) {
            Some(number) if pool(&mut pools, port).take(number) => number,
            _ => pool(&mut pools, port).take_lowest()?,
        };
        port.published_port = Some(i64::from(number));
    }
    Some(ports)
}

fn with_defaults(port: &Port) -> Port {
    Port {
        protocol: Some(protocol(port.protocol)),
        publish_mode: Some(if is_ingress(port) { PublishMode::INGRESS } else { PublishMode::HOST }),
        ..port.clone()
    }
}

fn published(port: &Port) -> Option<u32> {
    port.published_port.and_then(|port| u32::try_from(port).ok()).filter(|port| *port != 0)
}

fn pool<'a>(pools: &'a mut BTreeMap<Protocol, Pool>, port: &Port) -> &'a mut Pool {
    pools.entry(protocol(port.protocol)).or_insert_with(|| Pool::new(FIRST, LAST))
}

fn in_use_by_others(view: &View, service: &Service) -> BTreeMap<Protocol, Pool> {
    let mut pools = BTreeMap::new();
    let others = view.services().iter().filter(|other| other.id != service.id);
    for port in others.filter_map(|other| other.endpoint.as_ref()).flat_map(|endpoint| &endpoint.ports) {
        if let Some(number) = published(port).filter(|_| is_ingress(port)) {
            pool(&mut pools, port).take(number);
        }
    }
    pools
}

/// The published port that the same port of the service had before.
fn take_kept(kept: &mut Vec<Port>, port: &Port) -> Option<u32> {
    let same = |other: &Port| {
        is_ingress(other)
            && other.name == port.name
            && other.target_port == port.target_port
            && protocol(other.protocol) == protocol(port.protocol)
    };
    let place = kept.iter().position(same)?;
    published(&kept.swap_remove(place))
}
