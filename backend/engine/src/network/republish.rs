//! Published ports lead to the endpoint that leads out: when that is another, they go there.

use std::net::{Ipv4Addr, SocketAddrV4};

use drydock_networks::bridge::Publication;
use drydock_networks::ports::PortLease;

use super::join::{JoinError, target, way_out};
use super::ports::Published;
use super::record::Record;
use super::service::Inner;
use super::state::Endpoint;
use super::{Join, PortMap};

/// What a sandbox had until now, taken out of the table while the kernel is told.
struct Before {
    leases: Vec<PortLease>,
    publications: Vec<Publication>,
}

impl Before {
    /// Whether the same ports of the host lead to the endpoint as well.
    fn leads_as(&self, now: &Now) -> bool {
        let is_routed =
            self.publications.iter().any(|publication| matches!(publication, Publication::Routed { .. }));
        let will_be = [true, false].into_iter().any(|is_ipv4| now.record.is_routed(is_ipv4));
        !self.leases.is_empty() && !is_routed && !will_be
    }
}

/// The endpoint that ports lead to from now on.
struct Now {
    endpoint: Endpoint,
    record: std::sync::Arc<Record>,
    ip: Ipv4Addr,
}

impl Inner {
    /// Leads a container's ports to where it has its way out now; without one they are closed. Answers what is open,
    /// if that is something else than before.
    pub(super) fn follow_way_out(&self, join: &Join) -> Result<Option<PortMap>, JoinError> {
        let Some((before, now)) = self.take_ports(join) else { return Ok(None) };
        if !before.publications.is_empty() {
            self.host.unpublish(&before.publications).map_err(JoinError::Rules)?;
        }
        self.shown.notify_one();
        let Some(now) = now else { return Ok(Some(PortMap::default())) };
        let (published, changed) = if before.leads_as(&now) {
            (moved(before, now.ip), None)
        } else {
            // Its ports of the host are free for itself.
            drop(before.leases);
            let published = self.lease_at(join, &now.endpoint, &now.record, now.ip)?;
            let shown = published.ports.clone();
            (published, Some(shown))
        };
        if !published.publications.is_empty() {
            self.host.publish(&published.publications).map_err(JoinError::Rules)?;
        }
        if let Some(sandbox) = self.state().sandboxes.get_mut(&join.container) {
            sandbox.leases = published.leases;
            sandbox.publications = published.publications;
            sandbox.published_at = Some(now.ip);
        }
        self.shown.notify_one();
        Ok(changed)
    }

    /// `None` when the ports lead where they should.
    fn take_ports(&self, join: &Join) -> Option<(Before, Option<Now>)> {
        let mut state = self.state();
        let sandbox = state.sandboxes.get(&join.container)?;
        let records = state.records(&sandbox.endpoints);
        let leads = way_out(&sandbox.endpoints, &records);
        let now = leads.as_deref().and_then(|name| {
            let (endpoint, _, ip) = target(&sandbox.endpoints, &records, name)?;
            Some(Now { endpoint: endpoint.clone(), record: records[name].clone(), ip })
        });
        if sandbox.published_at == now.as_ref().map(|now| now.ip) {
            return None;
        }
        let sandbox = state.sandboxes.get_mut(&join.container)?;
        sandbox.published_at = None;
        let before = Before {
            leases: std::mem::take(&mut sandbox.leases),
            publications: std::mem::take(&mut sandbox.publications),
        };
        Some((before, now))
    }
}

fn led_to(ip: Ipv4Addr, publication: Publication) -> Publication {
    match publication {
        Publication::Translated { protocol, host, container } => {
            Publication::Translated { protocol, host, container: SocketAddrV4::new(ip, container.port()) }
        }
        routed @ Publication::Routed { .. } => routed,
    }
}

/// The same ports of the host, for another address of the container.
fn moved(before: Before, ip: Ipv4Addr) -> Published {
    let Before { mut leases, publications } = before;
    for lease in &mut leases {
        if let Err(error) = lease.forward_elsewhere(ip.into()) {
            tracing::warn!(port = lease.port(), %error, "a published port leads nowhere");
        }
    }
    let publications = publications.into_iter().map(|publication| led_to(ip, publication)).collect();
    Published { leases, publications, ..Published::default() }
}
