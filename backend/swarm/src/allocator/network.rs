//! Subnets and VXLAN identifiers of networks.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::pool::Pool;
use super::subnet::Subnet;
use crate::objects::{Cluster, Ipam, IpamConfig, Network, NetworkId};
use crate::store::{Transaction, View};

/// What moby's overlay driver begins to count networks from.
pub const FIRST_VNI: u32 = 4096;
const LAST_VNI: u32 = (1 << 24) - 1;
/// Marks a network that every node has by itself.
pub const PREDEFINED: &str = "com.docker.swarm.predefined";

pub(super) fn allocate(tx: &mut Transaction<'_>) {
    let mut waiting: Vec<Arc<Network>> =
        tx.networks().iter().filter(|network| !network.is_allocated()).cloned().collect();
    // The ingress network comes first, and so gets the first subnet.
    waiting.sort_by_key(|network| (!network.is_ingress(), network.meta.created_at, network.id.clone()));
    for network in waiting {
        if let Some((ipam, vnis)) = share_of(tx, &network) {
            super::service::write::<Network>(tx, &network.id, |network| {
                network.ipam = Some(ipam);
                network.vnis = vnis;
            });
        }
    }
}

/// Whether it is one of those that nodes have by themselves, such as `host`.
pub fn is_predefined(network: &Network) -> bool {
    let label = network.spec.labels.as_ref().and_then(|labels| labels.get(PREDEFINED));
    label.is_some_and(|value| value == "true")
}

/// What the network shall have, or nothing when there is none left.
fn share_of(view: &View, network: &Network) -> Option<(Ipam, Vec<u32>)> {
    let ipam = network.spec.ipam.clone().unwrap_or_default();
    if network.driver() != "overlay" {
        return Some((ipam, Vec::new()));
    }
    let used = subnets_in_use(view);
    let asked: Vec<IpamConfig> = ipam.config.clone().unwrap_or_default();
    let configs = if asked.iter().any(has_subnet) {
        asked.into_iter().map(|config| with_gateway(config, &used)).collect::<Option<Vec<_>>>()?
    } else {
        vec![from_pool(view, &used)?]
    };
    let mut vnis = vnis_in_use(view);
    let given = configs.iter().map(|_| vnis.take_lowest()).collect::<Option<Vec<_>>>()?;
    let driver = ipam.driver.filter(|driver| !driver.is_empty()).unwrap_or_else(|| "default".into());
    Some((Ipam { driver: Some(driver), config: Some(configs), options: ipam.options }, given))
}

fn has_subnet(config: &IpamConfig) -> bool {
    config.subnet.as_deref().is_some_and(|subnet| !subnet.is_empty())
}

/// A subnet the user asked for, if nobody has it; its first address is the gateway where he asked
/// for none. One of IPv6 is left as it is.
fn with_gateway(mut config: IpamConfig, used: &BTreeSet<Subnet>) -> Option<IpamConfig> {
    if let Some(subnet) = config.subnet.as_deref().and_then(Subnet::parse) {
        if used.iter().any(|other| other.overlaps(subnet)) {
            return None;
        }
        if config.gateway.as_deref().is_none_or(str::is_empty) {
            config.gateway = Some(gateway(subnet));
        }
    }
    Some(config)
}

fn from_pool(view: &View, used: &BTreeSet<Subnet>) -> Option<IpamConfig> {
    let cluster = view.cluster();
    let pools = cluster.map(|cluster| cluster.default_address_pool.clone()).unwrap_or_default();
    let pools = if pools.is_empty() { vec![Cluster::DEFAULT_POOL.to_owned()] } else { pools };
    let size = cluster.map(|cluster| cluster.subnet_size).filter(|size| *size > 0);
    let size = size.unwrap_or(Cluster::DEFAULT_SUBNET_SIZE);
    let free = |subnet: &Subnet| !used.iter().any(|other| other.overlaps(*subnet));
    let subnet =
        pools.iter().filter_map(|pool| Subnet::parse(pool)).flat_map(|pool| pool.split(size)).find(free)?;
    Some(IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: Some(gateway(subnet)),
        ..IpamConfig::default()
    })
}

fn gateway(subnet: Subnet) -> String {
    Ipv4Addr::from_bits(subnet.first() + 1).to_string()
}

fn subnets_in_use(view: &View) -> BTreeSet<Subnet> {
    view.networks().iter().flat_map(|network| subnets(network)).collect()
}

/// The subnets of an allocated network.
pub(super) fn subnets(network: &Network) -> Vec<Subnet> {
    let configs = network.ipam.as_ref().and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    configs.iter().filter_map(|config| Subnet::parse(config.subnet.as_deref()?)).collect()
}

fn vnis_in_use(view: &View) -> Pool {
    let mut pool = Pool::new(FIRST_VNI, LAST_VNI);
    for vni in view.networks().iter().flat_map(|network| network.vnis.clone()) {
        pool.take(vni);
    }
    pool
}

/// The network, when things may be attached to it.
pub(super) fn ready<'a>(view: &'a View, id: &NetworkId) -> Option<&'a Arc<Network>> {
    view.networks().get(id.as_str()).filter(|network| network.is_allocated())
}
