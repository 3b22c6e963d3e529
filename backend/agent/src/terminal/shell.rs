//! The shells of a terminal, one after the other, and the reading of what they print.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use tokio::net::unix::pipe::Receiver;
use tokio::time::{sleep, timeout, timeout_at};

use super::viewers::{Gate, Notice, PIECE};
use super::{Terminal, cells, is_hangup};
use crate::accounts;
use crate::reaper::{Reaper, Started};

/// The longest that output is held back to fill a frame, and only while it floods.
const BATCH: Duration = Duration::from_millis(1);

/// A batch of so many bytes is a flood: nobody types that fast.
const FLOOD: usize = 4096;

/// A shell that lived shorter than this makes the next one wait, each time twice as long.
const QUICK: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long a hung-up shell may take before it is killed.
const HANGUP_GRACE: Duration = Duration::from_secs(2);

/// Runs shells until the terminal is closed.
pub async fn run(terminal: Rc<Terminal>, reaper: Reaper) {
    let mut wait = Duration::ZERO;
    while !terminal.closed.get() {
        let begun = Instant::now();
        let code = match start(&terminal, &reaper) {
            Ok((output, shell)) => follow(&terminal, &output, shell).await,
            Err(error) => {
                tracing::error!(%error, terminal.id = %terminal.id, "cannot start a shell");
                terminal.ring.borrow_mut().push(format!("cannot start a shell: {error}\r\n").as_bytes());
                126
            }
        };
        if terminal.closed.get() {
            return;
        }
        terminal.notify(Notice::ShellExited { code });
        wait = match begun.elapsed() < QUICK {
            true => (wait * 2).clamp(Duration::from_millis(100), LONGEST_WAIT),
            false => Duration::ZERO,
        };
        tokio::select! {
            () = sleep(wait) => {}
            () = closed(&terminal) => {}
        }
    }
}

fn start(terminal: &Terminal, reaper: &Reaper) -> io::Result<(Receiver, Started)> {
    let pty = drydock_sys::pty::open()?;
    drydock_sys::pty::set_size(&pty.master, cells(terminal.size.get()))?;
    fcntl_setfl(&pty.master, fcntl_getfl(&pty.master)? | OFlags::NONBLOCK)?;
    let input = pty.master.try_clone()?;
    // Unchecked, since a terminal is no pipe; it is read and polled just like one.
    let output = Receiver::from_owned_fd_unchecked(pty.master)?;
    let mut command = accounts::login_shell();
    drydock_sys::child::on_terminal(&mut command, pty.slave);
    let shell = reaper.start(&mut command)?;
    *terminal.input.borrow_mut() = Some(Rc::new(input));
    Ok((output, shell))
}

/// Reads until the shell is gone and returns its exit status.
async fn follow(terminal: &Terminal, output: &Receiver, mut shell: Started) -> i32 {
    let code = {
        let reading = read(terminal, output);
        tokio::pin!(reading);
        tokio::select! {
            // All ends are closed: nothing more can be read.
            () = &mut reading => None,
            code = shell.ended.code() => {
                // What it printed last is still in the terminal; a background job may keep printing.
                let _ = timeout(HANGUP_GRACE, reading).await;
                Some(code)
            }
            () = closed(terminal) => None,
        }
    };
    terminal.input.borrow_mut().take();
    match code {
        Some(code) => code,
        None => hang_up(shell).await,
    }
}

async fn hang_up(mut shell: Started) -> i32 {
    // ESRCH means it is gone, which is what is wanted.
    let _ = killpg(shell.pid, Signal::SIGHUP);
    if let Ok(code) = timeout(HANGUP_GRACE, shell.ended.code()).await {
        return code;
    }
    kill(shell.pid);
    shell.ended.code().await
}

fn kill(leader: Pid) {
    // As above.
    let _ = killpg(leader, Signal::SIGKILL);
}

async fn closed(terminal: &Terminal) {
    while !terminal.closed.get() {
        terminal.more.notified().await;
    }
}

/// Reads until the other end is closed.
///
/// With OPOST every newline is a write of its own in the kernel, and a read returns at most 4,095 bytes; so a
/// flood is gathered for up to [`BATCH`] or [`PIECE`]. A lone keystroke's echo is never held back.
async fn read(terminal: &Terminal, output: &Receiver) {
    let mut flood = false;
    loop {
        wait_for_room(terminal).await;
        let mut gathered = 0;
        let mut deadline = None;
        let ended = loop {
            let ready = match deadline {
                None => output.readable().await,
                Some(deadline) => match timeout_at(deadline, output.readable()).await {
                    Ok(ready) => ready,
                    Err(_) => break false,
                },
            };
            if ready.is_err() {
                break true;
            }
            let outcome = drain(terminal, output, PIECE - gathered);
            gathered += outcome.bytes;
            if outcome.ended {
                break true;
            }
            if gathered >= PIECE || !flood {
                break false;
            }
            deadline.get_or_insert(tokio::time::Instant::now() + BATCH);
        };
        if gathered > 0 {
            terminal.more.notify_waiters();
        }
        if ended {
            return;
        }
        flood = gathered >= FLOOD;
        if flood {
            // The viewers' turn.
            tokio::task::yield_now().await;
        }
    }
}

struct Drained {
    bytes: usize,
    ended: bool,
}

/// Moves what is there into the ring, up to about `limit` bytes.
fn drain(terminal: &Terminal, output: &Receiver, limit: usize) -> Drained {
    // The most that one read gives.
    let mut buffer = [0; 4096];
    let mut bytes = 0;
    while bytes < limit {
        match output.try_read(&mut buffer) {
            Ok(0) => return Drained { bytes, ended: true },
            Ok(count) => {
                terminal.ring.borrow_mut().push(&buffer[..count]);
                bytes += count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if !is_hangup(&error) {
                    tracing::warn!(%error, terminal.id = %terminal.id, "cannot read the terminal");
                }
                return Drained { bytes, ended: true };
            }
        }
    }
    Drained { bytes, ended: false }
}

/// Returns once nobody who is waited for lags.
async fn wait_for_room(terminal: &Terminal) {
    while !terminal.closed.get()
        && let Gate::Until(patience_ends) = terminal.gate()
    {
        let _ = timeout_at(patience_ends.into(), terminal.room.notified()).await;
    }
}
