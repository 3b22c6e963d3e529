//! What a container's parent and its first process say to each other, each end with its own words.
//!
//! ```text
//!   parent                                   child
//!     ── Mapped ───────────────────────────▶   (new user namespace only) the id maps are written
//!     ◀─────────────────────────── HooksDue ──  (only when such hooks exist) namespaces are ready, root is not
//!     ── HooksDone ────────────────────────▶
//!     ◀──────────────────── Console + fd ─────  (terminal only)
//!     ◀─────────────────── Listener + fd ─────  (only with a filter that notifies) the filter is installed
//!     ── ListenerTaken ────────────────────▶
//!     ◀──────────────────────────── Ready ────  all that can fail before execve has been done
//!     ── Start ────────────────────────────▶
//!     ◀───── end of file by close-on-exec ────  the program runs
//!     ◀──────────────────────────── Failed ───  instead of any of the above
//! ```

use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::failure::ChildFailure;

/// The parent's end.
#[derive(Debug)]
pub struct ToChild(OwnedFd);

/// The child's end. It closes by itself when the program is executed.
#[derive(Debug)]
pub struct ToParent(OwnedFd);

/// What the parent hears.
#[derive(Debug)]
pub enum FromChild {
    HooksDue,
    Console(OwnedFd),
    Listener(OwnedFd),
    Ready,
    Failed(ChildFailure),
    /// The child's end is closed: its program runs, or it died.
    Closed,
}

/// What the child hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FromParent {
    Mapped,
    HooksDone,
    ListenerTaken,
    Start,
}

const HOOKS_DUE: u8 = b'h';
const CONSOLE: u8 = b'c';
const LISTENER: u8 = b'l';
const READY: u8 = b'r';
const FAILED: u8 = b'f';

/// A connected pair of ends.
pub fn pair() -> io::Result<(ToChild, ToParent)> {
    let (parent, child) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    Ok((ToChild(parent), ToParent(child)))
}

impl ToChild {
    /// The end of a `start` that connected to a waiting child.
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub fn tell(&self, word: FromParent) -> io::Result<()> {
        let byte = match word {
            FromParent::Mapped => b'm',
            FromParent::HooksDone => b'd',
            FromParent::ListenerTaken => b't',
            FromParent::Start => b's',
        };
        send(self.0.as_fd(), &[byte], None)
    }

    pub fn hear(&self) -> io::Result<FromChild> {
        let mut buffer = [0; 8192];
        let (length, fd) = receive(self.0.as_fd(), &mut buffer)?;
        match (buffer[..length].split_first(), fd) {
            (None, _) => Ok(FromChild::Closed),
            (Some((&HOOKS_DUE, _)), _) => Ok(FromChild::HooksDue),
            (Some((&CONSOLE, _)), Some(fd)) => Ok(FromChild::Console(fd)),
            (Some((&LISTENER, _)), Some(fd)) => Ok(FromChild::Listener(fd)),
            (Some((&READY, _)), _) => Ok(FromChild::Ready),
            (Some((&FAILED, rest)), _) => Ok(FromChild::Failed(ChildFailure::from_bytes(rest))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl AsFd for ToChild {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ToParent {
    /// The end of a child that accepted a `start`.
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub fn hooks_due(&self) -> io::Result<()> {
        send(self.0.as_fd(), &[HOOKS_DUE], None)
    }

    pub fn console(&self, master: BorrowedFd<'_>) -> io::Result<()> {
        send(self.0.as_fd(), &[CONSOLE], Some(master))
    }

    pub fn listener(&self, listener: BorrowedFd<'_>) -> io::Result<()> {
        send(self.0.as_fd(), &[LISTENER], Some(listener))
    }

    pub fn ready(&self) -> io::Result<()> {
        send(self.0.as_fd(), &[READY], None)
    }

    /// The last word. A parent that is gone cannot be told; there is nobody else.
    pub fn failed(&self, failure: &ChildFailure) {
        let mut message = vec![FAILED];
        message.extend(failure.to_bytes());
        message.truncate(8192);
        let _ = send(self.0.as_fd(), &message, None);
    }

    /// Waits for the one word the protocol allows now.
    pub fn expect(&self, word: FromParent) -> io::Result<()> {
        let mut buffer = [0; 1];
        let (length, _) = receive(self.0.as_fd(), &mut buffer)?;
        let heard = match &buffer[..length] {
            [b'm'] => FromParent::Mapped,
            [b'd'] => FromParent::HooksDone,
            [b't'] => FromParent::ListenerTaken,
            [b's'] => FromParent::Start,
            [] => return Err(io::ErrorKind::ConnectionReset.into()),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        };
        if heard == word { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// Sends one packet, with at most one descriptor beside it.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds: &[BorrowedFd<'_>] = fd.as_slice();
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    // Without NOSIGNAL a parent that is gone would kill the child by SIGPIPE, before it cleaned up.
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            socket,
            &mut [IoSliceMut::new(buffer)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        );
        let message = match received {
            Err(rustix::io::Errno::INTR) => continue,
            // A child killed with unread words on its side resets the connection: it is as closed.
            Err(rustix::io::Errno::CONNRESET) => return Ok((0, None)),
            other => other?,
        };
        let mut fd = None;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                fd = fds.last().or(fd);
            }
        }
        return Ok((message.bytes, fd));
    }
}
