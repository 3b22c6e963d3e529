//! What can be asked of rtnetlink: each method appends one message, and the whole list goes
//! to the kernel in one write.

use std::net::IpAddr;
use std::os::fd::AsRawFd;

use super::exchange::Step;
use super::link::{LinkKind, Mac, NewLink, Vxlan};
use super::message::{Message, flag};
use crate::cidr::Cidr;
use crate::netns::NetNs;

const AF_BRIDGE: u8 = 7;
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const SET_LINK: u16 = 19;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const NEW_NEIGHBOUR: u16 = 28;
const DELETE_NEIGHBOUR: u16 = 29;

/// `IFLA_*` of `linux/if_link.h`.
mod ifla {
    pub const ADDRESS: u16 = 1;
    pub const IFNAME: u16 = 3;
    pub const MTU: u16 = 4;
    pub const LINK: u16 = 5;
    pub const MASTER: u16 = 10;
    pub const TXQLEN: u16 = 13;
    pub const LINKINFO: u16 = 18;
    pub const NET_NS_PID: u16 = 19;
    pub const NET_NS_FD: u16 = 28;
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    pub const INFO_SLAVE_KIND: u16 = 4;
    pub const INFO_SLAVE_DATA: u16 = 5;
    pub const VETH_PEER: u16 = 1;
    pub const MACVLAN_MODE: u16 = 1;
    pub const IPVLAN_MODE: u16 = 1;
    pub const VLAN_ID: u16 = 1;
    pub const BRPORT_STATE: u16 = 1;
    pub const BRPORT_MODE: u16 = 4;
    pub const BRPORT_FLUSH: u16 = 22;
    pub const GROUP: u16 = 27;
}

const UP: u32 = 1;
/// `NUD_PERMANENT`.
const PERMANENT: u16 = 0x80;
/// `NTF_SELF`: the device's own table (a VXLAN's forwarding entry), not the bridge's.
const SELF: u8 = 2;
/// `IFA_F_NODAD`: an IPv6 address of ours is unique by construction; it is usable at once.
const NO_DUPLICATE_CHECK: u8 = 2;

/// A list of changes, applied in order by [`Route::apply`](super::Route::apply).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Changes {
    pub(super) steps: Vec<Step>,
}

impl Changes {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn step(mut self, name: String, message: Message) -> Self {
        self.steps.push(Step { name, message });
        self
    }

    /// Adds a link.
    pub fn add_link(self, link: &NewLink<'_>) -> Self {
        let header = link_header(0, 0, link.up);
        let mut message = Message::new(NEW_LINK, flag::CREATE | flag::EXCL, &header);
        describe(&mut message, link);
        self.step(format!("add link {}", link.name), message)
    }

    /// Deletes a link; a veth takes its peer with it.
    pub fn delete_link(self, index: u32) -> Self {
        let message = Message::new(DELETE_LINK, 0, &link_header(0, index, false));
        self.step(format!("delete link {index}"), message)
    }

    /// Deletes a link by its name.
    pub fn delete_link_named(self, name: &str) -> Self {
        let mut message = Message::new(DELETE_LINK, 0, &link_header(0, 0, false));
        message.attr_str(ifla::IFNAME, name);
        self.step(format!("delete link {name}"), message)
    }

    /// Sets a link up.
    pub fn set_up(self, index: u32) -> Self {
        let message = Message::new(SET_LINK, 0, &link_header(0, index, true));
        self.step(format!("set link {index} up"), message)
    }

    /// Sets a link down, which also drops its routes.
    pub fn set_down(self, index: u32) -> Self {
        let mut header = link_header(0, index, false);
        header[12..16].copy_from_slice(&UP.to_ne_bytes());
        self.step(format!("set link {index} down"), Message::new(SET_LINK, 0, &header))
    }

    /// Renames a link; the kernel refuses one that is up.
    pub fn set_name(self, index: u32, name: &str) -> Self {
        self.set(index, &format!("rename link {index} to {name}"), |message| {
            message.attr_str(ifla::IFNAME, name);
        })
    }

    /// Sets a link's hardware address.
    pub fn set_mac(self, index: u32, mac: Mac) -> Self {
        self.set(index, &format!("give link {index} address {mac}"), |message| {
            message.attr(ifla::ADDRESS, &mac.0);
        })
    }

    /// Sets a link's largest packet, in bytes.
    pub fn set_mtu(self, index: u32, mtu: u32) -> Self {
        self.set(index, &format!("give link {index} MTU {mtu}"), |message| {
            message.attr_u32(ifla::MTU, mtu);
        })
    }

    /// Sets how many packets wait on a link for who takes them.
    pub fn set_queue_length(self, index: u32, packets: u32) -> Self {
        self.set(index, &format!("give link {index} a queue of {packets}"), |message| {
            message.attr_u32(ifla::TXQLEN, packets);
        })
    }

    /// Makes a link a port of a bridge; `None` frees it.
    pub fn set_master(self, index: u32, bridge: Option<u32>) -> Self {
        self.set(index, &format!("set master of link {index}"), |message| {
            message.attr_u32(ifla::MASTER, bridge.unwrap_or(0));
        })
    }

    /// Moves a link into a namespace. It arrives down, without addresses.
    pub fn move_to(self, index: u32, namespace: &NetNs) -> Self {
        self.set(index, &format!("move link {index} to {namespace}"), |message| {
            message.attr_u32(ifla::NET_NS_FD, namespace_number(namespace));
        })
    }

    /// Moves a link into the namespace of a process of the caller's pid namespace.
    pub fn move_to_process(self, index: u32, pid: u32) -> Self {
        self.set(index, &format!("move link {index} to process {pid}"), |message| {
            message.attr_u32(ifla::NET_NS_PID, pid);
        })
    }

    /// Lets a bridge send a frame back through the port it came from.
    pub fn set_hairpin(self, port: &str) -> Self {
        // IFLA_BRPORT_MODE, in IFLA_INFO_SLAVE_DATA beside its kind, in IFLA_LINKINFO.
        let mut message = Message::new(NEW_LINK, 0, &link_header(0, 0, false));
        message.attr_str(ifla::IFNAME, port).nest(ifla::LINKINFO, |info| {
            info.attr_str(ifla::INFO_SLAVE_KIND, "bridge").nest(ifla::INFO_SLAVE_DATA, |data| {
                data.attr_u8(ifla::BRPORT_MODE, 1);
            });
        });
        self.step(format!("set hairpin on port {port}"), message)
    }

    /// Takes a port of a bridge out of service at once: no packet passes it any more, and the
    /// bridge forgets what it learnt there. Deleting the link, which is slow, may follow later.
    pub fn disable_port(self, port: &str) -> Self {
        const DISABLED: u8 = 0;
        let mut message = Message::new(NEW_LINK, 0, &link_header(0, 0, false));
        message.attr_str(ifla::IFNAME, port).nest(ifla::LINKINFO, |info| {
            info.attr_str(ifla::INFO_SLAVE_KIND, "bridge").nest(ifla::INFO_SLAVE_DATA, |data| {
                data.attr_u8(ifla::BRPORT_STATE, DISABLED).attr(ifla::BRPORT_FLUSH, &[]);
            });
        });
        self.step(format!("disable port {port}"), message)
    }

    /// Puts a link in a group, by its name.
    pub fn set_group(self, link: &str, group: u32) -> Self {
        let mut message = Message::new(SET_LINK, 0, &link_header(0, 0, false));
        message.attr_str(ifla::IFNAME, link).attr_u32(ifla::GROUP, group);
        self.step(format!("put link {link} in group {group}"), message)
    }

    /// Deletes all links of a group together: the kernel waits once, not once for each.
    pub fn delete_group(self, group: u32) -> Self {
        let mut message = Message::new(DELETE_LINK, 0, &link_header(0, 0, false));
        message.attr_u32(ifla::GROUP, group);
        self.step(format!("delete links of group {group}"), message)
    }

    fn set(self, index: u32, name: &str, attributes: impl FnOnce(&mut Message)) -> Self {
        let mut message = Message::new(SET_LINK, 0, &link_header(0, index, false));
        // Flags zero with change mask zero: only what the attributes say.
        attributes(&mut message);
        self.step(name.to_owned(), message)
    }

    /// Lets packets of 127.0.0.0/8 cross an IPv4 link: how a published port answers on localhost.
    pub fn set_route_localnet(self, index: u32) -> Self {
        // IPV4_DEVCONF_ROUTE_LOCALNET, in IFLA_INET_CONF, in AF_INET, in IFLA_AF_SPEC.
        self.set(index, &format!("set route_localnet on link {index}"), |message| {
            message.nest(26, |spec| {
                spec.nest(2, |inet| {
                    inet.nest(1, |conf| {
                        conf.attr_u32(26, 1);
                    });
                });
            });
        })
    }

    /// Keeps the kernel from drawing a link-local IPv6 address, and from announcing it.
    pub fn without_link_local(self, index: u32) -> Self {
        // IN6_ADDR_GEN_MODE_NONE, in IFLA_INET6_ADDR_GEN_MODE, in AF_INET6, in IFLA_AF_SPEC.
        self.set(index, &format!("set address generation of link {index}"), |message| {
            message.nest(26, |spec| {
                spec.nest(10, |inet6| {
                    inet6.attr_u8(8, 1);
                });
            });
        })
    }

    /// Gives a link an address.
    pub fn add_address(self, index: u32, address: Cidr) -> Self {
        let message = address_message(NEW_ADDRESS, flag::CREATE | flag::EXCL, index, address);
        self.step(format!("add address {address} to link {index}"), message)
    }

    /// Takes an address from a link.
    pub fn delete_address(self, index: u32, address: Cidr) -> Self {
        let message = address_message(DELETE_ADDRESS, 0, index, address);
        self.step(format!("delete address {address} of link {index}"), message)
    }

    /// Adds the default route through `gateway`.
    pub fn add_default_route(self, gateway: IpAddr) -> Self {
        let message = route_message(
            NEW_ROUTE,
            flag::CREATE | flag::EXCL,
            None,
            |message| {
                message.attr(5, &octets(gateway));
            },
            gateway.is_ipv4(),
        );
        self.step(format!("add default route via {gateway}"), message)
    }

    /// Removes the default route through `gateway`.
    pub fn delete_default_route(self, gateway: IpAddr) -> Self {
        let message = route_message(
            DELETE_ROUTE,
            0,
            None,
            |message| {
                message.attr(5, &octets(gateway));
            },
            gateway.is_ipv4(),
        );
        self.step(format!("delete default route via {gateway}"), message)
    }

    /// Adds a route to `subnet`, through `gateway` or straight out of link `index`.
    pub fn add_route(self, subnet: Cidr, gateway: Option<IpAddr>, index: Option<u32>) -> Self {
        let message = route_message(
            NEW_ROUTE,
            flag::CREATE | flag::REPLACE,
            Some(subnet),
            |message| {
                if let Some(gateway) = gateway {
                    message.attr(5, &octets(gateway));
                }
                if let Some(index) = index {
                    message.attr_u32(4, index);
                }
            },
            subnet.ip().is_ipv4(),
        );
        self.step(format!("add route to {subnet}"), message)
    }

    /// Pins a neighbour's hardware address.
    pub fn add_neighbour(self, index: u32, ip: IpAddr, mac: Mac) -> Self {
        let mut message = neighbour_message(NEW_NEIGHBOUR, family(ip), index, 0);
        message.attr(1, &octets(ip)).attr(2, &mac.0);
        self.step(format!("add neighbour {ip} on link {index}"), message)
    }

    /// Removes a pinned neighbour.
    pub fn delete_neighbour(self, index: u32, ip: IpAddr) -> Self {
        let mut message = neighbour_message(DELETE_NEIGHBOUR, family(ip), index, 0);
        message.attr(1, &octets(ip));
        self.step(format!("delete neighbour {ip} on link {index}"), message)
    }

    /// Tells a VXLAN link behind which host a hardware address lives; [`Mac::ZERO`] adds a
    /// host to those that get every broadcast.
    pub fn add_forwarding(self, vxlan: u32, mac: Mac, host: IpAddr) -> Self {
        let mut message = neighbour_message(NEW_NEIGHBOUR, AF_BRIDGE, vxlan, SELF);
        message.attr(1, &octets(host)).attr(2, &mac.0);
        self.step(format!("add forwarding of {mac} to {host}"), message)
    }

    /// Tells a VXLAN link behind which host a hardware address lives now, whatever it knew before.
    pub fn set_forwarding(self, vxlan: u32, mac: Mac, host: IpAddr) -> Self {
        let header = neighbour_header(AF_BRIDGE, vxlan, SELF);
        let mut message = Message::new(NEW_NEIGHBOUR, flag::CREATE | flag::REPLACE, &header);
        message.attr(1, &octets(host)).attr(2, &mac.0);
        self.step(format!("set forwarding of {mac} to {host}"), message)
    }

    /// Removes a forwarding entry.
    pub fn delete_forwarding(self, vxlan: u32, mac: Mac, host: IpAddr) -> Self {
        let mut message = neighbour_message(DELETE_NEIGHBOUR, AF_BRIDGE, vxlan, SELF);
        message.attr(1, &octets(host)).attr(2, &mac.0);
        self.step(format!("delete forwarding of {mac} to {host}"), message)
    }
}

/// `struct ifinfomsg`; sets the link up when asked, else leaves its flags alone.
fn link_header(family: u8, index: u32, up: bool) -> [u8; 16] {
    let mut header = [0; 16];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    if up {
        header[8..12].copy_from_slice(&UP.to_ne_bytes());
        header[12..16].copy_from_slice(&UP.to_ne_bytes());
    }
    header
}

fn describe(message: &mut Message, link: &NewLink<'_>) {
    message.attr_str(ifla::IFNAME, link.name);
    if let Some(mac) = link.mac {
        message.attr(ifla::ADDRESS, &mac.0);
    }
    if let Some(mtu) = link.mtu {
        message.attr_u32(ifla::MTU, mtu);
    }
    if let Some(master) = link.master {
        message.attr_u32(ifla::MASTER, master);
    }
    if let Some(namespace) = link.namespace {
        message.attr_u32(ifla::NET_NS_FD, namespace_number(namespace));
    }
    if let Some(parent) = link.kind.parent() {
        message.attr_u32(ifla::LINK, parent);
    }
    let Some(kind) = link.kind.name() else { return };
    message.nest(ifla::LINKINFO, |info| {
        info.attr_str(ifla::INFO_KIND, kind);
        match &link.kind {
            LinkKind::Veth { peer } => {
                info.nest(ifla::INFO_DATA, |data| {
                    data.nest(ifla::VETH_PEER, |inside| {
                        inside.raw(&link_header(0, 0, peer.up));
                        describe(inside, peer);
                    });
                });
            }
            LinkKind::Vxlan(vxlan) => {
                info.nest(ifla::INFO_DATA, |data| describe_vxlan(data, vxlan));
            }
            LinkKind::Macvlan { mode, .. } => {
                info.nest(ifla::INFO_DATA, |data| {
                    data.attr_u32(ifla::MACVLAN_MODE, *mode as u32);
                });
            }
            LinkKind::Ipvlan { mode, .. } => {
                info.nest(ifla::INFO_DATA, |data| {
                    data.attr(ifla::IPVLAN_MODE, &(*mode as u16).to_ne_bytes());
                });
            }
            LinkKind::Vlan { id, .. } => {
                info.nest(ifla::INFO_DATA, |data| {
                    data.attr(ifla::VLAN_ID, &id.to_ne_bytes());
                });
            }
            LinkKind::Bridge | LinkKind::Dummy | LinkKind::Peer => {}
        }
    });
}

fn describe_vxlan(data: &mut Message, vxlan: &Vxlan) {
    data.attr_u32(1, vxlan.id)
        .attr(15, &vxlan.port.to_be_bytes())
        .attr_u8(7, u8::from(vxlan.learning))
        .attr_u8(11, u8::from(vxlan.answers_for_neighbours));
    match vxlan.local {
        Some(IpAddr::V4(local)) => {
            data.attr(4, &local.octets());
        }
        // Without checksums (IFLA_VXLAN_UDP_ZERO_CSUM6_TX and _RX), as over IPv4.
        Some(IpAddr::V6(local)) => {
            data.attr(17, &local.octets()).attr_u8(19, 1).attr_u8(20, 1);
        }
        None => {}
    }
    if let Some(link) = vxlan.link {
        data.attr_u32(3, link);
    }
}

/// The number the kernel expects is a descriptor of the sending process.
fn namespace_number(namespace: &NetNs) -> u32 {
    namespace.as_raw_fd().unsigned_abs()
}

fn address_message(kind: u16, flags: u16, index: u32, address: Cidr) -> Message {
    let no_check = if address.ip().is_ipv4() { 0 } else { NO_DUPLICATE_CHECK };
    let mut header = [family(address.ip()), address.prefix(), no_check, 0, 0, 0, 0, 0];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(kind, flags, &header);
    message.attr(2, &octets(address.ip())).attr(1, &octets(address.ip()));
    if address.ip().is_ipv4() && address.prefix() < 31 {
        message.attr(4, &octets(address.last()));
    }
    message
}

/// `struct rtmsg`: main table, made by "boot", universe scope unless straight out of a link.
fn route_message(
    kind: u16,
    flags: u16,
    subnet: Option<Cidr>,
    attributes: impl FnOnce(&mut Message),
    is_ipv4: bool,
) -> Message {
    const MAIN_TABLE: u8 = 254;
    const BOOT: u8 = 3;
    const UNICAST: u8 = 1;
    let family = if is_ipv4 { 2 } else { 10 };
    let prefix = subnet.map_or(0, Cidr::prefix);
    let header = [family, prefix, 0, 0, MAIN_TABLE, BOOT, 0, UNICAST, 0, 0, 0, 0];
    let mut message = Message::new(kind, flags, &header);
    if let Some(subnet) = subnet {
        message.attr(1, &octets(subnet.network().ip()));
    }
    attributes(&mut message);
    message
}

fn neighbour_message(kind: u16, family: u8, index: u32, flags: u8) -> Message {
    let create = if kind == NEW_NEIGHBOUR { flag::CREATE | flag::APPEND } else { 0 };
    let create = match family {
        AF_BRIDGE => create,
        _ if kind == NEW_NEIGHBOUR => create & !flag::APPEND | flag::REPLACE,
        _ => create,
    };
    Message::new(kind, create, &neighbour_header(family, index, flags))
}

/// `struct ndmsg`.
fn neighbour_header(family: u8, index: u32, flags: u8) -> [u8; 12] {
    let mut header = [0; 12];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&PERMANENT.to_ne_bytes());
    header[10] = flags;
    header
}

fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 2 } else { 10 }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
