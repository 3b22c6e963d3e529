//! The tunnel of a node: a TUN link, a UDP socket, and two threads between them.
//!
//! One reads the link and seals, and lets handshakes be repeated and renewed; the other reads the socket and opens. Threads of their own, because a
//! packet costs more to seal than to wait for, and the engine's answers shall not wait for packets. Both end with the value.
//!
//! What a packet costs is for the most part its own way through the kernel, so both take as many at a time as are there: those sealed for one peer are
//! sent in one call, and those opened are written to the link in one ([`crate::bundle`]). Nobody waits for more to come.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use drydock_networks::NetNs;
use drydock_networks::netlink::NetlinkError;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use drydock_sys::datagrams::{self, MOST_BYTES};
use drydock_sys::tun::HEADER;

use crate::address::address_of;
use crate::bundle::Bundle;
use crate::device::{self, Device};
use crate::fence;
use crate::key::Key;
use crate::outbox::{Outbox, Run};
use crate::peer::{LARGEST, LARGEST_PACKET, Peer};
use crate::peers::{Neighbour, Peers};

/// WireGuard's usual port.
pub const PORT: u16 = 51820;
/// What sealing adds to a packet: IP 20, UDP 8, WireGuard 32.
pub const OVERHEAD: u32 = 60;
/// The name of the link.
pub const LINK: &str = "drydock-wg";
/// How often handshakes and signs of life are looked after; WireGuard's own timers are of seconds.
const TICK: Duration = Duration::from_millis(250);
/// Bytes of sealed packets that wait to be opened.
const BUFFER: usize = 4 << 20;
/// The least that IPv6 works with.
const LEAST_MTU: u32 = 1280;

const UDP: u8 = 17;
const IPV6_HEADER: usize = 40;

/// Where a node's tunnel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node's id in the swarm.
    pub node: String,
    /// Its address towards the others.
    pub local: Ipv4Addr,
    /// VXLAN's port: nothing else passes.
    pub port: u16,
    /// Largest packet of the link between hosts, in bytes.
    pub underlay_mtu: u32,
}

impl Place {
    /// The node's own address within the tunnel.
    #[must_use]
    pub fn address(&self) -> Ipv6Addr {
        address_of(&self.node)
    }
}

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    #[error(
        "encrypted networks need a TUN link, and /dev/net/tun does not give one: load the kernel's module tun, and where this engine runs in a \
         container give it that device ({source})"
    )]
    Device { source: io::Error },
    #[error("encrypted networks need IPv6 for a link of their own: {0}")]
    Link(#[source] NetlinkError),
    #[error("cannot keep encrypted networks off other links: {0}")]
    Fence(#[source] NetlinkError),
    #[error("encrypted networks need UDP port {PORT} of {local}: {source}")]
    Socket { local: Ipv4Addr, source: io::Error },
    #[error("cannot start what seals encrypted networks: {0}")]
    Thread(#[source] io::Error),
}

/// A tunnel that works.
pub struct Tunnel {
    shared: Arc<Shared>,
    namespace: NetNs,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tunnel").field("place", &self.shared.place).finish_non_exhaustive()
    }
}

struct Shared {
    place: Place,
    own: Ipv6Addr,
    device: Device,
    socket: UdpSocket,
    /// Readable once the threads are to end.
    end: OwnedFd,
    peers: RwLock<Arc<Peers>>,
    next_index: AtomicU32,
}

impl Tunnel {
    /// Opens it in a host's namespace. First the fence, so that at no moment anything passes beside it.
    pub fn open(namespace: NetNs, place: Place) -> Result<Self, TunnelError> {
        fence::shut(&namespace, place.port).map_err(TunnelError::Fence)?;
        let refused = |source| TunnelError::Socket { local: place.local, source };
        let socket = namespace.bind_udp(SocketAddrV4::new(place.local, PORT).into()).map_err(refused)?;
        widen(&socket);
        // Without it each is received by itself.
        if let Err(error) = datagrams::receive_together(socket.as_fd()) {
            tracing::debug!(%error, "sealed packets are received one by one");
        }
        let mtu = place.underlay_mtu.saturating_sub(OVERHEAD).max(LEAST_MTU);
        let device = device::make(&namespace, &place, mtu)?;
        let end = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let shared = Arc::new(Shared {
            own: place.address(),
            place,
            device,
            socket,
            end: end.map_err(|error| TunnelError::Thread(error.into()))?,
            peers: RwLock::default(),
            next_index: AtomicU32::new(1),
        });
        let mut tunnel = Self { shared, namespace, threads: Vec::new() };
        tunnel.start("seal", outward)?;
        tunnel.start("open", inward)?;
        Ok(tunnel)
    }

    fn start(&mut self, name: &str, work: fn(&Shared)) -> Result<(), TunnelError> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || work(&shared));
        self.threads.push(thread.map_err(TunnelError::Thread)?);
        Ok(())
    }

    /// Where it is.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.shared.place
    }

    /// Who is there, and under which keys all speak: the newest is used as soon as a peer has it too.
    pub fn connect(&self, neighbours: &[Neighbour], keys: &[Key]) {
        let shared = &self.shared;
        let mut index = || shared.next_index.fetch_add(1, Ordering::Relaxed) & 0x00ff_ffff;
        let (next, greetings) = shared.peers().become_these(&shared.place.node, neighbours, keys, &mut index);
        *shared.peers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(next);
        for (host, outbox) in greetings {
            shared.send(host, &outbox);
        }
    }

    /// Takes link, port and rules away: of encrypted networks nothing may be left that sends.
    pub fn close(mut self) -> Result<(), NetlinkError> {
        self.end();
        let removed = device::remove(&self.namespace);
        removed.and(fence::open(&self.namespace))
    }

    fn end(&mut self) {
        // Its counter has room for this and more.
        let _ = rustix::io::write(&self.shared.end, &1u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the tunnel between nodes has failed");
            }
        }
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn peers(&self) -> Arc<Peers> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// VXLAN from one node of the swarm to another, and nothing else.
    fn is_vxlan(&self, packet: &[u8], from: Ipv6Addr, to: Ipv6Addr) -> bool {
        packet.len() >= IPV6_HEADER + 8
            && packet[0] >> 4 == 6
            && packet[6] == UDP
            && packet[8..24] == from.octets()
            && packet[24..40] == to.octets()
            && packet[IPV6_HEADER + 2..IPV6_HEADER + 4] == self.place.port.to_be_bytes()
    }

    fn send(&self, host: Ipv4Addr, outbox: &Outbox) {
        outbox.runs().for_each(|run| self.send_run(host, run));
    }

    fn send_run(&self, host: Ipv4Addr, run: Run<'_>) {
        let size = u16::try_from(run.size).unwrap_or(u16::MAX);
        let to = SocketAddrV4::new(host, PORT);
        while let Err(error) = datagrams::send(self.socket.as_fd(), run.bytes, size, to) {
            if error.kind() == io::ErrorKind::WouldBlock {
                match self.wait(self.socket.as_fd(), PollFlags::OUT, None) {
                    Some(()) => continue,
                    None => return,
                }
            }
            if run.is_of_many() {
                // The way there may take them one by one: a link without checksums, or a narrow one.
                return run.single().for_each(|single| self.send_run(host, single));
            }
            // Lost, as any packet may be: the host is away, or the link.
            tracing::trace!(%error, peer.host = %host, "a sealed packet was not sent");
            return;
        }
    }

    /// Writes what was opened to the link.
    fn deliver(&self, bundle: &mut Bundle) {
        if let Some(bytes) = bundle.take() {
            // A full link loses packets, as any does.
            let _ = rustix::io::write(&self.device.descriptor, bytes);
        }
    }

    /// Waits until something may be read or written, or so long; `None` once all is to end.
    fn wait(&self, what: BorrowedFd<'_>, event: PollFlags, longest: Option<Duration>) -> Option<()> {
        let mut waits = [
            PollFd::from_borrowed_fd(self.end.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(what, event),
        ];
        let longest = longest.and_then(|longest| Timespec::try_from(longest).ok());
        match poll(&mut waits, longest.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
        waits[0].revents().is_empty().then_some(())
    }
}

/// Lets a burst wait while the thread that opens has no processor. Best effort: the kernel's own limit holds for who is not root of the machine.
fn widen(socket: &UdpSocket) {
    use rustix::net::sockopt;
    let widened = sockopt::set_socket_recv_buffer_size_force(socket, BUFFER)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(socket, BUFFER));
    if let Err(error) = widened {
        tracing::debug!(%error, "the tunnel's socket keeps its small buffer");
    }
}

/// Reads the link and seals; between packets, and at least so often, sees to what is due.
fn outward(shared: &Shared) {
    let (mut packet, mut sealed) = (vec![0; HEADER + LARGEST_PACKET], vec![0; LARGEST]);
    let (mut parcel, mut outbox) = (Parcel::default(), Outbox::default());
    let mut due = Instant::now();
    loop {
        let now = Instant::now();
        if now >= due {
            due = now + TICK;
            tick(shared, &mut sealed, &mut outbox);
        }
        match rustix::io::read(&shared.device.descriptor, &mut packet) {
            Ok(length) => seal(shared, &packet[..length], &mut sealed, &mut parcel),
            Err(rustix::io::Errno::AGAIN) if !parcel.outbox.is_empty() => parcel.send(shared),
            Err(rustix::io::Errno::AGAIN) => {
                let left = due.saturating_duration_since(Instant::now());
                if shared.wait(shared.device.descriptor.as_fd(), PollFlags::IN, Some(left)).is_none() {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            // The link was taken away.
            Err(error) => return tracing::debug!(%error, "the tunnel's link ends"),
        }
    }
}

/// Sealed packets that go together: all to one peer.
#[derive(Default)]
struct Parcel {
    to: Option<Arc<Peer>>,
    outbox: Outbox,
}

impl Parcel {
    fn send(&mut self, shared: &Shared) {
        if let Some(peer) = self.to.take() {
            shared.send(peer.host, &self.outbox);
        }
        self.outbox.clear();
    }
}

/// `read` is what the link gave: a packet behind its header, in which the kernel leaves nothing to be done.
fn seal(shared: &Shared, read: &[u8], sealed: &mut [u8], parcel: &mut Parcel) {
    let Some(packet) = read.get(HEADER..) else { return };
    let Some(destination) = destination(packet) else { return };
    let peers = shared.peers();
    let Some(peer) = peers.inside(destination) else { return };
    if !shared.is_vxlan(packet, shared.own, destination) {
        return;
    }
    if parcel.outbox.is_full() || parcel.to.as_ref().is_some_and(|other| !Arc::ptr_eq(other, peer)) {
        parcel.send(shared);
    }
    parcel.to.get_or_insert_with(|| peer.clone());
    peer.seal(packet, sealed, &mut parcel.outbox);
}

fn destination(packet: &[u8]) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = packet.get(24..IPV6_HEADER)?.try_into().ok()?;
    Some(octets.into())
}

fn tick(shared: &Shared, buffer: &mut [u8], outbox: &mut Outbox) {
    for peer in shared.peers().all() {
        outbox.clear();
        peer.tick(buffer, outbox);
        shared.send(peer.host, outbox);
    }
}

/// Reads the socket and opens.
fn inward(shared: &Shared) {
    let (mut datagrams, mut opened, mut outbox) = (vec![0; MOST_BYTES], vec![0; LARGEST], Outbox::default());
    let mut bundle = Bundle::new(shared.device.takes_many);
    loop {
        match datagrams::receive(shared.socket.as_fd(), &mut datagrams) {
            Ok(received) => {
                let peers = shared.peers();
                let Some(peer) = peers.outside((*received.from.ip()).into()) else { continue };
                outbox.clear();
                for datagram in datagrams[..received.length].chunks(received.size.max(1)) {
                    open(shared, peer, datagram, &mut opened, (&mut bundle, &mut outbox));
                }
                shared.deliver(&mut bundle);
                shared.send(peer.host, &outbox);
            }
            // Whatever an earlier packet met is reported once.
            Err(_) => {
                if shared.wait(shared.socket.as_fd(), PollFlags::IN, None).is_none() {
                    return;
                }
            }
        }
    }
}

fn open(
    shared: &Shared,
    peer: &Peer,
    datagram: &[u8],
    opened: &mut [u8],
    (bundle, outbox): (&mut Bundle, &mut Outbox),
) {
    let packet = peer.open(datagram, opened, outbox);
    // A node may speak for itself alone.
    let Some(packet) = packet.filter(|packet| shared.is_vxlan(packet, peer.address, shared.own)) else {
        return;
    };
    if !bundle.add(packet) {
        shared.deliver(bundle);
        bundle.add(packet);
    }
}
