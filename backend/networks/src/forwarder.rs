//! Passes on what arrives at a socket of this host to a container, where no packet rule can: a published port
//! under IPv6 leads to a container that may have IPv4 alone, and no packet from `::1` can leave the loopback.
//!
//! Tasks: one per [`Forwarder`], which owns a `JoinSet` of its connections (TCP) or clients (UDP); all end when
//! it is dropped.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::{AbortHandle, JoinSet};

/// A UDP client that says nothing, and is told nothing, is forgotten: moby's own patience.
const IDLE: Duration = Duration::from_secs(90);
/// A container on a bridge of this host answers at once or not at all.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections or clients at a time.
const MOST_AT_ONCE: usize = 4096;

/// Forwards until dropped.
#[derive(Debug)]
pub struct Forwarder {
    task: AbortHandle,
    end: Option<End>,
}

/// Tells when a forwarder's socket is closed, which is a little after the forwarder was dropped.
#[derive(Debug)]
pub struct End(Receiver<()>);

impl End {
    /// Whether it is closed.
    #[must_use]
    pub fn has_come(&self) -> bool {
        matches!(self.0.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Waits until it is closed. Not to be called by a task: the forwarder's may wait for that one's thread.
    pub fn wait(self) {
        // Nothing is ever sent: the sender goes with the task.
        let _ = self.0.recv_timeout(PATIENCE);
    }
}

impl Forwarder {
    /// Connections to `listener` go to `target`. Must be called in a tokio runtime.
    pub fn tcp(listener: std::net::TcpListener, target: SocketAddr) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok(Self::spawn(forward_tcp(listener, target)))
    }

    /// Datagrams to `socket` go to `target`, and its answers back. Must be called in a tokio runtime.
    pub fn udp(socket: std::net::UdpSocket, target: SocketAddr) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let socket = Arc::new(UdpSocket::from_std(socket)?);
        Ok(Self::spawn(forward_udp(socket, target)))
    }

    fn spawn(forward: impl Future<Output = ()> + Send + 'static) -> Self {
        let (alive, end) = std::sync::mpsc::channel();
        let task = tokio::spawn(async move {
            // The sender goes last.
            let (forward, _alive): (_, Sender<()>) = (forward, alive);
            forward.await;
        });
        Self { task: task.abort_handle(), end: Some(End(end)) }
    }

    /// Stops forwarding, and answers when the socket is closed.
    pub fn stop(mut self) -> Option<End> {
        self.end.take()
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward_tcp(listener: TcpListener, target: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) if connections.len() < MOST_AT_ONCE => {
                connections.spawn(connect(client, target));
            }
            Ok(_) => {}
            // Out of descriptors, or the client hung up first: neither is the end.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

async fn connect(mut client: TcpStream, target: SocketAddr) {
    let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(target)).await;
    if let Ok(Ok(mut server)) = connected {
        // Either side may end it, in any way: that is what the other sees.
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    }
}

async fn forward_udp(socket: Arc<UdpSocket>, target: SocketAddr) {
    let mut clients: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
    let mut answers = JoinSet::new();
    let mut packet = vec![0; 65_536];
    loop {
        while let Some(Ok(gone)) = answers.try_join_next() {
            clients.remove(&gone);
        }
        let Ok((length, client)) = socket.recv_from(&mut packet).await else { continue };
        let server = match clients.get(&client) {
            Some(server) => server.clone(),
            None if answers.len() >= MOST_AT_ONCE => continue,
            None => {
                let Ok(server) = meet(target).await else { continue };
                clients.insert(client, server.clone());
                answers.spawn(answer(socket.clone(), server.clone(), client));
                server
            }
        };
        // Lost like any other datagram.
        let _ = server.send(&packet[..length]).await;
    }
}

async fn meet(target: SocketAddr) -> io::Result<Arc<UdpSocket>> {
    let any: SocketAddr = if target.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let server = UdpSocket::bind(any).await?;
    server.connect(target).await?;
    Ok(Arc::new(server))
}

/// Carries answers back to one client until there are none for long; answers the client.
async fn answer(socket: Arc<UdpSocket>, server: Arc<UdpSocket>, client: SocketAddr) -> SocketAddr {
    let mut packet = vec![0; 65_536];
    while let Ok(received) = tokio::time::timeout(IDLE, server.recv(&mut packet)).await {
        if let Ok(length) = received {
            let _ = socket.send_to(&packet[..length], client).await;
        }
    }
    client
}
