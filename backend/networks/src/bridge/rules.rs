//! The packet rules of all bridges, as one table whose chains never change: a network or a
//! published port is only ever an element put in a set or taken out of it.
//!
//! ```text
//! prerouting, output  for an address of this host ──▶ published: to the container the port belongs to
//! forward             established ─▶ accept; out of an internal bridge ─▶ drop; translated ─▶ accept;
//!                     within a bridge ─▶ as its network says; as its gateway mode opens it ─▶ accept;
//!                     into a bridge from anywhere else ─▶ drop
//! postrouting         masquerade: from localhost into a bridge; translated back into the bridge it
//!                     came from; out of a bridge to the world
//! ```
//!
//! IPv6 has a table of the same name with `forward` and `postrouting` alone: bridges with IPv6 are isolated
//! and masqueraded the same way; ports are published there by a listener, not by a rule.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::nft::{Address, Batch, ChainType, Element, Family, Field, Hook, HookPoint, Rule, Set, Verdict};

/// The one table of ours in a namespace.
pub const TABLE: &str = "drydock";

const BRIDGES: &str = "bridges";
const MASQUERADED: &str = "masqueraded";
const INTERNAL: &str = "internal";
const WITHIN: &str = "within";
const PASSAGES: &str = "passages";
const UNPROTECTED: &str = "unprotected";
const ROUTED: &str = "routed";
const ROUTED_PORTS: &str = "routed_ports";
const PORTS: &str = "ports";
const PORTS_AT: &str = "ports_at";
const SELVES: &str = "selves";
const LOCALHOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 0);

/// How containers on a bridge reach each other and the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Between containers of the bridge (`com.docker.network.bridge.enable_icc`).
    pub neighbours: bool,
    /// The world beyond the host; not on an `--internal` network.
    pub outside: bool,
    /// Under the host's own address (`com.docker.network.bridge.enable_ip_masquerade`).
    pub masquerade: bool,
    /// How the world reaches containers under IPv4.
    pub mode: GatewayMode,
    /// The same for IPv6.
    pub mode_v6: GatewayMode,
}

/// How the world reaches the containers of a bridge (`com.docker.network.bridge.gateway_mode_ipv4` and `…_ipv6`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GatewayMode {
    /// By published ports of the host.
    #[default]
    Nat,
    /// By these, and at the containers' own addresses by every port, if a route leads there.
    Unprotected,
    /// At the containers' own addresses by their published ports; nothing is translated or masqueraded.
    Routed,
}

impl Reach {
    /// Everybody, the world under the host's address.
    pub const OPEN: Self = Self {
        neighbours: true,
        outside: true,
        masquerade: true,
        mode: GatewayMode::Nat,
        mode_v6: GatewayMode::Nat,
    };

    fn mode_of(self, family: Family) -> GatewayMode {
        if family == Family::Ip6 { self.mode_v6 } else { self.mode }
    }

    pub(super) fn is_masqueraded(self, family: Family) -> bool {
        self.outside && self.masquerade && self.mode_of(family) != GatewayMode::Routed
    }
}

/// A transport protocol with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// `tcp` or `udp`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }

    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

/// A port of a container that the world reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Publication {
    /// Through a port of the host.
    Translated {
        /// Which transport.
        protocol: Protocol,
        /// The host's address, unspecified for every one, and its port.
        host: SocketAddrV4,
        /// The container's address and port.
        container: SocketAddrV4,
    },
    /// At the container itself: [`GatewayMode::Routed`].
    Routed {
        /// Which transport.
        protocol: Protocol,
        /// The container's address and port.
        container: SocketAddr,
    },
}

impl Publication {
    /// Which transport.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Translated { protocol, .. } | Self::Routed { protocol, .. } => *protocol,
        }
    }

    /// The container's address and port.
    #[must_use]
    pub fn container(&self) -> SocketAddr {
        match self {
            Self::Translated { container, .. } => SocketAddr::V4(*container),
            Self::Routed { container, .. } => *container,
        }
    }

    fn family(&self) -> Family {
        if self.container().is_ipv4() { Family::Ip } else { Family::Ip6 }
    }
}

/// The table anew, empty: in the same transaction the old one goes, whatever it was.
pub(super) fn table() -> Batch {
    let to = [Field::Ipv4, Field::Port];
    let batch = fresh(Family::Ip)
        .add_set(&Set::of(SELVES, &[Field::Ipv4, Field::Ipv4]))
        .add_set(&Set::map(PORTS, &[Field::Protocol, Field::Port], &to))
        .add_set(&Set::map(PORTS_AT, &[Field::Ipv4, Field::Protocol, Field::Port], &to));
    postrouting(forward(inbound(batch), Family::Ip))
}

/// The IPv6 table anew, empty.
pub(super) fn table_v6() -> Batch {
    let hook = Hook { chain_type: ChainType::Nat, at: HookPoint::Postrouting, priority: 100 };
    forward(fresh(Family::Ip6), Family::Ip6)
        .add_chain("postrouting", Some(hook))
        .add_rule("postrouting", &outward())
        .add_rule("postrouting", &into_routed())
}

/// A table with the sets that both families have.
fn fresh(family: Family) -> Batch {
    let batch = Batch::of(family, TABLE).delete_table().create_table();
    let pair = [Field::Link, Field::Link];
    let address = if family == Family::Ip6 { Field::Ipv6 } else { Field::Ipv4 };
    [BRIDGES, MASQUERADED, INTERNAL, UNPROTECTED, ROUTED]
        .iter()
        .fold(batch, |batch, set| batch.add_set(&Set::of(set, &[Field::Link])))
        .add_set(&Set::of(WITHIN, &pair))
        .add_set(&Set::verdicts(PASSAGES, &pair))
        .add_set(&Set::of(ROUTED_PORTS, &[address, Field::Protocol, Field::Port]))
}

fn outward() -> Rule {
    Rule::new().arrives_on_any(MASQUERADED).leaves_by_none_of(BRIDGES).masquerade()
}

/// Nobody else's bridge knows where a container of ours is.
fn into_routed() -> Rule {
    Rule::new().arrives_on_any(MASQUERADED).leaves_by_any(ROUTED).masquerade()
}

fn inbound(batch: Batch) -> Batch {
    use ChainType::{Filter, Nat};
    let hook = |chain_type, at, priority| Some(Hook { chain_type, at, priority });
    let published = Rule::new().is_for_this_host().verdict(Verdict::Jump("published".into()));
    // `route_localnet` on a bridge lets replies to localhost in; nobody on it may start there.
    let to_localhost = Rule::new()
        .arrives_on_any(BRIDGES)
        .address_in(Address::Destination, LOCALHOST, 8)
        .verdict(Verdict::Drop);
    batch
        .add_chain("raw", hook(Filter, HookPoint::Prerouting, -300))
        .add_rule("raw", &to_localhost)
        .add_chain("published", None)
        .add_rule("published", &Rule::new().redirect_by_address(PORTS_AT))
        .add_rule("published", &Rule::new().redirect_by_port(PORTS))
        .add_chain("prerouting", hook(Nat, HookPoint::Prerouting, -100))
        .add_rule("prerouting", &published)
        .add_chain("output", hook(Nat, HookPoint::Output, -100))
        .add_rule("output", &published)
}

fn forward(batch: Batch, family: Family) -> Batch {
    let hook = Hook { chain_type: ChainType::Filter, at: HookPoint::Forward, priority: 0 };
    let icmp = if family == Family::Ip6 { 58 } else { 1 };
    let from_inner = Rule::new().arrives_on_any(INTERNAL);
    let from_outside = Rule::new().arrives_on_none_of(BRIDGES);
    batch
        .add_chain("forward", Some(hook))
        .add_rule("forward", &Rule::new().is_established().verdict(Verdict::Accept))
        .add_rule("forward", &from_inner.leaves_by_none_of(INTERNAL).verdict(Verdict::Drop))
        .add_rule("forward", &Rule::new().is_translated().verdict(Verdict::Accept))
        .add_rule("forward", &Rule::new().decided_by_passage(PASSAGES))
        .add_rule("forward", &Rule::new().goes_to_any(family, ROUTED_PORTS).verdict(Verdict::Accept))
        .add_rule("forward", &Rule::new().protocol(icmp).leaves_by_any(ROUTED).verdict(Verdict::Accept))
        .add_rule("forward", &from_outside.leaves_by_any(UNPROTECTED).verdict(Verdict::Accept))
        .add_rule("forward", &Rule::new().leaves_by_any(BRIDGES).verdict(Verdict::Drop))
}

fn postrouting(batch: Batch) -> Batch {
    let hook = Hook { chain_type: ChainType::Nat, at: HookPoint::Postrouting, priority: 100 };
    let from_localhost =
        Rule::new().address_in(Address::Source, LOCALHOST, 8).leaves_by_any(BRIDGES).masquerade();
    // A container that calls itself by the host's port must not see itself as the caller. When
    // the kernel asks us about bridged packets, this one does not say where it came from.
    let to_itself = Rule::new().addresses_in(SELVES).masquerade();
    // A container that calls a neighbour by the host's port: the answer must pass the host again.
    let and_back = Rule::new().passes(WITHIN).is_translated().masquerade();
    batch
        .add_chain("postrouting", Some(hook))
        .add_rule("postrouting", &from_localhost)
        .add_rule("postrouting", &to_itself)
        .add_rule("postrouting", &and_back)
        .add_rule("postrouting", &outward())
        .add_rule("postrouting", &into_routed())
}

pub(super) fn add_bridge(batch: Batch, family: Family, bridge: &str, reach: Reach) -> Batch {
    elements_of(family, bridge, reach)
        .into_iter()
        .fold(batch, |batch, (set, element)| batch.add_elements(set, &[element]))
}

pub(super) fn delete_bridge(family: Family, bridge: &str, reach: Reach) -> Batch {
    elements_of(family, bridge, reach)
        .into_iter()
        .fold(Batch::of(family, TABLE), |batch, (set, element)| batch.delete_elements(set, &[element]))
}

fn elements_of(family: Family, bridge: &str, reach: Reach) -> Vec<(&'static str, Element)> {
    let link = || Element::key().link(bridge);
    let pair = || link().link(bridge);
    let passage = if reach.neighbours { Verdict::Accept } else { Verdict::Drop };
    let mut elements = vec![(BRIDGES, link()), (WITHIN, pair()), (PASSAGES, pair().verdict(passage))];
    match reach.mode_of(family) {
        _ if !reach.outside => elements.push((INTERNAL, link())),
        GatewayMode::Nat => {}
        GatewayMode::Unprotected => elements.push((UNPROTECTED, link())),
        GatewayMode::Routed => elements.push((ROUTED, link())),
    }
    if reach.is_masqueraded(family) {
        elements.push((MASQUERADED, link()));
    }
    elements
}

/// Opens those of the batch's family.
pub(super) fn publish(batch: Batch, family: Family, publications: &[Publication]) -> Batch {
    published(family, publications)
        .into_iter()
        .fold(batch, |batch, (set, elements)| batch.add_elements(set, &elements))
}

/// Closes those of the batch's family.
pub(super) fn unpublish(batch: Batch, family: Family, publications: &[Publication]) -> Batch {
    published(family, publications)
        .into_iter()
        .fold(batch, |batch, (set, elements)| batch.delete_elements(set, &elements))
}

/// Whether any of them is a matter of this family's table.
pub(super) fn concern(family: Family, publications: &[Publication]) -> bool {
    publications.iter().any(|publication| publication.family() == family)
}

/// What is put into which sets; no set is named without elements.
fn published(family: Family, publications: &[Publication]) -> BTreeMap<&'static str, Vec<Element>> {
    let mut sets: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut selves = BTreeSet::new();
    for publication in publications.iter().filter(|publication| publication.family() == family) {
        let (set, element) = element(publication);
        sets.entry(set).or_default().push(element);
        if let Publication::Translated { container, .. } = publication {
            selves.insert(*container.ip());
        }
    }
    if !selves.is_empty() {
        sets.insert(SELVES, selves.into_iter().map(|ip| Element::key().ip(ip).ip(ip)).collect());
    }
    sets
}

fn element(publication: &Publication) -> (&'static str, Element) {
    let number = publication.protocol().number();
    match publication {
        Publication::Translated { host, container, .. } => {
            let (set, key) = match host.ip().is_unspecified() {
                true => (PORTS, Element::key()),
                false => (PORTS_AT, Element::key().ip(*host.ip())),
            };
            let key = key.protocol(number).port(host.port());
            (set, key.value().ip(*container.ip()).port(container.port()))
        }
        Publication::Routed { container, .. } => {
            (ROUTED_PORTS, Element::key().address(container.ip()).protocol(number).port(container.port()))
        }
    }
}
