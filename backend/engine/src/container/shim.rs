//! The engine's side of a shim: start one, ask it things, take part in its streams.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use drydock_shim::config::{Announcement, EXIT_FILE, Failure, SOCKET_FILE};
use drydock_shim::exit::Exit;
use drydock_shim::protocol::{self, ProtocolError, Reply, Request, Streams};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

#[derive(Debug, thiserror::Error)]
pub enum ShimError {
    #[error("start {program}")]
    Spawn { program: PathBuf, source: io::Error },
    #[error("the shim of {dir} ended without a word")]
    Silent { dir: PathBuf },
    #[error("read the shim's first words")]
    Announcement(#[source] serde_json::Error),
    #[error("connect to the shim in {dir}")]
    Connect { dir: PathBuf, source: io::Error },
    #[error("speak to the shim")]
    Speak(#[source] io::Error),
    #[error("understand the shim")]
    Protocol(#[from] ProtocolError),
    #[error("the shim closed the connection")]
    Closed,
    #[error("the shim answered {0:?}, which is no answer to that")]
    Unexpected(Reply),
    #[error("{}", .0.message)]
    Failed(Failure),
}

/// Starts a shim for the bundle in `dir`; answers the pid of the container's first process.
pub async fn spawn(program: &Path, dir: &Path) -> Result<i32, ShimError> {
    let failed = |source| ShimError::Spawn { program: program.to_owned(), source };
    let mut child = tokio::process::Command::new(program)
        .arg(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // A signal to the engine's process group must not reach containers.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let mut words = Vec::new();
    let mut stdout = child.stdout.take().expect("stdout was asked for");
    stdout.read_to_end(&mut words).await.map_err(failed)?;
    // The child is left to tokio, which reaps it when it ends.
    drop(child);
    if words.is_empty() {
        return Err(ShimError::Silent { dir: dir.to_owned() });
    }
    match serde_json::from_slice(&words).map_err(ShimError::Announcement)? {
        Announcement::Started { pid } => Ok(pid),
        Announcement::Failed(failure) => Err(ShimError::Failed(failure)),
    }
}

/// One connection to a shim.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(dir: &Path) -> Result<Self, ShimError> {
        let stream =
            connect(dir).await.map_err(|source| ShimError::Connect { dir: dir.to_owned(), source })?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    pub async fn send(&mut self, request: &Request) -> Result<(), ShimError> {
        let bytes = protocol::encode_message(request)?;
        self.stream.write_all(&bytes).await.map_err(ShimError::Speak)
    }

    /// The next reply; `Failed` becomes an error.
    pub async fn receive(&mut self) -> Result<Reply, ShimError> {
        loop {
            if let Some((reply, used)) = protocol::decode_message(&self.buffer)? {
                self.buffer.drain(..used);
                return match reply {
                    Reply::Failed(failure) => Err(ShimError::Failed(failure)),
                    reply => Ok(reply),
                };
            }
            if self.stream.read_buf(&mut self.buffer).await.map_err(ShimError::Speak)? == 0 {
                return Err(ShimError::Closed);
            }
        }
    }

    pub async fn ask(&mut self, request: &Request) -> Result<Reply, ShimError> {
        self.send(request).await?;
        self.receive().await
    }

    /// The stream after `Attached` or `Started`, with what was read of it already.
    pub fn into_stream(self) -> (UnixStream, Vec<u8>) {
        (self.stream, self.buffer)
    }
}

/// Connects through the directory's descriptor: a socket's path may be 107 bytes long, ours can be longer.
async fn connect(dir: &Path) -> io::Result<UnixStream> {
    use rustix::fs::{Mode, OFlags};
    use std::os::fd::AsRawFd;
    let dir = rustix::fs::open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd())).await
}

/// Asks one thing that is answered by `Done`.
pub async fn command(dir: &Path, request: &Request) -> Result<(), ShimError> {
    match Connection::open(dir).await?.ask(request).await? {
        Reply::Done => Ok(()),
        other => Err(ShimError::Unexpected(other)),
    }
}

/// A stream of the container's output and input.
pub async fn attach(dir: &Path, streams: Streams) -> Result<(UnixStream, Vec<u8>), ShimError> {
    let mut connection = Connection::open(dir).await?;
    match connection.ask(&Request::Attach { streams }).await? {
        Reply::Attached => Ok(connection.into_stream()),
        other => Err(ShimError::Unexpected(other)),
    }
}

/// How the container in `dir` ended, if it has.
pub fn read_exit(dir: &Path) -> Option<Exit> {
    let bytes = std::fs::read(dir.join(EXIT_FILE)).ok()?;
    serde_json::from_slice(&bytes).ok()
}
