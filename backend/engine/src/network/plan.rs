//! What a container's wishes for a network come to: its endpoint, with addresses taken.

use std::net::IpAddr;

use bollard_stubs::models::EndpointSettings;
use drydock_networks::Cidr;
use drydock_networks::ipam::AddressError;
use drydock_networks::netlink::Mac;

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
    Settings(&'static str),
    #[error("invalid endpoint settings:\ninvalid IP address: {0}")]
    Address(String),
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

/// Whom the endpoint is for.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub container: &'a Id,
    pub name: &'a str,
    pub hostname: &'a str,
}

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
    let asked = asked_addresses(&record, settings)?;
    check(&record, settings, &asked)?;
    let mac = asked_mac(settings)?;
    let addresses = take(network, &record, &asked)?;
    let endpoint = Endpoint {
        id: Id::random(),
        network: record.id.clone(),
        container: who.container.clone(),
        container_name: who.name.to_owned(),
        mac: mac.unwrap_or_else(|| mac_of(&addresses)),
        names: if record.is_default_bridge() { Vec::new() } else { names(who, settings) },
        addresses,
        link,
        gateway_priority: settings.gw_priority.unwrap_or(0),
        links: names::links(settings)?,
    };
    state.plug(&endpoint);
    Ok(endpoint)
}

fn asked_addresses(record: &Record, settings: &EndpointSettings) -> Result<Vec<IpAddr>, PlanError> {
    let Some(config) = &settings.ipam_config else { return Ok(Vec::new()) };
    let texts = [&config.ipv4_address, &config.ipv6_address];
    let asked: Vec<&String> = texts.into_iter().flatten().filter(|text| !text.is_empty()).collect();
    if !asked.is_empty() && record.driver == Driver::Null {
        return Err(PlanError::Settings(
            "user specified IP address is supported on user defined networks only",
        ));
    }
    asked.into_iter().map(|text| text.parse().map_err(|_| PlanError::Address(text.clone()))).collect()
}

fn check(record: &Record, settings: &EndpointSettings, asked: &[IpAddr]) -> Result<(), PlanError> {
    let has_aliases = settings.aliases.as_ref().is_some_and(|aliases| !aliases.is_empty());
    let why = if record.is_predefined() && has_aliases {
        "network-scoped alias is supported only for containers in user defined networks"
    } else if record.is_predefined() && !asked.is_empty() {
        "user specified IP address is supported on user defined networks only"
    } else if !asked.is_empty() && !record.chosen_subnet {
        "user specified IP address is supported only when connecting to networks with user configured subnets"
    } else {
        return Ok(());
    };
    Err(PlanError::Settings(why))
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

fn mac_of(addresses: &[Cidr]) -> Mac {
    let v4 = addresses.iter().find_map(|address| match address.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    });
    v4.map_or(Mac::ZERO, Mac::of_ipv4)
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
    if record.internal { None } else { record.subnet(is_ipv4)?.gateway }
}
