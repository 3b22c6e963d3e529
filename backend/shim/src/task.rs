//! One process the shim is the parent of, with its streams: the container's first, or an executed one.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use drydock_shim::config::Size;
use drydock_shim::entry::Source;
use drydock_shim::exit::Exit;
use drydock_shim::protocol::Stream;
use drydock_sys::process;
use drydock_sys::pty;

use crate::launch::Ends;
use crate::log::Sink;

/// Which task: the container is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskId(pub usize);

pub const CONTAINER: TaskId = TaskId(0);

/// Bytes for standard input that may wait until the process reads them.
pub const STDIN_LIMIT: usize = 64 * 1024;
/// The most that is read, framed and logged in one step.
pub const CHUNK: usize = 32 * 1024;

#[derive(Debug)]
pub struct Task {
    pub exec_id: Option<String>,
    pub pid: i32,
    /// Until the process is reaped.
    pub pidfd: Option<OwnedFd>,
    pub exit: Option<Exit>,
    ended_at: Option<Instant>,
    pub stdin: Option<Input>,
    /// What it prints: stdout or a terminal, and stderr. None once it has ended.
    outputs: [Option<OwnedFd>; 2],
    /// The terminal again, to set its size.
    terminal: Option<OwnedFd>,
    pub log: Option<Sink>,
    /// When it last printed, or was kept from printing, after its exit.
    pub quiet_since: Option<Instant>,
    /// The container is to close stdin with the first client that leaves it.
    pub stdin_once: bool,
}

/// Our end of a standard input.
#[derive(Debug)]
pub struct Input {
    fd: OwnedFd,
    queue: Vec<u8>,
    close: bool,
}

/// What one read of an output gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    Bytes(usize),
    Nothing,
    Ended,
}

impl Task {
    pub fn new(pid: i32, pidfd: OwnedFd, ends: Ends) -> io::Result<Self> {
        let (mut stdin, mut outputs) = (ends.stdin, [ends.stdout, ends.stderr]);
        let mut terminal = None;
        if let Some(master) = ends.terminal {
            stdin = Some(master.try_clone()?);
            outputs = [Some(master.try_clone()?), None];
            terminal = Some(master);
        }
        for fd in stdin.iter().chain(outputs.iter().flatten()) {
            let flags = rustix::fs::fcntl_getfl(fd)? | rustix::fs::OFlags::NONBLOCK;
            rustix::fs::fcntl_setfl(fd, flags)?;
        }
        Ok(Self {
            exec_id: None,
            pid,
            pidfd: Some(pidfd),
            exit: None,
            ended_at: None,
            stdin: stdin.map(|fd| Input { fd, queue: Vec::new(), close: false }),
            outputs,
            terminal,
            log: None,
            quiet_since: None,
            stdin_once: false,
        })
    }

    pub fn has_terminal(&self) -> bool {
        self.terminal.is_some()
    }

    /// A process without a terminal has no size to change, which is no mistake of the client's (runc's way).
    pub fn resize(&self, size: Size) -> io::Result<()> {
        match &self.terminal {
            Some(terminal) => pty::set_size(terminal, pty::Size { cols: size.cols, rows: size.rows }),
            None => Ok(()),
        }
    }

    pub fn output(&self, index: usize) -> Option<BorrowedFd<'_>> {
        self.outputs[index].as_ref().map(AsFd::as_fd)
    }

    /// All it printed has been read.
    pub fn drained(&self) -> bool {
        self.outputs.iter().all(Option::is_none)
    }

    /// Stops listening to what still holds its outputs.
    pub fn abandon_outputs(&mut self) {
        for index in 0..2 {
            if self.outputs[index].take().is_some() {
                self.log(index, None);
            }
        }
    }

    /// Its log takes no more now. After the task's end that matters only for so long.
    pub fn waits_for_log(&self, patience: Duration) -> bool {
        self.log.as_ref().is_some_and(Sink::holds_back)
            && self.ended_at.is_none_or(|ended| ended.elapsed() < patience)
    }

    /// Reads what is there, up to the size of `buffer`; a terminal gives little at a time, and so is asked again.
    pub fn read(&mut self, index: usize, buffer: &mut [u8]) -> Output {
        let Some(fd) = &self.outputs[index] else { return Output::Ended };
        let mut length = 0;
        let ended = loop {
            if length == buffer.len() {
                break false;
            }
            match rustix::io::read(fd, &mut buffer[length..]) {
                Ok(0) => break true,
                Ok(more) => length += more,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break false,
                // EIO: nobody has the terminal open any more.
                Err(_) => break true,
            }
        };
        match (length, ended) {
            (0, true) => {
                self.outputs[index] = None;
                Output::Ended
            }
            (0, false) => Output::Nothing,
            (length, _) => Output::Bytes(length),
        }
    }

    /// Passes what it printed to the log; `None` at the end of an output.
    pub fn log(&mut self, index: usize, bytes: Option<&[u8]>) {
        let Some(log) = &mut self.log else { return };
        let source = if index == 0 { Source::Stdout } else { Source::Stderr };
        match bytes {
            Some(bytes) => log.take(source, bytes),
            None => log.finish(source),
        }
    }

    /// Room for more standard input.
    pub fn takes_stdin(&self) -> bool {
        self.stdin.as_ref().is_none_or(|stdin| stdin.queue.len() < STDIN_LIMIT)
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        if let Some(stdin) = self.stdin.as_mut().filter(|stdin| !stdin.close) {
            stdin.queue.extend_from_slice(bytes);
            self.flush_stdin();
        }
    }

    /// No more standard input after what is queued. A terminal has no such end.
    pub fn close_stdin(&mut self) {
        if !self.has_terminal() {
            if let Some(stdin) = &mut self.stdin {
                stdin.close = true;
            }
            self.flush_stdin();
        }
    }

    /// The descriptor to wait on while input is queued.
    pub fn blocked_stdin(&self) -> Option<BorrowedFd<'_>> {
        self.stdin.as_ref().filter(|stdin| !stdin.queue.is_empty()).map(|stdin| stdin.fd.as_fd())
    }

    pub fn flush_stdin(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        while !stdin.queue.is_empty() {
            match rustix::io::write(&stdin.fd, &stdin.queue) {
                Ok(written) => drop(stdin.queue.drain(..written)),
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return,
                Err(_) => {
                    // Nobody reads it any more.
                    self.stdin = None;
                    return;
                }
            }
        }
        stdin.queue.shrink_to(4096);
        if stdin.close {
            self.stdin = None;
        }
    }

    /// Reaps the process if it has ended.
    pub fn reap(&mut self) -> io::Result<bool> {
        let Some(pidfd) = &self.pidfd else { return Ok(false) };
        let Some(ended) = process::try_wait(pidfd)? else { return Ok(false) };
        let signal = match ended {
            process::Exit::Signal(number) => Some(number),
            process::Exit::Code(_) => None,
        };
        self.exit =
            Some(Exit { code: ended.status(), signal, oom_killed: false, finished_at: now(), pid: self.pid });
        self.pidfd = None;
        self.ended_at = Some(Instant::now());
        self.quiet_since = self.ended_at;
        Ok(true)
    }

    /// The stream numbers its outputs have in frames.
    pub fn stream(index: usize) -> Stream {
        if index == 0 { Stream::Stdout } else { Stream::Stderr }
    }
}

/// RFC 3339 with as many digits of the second as it takes, as Go's `RFC3339Nano`.
pub fn now() -> String {
    let format = time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::now_utc().format(&format).unwrap_or_default()
}
