//! A terminal watched: events in order, input and size the other way.

use bytes::{Buf, Bytes};

use super::{Agent, AgentError, parse, receive, send, unexpected};
use crate::frame::{Frame, Frames, to_agent, to_client};
use crate::protocol::{Hello, Mode, Pacing, Request, Size, TerminalId};
use crate::socket::{Reader, Writer};

/// The longest `INPUT` payload; a longer paste is sent in pieces.
const INPUT_PIECE: usize = 64 * 1024;

/// What happens on a terminal. `Hello` comes first and once, nothing after `Closed`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Hello {
        end: u64,
        size: Size,
    },
    /// Bytes `offset..offset + data.len()` of the terminal's stream.
    Output {
        offset: u64,
        data: Bytes,
    },
    /// Bytes up to `resume` are no longer in the scrollback.
    Gap {
        resume: u64,
    },
    Resized(Size),
    /// A new shell follows.
    ShellExited {
        code: i32,
    },
    Closed {
        reason: String,
    },
}

/// One viewer's connection to a terminal. Dropping it leaves the terminal as it is.
#[derive(Debug)]
pub struct Attachment {
    pub events: Events,
    pub viewer: Viewer,
}

/// The half that receives.
#[derive(Debug)]
pub struct Events {
    frames: Frames<Reader>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting,
    Open,
    Ended,
}

/// The half that sends.
#[derive(Debug)]
pub struct Viewer {
    writer: Writer,
}

impl Agent {
    /// Watches a terminal from byte `from` of its stream (0: all that is remembered).
    pub async fn attach(
        &self,
        id: TerminalId,
        from: u64,
        mode: Mode,
        pacing: Pacing,
    ) -> Result<Attachment, AgentError> {
        let connection = self.request(&Request::Attach { id, from, mode, pacing }).await?;
        Ok(Attachment {
            events: Events { frames: connection.frames, state: State::Greeting },
            viewer: Viewer { writer: connection.writer },
        })
    }
}

impl Attachment {
    /// See [`Events::next`].
    pub async fn next(&mut self) -> Result<Option<Event>, AgentError> {
        self.events.next().await
    }

    /// Both halves, for a reader and a writer of their own.
    pub fn split(self) -> (Events, Viewer) {
        (self.events, self.viewer)
    }
}

impl Events {
    /// The next event, `None` after `Closed`. May be dropped while it waits. Not calling it is back-pressure: the
    /// agent stops reading the terminal while a viewer lags (for ten seconds, then it goes on without it and
    /// the viewer sees a `Gap`).
    pub async fn next(&mut self) -> Result<Option<Event>, AgentError> {
        if self.state == State::Ended {
            return Ok(None);
        }
        let frame = match receive(&mut self.frames).await {
            // The node died: its agent cannot say so any more.
            Err(AgentError::HungUp | AgentError::Receive { .. }) => {
                self.state = State::Ended;
                return Ok(Some(Event::Closed { reason: "the node is gone".to_owned() }));
            }
            other => other?,
        };
        let event = match self.state {
            State::Greeting => greeting(&frame)?,
            _ => event(frame)?,
        };
        self.state = if matches!(event, Event::Closed { .. }) { State::Ended } else { State::Open };
        Ok(Some(event))
    }
}

impl Viewer {
    /// Types `bytes`; waits while the terminal's reader does not take them.
    pub async fn input(&mut self, bytes: &[u8]) -> Result<(), AgentError> {
        for piece in bytes.chunks(INPUT_PIECE) {
            send(&mut self.writer, to_agent::INPUT, &[piece]).await?;
        }
        Ok(())
    }

    /// This viewer's own size; the terminal takes that of whoever typed last.
    pub async fn resize(&mut self, size: Size) -> Result<(), AgentError> {
        let (cols, rows) = (size.cols.to_be_bytes(), size.rows.to_be_bytes());
        send(&mut self.writer, to_agent::RESIZE, &[&cols, &rows]).await
    }

    /// Everything before `offset` has been drawn; needed with [`Pacing::Acknowledged`].
    pub async fn acknowledge(&mut self, offset: u64) -> Result<(), AgentError> {
        send(&mut self.writer, to_agent::ACK, &[&offset.to_be_bytes()]).await
    }
}

fn greeting(frame: &Frame) -> Result<Event, AgentError> {
    match frame.kind {
        to_client::REPLY => {
            let Hello { end, size } = parse(&frame.payload)?;
            Ok(Event::Hello { end, size })
        }
        other => Err(unexpected(other)),
    }
}

fn event(frame: Frame) -> Result<Event, AgentError> {
    let mut payload = frame.payload;
    let short = |_| AgentError::Malformed { what: format!("short frame of type {}", frame.kind) };
    Ok(match frame.kind {
        to_client::OUTPUT => Event::Output { offset: payload.try_get_u64().map_err(short)?, data: payload },
        to_client::GAP => Event::Gap { resume: payload.try_get_u64().map_err(short)? },
        to_client::RESIZED => {
            let cols = payload.try_get_u16().map_err(short)?;
            Event::Resized(Size { cols, rows: payload.try_get_u16().map_err(short)? })
        }
        to_client::SHELL_EXITED => Event::ShellExited { code: payload.try_get_i32().map_err(short)? },
        to_client::CLOSED => Event::Closed { reason: String::from_utf8_lossy(&payload).into_owned() },
        other => return Err(unexpected(other)),
    })
}
