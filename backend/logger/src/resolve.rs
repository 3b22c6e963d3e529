//! Names of hosts: numbers, `/etc/hosts`, then the first name server that answers.
//!
//! Not getaddrinfo(3): a static program would load the host's NSS modules, and some crash in it.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use crate::net::said;

const DNS: u16 = 53;
const PATIENCE: Duration = Duration::from_secs(5);
const ATTEMPTS: usize = 2;

#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    #[error("lookup {name}: no such host")]
    Name { name: String },
    #[error("lookup {name} on {server}: no such host")]
    NoSuchHost { name: String, server: SocketAddr },
    #[error("lookup {name} on {server}: dial udp {server}: connect: {}", said(.source))]
    Unreachable { name: String, server: SocketAddr, source: io::Error },
    #[error("lookup {name} on {server}: {}", said(.source))]
    Silent { name: String, server: SocketAddr, source: io::Error },
}

/// All addresses of a host, those of the fourth version first.
pub fn lookup(host: &str) -> Result<Vec<IpAddr>, ResolveError> {
    if host.is_empty() {
        return Ok(vec![[127, 0, 0, 1].into()]);
    }
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let listed = in_hosts(&std::fs::read_to_string("/etc/hosts").unwrap_or_default(), host);
    if !listed.is_empty() {
        return Ok(listed);
    }
    if host == "localhost" {
        return Ok(vec![[127, 0, 0, 1].into()]);
    }
    let settings = Settings::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default());
    settings.ask(host)
}

/// `/etc/hosts`: an address and its names on a line.
fn in_hosts(text: &str, host: &str) -> Vec<IpAddr> {
    let named = |line: &str| -> Option<IpAddr> {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host)).then_some(address)
    };
    let mut found: Vec<IpAddr> = text.lines().filter_map(named).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found
}

/// `/etc/resolv.conf`.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    dots: usize,
}

impl Settings {
    fn parse(text: &str) -> Self {
        let mut settings = Self { servers: Vec::new(), search: Vec::new(), dots: 1 };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    settings.servers.extend(server.map(|server| SocketAddr::new(server, DNS)));
                }
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let dots = words.rev().find_map(|word| word.strip_prefix("ndots:")?.parse().ok());
                    settings.dots = dots.unwrap_or(settings.dots);
                }
                _ => {}
            }
        }
        if settings.servers.is_empty() {
            settings.servers.push(SocketAddr::from(([127, 0, 0, 1], DNS)));
        }
        settings
    }

    /// A name with enough dots is meant as it is; another is looked for in the domains first.
    fn candidates(&self, host: &str) -> Vec<String> {
        let whole = format!("{}.", host.trim_end_matches('.'));
        if host.ends_with('.') {
            return vec![whole];
        }
        let within = self.search.iter().map(|domain| format!("{whole}{}.", domain.trim_end_matches('.')));
        let mut names: Vec<String> = within.collect();
        let place = if host.matches('.').count() >= self.dots { 0 } else { names.len() };
        names.insert(place, whole);
        names
    }

    fn ask(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let mut last = ResolveError::Name { name: host.to_owned() };
        for server in self.servers.iter().cycle().take(self.servers.len() * ATTEMPTS) {
            match self.ask_one(*server, host) {
                Ok(found) if !found.is_empty() => return Ok(found),
                // An answer is an answer; only silence makes another server worth asking.
                Ok(_) => return Err(ResolveError::NoSuchHost { name: host.to_owned(), server: *server }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn ask_one(&self, server: SocketAddr, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let name = || host.to_owned();
        let any: IpAddr = if server.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
        let connected = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(server)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            Ok(socket)
        });
        let socket =
            connected.map_err(|source| ResolveError::Unreachable { name: name(), server, source })?;
        for candidate in self.candidates(host) {
            let mut found = Vec::new();
            for kind in [RecordType::A, RecordType::AAAA] {
                let answers = query(&socket, &candidate, kind).map_err(|source| ResolveError::Silent {
                    name: name(),
                    server,
                    source,
                })?;
                found.extend(answers);
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Ok(Vec::new())
    }
}

fn query(socket: &UdpSocket, name: &str, kind: RecordType) -> io::Result<Vec<IpAddr>> {
    let Ok(name) = Name::from_str(name) else { return Ok(Vec::new()) };
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|_| io::Error::other("no randomness for a query"))?;
    let mut question = Message::new();
    question.set_id(u16::from_be_bytes(id)).set_recursion_desired(true).add_query(Query::query(name, kind));
    socket.send(&question.to_vec().map_err(io::Error::other)?)?;
    let mut buffer = [0; 4096];
    loop {
        let length = socket.recv(&mut buffer)?;
        // What somebody else sent, or was late, answers another question.
        let Ok(answer) = Message::from_vec(&buffer[..length]) else { continue };
        if answer.id() == question.id() {
            return Ok(answer.answers().iter().filter_map(|record| address(record.data())).collect());
        }
    }
}

fn address(data: &RData) -> Option<IpAddr> {
    match data {
        RData::A(address) => Some(address.0.into()),
        RData::AAAA(address) => Some(address.0.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_hosts_file_are_found() {
        let text = "127.0.0.1 localhost\n::1 logs # localhost\n10.0.0.1 box logs\n";
        assert_eq!(in_hosts(text, "Logs"), ["10.0.0.1".parse::<IpAddr>().unwrap(), "::1".parse().unwrap()]);
        assert_eq!(in_hosts(text, "log"), Vec::<IpAddr>::new());
    }

    #[test]
    fn short_names_are_looked_for_in_the_domains_first() {
        let settings = Settings::parse("nameserver 10.0.0.2\nsearch a.b c\noptions ndots:2 timeout:1\n");
        assert_eq!(settings.servers, [SocketAddr::from(([10, 0, 0, 2], 53))]);
        assert_eq!(settings.candidates("x.y"), ["x.y.a.b.", "x.y.c.", "x.y."]);
        assert_eq!(settings.candidates("x.y.z"), ["x.y.z.", "x.y.z.a.b.", "x.y.z.c."]);
        assert_eq!(settings.candidates("x."), ["x."]);
        assert_eq!(Settings::parse("").servers, [SocketAddr::from(([127, 0, 0, 1], 53))]);
    }
}
