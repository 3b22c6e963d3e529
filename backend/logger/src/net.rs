//! Connections, with errors in the words of Go's `net`, which moby passes on to its users.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::resolve::{self, ResolveError};

/// Nothing answers later than this; the kernel gives up after two minutes by itself.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("dial {network} {address}: connect: {}", said(.source))]
    Connect { network: &'static str, address: String, source: io::Error },
    #[error("dial {network}: {source}")]
    Lookup { network: &'static str, source: ResolveError },
    #[error("dial {network}: address {port}: invalid port")]
    Port { network: &'static str, port: String },
    #[error("dial {network}: address {address}: missing port in address")]
    NoPort { network: &'static str, address: String },
    #[error("write {network}: {}", said(.source))]
    Write { network: &'static str, source: io::Error },
}

/// An error of the kernel as Go prints it: its own words, in small letters, without a number.
pub fn said(error: &io::Error) -> String {
    use io::ErrorKind;
    let known = match error.kind() {
        ErrorKind::ConnectionRefused => "connection refused",
        ErrorKind::ConnectionReset => "connection reset by peer",
        ErrorKind::BrokenPipe => "broken pipe",
        ErrorKind::NotFound => "no such file or directory",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::HostUnreachable => "no route to host",
        ErrorKind::NetworkUnreachable => "network is unreachable",
        ErrorKind::TimedOut | ErrorKind::WouldBlock => "i/o timeout",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// `host:port`, `[v6]:port` → its two parts.
pub fn split(network: &'static str, address: &str) -> Result<(String, u16), NetError> {
    let missing = || NetError::NoPort { network, address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(missing)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let number = port.parse().map_err(|_| NetError::Port { network, port: port.to_owned() })?;
    Ok((host.to_owned(), number))
}

/// Every address of `host:port`, in the order to try them.
fn addresses(network: &'static str, address: &str) -> Result<Vec<SocketAddr>, NetError> {
    let (host, port) = split(network, address)?;
    let found = resolve::lookup(&host).map_err(|source| NetError::Lookup { network, source })?;
    Ok(found.into_iter().map(|address: IpAddr| SocketAddr::new(address, port)).collect())
}

pub fn tcp(address: &str) -> Result<TcpStream, NetError> {
    let network = "tcp";
    let mut last = None;
    for address in addresses(network, address)? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            // Go tells of the first.
            Err(source) => {
                last.get_or_insert(NetError::Connect { network, address: address.to_string(), source });
            }
        }
    }
    Err(last.unwrap_or_else(|| NetError::NoPort { network, address: address.to_owned() }))
}

pub fn udp(address: &str) -> Result<UdpSocket, NetError> {
    let network = "udp";
    let mut last = None;
    for address in addresses(network, address)? {
        let any: IpAddr = if address.is_ipv4() { [0, 0, 0, 0].into() } else { [0u16; 8].into() };
        let connected = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(address)?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => return Ok(socket),
            Err(source) => {
                last.get_or_insert(NetError::Connect { network, address: address.to_string(), source });
            }
        }
    }
    Err(last.unwrap_or_else(|| NetError::NoPort { network, address: address.to_owned() }))
}

pub fn unix(path: &Path) -> Result<UnixStream, NetError> {
    UnixStream::connect(path).map_err(|source| at("unix", path, source))
}

pub fn unixgram(path: &Path) -> Result<UnixDatagram, NetError> {
    let connected = UnixDatagram::unbound().and_then(|socket| {
        socket.connect(path)?;
        Ok(socket)
    });
    connected.map_err(|source| at("unixgram", path, source))
}

fn at(network: &'static str, path: &Path, source: io::Error) -> NetError {
    let path: PathBuf = path.to_owned();
    NetError::Connect { network, address: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_gos() {
        let cases = [
            ("127.0.0.1:1", "dial tcp 127.0.0.1:1: connect: connection refused"),
            ("[::1]:1", "dial tcp [::1]:1: connect: connection refused"),
            ("127.0.0.1:99999", "dial tcp: address 99999: invalid port"),
        ];
        for (address, text) in cases {
            assert_eq!(tcp(address).unwrap_err().to_string(), text);
        }
        let missing = unix(Path::new("/no/such/socket")).unwrap_err().to_string();
        assert_eq!(missing, "dial unix /no/such/socket: connect: no such file or directory");
        let plain = unixgram(Path::new("/etc/passwd")).unwrap_err().to_string();
        assert_eq!(plain, "dial unixgram /etc/passwd: connect: connection refused");
    }
}
