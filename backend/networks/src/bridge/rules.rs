//! The packet rules of all bridges, as one table whose chains never change: a network or a
//! published port is only ever an element put in a set or taken out of it.
//!
//! ```text
//! prerouting, output  for an address of this host ──▶ published: to the container the port belongs to
//! forward             established, translated ─▶ accept; within a bridge ─▶ as its network says;
//!                     into a bridge from anywhere else ─▶ drop; out of an internal one ─▶ drop
//! postrouting         masquerade: from localhost into a bridge; translated back into the bridge it
//!                     came from; out of a bridge to the world
//! ```
//!
//! IPv6 has a table of the same name with `forward` and `postrouting` alone: bridges with IPv6 are isolated
//! and masqueraded the same way; ports are published there by a listener, not by a rule.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use crate::nft::{Address, Batch, ChainType, Element, Family, Field, Hook, HookPoint, Rule, Set, Verdict};

/// The one table of ours in a namespace.
pub const TABLE: &str = "drydock";

const BRIDGES: &str = "bridges";
const MASQUERADED: &str = "masqueraded";
const INTERNAL: &str = "internal";
const WITHIN: &str = "within";
const PASSAGES: &str = "passages";
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
    /// The same for IPv6.
    pub masquerade_v6: bool,
}

impl Reach {
    /// Everybody, the world under the host's address.
    pub const OPEN: Self = Self { neighbours: true, outside: true, masquerade: true, masquerade_v6: true };

    fn is_masqueraded(self, family: Family) -> bool {
        match family {
            Family::Ip => self.masquerade,
            Family::Ip6 => self.masquerade_v6,
            // Frames are not translated.
            Family::Bridge => false,
        }
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

/// A port of the host that leads to a port of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Publication {
    /// The host's address; unspecified: every one.
    pub host: Ipv4Addr,
    /// The host's port.
    pub host_port: u16,
    /// Which transport.
    pub protocol: Protocol,
    /// The container's address.
    pub container: Ipv4Addr,
    /// The container's port.
    pub container_port: u16,
}

/// The table anew, empty: in the same transaction the old one goes, whatever it was.
pub(super) fn table() -> Batch {
    let to = [Field::Ipv4, Field::Port];
    let batch = fresh(Family::Ip)
        .add_set(&Set::of(SELVES, &[Field::Ipv4, Field::Ipv4]))
        .add_set(&Set::map(PORTS, &[Field::Protocol, Field::Port], &to))
        .add_set(&Set::map(PORTS_AT, &[Field::Ipv4, Field::Protocol, Field::Port], &to));
    postrouting(forward(inbound(batch)))
}

/// The IPv6 table anew, empty.
pub(super) fn table_v6() -> Batch {
    let hook = Hook { chain_type: ChainType::Nat, at: HookPoint::Postrouting, priority: 100 };
    forward(fresh(Family::Ip6)).add_chain("postrouting", Some(hook)).add_rule("postrouting", &outward())
}

/// A table with the sets that both families have.
fn fresh(family: Family) -> Batch {
    let batch = Batch::of(family, TABLE).delete_table().create_table();
    let pair = [Field::Link, Field::Link];
    [BRIDGES, MASQUERADED, INTERNAL]
        .iter()
        .fold(batch, |batch, set| batch.add_set(&Set::of(set, &[Field::Link])))
        .add_set(&Set::of(WITHIN, &pair))
        .add_set(&Set::verdicts(PASSAGES, &pair))
}

fn outward() -> Rule {
    Rule::new().arrives_on_any(MASQUERADED).leaves_by_none_of(BRIDGES).masquerade()
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

fn forward(batch: Batch) -> Batch {
    let hook = Hook { chain_type: ChainType::Filter, at: HookPoint::Forward, priority: 0 };
    batch
        .add_chain("forward", Some(hook))
        .add_rule("forward", &Rule::new().is_established().verdict(Verdict::Accept))
        .add_rule("forward", &Rule::new().is_translated().verdict(Verdict::Accept))
        .add_rule("forward", &Rule::new().decided_by_passage(PASSAGES))
        .add_rule("forward", &Rule::new().leaves_by_any(BRIDGES).verdict(Verdict::Drop))
        .add_rule("forward", &Rule::new().arrives_on_any(INTERNAL).verdict(Verdict::Drop))
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
    if !reach.outside {
        elements.push((INTERNAL, link()));
    } else if reach.is_masqueraded(family) {
        elements.push((MASQUERADED, link()));
    }
    elements
}

pub(super) fn publish(batch: Batch, publications: &[Publication]) -> Batch {
    published(publications)
        .into_iter()
        .filter(|(_, elements)| !elements.is_empty())
        .fold(batch, |batch, (set, elements)| batch.add_elements(set, &elements))
}

pub(super) fn unpublish(batch: Batch, publications: &[Publication]) -> Batch {
    published(publications)
        .into_iter()
        .filter(|(_, elements)| !elements.is_empty())
        .fold(batch, |batch, (set, elements)| batch.delete_elements(set, &elements))
}

fn published(publications: &[Publication]) -> [(&'static str, Vec<Element>); 3] {
    let (everywhere, at): (Vec<_>, Vec<_>) =
        publications.iter().partition(|publication| publication.host.is_unspecified());
    let containers: BTreeSet<_> = publications.iter().map(|publication| publication.container).collect();
    let selves = containers.into_iter().map(|ip| Element::key().ip(ip).ip(ip)).collect();
    [
        (PORTS, everywhere.into_iter().map(element).collect()),
        (PORTS_AT, at.into_iter().map(element).collect()),
        (SELVES, selves),
    ]
}

fn element(publication: &Publication) -> Element {
    let key = Element::key();
    let key = if publication.host.is_unspecified() { key } else { key.ip(publication.host) };
    key.protocol(publication.protocol.number())
        .port(publication.host_port)
        .value()
        .ip(publication.container)
        .port(publication.container_port)
}
