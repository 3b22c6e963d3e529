//! How sessions reach the world, and how nothing else is reached: the host's half.
//!
//! Each session has a veth to the host when the host has a default route. One nf_tables table of ours on the host lets
//! its packets out to the internet and drops them on their way to the host itself, to private networks around it
//! and to other sessions. The other half, address translation, is in the session's own namespace.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use drydock_networks::netlink::{Changes, NetlinkError, NewLink, Route};
use drydock_networks::nft::{
    Address, Batch, ChainType, Element, Field, Hook, HookPoint, Nft, Rule, Set, Verdict,
};
use drydock_networks::{Cidr, NetNs};

use crate::places::Places;
use crate::table::{Subnet, UPLINK_PREFIX};

/// The set of all sessions' host-side links.
const UPLINKS: &str = "uplinks";

/// The link's name inside the session's namespace.
pub const INSIDE: &str = "uplink";

/// Networks that are not the internet: this host, private, shared, link-local, test, multicast, reserved.
const NOT_THE_INTERNET: [(Ipv4Addr, u8); 9] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    #[error("cannot read the host's routes")]
    Routes { source: NetlinkError },
    #[error("cannot let the host forward packets")]
    Forwarding { source: io::Error },
    #[error("cannot set the host's packet rules (nf_tables)")]
    Rules { source: NetlinkError },
    #[error("cannot make the session's link to the host")]
    Link { source: NetlinkError },
    #[error("cannot set the session's packet rules (nf_tables)")]
    Translation { source: NetlinkError },
}

/// The host's networks, and whether there is a world to reach.
#[derive(Debug, Clone)]
pub struct Surroundings {
    pub routes: Vec<Cidr>,
    pub has_default_route: bool,
}

impl Surroundings {
    pub fn look() -> Result<Self, UplinkError> {
        let failed = |source| UplinkError::Routes { source };
        let routes = Route::open().and_then(|mut route| route.routes()).map_err(failed)?;
        let is_default = |subnet: &Cidr| subnet.prefix() == 0 && subnet.ip().is_ipv4();
        let has_default_route = routes.iter().any(|route| is_default(&route.subnet));
        Ok(Self { routes: routes.iter().map(|route| route.subnet).collect(), has_default_route })
    }
}

/// The host-side link of the session with this number.
pub fn link_name(places: &Places, number: u32) -> String {
    format!("{}{number}", places.link_prefix())
}

/// Makes the host's table anew, for the sessions of these numbers, and turns forwarding on. One transaction: there is no
/// moment without rules.
pub fn prepare(places: &Places, sessions: &[u32]) -> Result<(), UplinkError> {
    forward_packets().map_err(|source| UplinkError::Forwarding { source })?;
    let hook = |chain_type, at, priority| Some(Hook { chain_type, at, priority });
    let from_nodes = || Rule::new().arrives_on_any(UPLINKS);
    let mut batch = Batch::new(&places.table())
        .delete_table()
        .create_table()
        .add_set(&Set::of(UPLINKS, &[Field::Link]))
        .add_chain("input", hook(ChainType::Filter, HookPoint::Input, 0))
        .add_chain("forward", hook(ChainType::Filter, HookPoint::Forward, 0))
        .add_chain("postrouting", hook(ChainType::Nat, HookPoint::Postrouting, 100))
        .add_rule("input", &from_nodes().verdict(Verdict::Drop))
        .add_rule("forward", &from_nodes().leaves_by_any(UPLINKS).verdict(Verdict::Drop));
    for (network, prefix) in NOT_THE_INTERNET {
        let rule = from_nodes().address_in(Address::Destination, network, prefix).verdict(Verdict::Drop);
        batch = batch.add_rule("forward", &rule);
    }
    let answers = Rule::new().leaves_by_any(UPLINKS).is_established().verdict(Verdict::Accept);
    // Nobody around the host begins a conversation with a session.
    let strangers = Rule::new().leaves_by_any(UPLINKS).verdict(Verdict::Drop);
    batch = batch.add_rule("forward", &answers).add_rule("forward", &strangers);
    let uplinks = Ipv4Addr::new(198, 18, 0, 0);
    let translate =
        Rule::new().address_in(Address::Source, uplinks, 15).leaves_by_none_of(UPLINKS).masquerade();
    let links: Vec<Element> = sessions.iter().map(|number| element(places, *number)).collect();
    if !links.is_empty() {
        batch = batch.add_elements(UPLINKS, &links);
    }
    commit_on_host(batch.add_rule("postrouting", &translate))
}

fn commit_on_host(batch: Batch) -> Result<(), UplinkError> {
    Nft::open().and_then(|mut nft| nft.commit(batch)).map_err(|source| UplinkError::Rules { source })
}

fn forward_packets() -> io::Result<()> {
    const SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";
    match fs::read_to_string(SWITCH)?.trim() {
        "1" => Ok(()),
        _ => fs::write(SWITCH, "1"),
    }
}

/// Connects a session's namespace to the host. The rules come first, so that no packet passes without them.
pub fn connect(places: &Places, subnet: Subnet, number: u32, session: &NetNs) -> Result<(), UplinkError> {
    let name = link_name(places, number);
    allow(places, number)?;
    let (host, inside) = subnet.uplink();
    let link = |source| UplinkError::Link { source };
    let mut outside = Route::open().map_err(link)?;
    outside.apply(Changes::new().add_link(&NewLink::veth(&name, INSIDE, Some(session)))).map_err(link)?;
    let index = outside.index_of(&name).map_err(link)?;
    outside.apply(Changes::new().add_address(index, end(host)).set_up(index)).map_err(link)?;
    let mut within = Route::open_in(session).map_err(link)?;
    let index = within.index_of(INSIDE).map_err(link)?;
    let changes = Changes::new().add_address(index, end(inside)).set_up(index);
    within.apply(changes.add_default_route(IpAddr::V4(host))).map_err(link)?;
    translate(session)
}

/// Puts a session's link under the host's rules.
fn allow(places: &Places, number: u32) -> Result<(), UplinkError> {
    commit_on_host(Batch::new(&places.table()).add_elements(UPLINKS, &[element(places, number)]))
}

fn element(places: &Places, number: u32) -> Element {
    Element::key().link(&link_name(places, number))
}

fn end(address: Ipv4Addr) -> Cidr {
    Cidr::new(address, UPLINK_PREFIX).expect("a /30 is an IPv4 prefix")
}

/// What leaves a session carries the address of its uplink: the host knows no route to nodes.
fn translate(session: &NetNs) -> Result<(), UplinkError> {
    let postrouting = Hook { chain_type: ChainType::Nat, at: HookPoint::Postrouting, priority: 100 };
    let batch = Batch::new("drydock")
        .create_table()
        .add_chain("postrouting", Some(postrouting))
        .add_rule("postrouting", &Rule::new().leaves_by(INSIDE).masquerade());
    let commit = Nft::open_in(session).and_then(|mut nft| nft.commit(batch));
    commit.map_err(|source| UplinkError::Translation { source })
}

/// Takes the host-side link of a session away, and then its place in the rules; no error when there is none.
pub fn disconnect(places: &Places, number: u32) -> Result<(), NetlinkError> {
    let missing_is_fine = |outcome: Result<(), NetlinkError>| match outcome {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    };
    let name = link_name(places, number);
    missing_is_fine(Route::open()?.apply(Changes::new().delete_link_named(&name)))?;
    let batch = Batch::new(&places.table()).delete_elements(UPLINKS, &[element(places, number)]);
    missing_is_fine(Nft::open()?.commit(batch))
}

/// Removes every link of ours on the host but those `kept`.
pub fn sweep(places: &Places, kept: &[String]) -> Result<(), NetlinkError> {
    let mut route = Route::open()?;
    let prefix = places.link_prefix();
    for link in route.links()?.iter().filter(|link| link.name.starts_with(&prefix)) {
        if !kept.contains(&link.name) {
            route.apply(Changes::new().delete_link(link.index))?;
        }
    }
    Ok(())
}

/// Removes the host's table; no error when there is none.
pub fn remove_table(places: &Places) -> Result<(), NetlinkError> {
    Nft::open()?.commit(Batch::new(&places.table()).delete_table())
}
