//! The bridge driver: switches, their ports and the rules between them, in one namespace: the
//! engine's own, a node's, or a session's.
//!
//! Everything is synchronous and short (see [`crate::netlink`]) except deleting links, for which
//! the kernel waits until no processor uses them: do that off the hot path.

mod iptables;
mod rules;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

pub use rules::{GatewayMode, Protocol, Publication, Reach, TABLE};

use crate::cidr::Cidr;
use crate::netlink::{Changes, Link, LinkKind, Mac, NetlinkError, NewLink, Route};
use crate::netns::NetNs;
use crate::nft::{Batch, Family, Nft};

/// Numbers for groups of links that are deleted together; unlike any that people use.
static GROUPS: AtomicU32 = AtomicU32::new(0x6472_0000);

/// A switch with the host as its gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bridge {
    /// The link's name, at most 15 bytes.
    pub name: String,
    /// The host's address on it; `None`: the host has none.
    pub gateway: Option<Cidr>,
    /// The same for IPv6.
    pub gateway_v6: Option<Cidr>,
    /// Who may speak to whom.
    pub reach: Reach,
    /// Largest packet, in bytes; the kernel's 1500 otherwise.
    pub mtu: Option<u32>,
}

impl Bridge {
    fn has(&self, family: Family) -> bool {
        family == Family::Ip || self.gateway_v6.is_some()
    }

    fn families(&self) -> impl Iterator<Item = Family> {
        [Family::Ip, Family::Ip6].into_iter().filter(|family| self.has(*family))
    }
}

/// A container's end on a bridge.
#[derive(Clone, Debug)]
pub struct Plug<'a> {
    /// Name of the host's end, unique in the host's namespace.
    pub host_name: &'a str,
    /// Name in the container, `eth0`.
    pub name: &'a str,
    /// Its hardware address.
    pub mac: Mac,
    /// Its addresses.
    pub addresses: &'a [Cidr],
    /// Where its packets to the world go; `None`: the default routes stay as they are.
    pub gateways: &'a [IpAddr],
}

/// Why the bridge driver failed, and at which step.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// A link, address or route.
    #[error(transparent)]
    Link(NetlinkError),
    /// A packet rule.
    #[error(transparent)]
    Rules(NetlinkError),
    /// The host would not pass packets on.
    #[error("enable packet forwarding in {path}: {source}")]
    Forwarding {
        /// The kernel's switch.
        path: &'static str,
        /// Why it could not be set.
        source: io::Error,
    },
    /// The namespace could not be entered.
    #[error("enter network namespace: {0}")]
    Enter(#[source] io::Error),
}

/// The namespace whose bridges these are.
#[derive(Debug)]
pub struct Host {
    namespace: NetNs,
    /// Kept open: closing it waits until the kernel has freed all that was deleted through it, some 10 ms.
    nft: Mutex<Option<Nft>>,
    /// The same for what is shown to people, for which nobody is to wait.
    shown: Mutex<Option<Nft>>,
}

impl Host {
    /// The bridges of `namespace`.
    #[must_use]
    pub fn new(namespace: NetNs) -> Self {
        Self { namespace, nft: Mutex::default(), shown: Mutex::default() }
    }

    /// The namespace itself.
    #[must_use]
    pub fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    fn route(&self) -> Result<Route, BridgeError> {
        Route::open_in(&self.namespace).map_err(BridgeError::Link)
    }

    fn commit(&self, batch: Batch) -> Result<(), BridgeError> {
        self.commit_by(&self.nft, batch)
    }

    fn commit_by(&self, socket: &Mutex<Option<Nft>>, batch: Batch) -> Result<(), BridgeError> {
        let mut kept = socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut nft = match kept.take() {
            Some(nft) => nft,
            None => Nft::open_in(&self.namespace).map_err(BridgeError::Rules)?,
        };
        let committed = nft.commit(batch).map_err(BridgeError::Rules);
        *kept = Some(nft);
        committed
    }

    /// Writes the rules of these bridges and ports in place of whatever rules of ours there
    /// were, in one step: connections that pass are not disturbed.
    pub fn write_rules(&self, bridges: &[Bridge], ports: &[Publication]) -> Result<(), BridgeError> {
        let all = |table, family| {
            bridges
                .iter()
                .filter(|bridge| bridge.has(family))
                .fold(table, |batch, bridge| rules::add_bridge(batch, family, &bridge.name, bridge.reach))
        };
        let whole = |table, family| rules::publish(all(table, family), family, ports);
        self.commit(whole(rules::table(), Family::Ip))?;
        match self.commit(whole(rules::table_v6(), Family::Ip6)) {
            // A kernel without IPv6 has no such packets either.
            Err(BridgeError::Rules(error)) if error.is_unsupported() => Ok(()),
            committed => committed,
        }
    }

    /// Deletes every rule of ours.
    pub fn delete_rules(&self) -> Result<(), BridgeError> {
        self.commit(Batch::new(TABLE).delete_table())?;
        match self.commit(Batch::of(Family::Ip6, TABLE).delete_table()) {
            Err(BridgeError::Rules(error)) if error.is_unsupported() => Ok(()),
            committed => committed,
        }
    }

    /// Lets the host pass packets on between its links.
    pub fn enable_forwarding(&self) -> Result<(), BridgeError> {
        let path = "/proc/sys/net/ipv4/ip_forward";
        self.namespace
            .run(|| match std::fs::read_to_string(path) {
                // Inside a container /proc/sys may be read-only and already right.
                Ok(value) if value.trim() == "1" => Ok(()),
                _ => std::fs::write(path, "1"),
            })
            .map_err(BridgeError::Enter)?
            .map_err(|source| BridgeError::Forwarding { path, source })
    }

    /// Lets the host pass IPv6 packets on.
    pub fn enable_forwarding_v6(&self) -> Result<(), BridgeError> {
        let path = "/proc/sys/net/ipv6/conf/all/forwarding";
        self.namespace
            .run(|| std::fs::write(path, "1"))
            .map_err(BridgeError::Enter)?
            .map_err(|source| BridgeError::Forwarding { path, source })
    }

    /// Makes a bridge with its rules. A link of that name that is a bridge already is taken over.
    pub fn create_bridge(&self, bridge: &Bridge) -> Result<(), BridgeError> {
        let made = self.ensure_bridge(bridge)?;
        let added = bridge.families().try_for_each(|family| {
            self.commit(rules::add_bridge(Batch::of(family, TABLE), family, &bridge.name, bridge.reach))
        });
        if added.is_err() && made {
            // Of two failures the first is the one to tell.
            let _ = self.delete_link(&bridge.name);
        }
        added
    }

    /// Makes the link without its rules, or puts one that is there in order. Answers whether it
    /// was made.
    pub fn ensure_bridge(&self, bridge: &Bridge) -> Result<bool, BridgeError> {
        let mut route = self.route()?;
        let mut link = NewLink::new(&bridge.name, LinkKind::Bridge);
        link.mtu = bridge.mtu;
        link.mac = match bridge.gateway.map(Cidr::ip) {
            // Without an address of its own a bridge takes its ports', and changes with them.
            Some(IpAddr::V4(ip)) => Some(Mac::of_ipv4(ip)),
            _ => None,
        };
        let made = match route.apply(Changes::new().add_link(&link)) {
            Ok(()) => true,
            Err(error) if error.is_existing() => false,
            Err(error) => return Err(BridgeError::Link(error)),
        };
        let configured = configure(&mut route, bridge);
        if configured.is_err() && made {
            let _ = self.delete_link(&bridge.name);
        }
        configured.map_err(BridgeError::Link)?;
        Ok(made)
    }

    /// Deletes a bridge and its rules; missing parts are no error.
    pub fn delete_bridge(&self, bridge: &Bridge) -> Result<(), BridgeError> {
        let rules = self.delete_bridge_rules(bridge);
        self.delete_link(&bridge.name)?;
        rules
    }

    /// Deletes only the rules of a bridge.
    pub fn delete_bridge_rules(&self, bridge: &Bridge) -> Result<(), BridgeError> {
        let delete = |family| self.commit(rules::delete_bridge(family, &bridge.name, bridge.reach));
        // Every family is tried.
        let deleted: Vec<_> = bridge.families().map(|family| missing_is_fine(delete(family))).collect();
        deleted.into_iter().collect()
    }

    /// Deletes a link; a missing one is no error.
    pub fn delete_link(&self, name: &str) -> Result<(), BridgeError> {
        let deleted = self.route()?.apply(Changes::new().delete_link_named(name));
        missing_is_fine(deleted.map_err(BridgeError::Link))
    }

    /// Makes what is plugged in under these names harmless at once: its addresses may be given
    /// to others. The links themselves stay, for [`Host::delete_links`].
    pub fn silence(&self, plugs: &[String]) -> Result<(), BridgeError> {
        let changes = plugs.iter().fold(Changes::new(), |changes, plug| changes.disable_port(plug));
        missing_is_fine(self.route()?.apply(changes).map_err(BridgeError::Link))
    }

    /// Takes rules and addresses from a bridge, so that its subnet is free. The link itself
    /// stays, for [`Host::delete_links`].
    pub fn retire_bridge(&self, bridge: &Bridge) -> Result<(), BridgeError> {
        let rules = self.delete_bridge_rules(bridge);
        let mut route = self.route()?;
        let retired = route.link(&bridge.name).and_then(|link| {
            let addresses = [bridge.gateway, bridge.gateway_v6].into_iter().flatten();
            route.apply(
                addresses
                    .fold(Changes::new(), |changes, address| changes.delete_address(link.index, address)),
            )
        });
        missing_is_fine(retired.map_err(BridgeError::Link)).and(rules)
    }

    /// Deletes links of this namespace, all at once: the kernel waits some 50 ms however many
    /// they are. Missing ones are no error.
    pub fn delete_links(&self, names: &[String]) -> Result<(), BridgeError> {
        let group = GROUPS.fetch_add(1, Ordering::Relaxed);
        let changes = names.iter().fold(Changes::new(), |changes, name| changes.set_group(name, group));
        let mut route = self.route()?;
        let grouped = missing_is_fine(route.apply(changes).map_err(BridgeError::Link));
        let deleted = route.apply(Changes::new().delete_group(group)).map_err(BridgeError::Link);
        missing_is_fine(deleted).and(grouped)
    }

    /// Every link of the namespace.
    pub fn links(&self) -> Result<Vec<Link>, BridgeError> {
        self.route()?.links().map_err(BridgeError::Link)
    }

    /// Connects a container's namespace to a bridge.
    pub fn attach(&self, bridge: &str, container: &NetNs, plug: &Plug<'_>) -> Result<(), BridgeError> {
        let mut route = self.route()?;
        let master = route.link(bridge).map_err(BridgeError::Link)?;
        let mut pair = NewLink::veth(plug.host_name, plug.name, Some(container));
        pair.master = Some(master.index);
        pair.mtu = Some(master.mtu);
        if let LinkKind::Veth { peer } = &mut pair.kind {
            peer.mac = Some(plug.mac);
            peer.mtu = Some(master.mtu);
        }
        // A container that calls itself by the host's port comes back through its own port.
        let changes = Changes::new().add_link(&pair).set_hairpin(plug.host_name);
        route.apply(changes).map_err(BridgeError::Link)?;
        let configured = configure_plug(container, plug);
        if configured.is_err() {
            let _ = self.delete_link(plug.host_name);
        }
        configured.map_err(BridgeError::Link)
    }

    /// Disconnects a container; a plug that is gone with its namespace is no error.
    pub fn detach(&self, host_name: &str) -> Result<(), BridgeError> {
        self.delete_link(host_name)
    }

    /// Opens ports of the host to containers, all or none. One container's ports come and go
    /// together.
    pub fn publish(&self, publications: &[Publication]) -> Result<(), BridgeError> {
        let open = |family| self.commit(rules::publish(Batch::of(family, TABLE), family, publications));
        let opened = families_of(publications).try_for_each(open);
        if opened.is_err() {
            // Of two failures the first is the one to tell.
            let _ = self.unpublish(publications);
        }
        opened
    }

    /// Closes ports again.
    pub fn unpublish(&self, publications: &[Publication]) -> Result<(), BridgeError> {
        let close = |family| self.commit(rules::unpublish(Batch::of(family, TABLE), family, publications));
        // Every family is tried.
        let closed: Vec<_> = families_of(publications).map(|family| missing_is_fine(close(family))).collect();
        closed.into_iter().collect()
    }

    /// The subnets that links of this namespace lie in, and those it has routes to: taken.
    pub fn taken_subnets(&self) -> Result<Vec<Cidr>, BridgeError> {
        let mut route = self.route()?;
        let addresses = route.addresses().map_err(BridgeError::Link)?;
        let routes = route.routes().map_err(BridgeError::Link)?;
        let mut taken: Vec<Cidr> = addresses.iter().map(|address| address.address.network()).collect();
        taken.extend(routes.iter().map(|route| route.subnet).filter(|subnet| subnet.prefix() > 0));
        taken.sort_unstable();
        taken.dedup();
        Ok(taken)
    }

    /// The link that has this address.
    pub fn link_of(&self, ip: IpAddr) -> Result<Option<Link>, BridgeError> {
        let mut route = self.route()?;
        let addresses = route.addresses().map_err(BridgeError::Link)?;
        let Some(found) = addresses.iter().find(|found| found.address.ip() == ip) else { return Ok(None) };
        let links = route.links().map_err(BridgeError::Link)?;
        Ok(links.into_iter().find(|link| link.index == found.link))
    }

    /// The first IPv4 address of a link.
    pub fn address_of(&self, link: u32) -> Result<Option<Cidr>, BridgeError> {
        let addresses = self.route()?.addresses().map_err(BridgeError::Link)?;
        let found = addresses.iter().find(|found| found.link == link && found.address.ip().is_ipv4());
        Ok(found.map(|found| found.address))
    }

    /// The IPv4 addresses of this host other than loopback.
    pub fn addresses(&self) -> Result<Vec<Ipv4Addr>, BridgeError> {
        let addresses = self.route()?.addresses().map_err(BridgeError::Link)?;
        Ok(addresses
            .iter()
            .filter_map(|address| match address.address.ip() {
                IpAddr::V4(ip) if !ip.is_loopback() => Some(ip),
                _ => None,
            })
            .collect())
    }
}

/// The tables that these ports are written in.
fn families_of(publications: &[Publication]) -> impl Iterator<Item = Family> {
    [Family::Ip, Family::Ip6].into_iter().filter(|family| rules::concern(*family, publications))
}

fn configure(route: &mut Route, bridge: &Bridge) -> Result<(), NetlinkError> {
    let link = route.link(&bridge.name)?;
    let wanted: Vec<Cidr> = [bridge.gateway, bridge.gateway_v6].into_iter().flatten().collect();
    let present = route.addresses()?;
    let mut changes = Changes::new().set_up(link.index).set_route_localnet(link.index);
    if let Some(mtu) = bridge.mtu.filter(|mtu| *mtu != link.mtu) {
        changes = changes.set_mtu(link.index, mtu);
    }
    for address in wanted {
        let is_there = present.iter().any(|found| found.link == link.index && found.address == address);
        if !is_there {
            changes = changes.add_address(link.index, address);
        }
    }
    route.apply(changes)
}

/// A link with less has no IPv6 at all (RFC 8200, 5).
const LEAST_MTU_V6: u32 = 1280;

pub(crate) fn configure_plug(container: &NetNs, plug: &Plug<'_>) -> Result<(), NetlinkError> {
    let mut route = Route::open_in(container)?;
    let link = route.link(plug.name)?;
    let index = link.index;
    let has_v6 = plug.addresses.iter().any(|address| address.ip().is_ipv6());
    let knows_v6 = link.mtu >= LEAST_MTU_V6;
    let changes = if has_v6 || !knows_v6 { Changes::new() } else { Changes::new().without_link_local(index) };
    let changes = changes.set_up(index);
    let changes =
        plug.addresses.iter().fold(changes, |changes, address| changes.add_address(index, *address));
    let changes = plug.gateways.iter().fold(changes, |changes, gateway| changes.add_default_route(*gateway));
    route.apply(changes)
}

/// Taking apart what is gone already has succeeded.
fn missing_is_fine(result: Result<(), BridgeError>) -> Result<(), BridgeError> {
    match result {
        Err(BridgeError::Link(error) | BridgeError::Rules(error)) if error.is_missing() => Ok(()),
        result => result,
    }
}
