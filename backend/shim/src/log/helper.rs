//! A remote driver's process. It speaks to the world, and may wait for it; the shim must not.
//!
//! ```text
//!   shim ── starts ──▶ program, with one end of a SOCK_SEQPACKET pair as its standard input
//!        ── the settings, as JSON, in the first message ──▶
//!        ◀── one line on its standard output: `ready`, or why not ──
//!        ── one LogEntry per message ──▶          the same protocol buffers moby sends to its log plugins
//!        ── the end of the pair ──▶               it sends what it still has, and ends
//! ```

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drydock_shim::config::{Helper as Settings, READY};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType};

use super::outbox::{Carrier, Sent};

/// How soon one that died is started again.
const REST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Helper {
    program: PathBuf,
    /// The first message: with `again`, one that need not answer.
    settings: serde_json::Value,
    socket: Option<OwnedFd>,
    child: Child,
    started: Instant,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("start {program}: {source}")]
    Spawn { program: PathBuf, source: io::Error },
    #[error("configure the log driver: {0}")]
    Configure(#[source] io::Error),
    /// In moby's words.
    #[error("{0}")]
    Refused(String),
}

impl Helper {
    /// Starts the program and waits until it has reached its receiver.
    pub fn start(settings: &Settings) -> Result<Self, StartError> {
        let (mut child, socket) = spawn(&settings.program)
            .map_err(|source| StartError::Spawn { program: settings.program.clone(), source })?;
        configure(&socket, &settings.settings).map_err(StartError::Configure)?;
        let mut answer = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut answer).map_err(StartError::Configure)?;
        }
        if answer.trim_end() != READY {
            let _ = child.wait();
            let answer = answer.trim_end();
            let why =
                if answer.is_empty() { "the log driver's process ended without a word" } else { answer };
            return Err(StartError::Refused(why.to_owned()));
        }
        let mut again = settings.settings.clone();
        again["again"] = true.into();
        Ok(Self {
            program: settings.program.clone(),
            settings: again,
            socket: Some(socket),
            child,
            started: Instant::now(),
        })
    }

    /// After its end, unless it has just been started. It will look for its receiver by itself.
    fn start_again(&mut self) -> io::Result<()> {
        if self.started.elapsed() < REST {
            return Ok(());
        }
        self.started = Instant::now();
        let _ = self.child.kill();
        self.child.wait()?;
        let (child, socket) = spawn(&self.program)?;
        configure(&socket, &self.settings)?;
        (self.child, self.socket) = (child, Some(socket));
        Ok(())
    }

    fn try_send(&self, message: &[u8]) -> Result<(), Errno> {
        let socket = self.socket.as_ref().ok_or(Errno::PIPE)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        rustix::io::retry_on_intr(|| rustix::net::send(socket, message, flags)).map(drop)
    }
}

impl Carrier for Helper {
    fn send(&mut self, message: &[u8]) -> Sent {
        match self.try_send(message) {
            Ok(()) => return Sent::Yes,
            Err(Errno::AGAIN) => return Sent::Wait,
            Err(_) => self.socket = None,
        }
        if let Err(error) = self.start_again() {
            eprintln!("drydock-shim: start the log driver again: {error}");
        }
        match self.try_send(message) {
            Ok(()) => Sent::Yes,
            Err(Errno::AGAIN) => Sent::Wait,
            Err(_) => Sent::Lost,
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }
}

fn spawn(program: &std::path::Path) -> io::Result<(Child, OwnedFd)> {
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let child = Command::new(program).stdin(Stdio::from(theirs)).stdout(Stdio::piped()).spawn()?;
    Ok((child, ours))
}

fn configure(socket: &OwnedFd, settings: &serde_json::Value) -> io::Result<()> {
    let message = serde_json::to_vec(settings)?;
    rustix::net::send(socket, &message, SendFlags::NOSIGNAL)?;
    Ok(())
}
