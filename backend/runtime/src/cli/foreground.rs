//! A container in the foreground: its terminal or streams are ours, our signals are its.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use drydock_sys::process::{self, Exit};
use drydock_sys::pty;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios};

/// Passes signals on, and a terminal's bytes both ways, until the process behind `pidfd` ends.
pub fn attend(pidfd: &OwnedFd, console: Option<OwnedFd>) -> io::Result<Exit> {
    // Blocked only now: the container's own process started with an empty mask.
    let signals = SigSet::all();
    signals.thread_block()?;
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let _raw = console.as_ref().and_then(|_| RawTerminal::enter());
    if let Some(master) = &console {
        resize(master);
    }
    let mut stdin_open = console.is_some();
    loop {
        let stdin = io::stdin();
        let mut waiting = vec![PollFd::new(&signals, PollFlags::IN), PollFd::new(pidfd, PollFlags::IN)];
        if let Some(master) = &console {
            waiting.push(PollFd::new(master, PollFlags::IN));
            if stdin_open {
                waiting.push(PollFd::new(&stdin, PollFlags::IN));
            }
        }
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let ready: Vec<bool> = waiting.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[0] {
            pass_signals(&signals, pidfd, console.as_ref())?;
        }
        if let (Some(master), Some(true)) = (&console, ready.get(2)) {
            copy_available(master, io::stdout().as_fd());
        }
        if let (Some(master), Some(true)) = (&console, ready.get(3)) {
            stdin_open = copy_available(&stdin, master.as_fd());
        }
        if ready[1] {
            if let Some(master) = &console {
                drain(master);
            }
            return process::wait(pidfd);
        }
    }
}

/// Copies what one read gives. False at the end of the file.
fn copy_available(from: impl AsFd, to: impl AsFd) -> bool {
    let mut buffer = [0; 4096];
    let length = rustix::io::read(&from, &mut buffer).unwrap_or(0);
    let mut left = &buffer[..length];
    while !left.is_empty() {
        match rustix::io::write(&to, left) {
            Ok(written) => left = &left[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    length > 0
}

/// What the program printed last is still in the terminal when it has ended.
fn drain(master: &OwnedFd) {
    loop {
        let mut waiting = [PollFd::new(master, PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let readable = poll(&mut waiting, Some(&now)).is_ok() && waiting[0].revents().contains(PollFlags::IN);
        if !readable || !copy_available(master, io::stdout()) {
            return;
        }
    }
}

fn pass_signals(signals: &SignalFd, pidfd: &OwnedFd, console: Option<&OwnedFd>) -> io::Result<()> {
    while let Some(info) = signals.read_signal()? {
        match (info.ssi_signo as i32, console) {
            // SIGCHLD is about our own children, SIGWINCH about our own terminal.
            (17, _) => {}
            (28, Some(master)) => resize(master),
            (number, _) => {
                if let Some(signal) = rustix::process::Signal::from_named_raw(number) {
                    // The process may have just ended; then there is nobody to tell.
                    let _ = rustix::process::pidfd_send_signal(pidfd, signal);
                }
            }
        }
    }
    Ok(())
}

fn resize(master: &OwnedFd) {
    if let Ok(size) = rustix::termios::tcgetwinsize(io::stdin()) {
        // A size that cannot be set leaves the old one, which is no reason to end anything.
        let _ = pty::set_size(master, pty::Size { cols: size.ws_col, rows: size.ws_row });
    }
}

/// Our own terminal passes every key on as it is, until dropped.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Option<Self> {
        let before = rustix::termios::tcgetattr(io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
