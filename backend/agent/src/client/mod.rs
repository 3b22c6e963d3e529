//! The gateway's half: one connection per request, sizes and waits bounded, since a node is hostile.
//!
//! Begin with [`Agent`]; a terminal is an [`Attachment`], a running command a [`Running`].

mod attachment;
mod exec;
mod files;

pub use attachment::{Attachment, Event, Events, Viewer};
pub use exec::{ExecEvent, ExecOutput, Running};
pub use files::Upload;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::frame::{self, Frame, Frames, to_agent, to_client};
use crate::protocol::{Refusal, RefusalKind, Request, Size, Stats, TerminalId, TerminalInfo, TreeEntry};
use crate::socket::{self, Reader, Writer};

/// How long the agent may take to answer a request that does no work.
const ANSWER: Duration = Duration::from_secs(15);

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("cannot connect to the node's agent at {path}")]
    Connect { path: PathBuf, source: io::Error },
    #[error("cannot send to the node's agent")]
    Send { source: io::Error },
    #[error("cannot receive from the node's agent")]
    Receive { source: io::Error },
    #[error("the node's agent did not answer within {} s", after.as_secs())]
    Silent { after: Duration },
    #[error("the node's agent closed the connection early")]
    HungUp,
    #[error("the node's agent sent what does not parse: {what}")]
    Malformed { what: String },
    #[error("{}", refusal.message)]
    Refused { refusal: Refusal },
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: String, limit: usize },
}

impl AgentError {
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { refusal } if refusal.kind == RefusalKind::NotFound)
    }
}

/// A node's agent, by the host path of its socket. Cheap to clone; connects for each request.
#[derive(Debug, Clone)]
pub struct Agent {
    socket: PathBuf,
}

impl Agent {
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub async fn terminals(&self) -> Result<Vec<TerminalInfo>, AgentError> {
        self.ask(Request::Terminals).await
    }

    pub async fn open_terminal(&self, size: Size) -> Result<TerminalId, AgentError> {
        self.ask(Request::OpenTerminal { size }).await
    }

    pub async fn close_terminal(&self, id: TerminalId) -> Result<(), AgentError> {
        self.ask(Request::CloseTerminal { id }).await
    }

    /// Everything below `path`, `depth` levels deep, bounded by what one frame holds.
    pub async fn tree(&self, path: impl Into<String>, depth: u32) -> Result<Vec<TreeEntry>, AgentError> {
        self.ask(Request::Tree { path: path.into(), depth }).await
    }

    pub async fn stats(&self) -> Result<Stats, AgentError> {
        self.ask(Request::Stats).await
    }

    /// Stops the engine and starts it again; containers live on.
    pub async fn restart_engine(&self) -> Result<(), AgentError> {
        self.ask(Request::RestartEngine).await
    }

    /// Ends every process of the node, the engine first.
    pub async fn shutdown(&self) -> Result<(), AgentError> {
        self.ask(Request::Shutdown).await
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, AgentError> {
        let mut connection = self.request(&request).await?;
        connection.reply().await
    }

    async fn request(&self, request: &Request) -> Result<Connection, AgentError> {
        let connect = UnixStream::connect(&self.socket);
        let stream = timeout(ANSWER, connect)
            .await
            .map_err(|_| AgentError::Silent { after: ANSWER })?
            .map_err(|source| AgentError::Connect { path: self.socket.clone(), source })?;
        let (reader, writer) = socket::split(stream)
            .map_err(|source| AgentError::Connect { path: self.socket.clone(), source })?;
        let mut connection = Connection { frames: Frames::new(reader), writer };
        let json = serde_json::to_vec(request).expect("a request is plain data");
        connection.send(to_agent::REQUEST, &[&json]).await?;
        Ok(connection)
    }
}

/// One request's connection.
#[derive(Debug)]
struct Connection {
    frames: Frames<Reader>,
    writer: Writer,
}

impl Connection {
    async fn send(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), AgentError> {
        send(&mut self.writer, kind, parts).await
    }

    /// Waits for `REPLY` and reads its JSON.
    async fn reply<T: DeserializeOwned>(&mut self) -> Result<T, AgentError> {
        let frame = timeout(ANSWER, receive(&mut self.frames))
            .await
            .map_err(|_| AgentError::Silent { after: ANSWER })??;
        match frame.kind {
            to_client::REPLY => parse(&frame.payload),
            other => Err(unexpected(other)),
        }
    }
}

async fn send(writer: &mut Writer, kind: u8, parts: &[&[u8]]) -> Result<(), AgentError> {
    frame::write(writer, kind, parts).await.map_err(|source| AgentError::Send { source })
}

/// The next frame; `ERROR` and an early end become errors.
async fn receive(frames: &mut Frames<Reader>) -> Result<Frame, AgentError> {
    let frame = frames.next().await.map_err(|source| AgentError::Receive { source })?;
    let frame = frame.ok_or(AgentError::HungUp)?;
    match frame.kind {
        to_client::ERROR => Err(AgentError::Refused { refusal: parse(&frame.payload)? }),
        _ => Ok(frame),
    }
}

fn parse<T: DeserializeOwned>(json: &Bytes) -> Result<T, AgentError> {
    serde_json::from_slice(json).map_err(|error| AgentError::Malformed { what: error.to_string() })
}

fn unexpected(kind: u8) -> AgentError {
    AgentError::Malformed { what: format!("frame of type {kind}") }
}
