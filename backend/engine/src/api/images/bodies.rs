//! Bodies that are archives: read and written on blocking threads while they travel.

use std::io::{self, BufReader, Read};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes};
use drydock_registry::Chunks;
use futures_util::{StreamExt, stream};
use http::header;
use tokio::sync::mpsc;

use crate::error::ApiError;
use crate::wire::ContainerConfig;

/// Runs what works on files; the event loop goes on meanwhile.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::internal(error.to_string()))
}

/// Gives a body to blocking work as a reader.
pub async fn blocking_reader<T, E>(
    body: Body,
    work: impl FnOnce(BodyReader) -> Result<T, E> + Send + 'static,
) -> Result<Result<T, E>, ApiError>
where
    T: Send + 'static,
    E: Send + 'static,
{
    // A few mebibytes: on a busy machine each side runs for a while before the other does.
    let (sender, receiver) = mpsc::channel(64);
    let worker = tokio::task::spawn_blocking(move || work(BodyReader { receiver, chunk: Bytes::new() }));
    let mut body = body.into_data_stream();
    while let Some(chunk) = body.next().await {
        if sender.send(chunk.map_err(io::Error::other)).await.is_err() {
            // The worker has what it wants, or has failed; it says which below.
            while let Some(Ok(_)) = body.next().await {}
            break;
        }
    }
    drop(sender);
    worker.await.map_err(|error| ApiError::internal(error.to_string()))
}

/// Waits for a body's first bytes. Who said `Expect: 100-continue` is told to send when they are asked for, and only before the
/// answer has begun; otherwise such a client (curl) waits a second in vain.
pub async fn begun(body: Body) -> Body {
    let mut chunks = body.into_data_stream();
    let first = chunks.next().await;
    Body::from_stream(stream::iter(first).chain(chunks))
}

/// Reads a body to its end: who is refused while it still sends hears of a broken connection, not of the reason.
pub async fn drain(body: Body) {
    let mut body = body.into_data_stream();
    while let Some(Ok(_)) = body.next().await {}
}

/// A request's body, read from a blocking thread.
#[derive(Debug)]
pub struct BodyReader {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
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

/// The archive inside a compressed stream, or the stream itself.
pub fn unzipped(reader: BodyReader) -> Box<dyn Read> {
    let reader = BufReader::with_capacity(128 * 1024, reader);
    // The error, if any, comes again when the archive is read.
    drydock_builder::decompress(reader).unwrap_or_else(|error| Box::new(Failing(Some(error))))
}

struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Answers with what blocking work writes. A failure cuts the body short, which the client sees.
pub fn streamed<E: std::error::Error + Send + 'static>(
    kind: &'static str,
    work: impl FnOnce(Chunks) -> Result<(), E> + Send + 'static,
) -> Response {
    let (sender, mut receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        let failures = sender.clone();
        let writer = Chunks::to(sender);
        if let Err(error) = work(writer) {
            let text = crate::error::chain(&error);
            tracing::error!(error = text, "archive");
            let _ = failures.blocking_send(Err(io::Error::other(text)));
        }
    });
    let chunks = stream::poll_fn(move |context| receiver.poll_recv(context));
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(chunks)).into_response()
}

/// The pairs of a query, decoded, in order and with repetitions.
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key), decode(value))
    })
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match (first, hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `--change` of `docker import` and `docker commit`: instructions of a Dockerfile that set the configuration.
pub fn apply_changes(config: ContainerConfig, changes: &[String]) -> Result<ContainerConfig, ApiError> {
    if changes.is_empty() {
        return Ok(config);
    }
    // One shape under two names: the builder's and the wire's.
    let bad = |error: serde_json::Error| ApiError::internal(error.to_string());
    let mut built = serde_json::to_value(&config).and_then(serde_json::from_value).map_err(bad)?;
    drydock_builder::apply_changes(&mut built, changes)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    serde_json::to_value(&built).and_then(serde_json::from_value).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_keep_repeated_keys_and_decode() {
        let found: Vec<_> = pairs("names=a%3A1&names=b+c&x").collect();
        let expected = [("names", "a:1"), ("names", "b c"), ("x", "")];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn changes_keep_what_they_do_not_name() {
        let config = ContainerConfig { user: "web".to_owned(), tty: true, ..ContainerConfig::default() };
        let config = apply_changes(config, &["CMD [\"a\"]".to_owned(), "LABEL k=v".to_owned()]).unwrap();
        assert_eq!((config.user.as_str(), config.tty, config.labels["k"].as_str()), ("web", true, "v"));
        assert_eq!(config.cmd.unwrap(), ["a"]);
        let wrong = apply_changes(ContainerConfig::default(), &["RUN x".to_owned()]).unwrap_err();
        assert_eq!(wrong.message, "RUN is not a valid change command");
    }
}
