//! From `-p` to leases and packet rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4};
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

/// What was opened, and how to show it.
#[derive(Debug, Default)]
pub struct Published {
    pub leases: Vec<PortLease>,
    pub publications: Vec<Publication>,
    /// Where all of them lead.
    pub container: Option<Ipv4Addr>,
    pub ports: PortMap,
}

/// Where a container's ports lead.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    /// The container's address.
    pub ip: Ipv4Addr,
    /// Whether IPv4 is routed to it, and no port of the host leads there.
    pub is_routed: bool,
    /// Its IPv6 address, if IPv6 is routed to it.
    pub routed_v6: Option<IpAddr>,
}

impl Lead {
    /// The address that is reached itself by whoever would call this one of the host.
    fn in_place_of(&self, host: IpAddr) -> Option<IpAddr> {
        match host {
            IpAddr::V4(_) => self.is_routed.then_some(IpAddr::V4(self.ip)),
            IpAddr::V6(_) => self.routed_v6,
        }
    }
}

/// Opens every port that `wanted` publishes, or none. Must be called in a tokio runtime.
pub fn lease(
    ports: &Ports,
    host: &NetNs,
    wanted: &PortMap,
    lead: Lead,
    default_host: IpAddr,
) -> Result<Published, PublishError> {
    let mut published = Published { container: Some(lead.ip), ..Published::default() };
    let mut keys: Vec<_> = wanted.iter().collect();
    keys.sort_by_key(|(key, _)| (*key).clone());
    for (key, bindings) in keys {
        let bindings = bindings.as_deref().unwrap_or_default();
        let mut bound = Vec::with_capacity(bindings.len());
        for binding in bindings {
            let one = Request { ports, host, target: Target::parse(key)?, lead };
            for opened in one.open(binding, default_host)? {
                bound.push(opened.shown());
                published.publications.extend(one.publication(&opened));
                if let Opened::Leased(lease) = opened {
                    published.leases.push(lease);
                }
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

/// How a port is open.
enum Opened {
    /// By a port of the host.
    Leased(PortLease),
    /// At the container's own address.
    Routed(IpAddr),
}

impl Opened {
    fn is_ipv6(&self) -> bool {
        match self {
            Self::Leased(lease) => lease.host().is_ipv6(),
            Self::Routed(container) => container.is_ipv6(),
        }
    }

    /// A port that needs none of the host has every address and no number, as in moby.
    fn shown(&self) -> PortBinding {
        let (host, port) = match self {
            Self::Leased(lease) => (lease.host(), lease.port().to_string()),
            Self::Routed(IpAddr::V4(_)) => (Ipv4Addr::UNSPECIFIED.into(), String::new()),
            Self::Routed(IpAddr::V6(_)) => (Ipv6Addr::UNSPECIFIED.into(), String::new()),
        };
        PortBinding { host_ip: Some(host.to_string()), host_port: Some(port) }
    }
}

/// One port of a container that is to be published.
struct Request<'a> {
    ports: &'a Ports,
    host: &'a NetNs,
    target: Target,
    lead: Lead,
}

impl Request<'_> {
    /// One or two, where both families were meant; IPv4's first.
    fn open(&self, binding: &PortBinding, default_host: IpAddr) -> Result<Vec<Opened>, PublishError> {
        let text = binding.host_port.as_deref().unwrap_or_default();
        let range = port_range(text)?;
        let asked = binding.host_ip.as_deref().unwrap_or_default();
        let address = match asked {
            "" => default_host,
            text => text.parse().map_err(|_| PublishError::Address(text.to_owned()))?,
        };
        let is_every_ipv4 = default_host == IpAddr::from([0, 0, 0, 0]);
        let mut addresses = vec![address];
        if asked.is_empty() && is_every_ipv4 && (self.serves_ipv6() || self.lead.routed_v6.is_some()) {
            addresses.push(Ipv6Addr::UNSPECIFIED.into());
        }
        let routed = addresses.iter().filter_map(|address| self.lead.in_place_of(*address));
        let mut opened: Vec<Opened> = routed.map(Opened::Routed).collect();
        addresses.retain(|address| self.lead.in_place_of(*address).is_none());
        opened.extend(self.lease(&addresses, range.as_ref())?.into_iter().map(Opened::Leased));
        opened.sort_by_key(Opened::is_ipv6);
        Ok(opened)
    }

    /// The same port of all these addresses, of which there are two at most.
    fn lease(
        &self,
        addresses: &[IpAddr],
        range: Option<&RangeInclusive<u16>>,
    ) -> Result<Vec<PortLease>, PublishError> {
        let Some((address, twin)) = addresses.split_first() else { return Ok(Vec::new()) };
        if address.is_ipv6() && self.ports.have_rules_alone() {
            return Err(PublishError::NoProxy(*address));
        }
        // Leases of ports whose twin is somebody's are kept until another is found: the next draw skips them.
        let mut in_vain = Vec::new();
        loop {
            let mut lease = self.lease_at(*address, range)?;
            forward(&mut lease, self.lead.ip, self.target.port)?;
            let Some(twin) = twin.first() else { return Ok(vec![lease]) };
            match self.ports.lease(self.host, self.target.protocol, *twin, lease.port()) {
                Ok(mut second) => {
                    forward(&mut second, self.lead.ip, self.target.port)?;
                    return Ok(vec![lease, second]);
                }
                Err(_) if range.is_none_or(|range| range.start() != range.end()) => in_vain.push(lease),
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
                container: self.lead.ip,
                container_port: self.target.port,
                protocol: protocol.name(),
                why: as_go_says(&source),
            },
            error => PublishError::Lease(error),
        }
    }

    fn publication(&self, opened: &Opened) -> Option<Publication> {
        let Target { port, protocol } = self.target;
        match opened {
            Opened::Leased(lease) => {
                let IpAddr::V4(host) = lease.host() else { return None };
                let host = SocketAddrV4::new(host, lease.port());
                let container = SocketAddrV4::new(self.lead.ip, port);
                Some(Publication::Translated { protocol, host, container })
            }
            Opened::Routed(ip) => Some(Publication::Routed { protocol, container: (*ip, port).into() }),
        }
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
