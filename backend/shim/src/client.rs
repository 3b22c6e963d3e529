//! One connection to `shim.sock`.
//!
//! ```text
//!   asking ── a request ──▶ asking            answered at once
//!          ── Wait ───────▶ waiting           answered when the process ends, then asking
//!          ── Attach/Exec ▶ streaming         until the process or the client ends
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use drydock_shim::protocol::{FRAME_HEADER, Reply, Stream, Streams, encode_message, frame_header};

use crate::task::TaskId;

/// Bytes that may wait for a client to read them before what it is attached to is no longer read.
pub const QUEUE_LIMIT: usize = 64 * 1024;

#[derive(Debug)]
pub struct Client {
    fd: OwnedFd,
    pub role: Role,
    /// Received and not yet understood.
    pub input: Vec<u8>,
    /// To be sent, from `sent` on.
    queue: Vec<u8>,
    sent: usize,
    /// Nothing more will be queued: close when all is sent.
    pub closing: bool,
    /// The connection is of no more use.
    pub gone: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Asking,
    Waiting(TaskId),
    Streaming(TaskId, Streams),
}

impl Client {
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            role: Role::Asking,
            input: Vec::new(),
            queue: Vec::new(),
            sent: 0,
            closing: false,
            gone: false,
        }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub fn queued(&self) -> usize {
        self.queue.len() - self.sent
    }

    pub fn is_slow(&self) -> bool {
        self.queued() >= QUEUE_LIMIT
    }

    /// Whether it takes part in output `index` of `task`.
    pub fn listens(&self, task: TaskId, index: usize) -> bool {
        match self.role {
            Role::Streaming(own, streams) if own == task && !self.gone => {
                if index == 0 {
                    streams.stdout
                } else {
                    streams.stderr
                }
            }
            _ => false,
        }
    }

    pub fn reply(&mut self, reply: &Reply) {
        match encode_message(reply) {
            Ok(bytes) => self.push(&bytes),
            Err(error) => {
                eprintln!("drydock-shim: encode a reply: {error}");
                self.gone = true;
            }
        }
    }

    pub fn frame(&mut self, stream: Stream, payload: &[u8]) {
        self.queue.reserve(FRAME_HEADER + payload.len());
        self.queue.extend_from_slice(&frame_header(stream, payload.len() as u32));
        self.push(payload);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.queue.extend_from_slice(bytes);
        self.flush();
    }

    /// Sends as much as the client takes now.
    pub fn flush(&mut self) {
        while self.sent < self.queue.len() {
            let flags = rustix::net::SendFlags::DONTWAIT | rustix::net::SendFlags::NOSIGNAL;
            match rustix::net::send(&self.fd, &self.queue[self.sent..], flags) {
                Ok(sent) => self.sent += sent,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => return self.compact(),
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        self.queue.clear();
        self.queue.shrink_to(1024);
        self.sent = 0;
        if self.closing {
            self.gone = true;
        }
    }

    /// Sent bytes are dropped once they are the larger part.
    fn compact(&mut self) {
        if self.sent > self.queue.len() / 2 {
            self.queue.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Closes after all that is queued has been sent.
    pub fn finish(&mut self) {
        self.closing = true;
        self.flush();
    }

    /// Receives what is there. False at the end, or when the connection is broken.
    pub fn receive(&mut self, buffer: &mut [u8]) -> bool {
        match rustix::net::recv(&self.fd, &mut *buffer, rustix::net::RecvFlags::DONTWAIT) {
            Ok((0, _)) => false,
            Ok((length, _)) => {
                self.input.extend_from_slice(&buffer[..length]);
                true
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => true,
            Err(_) => false,
        }
    }

    /// Drops the front of the input that was understood.
    pub fn consume(&mut self, length: usize) {
        self.input.drain(..length);
        if self.input.is_empty() {
            self.input.shrink_to(1024);
        }
    }
}
