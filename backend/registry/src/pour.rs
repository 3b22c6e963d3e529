//! Bodies of requests that blocking threads write.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use drydock_images::{Digest, Hasher, Layer, Store};
use futures_util::stream;
use tokio::sync::mpsc;

const CHUNK: usize = 256 << 10;

/// A body of what `work` writes. It ends early, with an error, when `work` fails or the request is dropped.
pub(crate) fn body(work: impl FnOnce(Chunks) -> io::Result<()> + Send + 'static) -> reqwest::Body {
    let (sender, mut receiver) = mpsc::channel::<io::Result<Bytes>>(4);
    tokio::task::spawn_blocking(move || {
        let failures = sender.clone();
        let chunks = Chunks::to(sender);
        if let Err(error) = work(chunks) {
            let _ = failures.blocking_send(Err(error));
        }
    });
    reqwest::Body::wrap_stream(stream::poll_fn(move |context| receiver.poll_recv(context)))
}

/// What a blocking thread writes, for a body: collects small writes; what is left is sent by `flush`.
#[derive(Debug)]
pub struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Chunks {
    pub fn to(sender: mpsc::Sender<io::Result<Bytes>>) -> Self {
        Self { sender, chunk: Vec::with_capacity(CHUNK) }
    }
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        self.sender.blocking_send(Ok(chunk.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Copies a file to its end and counts.
pub(crate) fn copy(mut from: impl Read, to: &mut Chunks, count: &AtomicU64) -> io::Result<()> {
    loop {
        let mut chunk = vec![0; CHUNK];
        let length = from.read(&mut chunk)?;
        if length == 0 {
            return to.flush();
        }
        chunk.truncate(length);
        let sent = to.sender.blocking_send(Ok(chunk.into()));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        count.fetch_add(length as u64, Ordering::Relaxed);
    }
}

/// Writes a layer compressed: what goes in is counted, what comes out is summed.
pub(crate) fn compress(
    store: &Store,
    layer: &Layer,
    output: Chunks,
    sum: &Sum,
    count: &AtomicU64,
) -> io::Result<()> {
    let gzip = flate2::write::GzEncoder::new(Summed { output, sum }, flate2::Compression::new(5));
    let mut counted = Counted { output: gzip, count };
    store.write_layer(layer, &mut counted).map_err(io::Error::other)?;
    counted.output.finish()?.flush()
}

/// The digest and the length of what was written.
#[derive(Clone, Default)]
pub(crate) struct Sum(Arc<Mutex<(Hasher, u64)>>);

impl Sum {
    fn add(&self, bytes: &[u8]) {
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sum.0.update(bytes);
        sum.1 += bytes.len() as u64;
    }

    pub fn finish(&self) -> (Digest, u64) {
        let sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (sum.0.clone().finish(), sum.1)
    }
}

struct Summed<'a> {
    output: Chunks,
    sum: &'a Sum,
}

impl Write for Summed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.sum.add(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

struct Counted<'a, W> {
    output: W,
    count: &'a AtomicU64,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.output.write(bytes)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
