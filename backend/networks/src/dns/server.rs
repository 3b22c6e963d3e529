//! The sockets and tasks of one container's name server.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};

use super::ADDRESS;
use super::answer::{self, Answer};
use super::upstream::{Transport, Upstream, read_framed, write_framed};
use super::zone::Zones;
use crate::netlink::NetlinkError;
use crate::netns::NetNs;
use crate::nft::{Address, Batch, ChainType, Hook, HookPoint, Nft, Port, Rule};

/// Our table in a container's namespace.
const TABLE: &str = "drydock_dns";
/// Questions in hand per container; as many as moby's.
const MOST_AT_ONCE: usize = 1024;
/// A TCP client that says nothing is let go.
const IDLE: Duration = Duration::from_secs(10);
const PORT: u16 = 53;

/// Why a name server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its sockets.
    #[error("open the sockets of the name server: {0}")]
    Sockets(#[source] io::Error),
    /// The rules that lead port 53 to them.
    #[error("lead port 53 to the name server: {0}")]
    Rules(#[source] NetlinkError),
}

/// A container's name server; it ends when dropped.
#[derive(Debug)]
pub struct NameServer {
    state: Arc<State>,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct State {
    zones: RwLock<Zones>,
    upstream: Upstream,
    /// Whether others may be asked: a container without a way out is not to reach the world by its questions.
    forwards: AtomicBool,
    turn: AtomicUsize,
}

impl State {
    fn decide(&self, packet: &[u8]) -> Answer {
        let turn = || self.turn.fetch_add(1, Ordering::Relaxed);
        answer::decide(packet, &self.zones.read().unwrap_or_else(PoisonError::into_inner), turn)
    }

    async fn answer(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        match self.decide(packet) {
            Answer::Own(answer) => Some(answer),
            Answer::Elsewhere => self.ask_elsewhere(packet, transport).await,
            Answer::Nothing => None,
        }
    }

    async fn ask_elsewhere(&self, packet: &[u8], transport: Transport) -> Option<Vec<u8>> {
        if self.forwards.load(Ordering::Relaxed) {
            self.upstream.ask(packet, transport).await
        } else {
            answer::failure(packet)
        }
    }
}

impl NameServer {
    /// Starts answering in `namespace`. Must be called in a tokio runtime.
    pub fn start(namespace: &NetNs, zones: Zones, upstream: Upstream) -> Result<Self, StartError> {
        let any_port = SocketAddr::from((ADDRESS, 0));
        let udp = namespace.bind_udp(any_port).map_err(StartError::Sockets)?;
        let tcp = namespace.listen_tcp(any_port).map_err(StartError::Sockets)?;
        let ports = (|| Ok((udp.local_addr()?.port(), tcp.local_addr()?.port())))();
        let (udp_port, tcp_port) = ports.map_err(StartError::Sockets)?;
        let udp = UdpSocket::from_std(udp).map_err(StartError::Sockets)?;
        let tcp = TcpListener::from_std(tcp).map_err(StartError::Sockets)?;
        Nft::open_in(namespace)
            .and_then(|mut nft| redirect(&mut nft, udp_port, tcp_port))
            .map_err(StartError::Rules)?;
        let state = Arc::new(State {
            zones: RwLock::new(zones),
            upstream,
            forwards: AtomicBool::new(true),
            turn: AtomicUsize::new(0),
        });
        let tasks = [
            tokio::spawn(serve_udp(state.clone(), Arc::new(udp))).abort_handle(),
            tokio::spawn(serve_tcp(state.clone(), tcp)).abort_handle(),
        ];
        Ok(Self { state, tasks })
    }

    /// From now on these are the container's networks.
    pub fn set_zones(&self, zones: Zones) {
        *self.state.zones.write().unwrap_or_else(PoisonError::into_inner) = zones;
    }

    /// Whether questions about the world are passed on; at the start they are.
    pub fn set_forwarding(&self, forwards: bool) {
        self.state.forwards.store(forwards, Ordering::Relaxed);
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

fn redirect(nft: &mut Nft, udp: u16, tcp: u16) -> Result<(), NetlinkError> {
    // Not deleted unseen: closing a socket that has deleted something takes some 10 ms.
    let batch = Batch::new(TABLE);
    let batch = if nft.has_table(TABLE)? { batch.delete_table() } else { batch };
    nft.commit(redirection(batch, udp, tcp))
}

/// Rewrites the port of what goes to and comes from the server, packet by packet: connection
/// tracking would slow everything else the container sends.
fn redirection(batch: Batch, udp: u16, tcp: u16) -> Batch {
    const BEFORE_FILTERS: i32 = -150;
    let hook = Hook { chain_type: ChainType::Filter, at: HookPoint::Output, priority: BEFORE_FILTERS };
    let batch = batch.create_table().add_chain("output", Some(hook));
    // Protocol number, the server's port, and where the protocol's header has its checksum.
    [(17, udp, 6), (6, tcp, 16)].into_iter().fold(batch, |batch, (protocol, port, checksum)| {
        let about = |address, from: Port, is: u16, becomes| {
            Rule::new()
                .address_in(address, ADDRESS, 32)
                .protocol(protocol)
                .port(from, is)
                .set_port(from, becomes, checksum)
        };
        batch
            .add_rule("output", &about(Address::Destination, Port::Destination, PORT, port))
            .add_rule("output", &about(Address::Source, Port::Source, port, PORT))
    })
}

async fn serve_udp(state: Arc<State>, socket: Arc<UdpSocket>) {
    let mut in_hand = JoinSet::new();
    let mut packet = vec![0; 4096];
    loop {
        while in_hand.try_join_next().is_some() {}
        let (length, client) = match socket.recv_from(&mut packet).await {
            Ok(received) => received,
            // An earlier answer found nobody: the error is about that one, not the socket.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => {
                tracing::warn!(%error, "a container's name server stopped");
                return;
            }
        };
        let question = &packet[..length];
        match state.decide(question) {
            Answer::Own(answer) => send_udp(&socket, client, question, answer).await,
            Answer::Elsewhere if in_hand.len() < MOST_AT_ONCE => {
                let (state, socket, question) = (state.clone(), socket.clone(), question.to_vec());
                in_hand.spawn(async move {
                    if let Some(answer) = state.ask_elsewhere(&question, Transport::Udp).await {
                        send_udp(&socket, client, &question, answer).await;
                    }
                });
            }
            Answer::Elsewhere | Answer::Nothing => {}
        }
    }
}

async fn send_udp(socket: &UdpSocket, client: SocketAddr, question: &[u8], answer: Vec<u8>) {
    let fits = answer.len() <= answer::longest(question);
    let answer = if fits { Some(answer) } else { answer::truncated(&answer) };
    if let Some(answer) = answer {
        // A client that is gone needs no answer.
        let _ = socket.send_to(&answer, client).await;
    }
}

async fn serve_tcp(state: Arc<State>, listener: TcpListener) {
    let mut in_hand = JoinSet::new();
    loop {
        while in_hand.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) if in_hand.len() < MOST_AT_ONCE => {
                in_hand.spawn(converse(state.clone(), stream));
            }
            Ok(_) => {}
            Err(error) => {
                // Out of descriptors, or the client hung up first: neither is the end.
                tracing::debug!(%error, "a container's name server cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(state: Arc<State>, mut stream: TcpStream) {
    while let Ok(Ok(question)) = tokio::time::timeout(IDLE, read_framed(&mut stream)).await {
        let Some(answer) = state.answer(&question, Transport::Tcp).await else { return };
        if write_framed(&mut stream, &answer).await.is_err() {
            return;
        }
    }
}
