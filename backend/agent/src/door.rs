//! Accepts connections, reads one request from each and hands it to its room.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use drydock_agent::frame::{self, Frames, to_agent, to_client};
use drydock_agent::protocol::{Refusal, RefusalKind, Request, Size};
use drydock_agent::socket::{self, Reader, Writer};
use serde::Serialize;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::engine::Engine;
use crate::reaper::Reaper;
use crate::terminal::{Terminals, viewer};
use crate::{exec, files, stats};

/// How long a client may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(15);

/// What requests act on.
pub struct Rooms {
    pub terminals: Terminals,
    pub reaper: Reaper,
    pub engine: Engine,
}

/// Why a connection ends early.
#[derive(Debug)]
pub enum Refused {
    /// Told to the client.
    Because(Refusal),
    /// The client itself is gone.
    Gone(io::Error),
}

impl Refused {
    pub fn gone(error: io::Error) -> Self {
        Self::Gone(error)
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::because(RefusalKind::Invalid, message)
    }

    pub fn because(kind: RefusalKind, message: impl Into<String>) -> Self {
        Self::Because(Refusal { kind, message: message.into() })
    }

    /// An error of the file system or of starting a process.
    pub fn from_io(what: &str, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => RefusalKind::NotFound,
            _ => RefusalKind::Failed,
        };
        Self::because(kind, format!("{what}: {error}"))
    }
}

/// Serves until the process ends; one task per connection.
pub async fn serve(listener: UnixListener, rooms: Rc<Rooms>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let rooms = Rc::clone(&rooms);
                tokio::task::spawn_local(async move { connection(stream, &rooms).await });
            }
            Err(error) => {
                // Out of descriptors, most likely: others must finish first.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(stream: UnixStream, rooms: &Rooms) {
    let (reader, mut writer) = match socket::split(stream) {
        Ok(halves) => halves,
        Err(error) => return tracing::warn!(%error, "cannot watch a connection"),
    };
    match answer(Frames::new(reader), &mut writer, rooms).await {
        Ok(()) => {}
        Err(Refused::Gone(error)) => tracing::debug!(%error, "a client left"),
        Err(Refused::Because(refusal)) => {
            let json = serde_json::to_vec(&refusal).expect("a refusal is plain data");
            if let Err(error) = frame::write(&mut writer, to_client::ERROR, &[&json]).await {
                tracing::debug!(%error, "a client left before its refusal");
            }
        }
    }
}

async fn answer(mut frames: Frames<Reader>, writer: &mut Writer, rooms: &Rooms) -> Result<(), Refused> {
    let Some(request) = request(&mut frames).await? else { return Ok(()) };
    match request {
        Request::Terminals => reply(writer, &rooms.terminals.list()).await,
        Request::OpenTerminal { size } => reply(writer, &open_terminal(rooms, size)?).await,
        Request::CloseTerminal { id } if rooms.terminals.close(id) => reply(writer, &()).await,
        Request::CloseTerminal { id } => Err(no_terminal(id)),
        Request::Attach { id, from, mode, pacing } => {
            let terminal = rooms.terminals.get(id).ok_or_else(|| no_terminal(id))?;
            viewer::serve(terminal, (from, mode, pacing), frames, writer).await
        }
        // Boxed: a viewer stays for hours, and its task would have room for the largest of these all the while.
        Request::Exec(request) => Box::pin(exec::serve(&request, &rooms.reaper, frames, writer)).await,
        Request::Write(request) => Box::pin(files::write(&request, frames, writer)).await,
        Request::Read { path } => Box::pin(files::read(&path, writer)).await,
        Request::Tree { path, depth } => reply(writer, &Box::pin(files::tree(&path, depth)).await?).await,
        Request::Stats => reply(writer, &stats::read(rooms.engine.state())).await,
        Request::RestartEngine => {
            rooms.engine.restart();
            reply(writer, &()).await
        }
        Request::Shutdown => {
            reply(writer, &()).await?;
            rooms.engine.shut_down();
            Ok(())
        }
    }
}

async fn request(frames: &mut Frames<Reader>) -> Result<Option<Request>, Refused> {
    let frame = timeout(REQUEST, frames.next()).await;
    let frame = frame.map_err(|_| Refused::invalid("no request came"))?;
    let Some(frame) = frame.map_err(Refused::gone)? else { return Ok(None) };
    if frame.kind != to_agent::REQUEST {
        return Err(Refused::invalid("the first frame is a request"));
    }
    serde_json::from_slice(&frame.payload).map(Some).map_err(|error| Refused::invalid(error.to_string()))
}

fn open_terminal(rooms: &Rooms, size: Size) -> Result<drydock_agent::protocol::TerminalId, Refused> {
    if size.cols == 0 || size.rows == 0 {
        return Err(Refused::invalid("a terminal has at least one row and column"));
    }
    let opened = rooms.terminals.open(size);
    opened.map_err(|_| Refused::because(RefusalKind::Limit, "this node has as many terminals as it may"))
}

fn no_terminal(id: drydock_agent::protocol::TerminalId) -> Refused {
    Refused::because(RefusalKind::NotFound, format!("there is no terminal {id}"))
}

/// Sends a `REPLY`.
pub async fn reply(writer: &mut Writer, body: &impl Serialize) -> Result<(), Refused> {
    let json = serde_json::to_vec(body).expect("replies are plain data");
    frame::write(writer, to_client::REPLY, &[&json]).await.map_err(Refused::gone)
}
