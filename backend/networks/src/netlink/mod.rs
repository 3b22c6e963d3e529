//! rtnetlink: links, addresses, routes and neighbours of one network namespace.
//!
//! Synchronous, because the kernel does the work before the write returns: a change costs tens of
//! microseconds, less than handing it to another thread. Open a [`Route`] per operation group.

mod changes;
pub(crate) mod exchange;
mod link;
pub(crate) mod message;

use std::net::IpAddr;

use drydock_sys::netlink::Subsystem;

pub use changes::Changes;
pub use exchange::NetlinkError;
pub use link::{IpvlanMode, Link, LinkKind, Mac, MacError, MacvlanMode, NewLink, Vxlan};

use crate::cidr::Cidr;
use crate::netns::NetNs;
use exchange::Exchange;
use message::{Message, attribute, attributes, flag, text, u32_at};

const GET_LINK: u16 = 18;
const GET_ADDRESS: u16 = 22;
const GET_ROUTE: u16 = 26;
const GET_NEIGHBOUR: u16 = 30;
/// `AF_BRIDGE`: forwarding entries instead of neighbours.
const BRIDGE_FAMILY: u8 = 7;

/// A socket to rtnetlink, bound for life to the namespace it was opened in.
#[derive(Debug)]
pub struct Route {
    exchange: Exchange,
}

/// Bytes that passed a link since it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counters {
    /// The link's name.
    pub link: String,
    /// Bytes that came in by it.
    pub received: u64,
    /// Bytes that left by it.
    pub sent: u64,
}

/// An address on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddress {
    /// Index of the link.
    pub link: u32,
    /// The address with its prefix.
    pub address: Cidr,
}

/// Where a hardware address is: of a neighbour, or of a forwarding entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Index of the link.
    pub link: u32,
    /// The neighbour's address; the host behind which a VXLAN's entry leads.
    pub ip: IpAddr,
    /// The hardware address.
    pub mac: Mac,
}

/// An entry of a routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where to; the default route has prefix 0.
    pub subnet: Cidr,
    /// The next hop, if not on the link itself.
    pub gateway: Option<IpAddr>,
    /// Index of the link it leaves by.
    pub link: Option<u32>,
}

impl Route {
    /// Opens a socket in the calling thread's namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { exchange: Exchange::open(Subsystem::Route)? })
    }

    /// Opens a socket in `namespace`.
    pub fn open_in(namespace: &NetNs) -> Result<Self, NetlinkError> {
        namespace.run(Self::open).map_err(NetlinkError::Open)?
    }

    /// Applies the changes in order. The kernel goes on after one that failed; the first
    /// failure is returned.
    pub fn apply(&mut self, changes: Changes) -> Result<(), NetlinkError> {
        self.exchange.apply(changes.steps)
    }

    /// Sets the loopback link up.
    pub fn bring_loopback_up(&mut self) -> Result<(), NetlinkError> {
        // The loopback is the first link of every namespace.
        self.apply(Changes::new().set_up(1))
    }

    /// The link called `name`.
    pub fn link(&mut self, name: &str) -> Result<Link, NetlinkError> {
        let mut message = Message::new(GET_LINK, 0, &[0; 16]);
        message.attr_str(3, name);
        let mut found = None;
        let step = format!("find link {name}");
        self.exchange.ask(&step, message, |_, body| found = read_link(body))?;
        found.ok_or_else(|| NetlinkError::Exchange { step, source: std::io::ErrorKind::UnexpectedEof.into() })
    }

    /// The number of the link called `name`.
    pub fn index_of(&mut self, name: &str) -> Result<u32, NetlinkError> {
        Ok(self.link(name)?.index)
    }

    /// Every link.
    pub fn links(&mut self) -> Result<Vec<Link>, NetlinkError> {
        let message = Message::new(GET_LINK, flag::DUMP, &[0; 16]);
        let mut links = Vec::new();
        self.exchange.ask("list links", message, |_, body| links.extend(read_link(body)))?;
        Ok(links)
    }

    /// What passed each of the first `most` links.
    pub fn counters(&mut self, most: usize) -> Result<Vec<Counters>, NetlinkError> {
        let message = Message::new(GET_LINK, flag::DUMP, &[0; 16]);
        let mut counters = Vec::new();
        self.exchange.ask("count what passed the links", message, |_, body| {
            if counters.len() < most {
                counters.extend(read_counters(body));
            }
        })?;
        Ok(counters)
    }

    /// Every address.
    pub fn addresses(&mut self) -> Result<Vec<LinkAddress>, NetlinkError> {
        let message = Message::new(GET_ADDRESS, flag::DUMP, &[0; 8]);
        let mut addresses = Vec::new();
        self.exchange.ask("list addresses", message, |_, body| addresses.extend(read_address(body)))?;
        Ok(addresses)
    }

    /// Every unicast route of the main table.
    pub fn routes(&mut self) -> Result<Vec<RouteEntry>, NetlinkError> {
        let message = Message::new(GET_ROUTE, flag::DUMP, &[0; 12]);
        let mut routes = Vec::new();
        self.exchange.ask("list routes", message, |_, body| routes.extend(read_route(body)))?;
        Ok(routes)
    }

    /// Every neighbour with a hardware address.
    pub fn neighbours(&mut self) -> Result<Vec<Neighbour>, NetlinkError> {
        self.neighbours_of("list neighbours", 0)
    }

    /// Every forwarding entry that leads to another host.
    pub fn forwardings(&mut self) -> Result<Vec<Neighbour>, NetlinkError> {
        self.neighbours_of("list forwarding entries", BRIDGE_FAMILY)
    }

    fn neighbours_of(&mut self, step: &str, family: u8) -> Result<Vec<Neighbour>, NetlinkError> {
        let mut header = [0; 12];
        header[0] = family;
        let mut neighbours = Vec::new();
        let message = Message::new(GET_NEIGHBOUR, flag::DUMP, &header);
        self.exchange.ask(step, message, |_, body| neighbours.extend(read_neighbour(body)))?;
        Ok(neighbours)
    }
}

fn read_link(body: &[u8]) -> Option<Link> {
    let flags = u32_at(body, 8)?;
    let mut link = Link {
        index: u32_at(body, 4)?,
        name: String::new(),
        kind: String::new(),
        mac: None,
        mtu: 0,
        master: None,
        peer: None,
        group: 0,
        is_up: flags & 1 != 0,
    };
    for (kind, value) in attributes(body.get(16..)?) {
        match kind {
            1 => link.mac = value.try_into().ok().map(Mac),
            3 => link.name = text(value),
            4 => link.mtu = u32_at(value, 0)?,
            5 => link.peer = u32_at(value, 0),
            10 => link.master = u32_at(value, 0),
            27 => link.group = u32_at(value, 0)?,
            18 => link.kind = attribute(value, 1).map(text).unwrap_or_default(),
            _ => {}
        }
    }
    Some(link)
}

/// `struct rtnl_link_stats64`: packets in and out, bytes in and out, …
fn read_counters(body: &[u8]) -> Option<Counters> {
    const STATS: u16 = 23;
    let rest = body.get(16..)?;
    let stats = attribute(rest, STATS)?;
    let bytes = |at: usize| Some(u64::from_ne_bytes(stats.get(at..at + 8)?.try_into().ok()?));
    Some(Counters { link: attribute(rest, 3).map(text)?, received: bytes(16)?, sent: bytes(24)? })
}

fn read_address(body: &[u8]) -> Option<LinkAddress> {
    let prefix = *body.get(1)?;
    let rest = body.get(8..)?;
    // The local address; on links without peers only IFA_ADDRESS is there (IPv6).
    let ip = ip_of(attribute(rest, 2).or_else(|| attribute(rest, 1))?)?;
    Some(LinkAddress { link: u32_at(body, 4)?, address: Cidr::new(ip, prefix)? })
}

fn read_neighbour(body: &[u8]) -> Option<Neighbour> {
    let rest = body.get(12..)?;
    Some(Neighbour {
        link: u32_at(body, 4)?,
        ip: ip_of(attribute(rest, 1)?)?,
        mac: Mac(attribute(rest, 2)?.try_into().ok()?),
    })
}

fn read_route(body: &[u8]) -> Option<RouteEntry> {
    let (family, prefix, table, kind) = (*body.first()?, *body.get(1)?, *body.get(4)?, *body.get(7)?);
    if table != 254 || kind != 1 {
        return None;
    }
    let rest = body.get(12..)?;
    let anywhere = if family == 2 { &[0; 4][..] } else { &[0; 16][..] };
    let to = ip_of(attribute(rest, 1).unwrap_or(anywhere))?;
    Some(RouteEntry {
        subnet: Cidr::new(to, prefix)?,
        gateway: attribute(rest, 5).and_then(ip_of),
        link: attribute(rest, 4).and_then(|value| u32_at(value, 0)),
    })
}

fn ip_of(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}
