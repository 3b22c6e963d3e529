//! A terminal for the container: opened inside it, so that it lies in the container's own devpts; held outside.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_sys::mount::{self, Reach};
use drydock_sys::pty;
use oci_spec::runtime::Process;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::channel::{self, ToParent};
use crate::rootfs::target::{self, Make};

#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    #[error("open a terminal in the container")]
    Open(#[source] io::Error),
    #[error("set the terminal's size")]
    Size(#[source] io::Error),
    #[error("bind the terminal at /dev/console")]
    Bind(#[source] io::Error),
    #[error("hand the terminal out of the container")]
    HandOut(#[source] io::Error),
    #[error("take the terminal as the controlling one")]
    Control(#[source] io::Error),
    #[error("send a descriptor to {path}")]
    Socket {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Whether the terminal is also the container's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Of the first process: bound at `/dev/console`.
    Console,
    /// Of an executed process.
    Plain,
}

/// In the container: opens a terminal, sends its master to the parent, and takes it as stdin, stdout, stderr.
pub fn take(process: &Process, role: Role, parent: &ToParent) -> Result<(), ConsoleError> {
    let terminal = pty::open().map_err(ConsoleError::Open)?;
    if let Some(size) = process.console_size() {
        let number = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
        let size = pty::Size { cols: number(size.width()), rows: number(size.height()) };
        pty::set_size(&terminal.master, size).map_err(ConsoleError::Size)?;
    }
    if role == Role::Console {
        bind_console(&terminal.master).map_err(ConsoleError::Bind)?;
    }
    parent.console(terminal.master.as_fd()).map_err(ConsoleError::HandOut)?;
    pty::take_as_controlling(&terminal.slave).map_err(ConsoleError::Control)
}

fn bind_console(master: &OwnedFd) -> io::Result<()> {
    let name = rustix::pty::ptsname(master, Vec::new())?;
    let slave = Path::new(name.to_str().map_err(|_| io::ErrorKind::InvalidData)?);
    let tree = mount::clone_tree(slave, Reach::One)?;
    let root = std::fs::File::open("/")?;
    let point = target::open_or_make(&root, Path::new("/dev/console"), Make::File)?;
    mount::attach_at(&tree, &point, Path::new(""))
}

/// Sends a terminal's master to whoever listens on `path` (`--console-socket`).
pub fn send_to(path: &Path, master: BorrowedFd<'_>) -> Result<(), ConsoleError> {
    // runc sends the terminal's name beside the descriptor.
    send_named(path, b"/dev/ptmx", master)
}

/// Sends a process's pidfd to whoever listens on `path` (`--pidfd-socket`).
pub fn send_pidfd_to(path: &Path, pidfd: BorrowedFd<'_>) -> Result<(), ConsoleError> {
    send_named(path, b"pidfd", pidfd)
}

fn send_named(path: &Path, name: &[u8], fd: BorrowedFd<'_>) -> Result<(), ConsoleError> {
    let send = || -> io::Result<()> {
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        channel::send(socket.as_fd(), name, Some(fd))
    };
    send().map_err(|source| ConsoleError::Socket { path: path.to_owned(), source })
}
