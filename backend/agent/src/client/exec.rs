//! A command run in the node.

use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::timeout;

use super::{Agent, AgentError, receive, send, unexpected};
use crate::frame::{Frames, to_agent, to_client};
use crate::protocol::{ExecRequest, Exit, Request};
use crate::socket::{Reader, Writer};

/// Bytes of one stream that [`Agent::exec`] keeps; more is an error, the command is killed.
const OUTPUT_LIMIT: usize = 8 * 1024 * 1024;

/// How long [`Agent::exec`] waits beyond the request's own timeout, or in all when it has none.
const GRACE: Duration = Duration::from_secs(15);
const LONGEST: Duration = Duration::from_secs(3600);

const STDIN_PIECE: usize = 64 * 1024;

/// All of a command that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    pub exit: Exit,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl ExecOutput {
    pub fn success(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// The exit status as a shell would show it; 124, as of `timeout(1)`, when it was killed for its time.
    pub fn code(&self) -> i32 {
        match self.exit {
            Exit::Code(code) => code,
            Exit::TimedOut => 124,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecEvent {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The last event.
    Exited(Exit),
}

/// A command that runs. Dropping it kills the command's process group.
#[derive(Debug)]
pub struct Running {
    frames: Frames<Reader>,
    writer: Writer,
}

impl Agent {
    /// Runs a command without input to its end and keeps what it wrote.
    pub async fn exec(&self, request: ExecRequest) -> Result<ExecOutput, AgentError> {
        self.exec_with_input(request, b"").await
    }

    /// Runs a command with `input` as its stdin.
    pub async fn exec_with_input(
        &self,
        request: ExecRequest,
        input: &[u8],
    ) -> Result<ExecOutput, AgentError> {
        let after = request.timeout_ms.map_or(LONGEST, |ms| Duration::from_millis(ms) + GRACE);
        let whole = async {
            let running = self.start_exec(request).await?;
            collect(running, input).await
        };
        timeout(after, whole).await.map_err(|_| AgentError::Silent { after })?
    }

    /// Starts a command; its streams are read and written as it runs.
    pub async fn start_exec(&self, request: ExecRequest) -> Result<Running, AgentError> {
        let mut connection = self.request(&Request::Exec(request)).await?;
        connection.reply::<()>().await?;
        Ok(Running { frames: connection.frames, writer: connection.writer })
    }
}

impl Running {
    /// The next event; nothing follows `Exited`. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<ExecEvent, AgentError> {
        next(&mut self.frames).await
    }

    /// Writes to the command's stdin.
    pub async fn stdin(&mut self, bytes: &[u8]) -> Result<(), AgentError> {
        write(&mut self.writer, bytes).await
    }

    /// Ends the command's stdin.
    pub async fn close_stdin(&mut self) -> Result<(), AgentError> {
        send(&mut self.writer, to_agent::END, &[]).await
    }
}

async fn next(frames: &mut Frames<Reader>) -> Result<ExecEvent, AgentError> {
    let frame = receive(frames).await?;
    let mut payload = frame.payload;
    match frame.kind {
        to_client::STDOUT => Ok(ExecEvent::Stdout(payload)),
        to_client::STDERR => Ok(ExecEvent::Stderr(payload)),
        to_client::EXITED => match (payload.try_get_i32(), payload.try_get_u8()) {
            (Ok(code), Err(_)) => Ok(ExecEvent::Exited(Exit::Code(code))),
            (Ok(_), Ok(_)) => Ok(ExecEvent::Exited(Exit::TimedOut)),
            _ => Err(AgentError::Malformed { what: "short exit frame".to_owned() }),
        },
        other => Err(unexpected(other)),
    }
}

async fn write(writer: &mut Writer, bytes: &[u8]) -> Result<(), AgentError> {
    for piece in bytes.chunks(STDIN_PIECE) {
        send(writer, to_agent::INPUT, &[piece]).await?;
    }
    Ok(())
}

/// Feeds and drains at once, since a command may write before it has read all its input.
async fn collect(running: Running, input: &[u8]) -> Result<ExecOutput, AgentError> {
    let Running { mut frames, mut writer } = running;
    let feed = async {
        // A command that ends without reading its input is no failure of ours.
        let _ = write(&mut writer, input).await;
        let _ = send(&mut writer, to_agent::END, &[]).await;
        std::future::pending().await
    };
    tokio::select! {
        output = drain(&mut frames) => output,
        never = feed => never,
    }
}

async fn drain(frames: &mut Frames<Reader>) -> Result<ExecOutput, AgentError> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    loop {
        match next(frames).await? {
            ExecEvent::Stdout(bytes) => keep(&mut stdout, &bytes)?,
            ExecEvent::Stderr(bytes) => keep(&mut stderr, &bytes)?,
            ExecEvent::Exited(exit) => return Ok(ExecOutput { exit, stdout, stderr }),
        }
    }
}

fn keep(stream: &mut Vec<u8>, bytes: &[u8]) -> Result<(), AgentError> {
    if stream.len() + bytes.len() > OUTPUT_LIMIT {
        return Err(AgentError::TooLarge { what: "the command's output".to_owned(), limit: OUTPUT_LIMIT });
    }
    stream.extend_from_slice(bytes);
    Ok(())
}
