//! Which addresses of a network are in use, and giving the next.

use std::collections::BTreeMap;

use super::network::subnets;
use super::pool::Pool;
use super::subnet::{Subnet, address};
use crate::objects::{Network, NetworkAttachment, NetworkId};
use crate::store::View;

/// The pools of the networks that were asked for, counted when first asked.
#[derive(Debug, Default)]
pub struct Addresses(BTreeMap<NetworkId, Vec<(Subnet, Pool)>>);

impl Addresses {
    /// An address of the network with the length of its mask. `None` when all are given.
    pub fn take(&mut self, view: &View, network: &Network) -> Option<String> {
        let pools = self.0.entry(network.id.clone()).or_insert_with(|| pools(view, network));
        pools.iter_mut().find_map(|(subnet, pool)| pool.take_next().map(|given| subnet.with_mask(given)))
    }
}

/// An address that a user chose, with the length of the mask. `None` when it is in use, or not the network's.
pub(crate) fn claim(view: &View, network: &Network, text: &str) -> Option<String> {
    let wanted = address(text)?;
    let mut pools = pools(view, network);
    let (subnet, pool) = pools.iter_mut().find(|(subnet, _)| subnet.contains(wanted))?;
    pool.take(wanted).then(|| subnet.with_mask(wanted))
}

fn pools(view: &View, network: &Network) -> Vec<(Subnet, Pool)> {
    let used = in_use(view, &network.id);
    let reserved = reserved(network);
    subnets(network)
        .into_iter()
        .map(|subnet| {
            let mut pool = range(network, subnet);
            for address in used.iter().chain(&reserved).filter(|address| subnet.contains(**address)) {
                pool.take(*address);
            }
            (subnet, pool)
        })
        .collect()
}

/// Where addresses come from: the range the user set, or the subnet without its two ends.
fn range(network: &Network, subnet: Subnet) -> Pool {
    let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    let of_subnet =
        configs.iter().find(|config| config.subnet.as_deref().and_then(Subnet::parse) == Some(subnet));
    let range = of_subnet.and_then(|config| Subnet::parse(config.ip_range.as_deref()?));
    let (first, last) = (subnet.first().saturating_add(1), subnet.last().saturating_sub(1));
    match range {
        Some(range) => Pool::new(range.first().max(first), range.last().min(last)),
        None => Pool::new(first, last),
    }
}

/// Gateways and the addresses a user keeps for himself.
fn reserved(network: &Network) -> Vec<u32> {
    let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    configs
        .iter()
        .flat_map(|config| {
            let auxiliary = config.auxiliary_addresses.iter().flat_map(|addresses| addresses.values());
            config.gateway.iter().chain(auxiliary).filter_map(|text| address(text))
        })
        .collect()
}

fn in_use(view: &View, network: &NetworkId) -> Vec<u32> {
    let services = view
        .services()
        .iter()
        .filter_map(|service| service.endpoint.as_ref())
        .flat_map(|endpoint| &endpoint.virtual_ips)
        .filter(|vip| vip.network_id == *network)
        .filter_map(|vip| address(&vip.addr));
    let tasks = view.tasks().iter().filter(|task| task.is_alive()).flat_map(|task| &task.networks);
    let nodes = view.nodes().iter().flat_map(|node| &node.attachments);
    services.chain(tasks.chain(nodes).flat_map(|attachment| addresses_in(attachment, network))).collect()
}

fn addresses_in(attachment: &NetworkAttachment, network: &NetworkId) -> Vec<u32> {
    if attachment.network_id != *network {
        return Vec::new();
    }
    attachment.addresses.iter().filter_map(|text| address(text)).collect()
}
