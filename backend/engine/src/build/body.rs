//! A request's body, read from the build's blocking thread while it arrives.

use std::io::{self, Read};

use axum::body::Body;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use tokio::sync::mpsc;

/// The reading side.
#[derive(Debug)]
pub struct BodyReader {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

/// The writing side.
pub type Chunks = mpsc::Sender<io::Result<Bytes>>;

pub fn reader() -> (Chunks, BodyReader) {
    let (sender, receiver) = mpsc::channel(16);
    (sender, BodyReader { receiver, chunk: Bytes::new() })
}

/// Passes a body on, and reads it to its end even when nobody wants it: who is refused while it still sends hears of a
/// broken connection, not of the reason.
pub async fn feed(body: Body, chunks: Chunks) {
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        let is_cut = chunk.is_err();
        let _ = chunks.send(chunk.map_err(io::Error::other)).await;
        if is_cut {
            break;
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        Ok(count)
    }
}
