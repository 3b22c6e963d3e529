//! Overlay networks of a swarm: this host's part in them.
//!
//! The swarm's managers say which networks there are, who is where, and which addresses stand for whom; nothing of
//! that is decided here. A network is known ([`Inner::know`]) before a task of it comes; its switch is made when the first
//! container is plugged in, and goes when the network is forgotten.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};

use bollard_stubs::models;
use drydock_networks::balance::{Balancer, Virtual};
use drydock_networks::overlay::{Overlay, OverlayError, Peer, Switch, overhead};
use drydock_networks::{Cidr, NetNs};

use super::record::{Driver, Record, Subnet, option};
use super::service::Inner;
use super::state::{Endpoint, Network};
use crate::id::Id;

/// An Ethernet link without settings of its own.
const USUAL_MTU: u32 = 1500;

/// How the hosts of a swarm reach this one's tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Underlay {
    pub local: Ipv4Addr,
    /// Of UDP.
    pub port: u16,
}

/// Who is on a network beside this host's containers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// Containers of other hosts.
    pub peers: Vec<Peer>,
    /// Services by an address of their own.
    pub services: Vec<Virtual>,
    /// Services and their tasks by name, wherever they are.
    pub names: Vec<(IpAddr, Vec<String>)>,
}

/// The switches of this host.
#[derive(Debug, Default)]
pub struct Overlays {
    underlay: Option<Underlay>,
    /// The networks that this node has a part in.
    wanted: Vec<Id>,
    lines: HashMap<Id, Line>,
    /// Networks whose switches and rules an earlier engine left: what the managers say of them first is news, even that
    /// nobody is there.
    taken_over: HashSet<Id>,
}

#[derive(Debug)]
struct Line {
    switch: Arc<Switch>,
    is_encrypted: bool,
    /// Those that the switch has been told of.
    peers: Vec<Peer>,
}

/// The rules of a container for addresses that stand for several.
#[derive(Debug)]
pub struct Balance {
    balancer: Balancer,
    /// `None`: rules of an earlier engine.
    written: Option<Vec<Virtual>>,
}

/// Why this host cannot take part in a network.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    #[error("this node has no address towards the others of its swarm")]
    NoUnderlay,
    #[error("network {0} has no VXLAN network identifier")]
    NoNumber(String),
    #[error("no manager has said what this node's encrypted networks are sealed with")]
    NoKey,
    #[error(transparent)]
    Tunnel(#[from] drydock_tunnel::TunnelError),
    #[error(transparent)]
    Switch(#[from] OverlayError),
}

impl Record {
    /// A network as the swarm's managers describe it. `None` for one that is not an overlay, or has no addresses yet.
    pub fn of_swarm(network: &models::Network) -> Option<Self> {
        if network.driver.as_deref() != Some("overlay") {
            return None;
        }
        let ipam = network.ipam.clone().unwrap_or_default();
        let subnets: Vec<Subnet> = ipam.config.iter().flatten().filter_map(subnet).collect();
        Some(Self {
            id: Id::of_swarm(network.id.as_deref()?)?,
            name: network.name.clone()?,
            created: network.created.clone().unwrap_or_default(),
            driver: Driver::Overlay,
            enable_ipv4: true,
            enable_ipv6: network.enable_ipv6.unwrap_or(false),
            internal: network.internal.unwrap_or(false),
            attachable: network.attachable.unwrap_or(false),
            ingress: network.ingress.unwrap_or(false),
            asked: subnets.clone(),
            subnets,
            config_only: false,
            config_from: String::new(),
            ipam_driver: ipam.driver.unwrap_or_else(|| "default".to_owned()),
            ipam_options: None,
            options: network.options.clone().unwrap_or_default().into_iter().collect(),
            labels: network.labels.clone().unwrap_or_default().into_iter().collect(),
        })
    }

    /// The number of an overlay network, the same on every host.
    fn number(&self) -> Option<u32> {
        self.options.get(option::VXLAN_IDS)?.split(',').next()?.parse().ok()
    }
}

fn subnet(config: &models::IpamConfig) -> Option<Subnet> {
    let cidr: Cidr = config.subnet.as_deref()?.parse().ok()?;
    Some(Subnet {
        cidr,
        range: config.ip_range.as_deref().and_then(|range| range.parse().ok()),
        gateway: config.gateway.as_deref().and_then(|gateway| gateway.parse().ok()),
        auxiliary: Default::default(),
    })
}

impl Overlays {
    pub(super) fn underlay(&self) -> Option<Underlay> {
        self.underlay
    }

    /// Whether this host has a part in an encrypted network.
    pub(super) fn is_any_encrypted(&self) -> bool {
        self.lines.values().any(|line| line.is_encrypted)
    }
}

impl Inner {
    pub(super) fn overlays(&self) -> MutexGuard<'_, Overlays> {
        self.overlays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are the networks that this node has a part in. Others are forgotten once nobody is on them.
    pub(super) fn know(&self, underlay: Underlay, networks: Vec<Record>) {
        {
            let mut overlays = self.overlays();
            overlays.underlay = Some(underlay);
            overlays.wanted = networks.iter().map(|record| record.id.clone()).collect();
        }
        for record in networks {
            let known = self.state().networks.get(&record.id).map(|network| network.record.clone());
            if known.as_deref() == Some(&record) {
                continue;
            }
            if let Err(error) = self.shelf.save(&record) {
                tracing::warn!(network.name = record.name, %error, "a network would not survive a restart");
            }
            self.state().networks.entry(record.id.clone()).or_insert_with(|| Network::new(record));
        }
        self.forget_unwanted();
    }

    /// This node is in no swarm any more.
    pub(super) fn want_no_overlay(&self) {
        {
            let mut overlays = self.overlays();
            overlays.wanted.clear();
            overlays.underlay = None;
        }
        self.forget_unwanted();
    }

    pub(super) fn is_in_swarm(&self) -> bool {
        self.overlays().underlay.is_some()
    }

    /// Forgets the swarm's networks that this node has no part in any more, once nobody is on them.
    pub(super) fn forget_unwanted(&self) {
        let wanted = self.overlays().wanted.clone();
        let gone: Vec<Id> = {
            let mut state = self.state();
            let gone = state.networks.values().filter(|network| {
                network.record.driver == Driver::Overlay
                    && !wanted.contains(&network.record.id)
                    && network.endpoints.is_empty()
            });
            let gone: Vec<Id> = gone.map(|network| network.record.id.clone()).collect();
            // From here on nobody can join.
            gone.iter().for_each(|id| drop(state.networks.remove(id)));
            gone
        };
        for id in gone {
            self.overlays().lines.remove(&id);
            if let Err(error) = Switch::remove(&self.switch_path(&id)) {
                tracing::warn!(network.id = %id, %error, "cannot remove an overlay network's switch");
            }
            if let Err(error) = self.shelf.forget(&id) {
                tracing::warn!(network.id = %id, %error, "cannot remove a network's record");
            }
        }
        self.keep_tunnel(&self.overlays());
    }

    /// This is who is on a network now.
    pub(super) fn show(&self, id: &Id, scene: Scene) {
        let scene = Arc::new(scene);
        let is_first = self.overlays().taken_over.remove(id);
        {
            let mut state = self.state();
            let Some(network) = state.networks.get_mut(id) else { return };
            if network.scene == scene && !is_first {
                return;
            }
            network.scene = scene.clone();
            network.zone.announce(&scene.names);
        }
        self.tell_peers(id);
        let containers = self.state().containers_on(id);
        for container in containers {
            self.balance(&container);
        }
    }

    /// Tells the network's switch, if it has one, who came and who went.
    fn tell_peers(&self, id: &Id) {
        let mut overlays = self.overlays();
        let Some(line) = overlays.lines.get_mut(id) else { return };
        let Some(scene) = self.state().networks.get(id).map(|network| network.scene.clone()) else { return };
        let failed =
            |peer: &Peer, error| tracing::warn!(network.id = %id, %peer.ip, %error, "a peer is not reached");
        for peer in line.peers.iter().filter(|peer| !scene.peers.contains(peer)) {
            if let Err(error) = line.switch.remove_peer(peer) {
                failed(peer, error);
            }
        }
        for peer in scene.peers.iter().filter(|peer| !line.peers.contains(peer)) {
            if let Err(error) = line.switch.add_peer(peer) {
                failed(peer, error);
            }
        }
        line.peers.clone_from(&scene.peers);
    }

    /// The switch of a network, made when it is not there yet.
    pub(super) fn switch(&self, record: &Record) -> Result<Arc<Switch>, PartError> {
        let mut overlays = self.overlays();
        if let Some(line) = overlays.lines.get(&record.id) {
            return Ok(line.switch.clone());
        }
        let underlay = overlays.underlay.ok_or(PartError::NoUnderlay)?;
        let id = record.number().ok_or_else(|| PartError::NoNumber(record.name.clone()))?;
        let gateway = |subnet: &Subnet| Cidr::new(subnet.gateway?, subnet.cidr.prefix());
        let (is_encrypted, mtu) = (record.is_encrypted(), self.mtu_towards(underlay.local));
        let (local, mtu): (IpAddr, u32) = if is_encrypted {
            let sealed = self.sealed_address(underlay).inspect_err(|_| self.keep_tunnel(&overlays))?;
            (sealed.into(), mtu.saturating_sub(drydock_tunnel::OVERHEAD))
        } else {
            (underlay.local.into(), mtu)
        };
        let asked = record.mtu().map_or(u32::MAX, |mtu| mtu.saturating_add(overhead(local)));
        let overlay = Overlay {
            id,
            gateways: record.subnets.iter().filter_map(gateway).collect(),
            local,
            port: underlay.port,
            underlay_mtu: mtu.min(asked),
        };
        let path = self.switch_path(&record.id);
        let switch = Switch::create(self.host.namespace(), &path, &overlay).inspect_err(|_| {
            // One that was made for this switch alone.
            self.keep_tunnel(&overlays);
        })?;
        let switch = Arc::new(switch);
        let line = Line { switch: switch.clone(), is_encrypted, peers: Vec::new() };
        overlays.lines.insert(record.id.clone(), line);
        drop(overlays);
        self.tell_peers(&record.id);
        Ok(switch)
    }

    /// moby's name for it, by which people enter it.
    pub(super) fn switch_path(&self, id: &Id) -> PathBuf {
        self.spares.folder().join(format!("1-{}", &id.as_str()[..10]))
    }

    pub(super) fn mtu_towards(&self, local: Ipv4Addr) -> u32 {
        let link = self.host.link_of(local.into()).ok().flatten();
        link.map_or(USUAL_MTU, |link| link.mtu.min(USUAL_MTU))
    }

    /// Writes a container's rules for the services of its networks, where they are others than before.
    pub(super) fn balance(&self, container: &Id) {
        let mut balances = self.balances.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((namespace, wanted)) = self.state().services_of(container) else { return };
        let written = match balances.entry(container.clone()) {
            Entry::Vacant(_) if wanted.is_empty() => return,
            Entry::Vacant(vacant) => {
                Balancer::open(&namespace).map(|balancer| vacant.insert(Balance { balancer, written: None }))
            }
            Entry::Occupied(occupied) => Ok(occupied.into_mut()),
        };
        let written = written.and_then(|balance| {
            if balance.written.as_ref() != Some(&wanted) {
                balance.balancer.stand_for(&wanted)?;
                balance.written = Some(wanted);
            }
            Ok(())
        });
        if let Err(error) = written {
            tracing::warn!(container.id = %container, %error, "services are not reached by their addresses");
        }
    }

    /// Opens the switches that running containers are on, and takes away the others. Once, at the start.
    pub(super) fn restore_overlays(&self) {
        let records: Vec<Arc<Record>> = {
            let state = self.state();
            let used = state
                .networks
                .values()
                .filter(|network| network.record.driver == Driver::Overlay && !network.endpoints.is_empty());
            used.map(|network| network.record.clone()).collect()
        };
        self.forget_unwanted();
        for record in records {
            self.take_over_rules(&record.id);
            let opened = Switch::open(&self.switch_path(&record.id)).and_then(|switch| {
                Ok(Line {
                    peers: switch.peers()?,
                    switch: Arc::new(switch),
                    is_encrypted: record.is_encrypted(),
                })
            });
            let mut overlays = self.overlays();
            overlays.taken_over.insert(record.id.clone());
            match opened {
                Ok(line) => drop(overlays.lines.insert(record.id.clone(), line)),
                Err(error) => {
                    tracing::error!(network.name = record.name, %error, "an overlay network's switch is gone");
                }
            }
        }
    }

    /// Takes over what an earlier engine wrote for the services of a network's containers, until the managers say what
    /// there is now.
    fn take_over_rules(&self, network: &Id) {
        let containers = self.state().containers_on(network);
        for container in containers {
            let Some((namespace, _)) = self.state().services_of(&container) else { continue };
            match Balancer::open(&namespace) {
                Ok(balancer) if balancer.has_rules() => {
                    let mut balances = self.balances.lock().unwrap_or_else(PoisonError::into_inner);
                    balances.insert(container, Balance { balancer, written: None });
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(container.id = %container, %error, "a container's rules for services may be old");
                }
            }
        }
    }

    /// Makes what is plugged into switches harmless; it goes with the containers' namespaces.
    pub(super) fn silence_in_switches(&self, endpoints: &[Endpoint]) {
        for endpoint in endpoints {
            let switch = self.overlays().lines.get(&endpoint.network).map(|line| line.switch.clone());
            let silenced = switch.map_or(Ok(()), |switch| switch.silence(&[endpoint.host_link()]));
            if let Err(error) = silenced {
                tracing::warn!(endpoint.id = %endpoint.id, %error, "cannot silence a container's link");
            }
        }
    }

    /// Unplugs an endpoint from its switch.
    pub(super) fn unplug_from_switch(&self, endpoint: &Endpoint) -> Result<(), OverlayError> {
        let switch = self.overlays().lines.get(&endpoint.network).map(|line| line.switch.clone());
        switch.map_or(Ok(()), |switch| switch.detach(&endpoint.host_link()))
    }
}

impl super::state::State {
    pub(super) fn is_on_overlay(&self, endpoint: &Endpoint) -> bool {
        let network = self.networks.get(&endpoint.network);
        network.is_some_and(|network| network.record.driver == Driver::Overlay)
    }

    /// Containers with an endpoint on the network.
    fn containers_on(&self, network: &Id) -> Vec<Id> {
        let on = |endpoints: &std::collections::BTreeMap<String, Endpoint>| {
            endpoints.values().any(|endpoint| endpoint.network == *network)
        };
        let sandboxes = self.sandboxes.iter().filter(|(_, sandbox)| on(&sandbox.endpoints));
        sandboxes.map(|(container, _)| container.clone()).collect()
    }

    /// A container's namespace and the services that it reaches by an address of their own. The routing mesh's own are
    /// its sandbox's business.
    fn services_of(&self, container: &Id) -> Option<(Arc<NetNs>, Vec<Virtual>)> {
        let sandbox = self.sandboxes.get(container)?;
        let networks = sandbox.endpoints.values().filter_map(|endpoint| self.networks.get(&endpoint.network));
        let networks = networks.filter(|network| !network.record.ingress);
        let services = networks.flat_map(|network| network.scene.services.iter().cloned()).collect();
        Some((sandbox.namespace.clone(), services))
    }
}
