//! TCP between nodes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// How long bytes may stay unacknowledged before a connection counts as dead. The kernel watches, no timer of ours.
const UNACKNOWLEDGED_MS: u32 = 5_000;
const KEEPALIVE: Duration = Duration::from_secs(5);

/// The address that a node speaks from: the one it advertises, when that is an address of its own, so that peers see one address of
/// it on a machine with several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Source(pub Option<IpAddr>);

/// Dials `address`, `host:port`.
pub(super) async fn dial(address: &str, source: Source) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("lookup {address}: no such host"));
    for target in lookup_host(address).await? {
        match dial_one(target, source).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn dial_one(target: SocketAddr, source: Source) -> io::Result<TcpStream> {
    let socket = if target.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(own) = source.0.filter(|own| own.is_ipv4() == target.is_ipv4() && !own.is_unspecified()) {
        // An advertised address may belong to a translator in front of the node: then the kernel chooses.
        let _ = socket.bind(SocketAddr::new(own, 0));
    }
    let stream = socket.connect(target).await?;
    tune(&stream)?;
    Ok(stream)
}

/// Small messages at once, and a dead peer noticed.
pub(super) fn tune(stream: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEPALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE)?;
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS)?;
    Ok(())
}
