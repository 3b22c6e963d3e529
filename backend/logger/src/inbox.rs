//! What comes from the shim, and whether it is still there.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::RecvFlags;

/// How long a driver may go on trying after the shim's end (moby's `batchSendTimeout`).
const FAREWELL: Duration = Duration::from_secs(30);

/// A line is cut at 16 KiB; with what is around it no entry is longer than this.
const LONGEST_ENTRY: usize = 32 << 10;

/// Messages, one at a time.
#[derive(Debug)]
pub struct Inbox {
    buffer: Vec<u8>,
}

impl Inbox {
    pub fn new() -> Self {
        Self { buffer: vec![0; LONGEST_ENTRY] }
    }

    /// The first message, which may be of any length.
    pub fn settings(&mut self) -> io::Result<Option<Vec<u8>>> {
        let flags = RecvFlags::PEEK | RecvFlags::TRUNC;
        let (_, length) = retry(|| rustix::net::recv(io::stdin(), &mut [0u8; 0][..], flags))?;
        let mut message = vec![0; length];
        retry(|| rustix::net::recv(io::stdin(), &mut message[..], RecvFlags::empty()))?;
        Ok(Some(message).filter(|message| !message.is_empty()))
    }

    /// The next entry; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let buffer = &mut self.buffer[..];
        let (_, length) = retry(|| rustix::net::recv(io::stdin(), &mut *buffer, RecvFlags::TRUNC))?;
        match length {
            0 => Ok(None),
            1..=LONGEST_ENTRY => Ok(Some(&self.buffer[..length])),
            _ => Err(io::Error::other(format!("an entry of {length} bytes"))),
        }
    }

    pub fn patience(&self) -> Patience {
        Patience { alone_since: None }
    }
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

/// How long to go on with a receiver that does not answer: for ever while the container may print, for a moment
/// afterwards.
#[derive(Debug)]
pub struct Patience {
    alone_since: Option<Instant>,
}

impl Patience {
    /// Waits before another attempt; `false`: make none.
    pub fn rest(&mut self, duration: Duration) -> bool {
        let since = match self.alone_since {
            Some(since) => since,
            None if !ends_within(duration) => return true,
            None => *self.alone_since.insert(Instant::now()),
        };
        let left = FAREWELL.saturating_sub(since.elapsed());
        std::thread::sleep(duration.min(left));
        !left.is_zero()
    }
}

/// Waits so long, unless the shim closes its end meanwhile, which poll(2) tells without being asked for.
fn ends_within(duration: Duration) -> bool {
    let stdin = io::stdin();
    let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::empty())];
    let limit = Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: duration.subsec_nanos().into() };
    poll(&mut fds, Some(&limit)).is_ok() && fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}
