//! What `iptables` shows of bridges and published ports, and the chain `DOCKER-USER`.
//!
//! The tables of `iptables` can hold no sets, so the rules that decide are in a table of our own (see
//! [`super::rules`]). Those here say the same in the words of `iptables`, for people who look. They are asked after
//! ours and translate nothing more, since the kernel translates a connection once; what they accept is kept from a policy
//! `DROP` that somebody, such as another engine, gave the chain `FORWARD`. That they are asked after ours is why the
//! chains must be there first: of two chains of one priority the younger is asked first.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::rules::{GatewayMode, Protocol};
use super::{Bridge, BridgeError, Host, Publication};
use crate::nft::{Address, Batch, ChainType, Family, Hook, HookPoint, Nft, Port, Rule, Verdict};

const FILTER: &str = "filter";
const NAT: &str = "nat";
/// People's own rules: made, asked first, and never looked into.
const USER: &str = "DOCKER-USER";
const PORTS: &str = "DOCKER";
const ICMP: u8 = 1;
const OUTWARD: &str = "DOCKER-POSTROUTING";

impl Host {
    /// Makes the chains that are not there. To be called before [`Host::write_rules`].
    pub fn ensure_iptables_chains(&self) -> Result<(), BridgeError> {
        let mut nft = Nft::open_in(&self.namespace).map_err(BridgeError::Rules)?;
        if !nft.has_chain(FILTER, USER).map_err(BridgeError::Rules)? {
            nft.commit(filter_chains()).map_err(BridgeError::Rules)?;
        }
        if !nft.has_chain(NAT, OUTWARD).map_err(BridgeError::Rules)? {
            nft.commit(nat_chains()).map_err(BridgeError::Rules)?;
        }
        Ok(())
    }

    /// Writes what is to be shown anew.
    pub fn show_in_iptables(&self, bridges: &[Bridge], ports: &[Publication]) -> Result<(), BridgeError> {
        self.commit_by(&self.shown, filter(bridges, ports))?;
        self.commit_by(&self.shown, nat(bridges, ports))
    }
}

fn jump(rule: Rule, chain: &str) -> Rule {
    rule.counter().verdict(Verdict::Jump(chain.to_owned()))
}

fn filter_chains() -> Batch {
    let hook = Hook { chain_type: ChainType::Filter, at: HookPoint::Forward, priority: 0 };
    Batch::new(FILTER)
        .create_table()
        .add_chain("FORWARD", Some(hook))
        .add_chain(USER, None)
        .add_chain(PORTS, None)
        .insert_rule("FORWARD", &jump(Rule::new(), PORTS))
        .insert_rule("FORWARD", &jump(Rule::new(), USER))
}

fn nat_chains() -> Batch {
    let hook = |at, priority| Some(Hook { chain_type: ChainType::Nat, at, priority });
    let to_this_host = || Rule::new().is_for_this_host_as_iptables();
    Batch::new(NAT)
        .create_table()
        .add_chain("PREROUTING", hook(HookPoint::Prerouting, -100))
        .add_chain("OUTPUT", hook(HookPoint::Output, -100))
        .add_chain("POSTROUTING", hook(HookPoint::Postrouting, 100))
        .add_chain(PORTS, None)
        .add_chain(OUTWARD, None)
        .add_rule("PREROUTING", &jump(to_this_host(), PORTS))
        .add_rule("OUTPUT", &jump(to_this_host(), PORTS))
        .add_rule("POSTROUTING", &jump(Rule::new(), OUTWARD))
}

fn filter(bridges: &[Bridge], ports: &[Publication]) -> Batch {
    let opened = |port: &Publication| {
        let SocketAddr::V4(container) = port.container() else { return None };
        let rule = Rule::new().address_in(Address::Destination, *container.ip(), 32);
        let rule = match bridge_of(bridges, *container.ip()) {
            Some(bridge) => rule.leaves_by(&bridge.name),
            None => rule,
        };
        Some(leads_to(rule, port.protocol(), container.port()).counter().verdict(Verdict::Accept))
    };
    let batch = Batch::new(FILTER).flush_chain(PORTS);
    let batch = bridges.iter().fold(batch, |batch, bridge| {
        let back = Rule::new().leaves_by(&bridge.name).is_established_as_iptables();
        batch.add_rule(PORTS, &back.counter().verdict(Verdict::Accept))
    });
    let batch = ports.iter().filter_map(opened).fold(batch, |batch, rule| batch.add_rule(PORTS, &rule));
    let batch = bridges.iter().fold(batch, |batch, bridge| {
        let inward = Rule::new().leaves_by(&bridge.name);
        match bridge.reach.mode {
            GatewayMode::Nat => batch,
            GatewayMode::Unprotected => batch.add_rule(PORTS, &inward.counter().verdict(Verdict::Accept)),
            GatewayMode::Routed => {
                batch.add_rule(PORTS, &inward.protocol(ICMP).counter().verdict(Verdict::Accept))
            }
        }
    });
    bridges.iter().fold(batch, |batch, bridge| {
        let rule = Rule::new().arrives_on(&bridge.name);
        let rule = if bridge.reach.outside { rule } else { rule.leaves_by(&bridge.name) };
        batch.add_rule(PORTS, &rule.counter().verdict(Verdict::Accept))
    })
}

fn nat(bridges: &[Bridge], ports: &[Publication]) -> Batch {
    let batch = Batch::new(NAT).flush_chain(PORTS).flush_chain(OUTWARD);
    let ports = ports.iter().filter_map(|port| match port {
        Publication::Translated { protocol, host, container } => Some((*protocol, *host, *container)),
        Publication::Routed { .. } => None,
    });
    // A port of one address goes before the same port of every address.
    let (everywhere, at): (Vec<_>, Vec<_>) = ports.partition(|(_, host, _)| host.ip().is_unspecified());
    let batch = at.iter().chain(&everywhere).fold(batch, |batch, (protocol, host, container)| {
        let rule = match host.ip().is_unspecified() {
            true => Rule::new(),
            false => Rule::new().address_in(Address::Destination, *host.ip(), 32),
        };
        let rule = leads_to(rule, *protocol, host.port()).counter();
        batch.add_rule(PORTS, &rule.translate_as_iptables(*container.ip(), container.port()))
    });
    // From one bridge to another nothing is masqueraded.
    let batch = bridges.iter().fold(batch, |batch, bridge| {
        let inward = Rule::new().leaves_by(&bridge.name).counter().verdict(Verdict::Return);
        batch.add_rule(OUTWARD, &inward)
    });
    bridges.iter().filter_map(masqueraded).fold(batch, |batch, rule| batch.add_rule(OUTWARD, &rule))
}

fn masqueraded(bridge: &Bridge) -> Option<Rule> {
    let subnet = bridge.gateway?.network();
    match subnet.ip() {
        IpAddr::V4(ip) if bridge.reach.is_masqueraded(Family::Ip) => Some(
            Rule::new()
                .address_in(Address::Source, ip, subnet.prefix())
                .leaves_by_other_than(&bridge.name)
                .counter()
                .masquerade_as_iptables(),
        ),
        _ => None,
    }
}

fn leads_to(rule: Rule, protocol: Protocol, port: u16) -> Rule {
    rule.protocol(protocol.number()).port(Port::Destination, port)
}

fn bridge_of(bridges: &[Bridge], container: Ipv4Addr) -> Option<&Bridge> {
    let container = IpAddr::V4(container);
    bridges.iter().find(|bridge| bridge.gateway.is_some_and(|gateway| gateway.network().contains(container)))
}
