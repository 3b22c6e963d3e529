//! The servers that know the rest of the world, asked from our own namespace or from the container's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use super::answer;
use crate::netns::NetNs;

/// How long one server is waited for; moby's.
const PATIENCE: Duration = Duration::from_secs(4);

/// Name servers in order of preference; may be empty.
#[derive(Clone, Debug, Default)]
pub struct Upstream {
    servers: Vec<SocketAddr>,
    /// Our own otherwise.
    namespace: Option<Arc<NetNs>>,
}

/// By which transport a question came, and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

impl Upstream {
    /// Servers at port 53.
    #[must_use]
    pub fn new(servers: impl IntoIterator<Item = IpAddr>) -> Self {
        Self::at(servers.into_iter().map(|ip| SocketAddr::new(ip, 53)))
    }

    /// Servers at ports of their own.
    #[must_use]
    pub fn at(servers: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { servers: servers.into_iter().collect(), namespace: None }
    }

    /// The same servers as they are reached from `namespace`.
    #[must_use]
    pub fn asked_in(self, namespace: NetNs) -> Self {
        Self { namespace: Some(Arc::new(namespace)), ..self }
    }

    /// The answer of the first server that gives one; a failure (SERVFAIL) of our own when
    /// none does. `None` for what is not a question.
    pub(super) async fn ask(&self, question: &[u8], transport: Transport) -> Option<Vec<u8>> {
        for server in &self.servers {
            let asked = async {
                match transport {
                    Transport::Udp => self.ask_udp(*server, question).await,
                    Transport::Tcp => self.ask_tcp(*server, question).await,
                }
            };
            match timeout(PATIENCE, asked).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(dns.server = %server, %error, "name server failed"),
                Err(_) => tracing::debug!(dns.server = %server, "name server is silent"),
            }
        }
        answer::failure(question)
    }

    async fn ask_udp(&self, server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
        let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
        let socket = match &self.namespace {
            Some(namespace) => UdpSocket::from_std(namespace.bind_udp(any)?)?,
            None => UdpSocket::bind(any).await?,
        };
        socket.connect(server).await?;
        socket.send(question).await?;
        let mut answer = vec![0; 4096];
        loop {
            let length = socket.recv(&mut answer).await?;
            // Anybody may send to our port; only the answer to this question carries its id.
            if answer[..length].get(..2) == question.get(..2) {
                answer.truncate(length);
                return Ok(answer);
            }
        }
    }

    async fn ask_tcp(&self, server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = match &self.namespace {
            Some(namespace) => namespace.tcp_socket(server)?.connect(server).await?,
            None => TcpStream::connect(server).await?,
        };
        write_framed(&mut stream, question).await?;
        read_framed(&mut stream).await
    }
}

/// Writes a message with its length before it (RFC 1035 4.2.2).
pub(super) async fn write_framed(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    stream.write_all(&framed).await
}

/// Reads a message with its length before it.
pub(super) async fn read_framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}
