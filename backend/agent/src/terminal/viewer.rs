//! One viewer's connection to a terminal.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use bytes::{Buf, Bytes};
use drydock_agent::frame::{self, Frame, Frames, HEADER, to_agent, to_client};
use drydock_agent::protocol::{Hello, Mode, Pacing, Size};
use drydock_agent::socket::{Reader, Writer, when_it_fits};
use tokio::sync::Notify;

use super::viewers::{Notice, Step, ViewerId};
use super::{Terminal, is_hangup};
use crate::door::{Refused, reply};

/// Bytes typed but not taken by the program before the viewer's socket is left unread. Far above any paste:
/// acknowledgements come over the same socket, and output may wait for them.
const TYPED_AHEAD: usize = 4 * 1024 * 1024;

/// Its place among the viewers, given back when it goes, however it goes.
struct Place {
    terminal: Rc<Terminal>,
    id: ViewerId,
    typed: RefCell<VecDeque<Bytes>>,
    /// Woken: when something was typed, and when it was taken.
    typing: Notify,
    taken: Notify,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.terminal.leave(self.id);
    }
}

/// Serves until the viewer or the terminal goes.
pub async fn serve(
    terminal: Rc<Terminal>,
    (from, mode, pacing): (u64, Mode, Pacing),
    mut frames: Frames<Reader>,
    writer: &mut Writer,
) -> Result<(), Refused> {
    let hello = Hello { end: terminal.ring.borrow().end(), size: terminal.size.get() };
    let place = Place {
        id: terminal.join(from, pacing),
        terminal,
        typed: RefCell::default(),
        typing: Notify::new(),
        taken: Notify::new(),
    };
    reply(writer, &hello).await?;
    tokio::select! {
        outcome = show(&place, writer) => outcome.map_err(Refused::gone),
        outcome = listen(&place, mode, &mut frames) => outcome,
        () = type_in(&place) => Ok(()),
    }
}

/// Sends what happens, in order.
async fn show(place: &Place, writer: &mut Writer) -> io::Result<()> {
    let terminal = &*place.terminal;
    let mut piece = Vec::new();
    loop {
        // Armed before looking, so that what comes in between is not missed.
        let more = terminal.more.notified();
        tokio::pin!(more);
        more.as_mut().enable();
        match next_step(place) {
            Step::Output { from, limit } => {
                piece.clear();
                piece.extend_from_slice(&frame::header(to_client::OUTPUT, 8 + limit));
                piece.extend_from_slice(&from.to_be_bytes());
                terminal.ring.borrow().read(from, limit, &mut piece);
                debug_assert_eq!(piece.len(), HEADER + 8 + limit);
                writer.write_all(&piece).await?;
                terminal.viewers.borrow_mut().sent(place.id, from + limit as u64);
                terminal.room.notify_one();
            }
            Step::Gap { resume } => frame::write(writer, to_client::GAP, &[&resume.to_be_bytes()]).await?,
            Step::Notice(notice) => send_notice(writer, &notice).await?,
            Step::Wait if terminal.closed.get() => {
                return frame::write(writer, to_client::CLOSED, &[b"the terminal was closed"]).await;
            }
            Step::Wait => {
                piece = Vec::new();
                more.await;
            }
        }
    }
}

fn next_step(place: &Place) -> Step {
    let ring = place.terminal.ring.borrow();
    place.terminal.viewers.borrow_mut().step(place.id, ring.start(), ring.end())
}

async fn send_notice(writer: &mut Writer, notice: &Notice) -> io::Result<()> {
    match notice {
        Notice::Resized(Size { cols, rows }) => {
            frame::write(writer, to_client::RESIZED, &[&cols.to_be_bytes(), &rows.to_be_bytes()]).await
        }
        Notice::ShellExited { code } => {
            frame::write(writer, to_client::SHELL_EXITED, &[&code.to_be_bytes()]).await
        }
    }
}

/// Takes what the viewer sends until it hangs up.
async fn listen(place: &Place, mode: Mode, frames: &mut Frames<Reader>) -> Result<(), Refused> {
    while let Some(frame) = frames.next().await.map_err(Refused::gone)? {
        match frame.kind {
            to_agent::INPUT if mode == Mode::ReadOnly => {
                return Err(Refused::invalid("this viewer may only read"));
            }
            to_agent::INPUT => input(place, frame.payload).await,
            to_agent::RESIZE => resize(place, mode, frame)?,
            to_agent::ACK => {
                let drawn =
                    frame.payload.clone().try_get_u64().map_err(|_| Refused::invalid("short frame"))?;
                place.terminal.viewers.borrow_mut().drawn(place.id, drawn);
                place.terminal.room.notify_one();
                place.terminal.more.notify_waiters();
            }
            other => return Err(Refused::invalid(format!("unexpected frame of type {other}"))),
        }
    }
    Ok(())
}

fn resize(place: &Place, mode: Mode, frame: Frame) -> Result<(), Refused> {
    let mut payload = frame.payload;
    let (Ok(cols), Ok(rows)) = (payload.try_get_u16(), payload.try_get_u16()) else {
        return Err(Refused::invalid("short frame"));
    };
    if cols == 0 || rows == 0 {
        return Err(Refused::invalid("a terminal has at least one row and column"));
    }
    if mode == Mode::ReadOnly {
        return Ok(());
    }
    let size = place.terminal.viewers.borrow_mut().resized(place.id, Size { cols, rows });
    if let Some(size) = size {
        place.terminal.take_size(size, place.id);
    }
    Ok(())
}

/// Puts what was typed in line.
async fn input(place: &Place, bytes: Bytes) {
    let size = place.terminal.viewers.borrow_mut().typed(place.id);
    if let Some(size) = size {
        place.terminal.take_size(size, place.id);
    }
    place.typed.borrow_mut().push_back(bytes);
    place.typing.notify_one();
    while place.typed.borrow().iter().map(Bytes::len).sum::<usize>() > TYPED_AHEAD {
        place.taken.notified().await;
    }
}

/// Types what is in line.
async fn type_in(place: &Place) {
    loop {
        let next = place.typed.borrow_mut().pop_front();
        match next {
            Some(bytes) => type_into(&place.terminal, &bytes).await,
            None => place.typing.notified().await,
        }
        place.taken.notify_one();
    }
}

/// Types into the running shell's terminal. Between two shells there is nobody to type to.
async fn type_into(terminal: &Terminal, mut bytes: &[u8]) {
    let Some(input) = terminal.input.borrow().clone() else { return };
    while !bytes.is_empty() {
        match when_it_fits(&*input, || rustix::io::write(&*input, bytes)).await {
            Ok(count) => bytes = &bytes[count..],
            Err(error) => {
                if !is_hangup(&error) {
                    tracing::warn!(%error, terminal.id = %terminal.id, "cannot type into the terminal");
                }
                return;
            }
        }
    }
}
