//! Host names of nodes' ports: `ip10-64-3-2-<label>[-<port>].direct.<anything>`.

use std::net::Ipv4Addr;

use drydock_sessions::Label;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortHost {
    pub ip: Ipv4Addr,
    pub label: Label,
    pub port: u16,
}

/// What a `Host` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Playground,
    Port(PortHost),
    /// Of a port's form, but names none.
    Nowhere,
}

/// Every name below a `direct` label is a student's, and never reaches the playground.
pub fn destination(host: &str) -> Destination {
    let mut labels = host.split('.');
    let Some(first) = labels.next() else { return Destination::Playground };
    if !labels.any(|label| label.eq_ignore_ascii_case("direct")) {
        return Destination::Playground;
    }
    let direct = host.as_bytes()[first.len()..].get(1..7);
    match direct.is_some_and(|label| label.eq_ignore_ascii_case(b"direct")) {
        true => parse(first).map_or(Destination::Nowhere, Destination::Port),
        false => Destination::Nowhere,
    }
}

fn parse(name: &str) -> Option<PortHost> {
    let name = name.to_ascii_lowercase();
    let mut parts = name.strip_prefix("ip")?.split('-');
    let mut octet = || parts.next()?.parse::<u8>().ok();
    let ip = Ipv4Addr::new(octet()?, octet()?, octet()?, octet()?);
    let label = Label::parse(parts.next()?)?;
    let port = match parts.next() {
        None => 80,
        Some(port) => port.parse().ok().filter(|port| *port != 0)?,
    };
    parts.next().is_none().then_some(PortHost { ip, label, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: &str = "abcdefghjkmnpqrs";

    fn port(ip: [u8; 4], port: u16) -> Destination {
        Destination::Port(PortHost { ip: ip.into(), label: Label::parse(LABEL).unwrap(), port })
    }

    #[test]
    fn a_ports_name_says_which_node_and_port() {
        for (host, expected) in [
            (format!("ip10-64-3-2-{LABEL}.direct.localhost:8080"), port([10, 64, 3, 2], 80)),
            (format!("ip10-64-3-2-{LABEL}-8080.direct.localhost:8080"), port([10, 64, 3, 2], 8080)),
            (format!("ip10-64-3-2-{LABEL}-8080.direct.play.example"), port([10, 64, 3, 2], 8080)),
            (format!("IP10-64-3-2-{}-1.Direct.localhost", LABEL.to_uppercase()), port([10, 64, 3, 2], 1)),
        ] {
            assert_eq!(destination(&host), expected, "{host}");
        }
    }

    #[test]
    fn anything_else_below_direct_is_nowhere() {
        for host in [
            format!("ip10-64-3-{LABEL}.direct.localhost"),
            format!("ip10-64-3-256-{LABEL}.direct.localhost"),
            format!("ip10-64-3-2-{LABEL}-0.direct.localhost"),
            format!("ip10-64-3-2-{LABEL}-65536.direct.localhost"),
            format!("ip10-64-3-2-{LABEL}-80-80.direct.localhost"),
            format!("ip-10-64-3-2-{LABEL}.direct.localhost"),
            format!("a.ip10-64-3-2-{LABEL}.direct.localhost"),
            "ip10-64-3-2-short.direct.localhost".to_owned(),
            "x.direct.localhost".to_owned(),
            ".direct.localhost".to_owned(),
        ] {
            assert_eq!(destination(&host), Destination::Nowhere, "{host}");
        }
    }

    #[test]
    fn other_names_are_the_playgrounds() {
        for host in ["localhost:8080", "play.example", "direct.example", "127.0.0.1:8080", "[::1]:8080", ""] {
            assert_eq!(destination(host), Destination::Playground, "{host}");
        }
    }
}
