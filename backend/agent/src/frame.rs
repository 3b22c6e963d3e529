//! `[type: u8][length: u32][payload]`, read and written whole.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::socket::Writer;

/// The longest payload either side accepts.
pub const MAX_PAYLOAD: usize = 1024 * 1024;

/// Bytes before the payload.
pub const HEADER: usize = 5;

/// Frames of the client.
pub mod to_agent {
    pub const REQUEST: u8 = 0;
    pub const INPUT: u8 = 1;
    pub const END: u8 = 2;
    pub const RESIZE: u8 = 3;
    pub const ACK: u8 = 4;
}

/// Frames of the agent.
pub mod to_client {
    pub const REPLY: u8 = 0;
    pub const ERROR: u8 = 1;
    pub const OUTPUT: u8 = 2;
    pub const GAP: u8 = 3;
    pub const RESIZED: u8 = 4;
    pub const SHELL_EXITED: u8 = 5;
    pub const CLOSED: u8 = 6;
    pub const STDOUT: u8 = 7;
    pub const STDERR: u8 = 8;
    pub const EXITED: u8 = 9;
    pub const END: u8 = 10;
}

/// One frame as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub payload: bytes::Bytes,
}

/// Reads frames from a stream. [`Frames::next`] may be dropped at any await and called again: what has arrived
/// stays in the buffer.
#[derive(Debug)]
pub struct Frames<R> {
    stream: R,
    buffer: BytesMut,
    /// Bytes to have room for before the next header is known.
    next: usize,
}

/// Room for a few keystrokes; what is idle holds no more.
const SMALL: usize = 512;
/// After a frame that was larger than this, one more such is expected.
const LARGE: usize = 4096;
const EXPECTED: usize = 33 * 1024;

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(stream: R) -> Self {
        Self { stream, buffer: BytesMut::new(), next: SMALL }
    }

    /// The next frame, or `None` when the stream ended between two frames.
    pub async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(Some(frame));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<Frame>> {
        let Some((&header, _)) = self.buffer.split_first_chunk::<HEADER>() else {
            self.buffer.reserve(self.next);
            return Ok(None);
        };
        let [kind, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        if length > MAX_PAYLOAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("frame of {length} bytes")));
        }
        if self.buffer.len() < HEADER + length {
            self.buffer.reserve(HEADER + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        self.next = if length > LARGE { (HEADER + length).min(EXPECTED) } else { SMALL };
        Ok(Some(Frame { kind, payload: self.buffer.split_to(length).freeze() }))
    }
}

/// The header of a frame whose payload has `length` bytes.
pub fn header(kind: u8, length: usize) -> [u8; HEADER] {
    debug_assert!(length <= MAX_PAYLOAD);
    let [a, b, c, d] = (length as u32).to_be_bytes();
    [kind, a, b, c, d]
}

/// Writes one frame made of `parts`.
pub async fn write(stream: &mut Writer, kind: u8, parts: &[&[u8]]) -> io::Result<()> {
    stream.write_all(&encoded(kind, parts)).await
}

fn encoded(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(HEADER + length);
    frame.extend_from_slice(&header(kind, length));
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn frames_survive_any_split() {
        let bytes = [encoded(3, &[b"ab", b"c"]), encoded(9, &[])].concat();
        for split in 0..bytes.len() {
            let (first, second) = bytes.split_at(split);
            let mut frames = Frames::new(AsyncReadExt::chain(first, second));
            let frame = frames.next().await.unwrap().unwrap();
            assert_eq!((frame.kind, &frame.payload[..]), (3, &b"abc"[..]));
            assert_eq!(frames.next().await.unwrap().unwrap().kind, 9);
            assert_eq!(frames.next().await.unwrap(), None);
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn an_oversized_or_cut_frame_is_an_error() {
        for bytes in [&[0, 0xff, 0, 0, 0][..], &[0, 0, 0, 0, 9, 1], &[7]] {
            assert!(Frames::new(bytes).next().await.is_err(), "{bytes:?}");
        }
    }
}
