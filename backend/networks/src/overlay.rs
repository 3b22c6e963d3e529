//! The data plane of an overlay network: one Ethernet across several hosts, as VXLAN packets on UDP port 4789.
//!
//! On each host a network has a namespace of its own, its *switch*, with a bridge that the host's containers are
//! plugged into and a tunnel that is a port of the bridge. The tunnel's UDP socket stays in the host's
//! namespace, where `tcpdump -i eth0 udp port 4789` sees what passes.
//!
//! ```text
//!   container ── veth ── br0 ── vxlan ┄┄ UDP 4789 of the host ┄┄ vxlan ── br0 ── veth ── container
//!                        └─ switch ─┘                            └─ switch ─┘
//! ```
//!
//! Nothing is learnt and nobody is asked: the control plane says behind which host each container lives
//! ([`Switch::add_peer`]), and the tunnel answers neighbour questions from that. The same call twice, or for a
//! peer that moved, is as good as once. The switch outlives this process by its path; see [`Switch::open`].

use std::io;
use std::net::IpAddr;
use std::path::Path;

use crate::bridge::{Plug, configure_plug};
use crate::cidr::Cidr;
use crate::netlink::{Changes, LinkKind, Mac, Neighbour, NetlinkError, NewLink, Route, Vxlan};
use crate::netns::NetNs;

/// The port of RFC 7348.
pub const PORT: u16 = 4789;
/// What VXLAN adds to a packet over IPv4: Ethernet 14, IP 20, UDP 8, VXLAN 8.
const OVERHEAD: u32 = 50;
/// And over IPv6, whose header is longer.
const OVERHEAD_V6: u32 = 70;
const BRIDGE: &str = "br0";
const TUNNEL: &str = "vxlan0";

/// An overlay network, as this host takes part in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    /// The network's number, the same on every host: 24 bits.
    pub id: u32,
    /// The switch's own addresses, one per subnet.
    pub gateways: Vec<Cidr>,
    /// This host's address towards the others.
    pub local: IpAddr,
    /// UDP port; [`PORT`] unless the cluster chose otherwise.
    pub port: u16,
    /// Largest packet of the link between hosts, in bytes.
    pub underlay_mtu: u32,
}

impl Overlay {
    /// Largest packet of a container: what is left of the underlay's, 1450 of 1500.
    #[must_use]
    pub fn mtu(&self) -> u32 {
        self.underlay_mtu.saturating_sub(overhead(self.local))
    }
}

/// What a network's packets grow by on their way between hosts, in bytes, where hosts have such addresses.
#[must_use]
pub fn overhead(local: IpAddr) -> u32 {
    if local.is_ipv4() { OVERHEAD } else { OVERHEAD_V6 }
}

/// A container of another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address in the network.
    pub ip: IpAddr,
    /// Its hardware address.
    pub mac: Mac,
    /// Its host's address, of the same family as [`Overlay::local`].
    pub host: IpAddr,
}

/// Why the overlay driver failed.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// The switch's namespace.
    #[error("network namespace of an overlay: {0}")]
    Namespace(#[source] io::Error),
    /// A link, address, neighbour or forwarding entry.
    #[error(transparent)]
    Link(NetlinkError),
}

/// An overlay network's namespace on this host.
#[derive(Debug)]
pub struct Switch {
    namespace: NetNs,
    mtu: u32,
}

impl Switch {
    /// Makes the network on this host; its namespace is pinned at `path`. What was made is undone when a step
    /// fails.
    pub fn create(host: &NetNs, path: &Path, overlay: &Overlay) -> Result<Self, OverlayError> {
        let namespace = NetNs::create(path).map_err(OverlayError::Namespace)?;
        let switch = Self { namespace, mtu: overlay.mtu() };
        let furnished = switch.furnish(host, overlay);
        if furnished.is_err() {
            // The first failure is the one to tell.
            let _ = NetNs::remove(path);
        }
        furnished.map_err(OverlayError::Link)?;
        Ok(switch)
    }

    /// Opens a switch that is there: an engine that starts again takes its networks over as they are.
    pub fn open(path: &Path) -> Result<Self, OverlayError> {
        let namespace = NetNs::open(path).map_err(OverlayError::Namespace)?;
        let mut route = Route::open_in(&namespace).map_err(OverlayError::Link)?;
        let mtu = route.link(BRIDGE).map_err(OverlayError::Link)?.mtu;
        Ok(Self { namespace, mtu })
    }

    /// Removes the network from this host: the namespace, and with it bridge, tunnel and plugs.
    pub fn remove(path: &Path) -> Result<(), OverlayError> {
        let namespace = match NetNs::open(path) {
            Ok(namespace) => namespace,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(OverlayError::Namespace(error)),
        };
        // The tunnel first: the kernel takes namespaces apart in its own time, and until then no other
        // switch could have the network's number.
        let mut route = Route::open_in(&namespace).map_err(OverlayError::Link)?;
        let deleted = match route.apply(Changes::new().delete_link_named(TUNNEL)) {
            Err(error) if !error.is_missing() => Err(OverlayError::Link(error)),
            _ => Ok(()),
        };
        NetNs::remove(path).map_err(OverlayError::Namespace)?;
        deleted
    }

    fn furnish(&self, host: &NetNs, overlay: &Overlay) -> Result<(), NetlinkError> {
        let mut inside = Route::open_in(&self.namespace)?;
        let mut bridge = NewLink::new(BRIDGE, LinkKind::Bridge);
        bridge.mtu = Some(self.mtu);
        bridge.mac = overlay.gateways.iter().find_map(|gateway| match gateway.ip() {
            IpAddr::V4(ip) => Some(Mac::of_ipv4(ip)),
            IpAddr::V6(_) => None,
        });
        inside.apply(Changes::new().add_link(&bridge))?;
        let bridge = inside.index_of(BRIDGE)?;
        let addresses = overlay.gateways.iter();
        inside.apply(addresses.fold(Changes::new(), |changes, it| changes.add_address(bridge, *it)))?;
        let tunnel = Vxlan {
            id: overlay.id,
            port: overlay.port,
            local: Some(overlay.local),
            link: None,
            learning: false,
            answers_for_neighbours: true,
        };
        let mut tunnel = NewLink::new(TUNNEL, LinkKind::Vxlan(tunnel));
        // Made by the host, so that its socket is the host's; then only its Ethernet side moves.
        tunnel.namespace = Some(&self.namespace);
        tunnel.mtu = Some(self.mtu);
        tunnel.up = false;
        Route::open_in(host)?.apply(Changes::new().add_link(&tunnel))?;
        let tunnel = inside.index_of(TUNNEL)?;
        inside.apply(Changes::new().set_master(tunnel, Some(bridge)).set_up(tunnel))
    }

    /// The switch's namespace: what is captured here has no VXLAN header.
    #[must_use]
    pub fn namespace(&self) -> &NetNs {
        &self.namespace
    }

    /// Connects a container of this host. `host_name` is the plug's name in the switch.
    pub fn attach(&self, container: &NetNs, plug: &Plug<'_>) -> Result<(), OverlayError> {
        let mut route = Route::open_in(&self.namespace).map_err(OverlayError::Link)?;
        let bridge = route.index_of(BRIDGE).map_err(OverlayError::Link)?;
        let mut pair = NewLink::veth(plug.host_name, plug.name, Some(container));
        pair.master = Some(bridge);
        pair.mtu = Some(self.mtu);
        if let LinkKind::Veth { peer } = &mut pair.kind {
            peer.mac = Some(plug.mac);
            peer.mtu = Some(self.mtu);
        }
        route.apply(Changes::new().add_link(&pair)).map_err(OverlayError::Link)?;
        let configured = configure_plug(container, plug).map_err(OverlayError::Link);
        if configured.is_err() {
            let _ = self.detach(plug.host_name);
        }
        configured
    }

    /// Disconnects a container of this host; one that is gone is no error.
    pub fn detach(&self, host_name: &str) -> Result<(), OverlayError> {
        self.apply(Changes::new().delete_link_named(host_name))
    }

    /// Makes what is plugged in under these names harmless at once: the links themselves go with the containers'
    /// namespaces.
    pub fn silence(&self, host_names: &[String]) -> Result<(), OverlayError> {
        self.apply(host_names.iter().fold(Changes::new(), |changes, name| changes.disable_port(name)))
    }

    /// The containers of other hosts that the switch knows: an engine that takes it over was not there when they
    /// were told.
    pub fn peers(&self) -> Result<Vec<Peer>, OverlayError> {
        let mut route = Route::open_in(&self.namespace).map_err(OverlayError::Link)?;
        let tunnel = route.index_of(TUNNEL).map_err(OverlayError::Link)?;
        let hosts = route.forwardings().map_err(OverlayError::Link)?;
        let neighbours = route.neighbours().map_err(OverlayError::Link)?;
        let known = neighbours.into_iter().filter(|neighbour| neighbour.link == tunnel);
        let peer = |neighbour: Neighbour| {
            let of_it = |entry: &&Neighbour| entry.link == tunnel && entry.mac == neighbour.mac;
            Some(Peer { ip: neighbour.ip, mac: neighbour.mac, host: hosts.iter().find(of_it)?.ip })
        };
        Ok(known.filter_map(peer).collect())
    }

    /// Makes a container of another host known.
    pub fn add_peer(&self, peer: &Peer) -> Result<(), OverlayError> {
        let mut route = Route::open_in(&self.namespace).map_err(OverlayError::Link)?;
        let tunnel = route.index_of(TUNNEL).map_err(OverlayError::Link)?;
        let known = Changes::new()
            .add_neighbour(tunnel, peer.ip, peer.mac)
            .set_forwarding(tunnel, peer.mac, peer.host);
        route.apply(known).map_err(OverlayError::Link)
    }

    /// Forgets a container of another host; one that is not known is no error.
    pub fn remove_peer(&self, peer: &Peer) -> Result<(), OverlayError> {
        let mut route = Route::open_in(&self.namespace).map_err(OverlayError::Link)?;
        let tunnel = route.index_of(TUNNEL).map_err(OverlayError::Link)?;
        let forgotten = [
            Changes::new().delete_neighbour(tunnel, peer.ip),
            Changes::new().delete_forwarding(tunnel, peer.mac, peer.host),
        ];
        // Both are tried: half a peer is worse than none.
        let outcomes = forgotten.map(|changes| missing_is_fine(route.apply(changes)));
        outcomes.into_iter().collect()
    }

    fn apply(&self, changes: Changes) -> Result<(), OverlayError> {
        let mut route = Route::open_in(&self.namespace).map_err(OverlayError::Link)?;
        missing_is_fine(route.apply(changes))
    }
}

fn missing_is_fine(result: Result<(), NetlinkError>) -> Result<(), OverlayError> {
    match result {
        Err(error) if !error.is_missing() => Err(OverlayError::Link(error)),
        _ => Ok(()),
    }
}
