//! A running node, as its owner sees it.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use drydock_agent::client::Agent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::config::Limits;
use crate::id::{NodeId, SessionId};
use crate::processes;
use crate::record::{NodeRecord, Stage};
use crate::session::Session;
use crate::traffic::{self, Counters, TrafficError};

/// How long the engine may take to answer for the first time.
const READY: Duration = Duration::from_secs(30);

/// A node that runs, or ran: its end shows in [`Node::exited`]. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Node {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    record: NodeRecord,
    session: Session,
    /// The folder of its sockets.
    sockets: PathBuf,
}

impl Node {
    pub(crate) fn new(record: NodeRecord, session: Session, sockets: PathBuf) -> Self {
        Self { inner: Arc::new(Inner { record, session, sockets }) }
    }

    pub(crate) fn record(&self) -> &NodeRecord {
        &self.inner.record
    }

    pub fn id(&self) -> &NodeId {
        &self.inner.record.spec.id
    }

    pub fn session(&self) -> &SessionId {
        &self.inner.record.spec.session
    }

    pub fn hostname(&self) -> &str {
        &self.inner.record.spec.hostname
    }

    pub fn address(&self) -> Ipv4Addr {
        self.inner.record.address
    }

    pub fn limits(&self) -> Limits {
        self.inner.record.spec.limits
    }

    /// The host's id of the node's first process.
    pub fn pid(&self) -> Option<u32> {
        match self.inner.record.stage {
            Stage::Running { pid, .. } => Some(pid),
            Stage::Making | Stage::Ending { .. } => None,
        }
    }

    /// What passed each of its links, counted from the node's side. Blocks for a moment.
    pub fn traffic(&self) -> Result<Vec<Counters>, TrafficError> {
        match self.inner.record.stage {
            Stage::Running { pid, started } => traffic::read(pid, started),
            Stage::Making | Stage::Ending { .. } => Err(TrafficError::NotRunning),
        }
    }

    pub fn agent(&self) -> Agent {
        Agent::at(self.inner.sockets.join("agent.sock"))
    }

    /// Host path of the engine's API socket; a connection waits in the backlog until the engine is up.
    pub fn docker_socket(&self) -> PathBuf {
        self.inner.sockets.join("docker.sock")
    }

    /// Waits for the engine's first `_ping` answer.
    pub async fn ready(&self) -> io::Result<()> {
        let asked = async {
            while let Err(error) = ping(&self.docker_socket()).await {
                tracing::debug!(node.id = %self.id(), %error, "the engine does not answer yet");
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            outcome = timeout(READY, asked) => outcome.map_err(|_| io::ErrorKind::TimedOut.into()),
            () = self.exited() => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the node ended")),
        }
    }

    /// Connects to a port of the node from inside its session's namespace.
    pub async fn dial(&self, port: u16) -> io::Result<TcpStream> {
        self.inner.session.dial(self.address(), port).await
    }

    /// Resolves when PID 1 of the node has ended, for whatever reason.
    pub async fn exited(&self) {
        let Stage::Running { pid, started } = self.inner.record.stage else { return };
        let Ok(process) = processes::open(pid, started) else { return };
        // A pidfd is polled just like a pipe: readable once the process has ended.
        match pipe::Receiver::from_owned_fd_unchecked(process) {
            Ok(process) => {
                // An error means that the reactor is gone, and with it everyone who waits.
                let _ = process.readable().await;
            }
            Err(error) => tracing::error!(node.id = %self.id(), %error, "cannot watch the node"),
        }
    }
}

async fn ping(socket: &std::path::Path) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"GET /_ping HTTP/1.1\r\nHost: node\r\nConnection: close\r\n\r\n").await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    match &status {
        b"HTTP/1.1 200" => Ok(()),
        other => Err(io::Error::new(io::ErrorKind::InvalidData, String::from_utf8_lossy(other).into_owned())),
    }
}
