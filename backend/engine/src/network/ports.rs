//! From `-p` to leases and packet rules.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;

use bollard_stubs::models::PortBinding;
use drydock_networks::NetNs;
use drydock_networks::bridge::{Protocol, Publication};
use drydock_networks::ports::{LeaseError, PortLease, Ports};

use super::PortMap;

/// A port could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("invalid port specification: {0}")]
    Port(String),
    #[error("invalid IP address in port binding: {0}")]
    Address(String),
    #[error("cannot publish {0}: this engine publishes ports on IPv4 addresses only")]
    Ipv6(String),
    #[error("protocol {0} cannot be published: only tcp and udp can")]
    Protocol(String),
    #[error(transparent)]
    Lease(LeaseError),
    /// moby's words for a port that a program of the host has.
    #[error("failed to bind host port for {host}:{host_port}:{container}:{container_port}/{protocol}: {why}")]
    Bind {
        host: Ipv4Addr,
        host_port: u16,
        container: Ipv4Addr,
        container_port: u16,
        protocol: &'static str,
        why: String,
    },
}

/// What was leased, and how to show it.
#[derive(Debug, Default)]
pub struct Published {
    pub leases: Vec<PortLease>,
    pub publications: Vec<Publication>,
    pub ports: PortMap,
}

/// Leases every port that `wanted` publishes, or none.
pub fn lease(
    ports: &Ports,
    host: &NetNs,
    wanted: &PortMap,
    container: Ipv4Addr,
    default_host: Ipv4Addr,
) -> Result<Published, PublishError> {
    let mut published = Published::default();
    let mut keys: Vec<_> = wanted.iter().collect();
    keys.sort_by_key(|(key, _)| (*key).clone());
    for (key, bindings) in keys {
        let bindings = bindings.as_deref().unwrap_or_default();
        let mut bound = Vec::with_capacity(bindings.len());
        for binding in bindings {
            let target = Target::parse(key)?;
            let lease = lease_one(ports, host, target, binding, container, default_host)?;
            bound.push(PortBinding {
                host_ip: Some(lease.host().to_string()),
                host_port: Some(lease.port().to_string()),
            });
            published.publications.push(Publication {
                host: lease.host(),
                host_port: lease.port(),
                protocol: lease.protocol(),
                container,
                container_port: target.port,
            });
            published.leases.push(lease);
        }
        published.ports.insert(key.clone(), (!bound.is_empty()).then_some(bound));
    }
    Ok(published)
}

/// Ports that are exposed but lead nowhere.
pub fn unpublished(wanted: &PortMap) -> PortMap {
    wanted.keys().map(|key| (key.clone(), None)).collect()
}

/// `80/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Target {
    port: u16,
    protocol: Protocol,
}

impl Target {
    fn parse(text: &str) -> Result<Self, PublishError> {
        let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            other => return Err(PublishError::Protocol(other.to_owned())),
        };
        let port = port.parse().map_err(|_| PublishError::Port(text.to_owned()))?;
        Ok(Self { port, protocol })
    }
}

fn lease_one(
    ports: &Ports,
    host: &NetNs,
    target: Target,
    binding: &PortBinding,
    container: Ipv4Addr,
    default_host: Ipv4Addr,
) -> Result<PortLease, PublishError> {
    let address = host_address(binding, default_host)?;
    let text = binding.host_port.as_deref().unwrap_or_default();
    let leased = match port_range(text)? {
        None => ports.lease_any(host, target.protocol, address),
        Some(range) if range.start() == range.end() => {
            ports.lease(host, target.protocol, address, *range.start())
        }
        Some(range) => ports.lease_from(host, target.protocol, address, range),
    };
    leased.map_err(|error| match error {
        LeaseError::Bind { host, port, protocol, source } => PublishError::Bind {
            host,
            host_port: port,
            container,
            container_port: target.port,
            protocol: protocol.name(),
            why: as_go_says(&source),
        },
        error => PublishError::Lease(error),
    })
}

fn host_address(binding: &PortBinding, default_host: Ipv4Addr) -> Result<Ipv4Addr, PublishError> {
    match binding.host_ip.as_deref().unwrap_or_default() {
        "" => Ok(default_host),
        text => match text.parse() {
            Ok(IpAddr::V4(ip)) => Ok(ip),
            Ok(IpAddr::V6(_)) => Err(PublishError::Ipv6(text.to_owned())),
            Err(_) => Err(PublishError::Address(text.to_owned())),
        },
    }
}

/// `8080`, `8000-8010`; empty or 0: any.
fn port_range(text: &str) -> Result<Option<RangeInclusive<u16>>, PublishError> {
    let invalid = || PublishError::Port(text.to_owned());
    let port = |text: &str| text.parse::<u16>().map_err(|_| invalid());
    match text.split_once('-') {
        None if text.is_empty() || text == "0" => Ok(None),
        None => port(text).map(|port| Some(port..=port)),
        Some((first, last)) => {
            let range = port(first)?..=port(last)?;
            if range.is_empty() { Err(invalid()) } else { Ok(Some(range)) }
        }
    }
}

/// The kernel's words without Rust's number, and small at the start.
fn as_go_says(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_ports_are_read() {
        for (text, expected) in [
            ("", Some(None)),
            ("0", Some(None)),
            ("80", Some(Some(80..=80))),
            ("80-82", Some(Some(80..=82))),
            ("82-80", None),
            ("x", None),
            ("70000", None),
        ] {
            assert_eq!(port_range(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn container_ports_are_read() {
        assert_eq!(Target::parse("53/udp").unwrap(), Target { port: 53, protocol: Protocol::Udp });
        assert_eq!(Target::parse("53").unwrap().protocol, Protocol::Tcp);
        assert!(matches!(Target::parse("9/sctp"), Err(PublishError::Protocol(_))));
    }

    #[test]
    fn refusals_read_as_dockers() {
        let error = std::io::Error::from_raw_os_error(98);
        assert_eq!(as_go_says(&error), "address already in use");
    }
}
