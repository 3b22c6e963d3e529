//! What happens to networks when the engine comes back: bridges and rules are put in order without
//! disturbing what passes; containers that run keep their sandboxes; all else is swept.

use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;

use drydock_networks::bridge::{Bridge, Protocol, Publication};
use drydock_networks::dns::NameServer;
use drydock_networks::netlink::{NetlinkError, Route};
use drydock_networks::{Cidr, NetNs, sublink};

use super::join::{has_names, shown_addresses, way_out};
use super::leave::Remains;
use super::ports::Published;
use super::record::{Driver, Record, Subnet};
use super::service::Inner;
use super::state::{Endpoint, Network, Sandbox, host_link, is_host_link};
use super::{Join, Joined, names, ports};
use crate::id::Id;

impl Inner {
    /// Blocks for the kernel. Goes on after every failure: an engine without one network is better
    /// than none.
    pub(super) fn restore(&self, live: Vec<(Join, Joined)>) {
        self.ensure_predefined();
        let bridges = self.bridges();
        self.ensure_forwarding(&bridges);
        for bridge in &bridges {
            if let Err(error) = self.host.ensure_bridge(bridge) {
                tracing::error!(network.link = bridge.name, %error, "cannot make a bridge");
            }
        }
        self.ensure_parents();
        for (join, joined) in &live {
            self.adopt(join, joined);
        }
        self.restore_overlays();
        let publications: Vec<Publication> = {
            let state = self.state();
            state.sandboxes.values().flat_map(|sandbox| sandbox.publications.clone()).collect()
        };
        if let Err(error) = self.host.ensure_iptables_chains() {
            tracing::warn!(%error, "there is no chain DOCKER-USER, and iptables shows no networks");
        }
        if let Err(error) = self.host.write_rules(&bridges, &publications) {
            tracing::error!(%error, "cannot write packet rules: networks are not isolated, ports are closed");
        }
        for (join, joined) in &live {
            self.answer_again(join, joined);
        }
        self.sweep(&bridges);
        self.shown.notify_one();
        self.spares.begin();
    }

    /// `--ip-forward=false` leaves the host's own setting alone.
    fn ensure_forwarding(&self, bridges: &[Bridge]) {
        if !self.forwards {
            return;
        }
        if let Err(error) = self.host.enable_forwarding() {
            tracing::warn!(%error, "containers will not reach beyond this host");
        }
        if bridges.iter().any(|bridge| bridge.gateway_v6.is_some())
            && let Err(error) = self.host.enable_forwarding_v6()
        {
            tracing::warn!(%error, "IPv6 packets will not be passed on");
        }
    }

    fn bridges(&self) -> Vec<Bridge> {
        self.state().networks.values().filter_map(|network| network.record.bridge()).collect()
    }

    /// Links that macvlan networks sit on, where they are ours to make.
    fn ensure_parents(&self) {
        let records: Vec<Arc<Record>> =
            self.state().networks.values().map(|network| network.record.clone()).collect();
        for record in records {
            let Some(kind) = super::create::sublink(&record) else { continue };
            if let Err(error) = sublink::create_parent(self.host.namespace(), &record.parent(), kind) {
                tracing::error!(network.name = record.name, %error, "cannot make a network's link");
            }
        }
    }

    /// The three networks every engine has.
    fn ensure_predefined(&self) {
        for (name, driver) in [("host", Driver::Host), ("none", Driver::Null)] {
            if self.state().find(name).is_some() {
                continue;
            }
            let record = predefined(name, driver, Vec::new(), BTreeMap::new());
            if let Err(error) = self.shelf.save(&record) {
                tracing::warn!(network.name = name, %error, "cannot keep a network's record");
            }
            self.state().networks.insert(record.id.clone(), Network::new(record));
        }
        self.renew_default_bridge();
    }

    /// Takes over what a running container has.
    fn adopt(&self, join: &Join, joined: &Joined) {
        let namespace = match NetNs::open(&joined.sandbox) {
            Ok(namespace) => Arc::new(namespace),
            Err(error) => {
                tracing::error!(container.id = %join.container, %error, "its network namespace is gone");
                return;
            }
        };
        let links = links_by_address(&namespace).unwrap_or_else(|error| {
            tracing::warn!(container.id = %join.container, %error, "cannot look at a container's links");
            Vec::new()
        });
        let endpoints = self.adopt_endpoints(join, joined, &links);
        let published = self.adopt_ports(joined, &endpoints);
        let sandbox = Sandbox {
            path: joined.sandbox.clone(),
            namespace,
            endpoints,
            leases: published.leases,
            publications: published.publications,
            published_at: published.container,
            name_server: None,
        };
        self.state().sandboxes.insert(join.container.clone(), sandbox);
    }

    fn adopt_endpoints(
        &self,
        join: &Join,
        joined: &Joined,
        links: &[(Cidr, String)],
    ) -> BTreeMap<String, Endpoint> {
        let mut state = self.state();
        let mut endpoints = BTreeMap::new();
        for (at, (name, shown)) in joined.all().enumerate() {
            // A network of a swarm may have the name of another.
            let id = shown.network_id.as_deref().filter(|id| state.find(id).is_some()).unwrap_or(name);
            let Some(network) = state.find_mut(id) else {
                tracing::error!(container.id = %join.container, network.name = name, "its network is gone");
                continue;
            };
            let addresses = shown_addresses(shown);
            for address in &addresses {
                // Given out to it before: that it is taken is what we want.
                network.books.iter_mut().for_each(|book| drop(book.claim(address.ip())));
            }
            let link = links.iter().find(|(address, _)| addresses.contains(address));
            let id = shown.endpoint_id.as_deref().and_then(Id::parse).unwrap_or_else(Id::random);
            let endpoint = Endpoint {
                id,
                network: network.record.id.clone(),
                container: join.container.clone(),
                container_name: join.name.clone(),
                mac: shown
                    .mac_address
                    .as_deref()
                    .and_then(|mac| mac.parse().ok())
                    .unwrap_or(drydock_networks::netlink::Mac::ZERO),
                link: link.map_or_else(|| format!("eth{at}"), |(_, name)| name.clone()),
                addresses,
                link_local: Vec::new(),
                names: shown.dns_names.clone().unwrap_or_default(),
                gateway_priority: shown.gw_priority.unwrap_or(0),
                links: names::links(shown).unwrap_or_default(),
            };
            let name = network.record.name.clone();
            state.plug(&endpoint);
            endpoints.insert(name, endpoint);
        }
        endpoints
    }

    fn adopt_ports(&self, joined: &Joined, endpoints: &BTreeMap<String, Endpoint>) -> Published {
        let shown = shown_ports(joined, endpoints);
        let mut published = Published {
            publications: shown.iter().filter_map(ShownPort::publication).collect(),
            container: shown.first().map(|port| port.container),
            ..Published::default()
        };
        for port in &shown {
            let Some(host_port) = port.host_port else { continue };
            let leased = self.ports.lease(self.host.namespace(), port.protocol, port.host, host_port);
            match leased {
                Ok(mut lease) => {
                    if let Err(error) = ports::forward(&mut lease, port.container, port.container_port) {
                        tracing::warn!(%error, "a published port leads nowhere");
                    }
                    published.leases.push(lease);
                }
                Err(error) => tracing::warn!(%error, "a published port is somebody else's now"),
            }
        }
        published
    }

    /// Starts a running container's name server again, once all names are known.
    fn answer_again(&self, join: &Join, joined: &Joined) {
        let mut state = self.state();
        let Some(sandbox) = state.sandboxes.get(&join.container) else { return };
        if !has_names(&state.records(&sandbox.endpoints)) {
            return;
        }
        let namespace = sandbox.namespace.clone();
        let zones = state.zones(sandbox.endpoints.values());
        let forwards = way_out(&sandbox.endpoints, &state.records(&sandbox.endpoints)).is_some();
        match NameServer::start(&namespace, zones, self.names.upstream(&join.dns, &joined.sandbox)) {
            Ok(server) => {
                server.set_forwarding(forwards);
                if let Some(sandbox) = state.sandboxes.get_mut(&join.container) {
                    sandbox.name_server = Some(server);
                }
            }
            Err(error) => {
                tracing::error!(container.id = %join.container, sandbox = %joined.sandbox.display(), %error);
            }
        }
    }

    /// Removes links and namespaces of ours that belong to no container.
    fn sweep(&self, bridges: &[Bridge]) {
        let (links, sandboxes): (HashSet<String>, HashSet<PathBuf>) = {
            let state = self.state();
            let overlays = state.networks.values().filter(|network| network.record.driver == Driver::Overlay);
            let switches: Vec<PathBuf> =
                overlays.map(|network| self.switch_path(&network.record.id)).collect();
            let endpoints = state.sandboxes.values().flat_map(|sandbox| sandbox.endpoints.values());
            let links = endpoints.map(|endpoint| host_link(&endpoint.id)).collect();
            let sandboxes = state.sandboxes.values().map(|sandbox| sandbox.path.clone());
            (links, sandboxes.chain(switches).collect())
        };
        self.sweep_links(bridges, &links);
        self.sweep_retired();
        let folder = std::fs::read_dir(self.spares.folder());
        for path in folder.into_iter().flatten().flatten().map(|entry| entry.path()) {
            if sandboxes.contains(&path) {
                continue;
            }
            if let Err(error) = NetNs::remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a network namespace");
            }
        }
    }

    /// Deletes the bridges of networks that were being removed.
    fn sweep_retired(&self) {
        let retired = self.shelf.retired().unwrap_or_else(|error| {
            tracing::warn!(%error, "cannot read the records of removed networks");
            Vec::new()
        });
        for record in retired {
            let links = vec![record.link()];
            self.tear_down(Remains { links, network: Some(record.id), ..Remains::default() });
        }
    }

    fn sweep_links(&self, bridges: &[Bridge], keep: &HashSet<String>) {
        let present = match self.host.links() {
            Ok(present) => present,
            Err(error) => return tracing::warn!(%error, "cannot look for links that were left"),
        };
        let ours: HashSet<u32> = present
            .iter()
            .filter(|link| bridges.iter().any(|bridge| bridge.name == link.name))
            .map(|link| link.index)
            .collect();
        let left = present.into_iter().filter(|link| {
            link.master.is_some_and(|master| ours.contains(&master))
                && is_host_link(&link.name)
                && !keep.contains(&link.name)
        });
        let left: Vec<String> = left.map(|link| link.name).collect();
        if let Err(error) = self.host.delete_links(&left) {
            tracing::warn!(?left, %error, "cannot delete links that were left");
        }
    }
}

/// What a container's links are called: they were numbered as they came.
fn links_by_address(namespace: &NetNs) -> Result<Vec<(Cidr, String)>, NetlinkError> {
    let mut route = Route::open_in(namespace)?;
    let (links, addresses) = (route.links()?, route.addresses()?);
    let name = |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
    Ok(addresses.into_iter().filter_map(|found| Some((found.address, name(found.link)?))).collect())
}

pub(super) fn predefined(
    name: &str,
    driver: Driver,
    subnets: Vec<Subnet>,
    options: BTreeMap<String, String>,
) -> Record {
    Record {
        id: Id::random(),
        name: name.to_owned(),
        created: crate::container::record::now(),
        driver,
        enable_ipv4: true,
        enable_ipv6: false,
        internal: false,
        attachable: false,
        ingress: false,
        subnets,
        asked: Vec::new(),
        config_only: false,
        config_from: String::new(),
        ipam_driver: "default".into(),
        ipam_options: None,
        options,
        labels: BTreeMap::new(),
    }
}

/// A port a container was shown to have.
struct ShownPort {
    host: IpAddr,
    /// Without one it is reached at the container's own address.
    host_port: Option<u16>,
    protocol: Protocol,
    container: Ipv4Addr,
    container_v6: Option<IpAddr>,
    container_port: u16,
}

impl ShownPort {
    /// Only IPv4's packets are translated.
    fn publication(&self) -> Option<Publication> {
        let (protocol, port) = (self.protocol, self.container_port);
        match (self.host, self.host_port) {
            (IpAddr::V4(host), Some(host_port)) => Some(Publication::Translated {
                protocol,
                host: SocketAddrV4::new(host, host_port),
                container: SocketAddrV4::new(self.container, port),
            }),
            (IpAddr::V6(_), Some(_)) => None,
            (IpAddr::V4(_), None) => {
                Some(Publication::Routed { protocol, container: (self.container, port).into() })
            }
            (IpAddr::V6(_), None) => {
                Some(Publication::Routed { protocol, container: (self.container_v6?, port).into() })
            }
        }
    }
}

fn shown_ports(joined: &Joined, endpoints: &BTreeMap<String, Endpoint>) -> Vec<ShownPort> {
    let way_out =
        joined.all().filter(|(_, shown)| shown.gateway.as_deref().is_some_and(|gateway| !gateway.is_empty()));
    let way_out = way_out
        .min_by_key(|(name, shown)| (std::cmp::Reverse(shown.gw_priority.unwrap_or(0)), (*name).to_owned()));
    let endpoint = way_out.and_then(|(name, _)| endpoints.get(name));
    let container = endpoint.and_then(|endpoint| match endpoint.address(true)?.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    });
    let Some(container) = container else { return Vec::new() };
    let container_v6 = endpoint.and_then(|endpoint| endpoint.address(false)).map(Cidr::ip);
    let mut ports = Vec::new();
    for (key, bindings) in &joined.ports {
        let Some((port, protocol)) = key.split_once('/') else { continue };
        let protocol = if protocol == "udp" { Protocol::Udp } else { Protocol::Tcp };
        for binding in bindings.iter().flatten() {
            let read = || {
                Some(ShownPort {
                    host: binding.host_ip.as_deref()?.parse().ok()?,
                    host_port: match binding.host_port.as_deref()? {
                        "" => None,
                        port => Some(port.parse().ok()?),
                    },
                    protocol,
                    container,
                    container_v6,
                    container_port: port.parse().ok()?,
                })
            };
            ports.extend(read());
        }
    }
    ports
}
