//! The host: sessions and nodes that live here.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use drydock_agent::client::Agent;
use tokio::net::{TcpListener, TcpStream};

use crate::config::{HostConfig, Limits, NodeSpec};
use crate::id::{NodeId, SessionId};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {}

/// A session's switch: bridge, gateway address and uplink, in a network namespace of its own.
#[derive(Debug, Clone)]
pub struct Session {}

/// A running node.
#[derive(Debug, Clone)]
pub struct Node {}

/// Why no further node fits, in words for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this host is full: {reason}")]
pub struct Full {
    pub reason: String,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make {path}")]
    DataDir { path: PathBuf, source: io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("all subnets of the pool are taken")]
    NoSubnet,
}

#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("there is no session {0}")]
    NoSession(SessionId),
    #[error("there is a node {0} already")]
    Exists(NodeId),
    #[error(transparent)]
    Full(#[from] Full),
}

/// Everything that could not be removed; the rest was.
#[derive(Debug, thiserror::Error)]
#[error("{} of the steps to end {subject} failed: {}", failures.len(), failures.join("; "))]
pub struct EndError {
    pub subject: String,
    pub failures: Vec<String>,
}

impl Host {
    /// Adopts what an earlier process left running and sweeps what it left half made.
    pub async fn open(_config: HostConfig) -> Result<Self, OpenError> {
        unimplemented!()
    }

    /// The switch of a session; made when it is not there yet.
    pub async fn create_session(&self, _id: &SessionId) -> Result<Session, SessionError> {
        unimplemented!()
    }

    pub fn session(&self, _id: &SessionId) -> Option<Session> {
        unimplemented!()
    }

    pub fn sessions(&self) -> Vec<Session> {
        unimplemented!()
    }

    /// Makes a node and starts its agent; the engine's first answer is awaited by [`Node::ready`].
    pub async fn boot(&self, _spec: NodeSpec) -> Result<Node, BootError> {
        unimplemented!()
    }

    pub fn node(&self, _id: &NodeId) -> Option<Node> {
        unimplemented!()
    }

    pub fn nodes(&self) -> Vec<Node> {
        unimplemented!()
    }

    /// Ends a node and removes all of it; no error when there is none.
    pub async fn end(&self, _id: &NodeId) -> Result<(), EndError> {
        unimplemented!()
    }

    /// Ends a session's nodes and its switch.
    pub async fn end_session(&self, _id: &SessionId) -> Result<(), EndError> {
        unimplemented!()
    }

    /// Ends all.
    pub async fn reset(&self) -> Result<(), EndError> {
        unimplemented!()
    }

    /// Whether a node of these limits fits now.
    pub fn capacity(&self, _limits: &Limits) -> Result<(), Full> {
        unimplemented!()
    }
}

impl Session {
    pub fn id(&self) -> &SessionId {
        unimplemented!()
    }

    /// `.1` of the session's /24.
    pub fn gateway(&self) -> Ipv4Addr {
        unimplemented!()
    }

    /// Network address; the prefix is 24.
    pub fn subnet(&self) -> Ipv4Addr {
        unimplemented!()
    }

    /// Listens on the gateway address, inside the session's namespace.
    pub async fn listen(&self, _port: u16) -> io::Result<TcpListener> {
        unimplemented!()
    }
}

impl Node {
    pub fn id(&self) -> &NodeId {
        unimplemented!()
    }

    pub fn session(&self) -> &SessionId {
        unimplemented!()
    }

    pub fn hostname(&self) -> &str {
        unimplemented!()
    }

    pub fn address(&self) -> Ipv4Addr {
        unimplemented!()
    }

    pub fn limits(&self) -> Limits {
        unimplemented!()
    }

    pub fn agent(&self) -> Agent {
        unimplemented!()
    }

    /// Host path of the engine's API socket; a connection waits in the backlog until the engine is up.
    pub fn docker_socket(&self) -> PathBuf {
        unimplemented!()
    }

    /// Waits for the engine's first `_ping` answer.
    pub async fn ready(&self) -> io::Result<()> {
        unimplemented!()
    }

    /// Connects to a port of the node from inside its session's namespace.
    pub async fn dial(&self, _port: u16) -> io::Result<TcpStream> {
        unimplemented!()
    }

    /// Resolves when PID 1 of the node has ended, for whatever reason.
    pub async fn exited(&self) {
        unimplemented!()
    }
}
