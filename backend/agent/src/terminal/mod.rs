//! A terminal: a succession of shells, each on a pseudo-terminal of its own, one stream of output with its
//! scrollback, and those who watch it.
//!
//! ```text
//! shell::run (one task per terminal)    reads the pty into the ring, starts the next shell
//! viewer::serve (one task per viewer)   sends from the ring, types into the pty
//! ```
//!
//! Both share [`Terminal`]; nothing is queued per viewer but its place in the stream.

mod ring;
pub mod shell;
pub mod viewer;
mod viewers;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use drydock_agent::protocol::{MAX_TERMINALS, Pacing, SCROLLBACK, Size, TerminalId, TerminalInfo};
use tokio::sync::Notify;

use crate::reaper::Reaper;
use ring::Ring;
use viewers::{Gate, Notice, ViewerId, Viewers};

pub struct Terminal {
    id: TerminalId,
    size: Cell<Size>,
    ring: RefCell<Ring>,
    viewers: RefCell<Viewers>,
    /// Where the running shell is typed to; none between two shells.
    input: RefCell<Option<Rc<OwnedFd>>>,
    closed: Cell<bool>,
    /// Woken: viewers, when there is more to send.
    more: Notify,
    /// Woken: the reader, when a viewer made progress or left, or the terminal was closed.
    room: Notify,
}

impl Terminal {
    fn new(id: TerminalId, size: Size) -> Self {
        Self {
            id,
            size: Cell::new(size),
            ring: RefCell::new(Ring::new(SCROLLBACK)),
            viewers: RefCell::new(Viewers::default()),
            input: RefCell::new(None),
            closed: Cell::new(false),
            more: Notify::new(),
            room: Notify::new(),
        }
    }

    fn info(&self) -> TerminalInfo {
        let ring = self.ring.borrow();
        TerminalInfo {
            id: self.id,
            size: self.size.get(),
            start: ring.start(),
            end: ring.end(),
            viewers: self.viewers.borrow().len() as u32,
        }
    }

    fn notify(&self, notice: Notice) {
        self.viewers.borrow_mut().notify(&notice, self.ring.borrow().end());
        self.more.notify_waiters();
    }

    fn gate(&self) -> Gate {
        self.viewers.borrow_mut().gate(self.ring.borrow().end(), Instant::now())
    }

    fn join(&self, from: u64, pacing: Pacing) -> ViewerId {
        let from = from.min(self.ring.borrow().end());
        self.viewers.borrow_mut().join(from, pacing)
    }

    fn leave(&self, viewer: ViewerId) {
        self.viewers.borrow_mut().leave(viewer);
        self.room.notify_one();
    }

    /// Gives the terminal a size that `cause` brought about and tells everyone else.
    fn take_size(&self, size: Size, cause: ViewerId) {
        if self.size.replace(size) == size {
            return;
        }
        if let Some(input) = &*self.input.borrow()
            && let Err(error) = drydock_sys::pty::set_size(input.as_ref(), cells(size))
        {
            tracing::warn!(%error, terminal.id = %self.id, "cannot resize");
        }
        self.viewers.borrow_mut().announce_size(size, cause, self.ring.borrow().end());
        self.more.notify_waiters();
    }

    fn close(&self) {
        self.closed.set(true);
        self.more.notify_waiters();
        self.room.notify_one();
    }
}

fn cells(size: Size) -> drydock_sys::pty::Size {
    drydock_sys::pty::Size { cols: size.cols, rows: size.rows }
}

/// The terminals of this node.
#[derive(Clone)]
pub struct Terminals {
    all: Rc<RefCell<BTreeMap<TerminalId, Rc<Terminal>>>>,
    last: Rc<Cell<u32>>,
    reaper: Reaper,
}

/// There are [`MAX_TERMINALS`] already.
#[derive(Debug)]
pub struct TooMany;

impl Terminals {
    pub fn new(reaper: Reaper) -> Self {
        Self { all: Rc::default(), last: Rc::default(), reaper }
    }

    pub fn list(&self) -> Vec<TerminalInfo> {
        self.all.borrow().values().map(|terminal| terminal.info()).collect()
    }

    pub fn get(&self, id: TerminalId) -> Option<Rc<Terminal>> {
        self.all.borrow().get(&id).cloned()
    }

    pub fn open(&self, size: Size) -> Result<TerminalId, TooMany> {
        if self.all.borrow().len() >= MAX_TERMINALS {
            return Err(TooMany);
        }
        let id = TerminalId(self.last.get() + 1);
        self.last.set(id.0);
        let terminal = Rc::new(Terminal::new(id, size));
        self.all.borrow_mut().insert(id, Rc::clone(&terminal));
        tokio::task::spawn_local(shell::run(terminal, self.reaper.clone()));
        Ok(id)
    }

    /// Ends the shell and tells the viewers; false when there is no such terminal.
    pub fn close(&self, id: TerminalId) -> bool {
        let terminal = self.all.borrow_mut().remove(&id);
        terminal.inspect(|terminal| terminal.close()).is_some()
    }
}

/// Output and input errors that mean "nobody has the other end open".
fn is_hangup(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::libc::EIO)
}
