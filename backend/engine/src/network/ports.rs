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
    #[error("forward port {port} of [{host}]: {source}")]
    Forward { host: IpAddr, port: u16, source: std::io::Error },
    #[error(
        "cannot publish on [{0}]: IPv6 ports are passed on by the engine, which userland-proxy=false forbids"
    )]
    NoProxy(IpAddr),
    #[error("protocol {0} cannot be published: only tcp and udp can")]
    Protocol(String),
    #[error(transparent)]
    Lease(LeaseError),
    /// moby's words for a port that a program of the host has.
    #[error("failed to bind host port for {}:{host_port}:{container}:{container_port}/{protocol}: {why}", bracketed(*.host))]
    Bind {
        host: IpAddr,
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
    /// Where all of them lead.
    pub container: Option<Ipv4Addr>,
    pub ports: PortMap,
}

/// Leases every port that `wanted` publishes, or none. Must be called in a tokio runtime.
pub fn lease(
    ports: &Ports,
    host: &NetNs,
    wanted: &PortMap,
    container: Ipv4Addr,
    default_host: IpAddr,
) -> Result<Published, PublishError> {
    let mut published = Published { container: Some(container), ..Published::default() };
    let mut keys: Vec<_> = wanted.iter().collect();
    keys.sort_by_key(|(key, _)| (*key).clone());
    for (key, bindings) in keys {
        let bindings = bindings.as_deref().unwrap_or_default();
        let mut bound = Vec::with_capacity(bindings.len());
        for binding in bindings {
            let target = Target::parse(key)?;
            let one = Request { ports, host, target, container };
            for lease in one.lease(binding, default_host)? {
                bound.push(PortBinding {
                    host_ip: Some(lease.host().to_string()),
                    host_port: Some(lease.port().to_string()),
                });
                published.publications.extend(one.rule(&lease));
                published.leases.push(lease);
            }
        }
        published.ports.insert(key.clone(), (!bound.is_empty()).then_some(bound));
    }
    Ok(published)
}

/// Passes on what comes to an IPv6 port; IPv4's packets are translated by a rule.
pub fn forward(lease: &mut PortLease, container: Ipv4Addr, container_port: u16) -> Result<(), PublishError> {
    let (host, port) = (lease.host(), lease.port());
    if host.is_ipv4() {
        return Ok(());
    }
    lease.forward((container, container_port).into()).map_err(|source| PublishError::Forward {
        host,
        port,
        source,
    })
}

/// Whether programs of the host can listen on IPv6 addresses.
fn has_ipv6(host: &NetNs) -> bool {
    let off = "/proc/sys/net/ipv6/conf/all/disable_ipv6";
    host.run(|| std::fs::read_to_string(off)).is_ok_and(|value| value.is_ok_and(|value| value.trim() == "0"))
}

/// One port of a container that is to be published.
struct Request<'a> {
    ports: &'a Ports,
    host: &'a NetNs,
    target: Target,
    container: Ipv4Addr,
}

impl Request<'_> {
    /// One lease, or two of the same number where both families were meant.
    fn lease(&self, binding: &PortBinding, default_host: IpAddr) -> Result<Vec<PortLease>, PublishError> {
        let text = binding.host_port.as_deref().unwrap_or_default();
        let range = port_range(text)?;
        let asked = binding.host_ip.as_deref().unwrap_or_default();
        let address = match asked {
            "" => default_host,
            text => text.parse().map_err(|_| PublishError::Address(text.to_owned()))?,
        };
        let is_every_ipv4 = default_host == IpAddr::from([0, 0, 0, 0]);
        let is_both = asked.is_empty() && is_every_ipv4 && self.serves_ipv6();
        if address.is_ipv6() && self.ports.have_rules_alone() {
            return Err(PublishError::NoProxy(address));
        }
        let twin = is_both.then_some(IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED));
        // Leases of ports whose twin is somebody's are kept until another is found: the next draw skips them.
        let mut in_vain = Vec::new();
        loop {
            let mut lease = self.lease_at(address, range.as_ref())?;
            forward(&mut lease, self.container, self.target.port)?;
            let Some(twin) = twin else { return Ok(vec![lease]) };
            match self.ports.lease(self.host, self.target.protocol, twin, lease.port()) {
                Ok(mut second) => {
                    forward(&mut second, self.container, self.target.port)?;
                    return Ok(vec![lease, second]);
                }
                Err(_) if range.as_ref().is_none_or(|range| range.start() != range.end()) => {
                    in_vain.push(lease)
                }
                Err(error) => return Err(self.refusal(error)),
            }
        }
    }

    fn serves_ipv6(&self) -> bool {
        !self.ports.have_rules_alone() && has_ipv6(self.host)
    }

    fn lease_at(
        &self,
        address: IpAddr,
        range: Option<&RangeInclusive<u16>>,
    ) -> Result<PortLease, PublishError> {
        let (ports, host, protocol) = (self.ports, self.host, self.target.protocol);
        let leased = match range {
            None => ports.lease_any(host, protocol, address),
            Some(range) if range.start() == range.end() => {
                ports.lease(host, protocol, address, *range.start())
            }
            Some(range) => ports.lease_from(host, protocol, address, range.clone()),
        };
        leased.map_err(|error| self.refusal(error))
    }

    fn refusal(&self, error: LeaseError) -> PublishError {
        match error {
            LeaseError::Bind { host, port, protocol, source } => PublishError::Bind {
                host,
                host_port: port,
                container: self.container,
                container_port: self.target.port,
                protocol: protocol.name(),
                why: as_go_says(&source),
            },
            error => PublishError::Lease(error),
        }
    }

    fn rule(&self, lease: &PortLease) -> Option<Publication> {
        let IpAddr::V4(host) = lease.host() else { return None };
        Some(Publication {
            host,
            host_port: lease.port(),
            protocol: lease.protocol(),
            container: self.container,
            container_port: self.target.port,
        })
    }
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

/// As in a URL.
fn bracketed(host: IpAddr) -> String {
    if host.is_ipv4() { host.to_string() } else { format!("[{host}]") }
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
