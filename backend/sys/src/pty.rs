//! Pseudo-terminals.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::pty::OpenptFlags;
use rustix::termios::Winsize;

/// Both ends of a new pseudo-terminal, close-on-exec.
#[derive(Debug)]
pub struct Pty {
    /// The side that reads what programs print.
    pub master: OwnedFd,
    /// The side programs have as their terminal.
    pub slave: OwnedFd,
}

/// Columns and rows, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    pub cols: u16,
    pub rows: u16,
}

/// Opens a pseudo-terminal from the `/dev/ptmx` the caller sees.
pub fn open() -> io::Result<Pty> {
    // Opened by path rather than posix_openpt: in a container /dev/ptmx is a link to pts/ptmx.
    let master =
        rustix::fs::openat(CWD, "/dev/ptmx", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    // By ioctl, not by name: the name may mean another device in another mount namespace.
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    Ok(Pty { master, slave })
}

/// Tells the programs on a terminal (either end) how large it is. They get `SIGWINCH` on change.
pub fn set_size(terminal: impl AsFd, size: Size) -> io::Result<()> {
    let size = Winsize { ws_col: size.cols, ws_row: size.rows, ws_xpixel: 0, ws_ypixel: 0 };
    Ok(rustix::termios::tcsetwinsize(terminal, size)?)
}

/// Begins a new session with `slave` as its controlling terminal and as stdin, stdout and stderr.
/// Like `login_tty(3)`, but a process that leads a session already keeps it.
pub fn take_as_controlling(slave: impl AsFd) -> io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    rustix::process::ioctl_tiocsctty(&slave)?;
    rustix::stdio::dup2_stdin(&slave)?;
    rustix::stdio::dup2_stdout(&slave)?;
    rustix::stdio::dup2_stderr(&slave)?;
    Ok(())
}
