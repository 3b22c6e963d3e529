//! Links: what one is made of, and what one looks like.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use crate::netns::NetNs;

/// A hardware address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All zero: in a forwarding table, "everybody".
    pub const ZERO: Self = Self([0; 6]);

    /// Docker's address for an interface: `02:42` and the IPv4 address. The same address has
    /// the same hardware address again, so that no neighbour's cache is ever stale.
    #[must_use]
    pub fn of_ipv4(ip: Ipv4Addr) -> Self {
        let [a, b, c, d] = ip.octets();
        Self([0x02, 0x42, a, b, c, d])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, f] = self.0;
        write!(formatter, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
    }
}

/// Text that is no hardware address.
#[derive(Debug, thiserror::Error)]
#[error("address {0}: invalid MAC address")]
pub struct MacError(pub String);

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            *byte = parts
                .next()
                .filter(|part| part.len() == 2)
                .and_then(|part| u8::from_str_radix(part, 16).ok())
                .ok_or_else(|| MacError(text.to_owned()))?;
        }
        if parts.next().is_some() {
            return Err(MacError(text.to_owned()));
        }
        Ok(Self(bytes))
    }
}

/// What kind of link to make.
#[derive(Clone, Debug)]
pub enum LinkKind<'a> {
    /// A switch.
    Bridge,
    /// A link that leads nowhere (not built into every kernel).
    Dummy,
    /// A pair: `peer` is the other end, perhaps in another namespace.
    Veth {
        /// The other end; its kind is [`LinkKind::Peer`].
        peer: Box<NewLink<'a>>,
    },
    /// The other end of a veth pair.
    Peer,
    /// An Ethernet tunnel over UDP.
    Vxlan(Vxlan),
    /// A second hardware address on the link with index `parent`.
    Macvlan {
        /// Index of the link it sits on.
        parent: u32,
        /// Whom it reaches.
        mode: MacvlanMode,
    },
    /// A second IP address on the link with index `parent` (not built into every kernel).
    Ipvlan {
        /// Index of the link it sits on; 0: none, which every kernel refuses.
        parent: u32,
        /// Switch or router.
        mode: IpvlanMode,
    },
    /// The packets of one VLAN on the link with index `parent` (not built into every kernel).
    Vlan {
        /// Index of the link it sits on.
        parent: u32,
        /// 1 to 4094.
        id: u16,
    },
}

/// Whom a macvlan link reaches; the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MacvlanMode {
    /// Nobody on the same parent.
    Private = 1,
    /// Others on the same parent by way of the switch outside.
    Vepa = 2,
    /// Others on the same parent.
    Bridge = 4,
    /// It has the parent for itself.
    Passthru = 8,
}

/// How an ipvlan link passes packets on; the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpvlanMode {
    /// As a switch.
    L2 = 0,
    /// As a router.
    L3 = 1,
    /// As a router that asks the host's packet rules.
    L3s = 2,
}

impl LinkKind<'_> {
    pub(super) fn name(&self) -> Option<&'static str> {
        match self {
            Self::Bridge => Some("bridge"),
            Self::Dummy => Some("dummy"),
            Self::Veth { .. } => Some("veth"),
            Self::Peer => None,
            Self::Vxlan(_) => Some("vxlan"),
            Self::Macvlan { .. } => Some("macvlan"),
            Self::Ipvlan { .. } => Some("ipvlan"),
            Self::Vlan { .. } => Some("vlan"),
        }
    }

    /// Index of the link it sits on.
    pub(super) fn parent(&self) -> Option<u32> {
        match self {
            Self::Macvlan { parent, .. } | Self::Ipvlan { parent, .. } | Self::Vlan { parent, .. } => {
                Some(*parent).filter(|parent| *parent != 0)
            }
            _ => None,
        }
    }
}

/// A VXLAN tunnel.
#[derive(Clone, Debug)]
pub struct Vxlan {
    /// The network's number, 24 bits.
    pub id: u32,
    /// UDP port, 4789 by the book.
    pub port: u16,
    /// Source address of the tunnel. What arrives by the other family of addresses is not the tunnel's: the kernel has a socket
    /// for each.
    pub local: Option<IpAddr>,
    /// Index of the link the tunnel leaves by.
    pub link: Option<u32>,
    /// Learn where hardware addresses live from what arrives.
    pub learning: bool,
    /// Answer neighbour questions from the local table.
    pub answers_for_neighbours: bool,
}

/// A link to be made.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    /// At most 15 bytes.
    pub name: &'a str,
    /// What it is.
    pub kind: LinkKind<'a>,
    /// Hardware address; the kernel draws one otherwise.
    pub mac: Option<Mac>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// Index of the bridge it becomes a port of.
    pub master: Option<u32>,
    /// Where it is made; the socket's namespace otherwise.
    pub namespace: Option<&'a NetNs>,
    /// Whether it is set up at once.
    pub up: bool,
}

impl<'a> NewLink<'a> {
    /// A link that is up, with all else left to the kernel.
    #[must_use]
    pub fn new(name: &'a str, kind: LinkKind<'a>) -> Self {
        Self { name, kind, mac: None, mtu: None, master: None, namespace: None, up: true }
    }

    /// A veth pair: `name` here and up, `peer_name` in `namespace` and down (the kernel refuses
    /// `up` for an end that is made before its other end).
    #[must_use]
    pub fn veth(name: &'a str, peer_name: &'a str, namespace: Option<&'a NetNs>) -> Self {
        let peer = Self { namespace, up: false, ..Self::new(peer_name, LinkKind::Peer) };
        let peer = Box::new(peer);
        Self::new(name, LinkKind::Veth { peer })
    }
}

/// A link that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `bridge`, `veth`, … ; empty for hardware and the loopback.
    pub kind: String,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Index of the bridge it is a port of.
    pub master: Option<u32>,
    /// Index of a veth's other end, in that end's namespace.
    pub peer: Option<u32>,
    /// The group of links it is in; 0 unless somebody put it in one.
    pub group: u32,
    /// Whether it is set up (not whether there is a carrier).
    pub is_up: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_dockers() {
        let mac = Mac::of_ipv4(Ipv4Addr::new(172, 17, 0, 2));
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!("02:42:ac:11:00:02".parse::<Mac>().unwrap(), mac);
        for text in ["", "02:42", "02:42:ac:11:00:02:03", "zz:42:ac:11:00:02", "2:42:ac:11:0:2"] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
