//! What a container's wishes for a network come to: its endpoint, with addresses taken.

use std::net::IpAddr;

use bollard_stubs::models::EndpointSettings;
use drydock_networks::Cidr;
use drydock_networks::ipam::AddressError;
use drydock_networks::netlink::Mac;

use super::default_bridge::way_out_name;
use super::names::{self, LinkError};
use super::record::{Driver, Record};
use super::state::{Endpoint, Network, State};
use crate::id::Id;

/// An endpoint cannot be as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    #[error("network {0} is being removed")]
    Leaving(String),
    #[error("invalid endpoint settings:\n{0}")]
    Settings(Faults),
    #[error("cannot create endpoint on configuration-only network")]
    Configuration,
    #[error("invalid MAC address: {0}")]
    Mac(String),
    #[error("{source}: {network} ({id})")]
    Exhausted { network: String, id: Id, source: AddressError },
    #[error(transparent)]
    Taken(AddressError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("container cannot be connected to host network or disconnected from host network")]
    Host,
}

/// All that is wrong with an endpoint's settings; one alone has no asterisk, as in moby.
#[derive(Debug)]
pub struct Faults(Vec<String>);

impl std::fmt::Display for Faults {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_slice() {
            [only] => formatter.write_str(only),
            all => formatter
                .write_str(&all.iter().map(|fault| format!("* {fault}")).collect::<Vec<_>>().join("\n")),
        }
    }
}

/// Whom the endpoint is for.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub container: &'a Id,
    pub name: &'a str,
    pub hostname: &'a str,
}

/// The driver option with which a container's link gets its name.
const IFNAME: &str = "com.docker.network.endpoint.ifname";

/// Takes what the settings ask of the network and puts the endpoint on it. `link` is its name in
/// the sandbox.
pub fn endpoint(
    state: &mut State,
    reference: &str,
    who: Who<'_>,
    settings: &EndpointSettings,
    link: String,
) -> Result<Endpoint, PlanError> {
    let network = state.find_mut(reference).ok_or_else(|| PlanError::NoSuchNetwork(reference.to_owned()))?;
    let record = network.record.clone();
    if network.is_leaving {
        return Err(PlanError::Leaving(record.name.clone()));
    }
    if record.driver == Driver::Host {
        return Err(PlanError::Host);
    }
    if record.config_only {
        return Err(PlanError::Configuration);
    }
    check(&record, settings)?;
    let asked = asked_addresses(settings);
    let mac = asked_mac(settings)?;
    let addresses = take(network, &record, &asked)?;
    let local = settings.ipam_config.iter().flat_map(|config| config.link_local_ips.iter().flatten());
    let link = settings.driver_opts.as_ref().and_then(|opts| opts.get(IFNAME)).cloned().unwrap_or(link);
    let endpoint = Endpoint {
        id: Id::random(),
        network: record.id.clone(),
        container: who.container.clone(),
        container_name: who.name.to_owned(),
        mac: mac.unwrap_or_else(|| mac_of(&addresses)),
        names: if !record.has_names() || record.ingress { Vec::new() } else { names(who, settings) },
        addresses,
        link_local: local.filter_map(|text| Cidr::new(text.parse::<IpAddr>().ok()?, 16)).collect(),
        link,
        gateway_priority: settings.gw_priority.unwrap_or(0),
        links: names::links(settings)?,
    };
    state.plug(&endpoint);
    Ok(endpoint)
}

fn asked_addresses(settings: &EndpointSettings) -> Vec<IpAddr> {
    let Some(config) = &settings.ipam_config else { return Vec::new() };
    [&config.ipv4_address, &config.ipv6_address]
        .into_iter()
        .flatten()
        .filter_map(|text| text.parse().ok())
        .collect()
}

/// Whether a network can give what the settings ask of it; every fault is told, in moby's words.
pub fn check(record: &Record, settings: &EndpointSettings) -> Result<(), PlanError> {
    let mut faults = Vec::new();
    let has_aliases = settings.aliases.as_ref().is_some_and(|aliases| !aliases.is_empty());
    if (record.is_predefined()) && has_aliases {
        faults.push(
            "network-scoped alias is supported only for containers in user defined networks".to_owned(),
        );
    }
    let config = settings.ipam_config.clone().unwrap_or_default();
    let asked = [(true, config.ipv4_address), (false, config.ipv6_address)];
    let asked: Vec<(bool, String)> = asked
        .into_iter()
        .filter_map(|(is_ipv4, text)| Some((is_ipv4, text?)))
        .filter(|(_, text)| !text.is_empty())
        .collect();
    for (is_ipv4, text) in &asked {
        let family = if *is_ipv4 { "IPv4" } else { "IPv6" };
        if text.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4() == *is_ipv4) {
            continue;
        }
        faults.push(format!("invalid {family} address: {text}"));
    }
    for text in config.link_local_ips.iter().flatten() {
        if text.parse::<IpAddr>().is_err() {
            faults.push(format!("invalid link-local IP address: {text}"));
        }
    }
    if !asked.is_empty() && record.is_predefined() {
        faults.push("user specified IP address is supported on user defined networks only".to_owned());
    }
    // A swarm's managers choose the addresses of its networks.
    for (is_ipv4, text) in asked.iter().filter(|_| record.driver != Driver::Overlay) {
        faults.extend(place(record, *is_ipv4, text));
    }
    if faults.is_empty() { Ok(()) } else { Err(PlanError::Settings(Faults(faults))) }
}

/// Where a fixed address may lie: in a subnet that somebody chose.
fn place(record: &Record, is_ipv4: bool, text: &str) -> Option<String> {
    let mut chosen = record.asked.iter().filter(|asked| asked.cidr.ip().is_ipv4() == is_ipv4).peekable();
    if chosen.peek().is_none() {
        return Some(
            "user specified IP address is supported only when connecting to networks with user configured subnets"
                .to_owned(),
        );
    }
    let ip = text.parse::<IpAddr>().ok();
    let is_inside = ip.is_some_and(|ip| chosen.any(|asked| asked.cidr.contains(ip)));
    (!is_inside).then(|| format!("no configured subnet or ip-range contain the IP address {text}"))
}

fn asked_mac(settings: &EndpointSettings) -> Result<Option<Mac>, PlanError> {
    match settings.mac_address.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| PlanError::Mac(text.to_owned())),
    }
}

fn take(network: &mut Network, record: &Record, asked: &[IpAddr]) -> Result<Vec<Cidr>, PlanError> {
    network.take_addresses(asked).map_err(|source| match source {
        AddressError::Exhausted => {
            PlanError::Exhausted { network: record.name.clone(), id: record.id.clone(), source }
        }
        source => PlanError::Taken(source),
    })
}

/// Drawn from the address, which is nobody else's on the network.
fn mac_of(addresses: &[Cidr]) -> Mac {
    let of = |address: &Cidr| match address.ip() {
        IpAddr::V4(ip) => Mac::of_ipv4(ip),
        IpAddr::V6(ip) => {
            let [.., a, b, c, d] = ip.octets();
            Mac::of_ipv4([a, b, c, d].into())
        }
    };
    addresses.first().map_or(Mac::ZERO, of)
}

/// In moby's order: name, aliases, short id, host name.
fn names(who: Who<'_>, settings: &EndpointSettings) -> Vec<String> {
    let aliases = settings.aliases.iter().flatten().map(String::as_str);
    let all = [who.name].into_iter().chain(aliases).chain([who.container.short(), who.hostname]);
    let mut names: Vec<String> = Vec::new();
    for name in all.filter(|name| !name.is_empty()) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

/// What `inspect` shows of an endpoint beside what was asked for.
pub fn settings(asked: &EndpointSettings, endpoint: &Endpoint, record: &Record) -> EndpointSettings {
    let address = |is_ipv4| endpoint.address(is_ipv4);
    let text = |address: Option<Cidr>| Some(address.map_or_else(String::new, |it| it.ip().to_string()));
    let prefix = |address: Option<Cidr>| Some(address.map_or(0, |it| i64::from(it.prefix())));
    let gateway = |is_ipv4| {
        let gateway = gateway(record, is_ipv4).filter(|_| address(is_ipv4).is_some());
        Some(gateway.map_or_else(String::new, |ip| ip.to_string()))
    };
    let has_addresses = !endpoint.addresses.is_empty();
    EndpointSettings {
        mac_address: Some(if has_addresses { endpoint.mac.to_string() } else { String::new() }),
        network_id: Some(endpoint.network.to_string()),
        endpoint_id: Some(endpoint.id.to_string()),
        gateway: gateway(true),
        ip_address: text(address(true)),
        ip_prefix_len: prefix(address(true)),
        ipv6_gateway: gateway(false),
        global_ipv6_address: text(address(false)),
        global_ipv6_prefix_len: prefix(address(false)),
        dns_names: (!endpoint.names.is_empty()).then(|| endpoint.names.clone()),
        ..asked.clone()
    }
}

/// Where packets to the world leave a network, if they may.
pub fn gateway(record: &Record, is_ipv4: bool) -> Option<IpAddr> {
    // The way out of an overlay network is another; see [`super::gateway`].
    if record.internal || record.driver == Driver::Overlay {
        return None;
    }
    let subnet = record.subnet(is_ipv4)?;
    subnet.auxiliary.get(way_out_name(is_ipv4)).copied().or(subnet.gateway)
}
