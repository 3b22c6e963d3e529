//! The addresses a node speaks by, in moby's words where none can be chosen.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use drydock_networks::netlink::Route;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error(
        "advertise address must be a non-zero IP address or network interface (with optional port number)"
    )]
    Advertise,
    #[error("listen address must be an IP address or network interface (with optional port number)")]
    Listen,
    // The command line adds what to do.
    #[error("data path address must be a non-zero IP address or network interface (without a port number)")]
    DataPath,
    #[error("could not find the system's IP address")]
    None,
    #[error(
        "could not choose an IP address to advertise since this system has multiple addresses on different interfaces ({0} on {1} and {2} on {3})"
    )]
    Several(IpAddr, String, IpAddr, String),
    #[error("interface {0} has no usable IPv4 or IPv6 address")]
    Interface(String),
}

/// The engine's own bridges and the ends of its containers' links lead nowhere outside.
const OWN: [&str; 4] = ["docker", "br-", "veth", "lo"];

/// Interface names with their addresses, IPv4 first.
fn system() -> Vec<(String, IpAddr)> {
    let Ok(mut netlink) = Route::open() else { return Vec::new() };
    let (links, addresses) = (netlink.links().unwrap_or_default(), netlink.addresses().unwrap_or_default());
    let name = |index| links.iter().find(|link| link.index == index).map(|link| link.name.clone());
    let mut found: Vec<_> = addresses
        .into_iter()
        .filter_map(|address| Some((name(address.link)?, address.address.ip())))
        .filter(|(_, ip)| !ip.is_loopback() && !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()))
        .collect();
    found.sort_by_key(|(_, ip)| ip.is_ipv6());
    found
}

/// `--advertise-addr`: an address or an interface, with or without a port; without one the system's only address.
pub fn advertised(wanted: &str, listen: &str) -> Result<String, AddressError> {
    if !wanted.is_empty() {
        let (host, port) = split(wanted);
        let ip = resolve(host)?.ok_or(AddressError::Advertise)?;
        if ip.is_unspecified() {
            return Err(AddressError::Advertise);
        }
        return Ok(join(ip, port.or(split(listen).1)));
    }
    let (host, port) = split(listen);
    if let Ok(ip) = host.parse::<IpAddr>()
        && !ip.is_unspecified()
    {
        return Ok(join(ip, port));
    }
    let mut own: Vec<_> =
        system().into_iter().filter(|(name, _)| !OWN.iter().any(|own| name.starts_with(own))).collect();
    own.retain({
        let has_ipv4 = own.iter().any(|(_, ip)| ip.is_ipv4());
        move |(_, ip)| ip.is_ipv4() == has_ipv4
    });
    match own.as_slice() {
        [] => Err(AddressError::None),
        [(name, ip), rest @ ..] => match rest.iter().find(|(other, _)| other != name) {
            Some((other, second)) => Err(AddressError::Several(*ip, name.clone(), *second, other.clone())),
            None => Ok(join(*ip, port)),
        },
    }
}

/// `--listen-addr`, with swarm's port when it has none.
pub fn listening(wanted: &str) -> Result<String, AddressError> {
    if wanted.is_empty() {
        return Ok(join("0.0.0.0".parse().map_err(|_| AddressError::Listen)?, None));
    }
    let (host, port) = split(wanted);
    let ip = resolve(host)?.ok_or(AddressError::Listen)?;
    Ok(join(ip, port))
}

/// `--data-path-addr`: an address or an interface; nothing for the advertised one.
pub fn data_path(wanted: &str) -> Result<String, AddressError> {
    if wanted.is_empty() {
        return Ok(String::new());
    }
    match resolve(wanted)?.filter(|ip| !ip.is_unspecified()) {
        Some(ip) => Ok(ip.to_string()),
        None => Err(AddressError::DataPath),
    }
}

/// The own address by which a manager is reached: what the kernel would send from.
pub fn towards(manager: &str) -> Option<String> {
    let remote: SocketAddr = drydock_swarm::manager::settings::with_port(manager).parse().ok()?;
    let any: SocketAddr = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().ok()?;
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(remote).ok()?;
    Some(socket.local_addr().ok()?.ip().to_string())
}

fn resolve(host: &str) -> Result<Option<IpAddr>, AddressError> {
    if let Ok(ip) = host.parse() {
        return Ok(Some(ip));
    }
    let Ok(mut netlink) = Route::open() else { return Ok(None) };
    if netlink.index_of(host).is_err() {
        return Ok(None);
    }
    let found = system().into_iter().find(|(name, _)| name == host);
    found.map(|(_, ip)| Some(ip)).ok_or_else(|| AddressError::Interface(host.to_owned()))
}

/// The host and the port, if there is one.
fn split(address: &str) -> (&str, Option<u16>) {
    if address.parse::<IpAddr>().is_ok() {
        return (address, None);
    }
    match address.rsplit_once(':') {
        Some((host, port)) => match port.parse() {
            Ok(port) => (host.trim_matches(['[', ']']), Some(port)),
            Err(_) => (address, None),
        },
        None => (address, None),
    }
}

fn join(ip: IpAddr, port: Option<u16>) -> String {
    SocketAddr::new(ip, port.unwrap_or(drydock_swarm::manager::settings::PORT)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_it_is_given() {
        assert_eq!(advertised("10.1.2.3", "0.0.0.0:2377").as_deref(), Ok("10.1.2.3:2377"));
        assert_eq!(advertised("10.1.2.3:99", "0.0.0.0:2377").as_deref(), Ok("10.1.2.3:99"));
        assert_eq!(advertised("", "10.1.2.3:99").as_deref(), Ok("10.1.2.3:99"));
        assert_eq!(advertised("0.0.0.0", "0.0.0.0:2377"), Err(AddressError::Advertise));
        assert_eq!(advertised("no-such-link", "0.0.0.0:2377"), Err(AddressError::Advertise));
        assert_eq!(listening("").as_deref(), Ok("0.0.0.0:2377"));
        assert_eq!(listening("nonsense"), Err(AddressError::Listen));
        assert_eq!(data_path("10.1.2.3").as_deref(), Ok("10.1.2.3"));
        assert_eq!(data_path("10.1.2.3:99"), Err(AddressError::DataPath));
        assert_eq!(towards("127.0.0.1").as_deref(), Some("127.0.0.1"));
    }
}
