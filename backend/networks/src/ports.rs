//! Ports of the host that are promised to containers.
//!
//! A published port is a packet rule (see [`crate::bridge`]), which the host's own programs do
//! not see. A [`PortLease`] therefore also holds a listening socket: nobody else can take the
//! port, `ss` shows it, and dropping the lease gives it back. Under IPv6 there is no rule: what
//! comes to the socket is passed on by [`crate::forwarder`].

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::bridge::Protocol;
use crate::forwarder::{End, Forwarder};
use crate::netns::NetNs;

/// The kernel's default `ip_local_port_range`, from which moby draws ports nobody chose.
const ANY: RangeInclusive<u16> = 32768..=60999;

/// Why a port could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another container has it.
    #[error("Bind for {host}:{port} failed: port is already allocated")]
    Allocated {
        /// The host's address that the other has: it may be every one.
        host: IpAddr,
        /// The port.
        port: u16,
    },
    /// Every port of the range is another container's or program's.
    #[error("all ports are allocated")]
    Exhausted,
    /// A program of the host has it, or the address is not the host's.
    #[error("failed to bind host port {}:{port}/{}", bracketed(*.host), .protocol.name())]
    Bind {
        /// The host's address.
        host: IpAddr,
        /// The port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
        /// The kernel's refusal.
        source: io::Error,
    },
    /// The host's namespace could not be entered.
    #[error("enter network namespace: {0}")]
    Enter(#[source] io::Error),
}

/// All leases of one host. Cheap to clone; every clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    table: Arc<Mutex<Table>>,
    only_rules: bool,
}

#[derive(Debug, Default)]
struct Table {
    /// Who has a port, by host address.
    leased: HashMap<(Protocol, u16), Vec<IpAddr>>,
    /// The port drawn last, by host address: drawing goes round, as a port just given back
    /// may still be known to somebody.
    drawn: HashMap<(Protocol, IpAddr), u16>,
    /// Ports given back whose sockets are about to be closed.
    closing: HashMap<(Protocol, IpAddr, u16), End>,
}

impl Table {
    /// The address at which somebody has the port already.
    fn holder(&self, protocol: Protocol, host: IpAddr, port: u16) -> Option<IpAddr> {
        self.leased.get(&(protocol, port))?.iter().copied().find(|other| {
            other.is_ipv4() == host.is_ipv4()
                && (*other == host || other.is_unspecified() || host.is_unspecified())
        })
    }
}

/// A port of the host; dropping it gives the port back.
#[derive(Debug)]
pub struct PortLease {
    ports: Ports,
    protocol: Protocol,
    host: IpAddr,
    port: u16,
    socket: Socket,
    forwarder: Option<(Forwarder, SocketAddr)>,
}

/// Never read from under IPv4: packets are translated before they get here.
#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl PortLease {
    /// TCP or UDP.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The host's address; unspecified: every one.
    #[must_use]
    pub fn host(&self) -> IpAddr {
        self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Passes on to `target` what comes to the socket itself, for as long as the lease lives. Must be called in
    /// a tokio runtime.
    pub fn forward(&mut self, target: SocketAddr) -> io::Result<()> {
        let forwarder = match &self.socket {
            Socket::Tcp(listener) => Forwarder::tcp(listener.try_clone()?, target)?,
            Socket::Udp(socket) => Forwarder::udp(socket.try_clone()?, target)?,
        };
        self.forwarder = Some((forwarder, target));
        Ok(())
    }

    /// The same port of another address, if anything is passed on: the container is to be found there now.
    pub fn forward_elsewhere(&mut self, container: IpAddr) -> io::Result<()> {
        match &self.forwarder {
            Some((_, target)) => self.forward(SocketAddr::new(container, target.port())),
            None => Ok(()),
        }
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        let mut table = self.ports.table();
        table.closing.retain(|_, end| !end.has_come());
        if let Some(end) = self.forwarder.take().and_then(|(forwarder, _)| forwarder.stop()) {
            table.closing.insert((self.protocol, self.host, self.port), end);
        }
        if let Some(hosts) = table.leased.get_mut(&(self.protocol, self.port)) {
            hosts.retain(|host| *host != self.host);
            if hosts.is_empty() {
                table.leased.remove(&(self.protocol, self.port));
            }
        }
    }
}

impl Ports {
    /// Ports that packet rules alone lead on: nothing that comes to a socket is passed on.
    #[must_use]
    pub fn with_rules_alone() -> Self {
        Self { only_rules: true, ..Self::default() }
    }

    /// Whether nothing is passed on.
    #[must_use]
    pub fn have_rules_alone(&self) -> bool {
        self.only_rules
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        // Every change under the lock is complete in itself: a panic elsewhere leaves it sound.
        self.table.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Leases one certain port. One that was just given back is waited for.
    pub fn lease(
        &self,
        namespace: &NetNs,
        protocol: Protocol,
        host: IpAddr,
        port: u16,
    ) -> Result<PortLease, LeaseError> {
        // The lock is kept while the socket is bound, so that two callers never race for a port.
        let mut table = self.table();
        if let Some(host) = table.holder(protocol, host, port) {
            return Err(LeaseError::Allocated { host, port });
        }
        if let Some(end) = table.closing.remove(&(protocol, host, port)) {
            end.wait();
        }
        let socket = namespace
            .run(|| bind(protocol, host, port))
            .map_err(LeaseError::Enter)?
            .map_err(|source| LeaseError::Bind { host, port, protocol, source })?;
        table.leased.entry((protocol, port)).or_default().push(host);
        drop(table);
        Ok(PortLease { ports: self.clone(), protocol, host, port, socket, forwarder: None })
    }

    /// Leases the first port of `range` that is free.
    pub fn lease_from(
        &self,
        namespace: &NetNs,
        protocol: Protocol,
        host: IpAddr,
        range: RangeInclusive<u16>,
    ) -> Result<PortLease, LeaseError> {
        for port in range {
            match self.lease(namespace, protocol, host, port) {
                Err(LeaseError::Allocated { .. }) => {}
                Err(LeaseError::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse => {}
                outcome => return outcome,
            }
        }
        Err(LeaseError::Exhausted)
    }

    /// Leases any free port.
    pub fn lease_any(
        &self,
        namespace: &NetNs,
        protocol: Protocol,
        host: IpAddr,
    ) -> Result<PortLease, LeaseError> {
        let last = self.table().drawn.get(&(protocol, host)).copied();
        let start = last.filter(|last| last < ANY.end()).map_or(*ANY.start(), |last| last + 1);
        let lease = match self.lease_from(namespace, protocol, host, start..=*ANY.end()) {
            Err(LeaseError::Exhausted) => self.lease_from(namespace, protocol, host, *ANY.start()..=start)?,
            outcome => outcome?,
        };
        self.table().drawn.insert((protocol, host), lease.port);
        Ok(lease)
    }
}

fn bind(protocol: Protocol, host: IpAddr, port: u16) -> io::Result<Socket> {
    let address = SocketAddr::new(host, port);
    Ok(match protocol {
        Protocol::Tcp if host.is_ipv4() => Socket::Tcp(TcpListener::bind(address)?),
        Protocol::Udp if host.is_ipv4() => Socket::Udp(UdpSocket::bind(address)?),
        Protocol::Tcp => Socket::Tcp(bind_v6(SocketType::STREAM, address)?.into()),
        Protocol::Udp => Socket::Udp(bind_v6(SocketType::DGRAM, address)?.into()),
    })
}

/// A socket for IPv6 alone: IPv4's share of the port is leased apart.
fn bind_v6(kind: SocketType, address: SocketAddr) -> io::Result<OwnedFd> {
    let bound = rustix::net::socket_with(AddressFamily::INET6, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_ipv6_v6only(&bound, true)?;
    if kind == SocketType::STREAM {
        sockopt::set_socket_reuseaddr(&bound, true)?;
    }
    rustix::net::bind(&bound, &address)?;
    if kind == SocketType::STREAM {
        rustix::net::listen(&bound, 1024)?;
    }
    Ok(bound)
}

/// As in a URL.
fn bracketed(host: IpAddr) -> String {
    if host.is_ipv4() { host.to_string() } else { format!("[{host}]") }
}
