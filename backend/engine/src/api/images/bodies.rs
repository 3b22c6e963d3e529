//! Bodies that are archives: read and written on blocking threads while they travel.

use std::io::{self, BufReader, Read, Write};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Buf, Bytes};
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
    let (sender, receiver) = mpsc::channel(16);
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
    work: impl FnOnce(ChunkWriter) -> Result<(), E> + Send + 'static,
) -> Response {
    let (sender, mut receiver) = mpsc::channel(8);
    tokio::task::spawn_blocking(move || {
        let failures = sender.clone();
        let writer = ChunkWriter { sender, chunk: Vec::with_capacity(CHUNK) };
        if let Err(error) = work(writer) {
            let text = crate::error::chain(&error);
            tracing::error!(error = text, "archive");
            let _ = failures.blocking_send(Err(io::Error::other(text)));
        }
    });
    let chunks = stream::poll_fn(move |context| receiver.poll_recv(context));
    ([(header::CONTENT_TYPE, kind)], Body::from_stream(chunks)).into_response()
}

const CHUNK: usize = 256 * 1024;

/// Collects small writes into chunks. What is left is sent by `flush`.
#[derive(Debug)]
pub struct ChunkWriter {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for ChunkWriter {
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
        let sent = self.sender.blocking_send(Ok(Bytes::from(chunk)));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client went away"))
    }
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
pub fn apply_changes(mut config: ContainerConfig, changes: &[String]) -> Result<ContainerConfig, ApiError> {
    for change in changes {
        let (word, rest) = change.trim().split_once(char::is_whitespace).unwrap_or((change.trim(), ""));
        let rest = rest.trim();
        match word.to_ascii_uppercase().as_str() {
            "CMD" => config.cmd = Some(command(rest)),
            "ENTRYPOINT" => config.entrypoint = Some(command(rest)),
            "ENV" => {
                for (key, value) in pairs_of(rest) {
                    config.env.retain(|known| known.split('=').next() != Some(key.as_str()));
                    config.env.push(format!("{key}={value}"));
                }
            }
            "ONBUILD" => config.on_build.get_or_insert_default().push(rest.to_owned()),
            "EXPOSE" => config.exposed_ports.extend(rest.split_whitespace().map(|port| {
                let port = if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") };
                (port, crate::wire::Empty {})
            })),
            "LABEL" => config.labels.extend(pairs_of(rest)),
            "USER" => config.user = rest.to_owned(),
            "WORKDIR" => config.working_dir = rest.to_owned(),
            "STOPSIGNAL" => config.stop_signal = Some(rest.to_owned()),
            "VOLUME" => {
                let volumes = config.volumes.get_or_insert_default();
                let paths = serde_json::from_str(rest).unwrap_or_else(|_| vec![rest.to_owned()]);
                volumes.extend(paths.into_iter().map(|path| (path, crate::wire::Empty {})));
            }
            _ => {
                return Err(ApiError::invalid(format!("{word} is not a valid change command")));
            }
        }
    }
    Ok(config)
}

/// The exec form, else a line for the shell.
fn command(rest: &str) -> Vec<String> {
    serde_json::from_str(rest)
        .unwrap_or_else(|_| vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.to_owned()])
}

/// `KEY=VALUE KEY="WITH SPACE"…`, or one `KEY VALUE` to the end of the line; quotes are taken off.
fn pairs_of(rest: &str) -> Vec<(String, String)> {
    let first = rest.split(char::is_whitespace).next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        return vec![(key.to_owned(), value.trim().trim_matches('"').to_owned())];
    }
    let split = |word: String| {
        let (key, value) = word.split_once('=').unwrap_or((&word, ""));
        (key.to_owned(), value.to_owned())
    };
    words(rest).into_iter().map(split).collect()
}

/// Words as a shell splits them; a backslash keeps the next character as it is.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(characters.next()),
            (character, Some(open)) if character == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (space, None) if space.is_whitespace() => words.extend(word.take()),
            (character, _) => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
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
    fn changes_read_as_dockerfile_lines() {
        let changes = [
            "CMD [\"a\", \"b\"]",
            "ENTRYPOINT run it",
            "ENV A=\"1 2\"",
            "EXPOSE 80",
            "LABEL k=v",
            "VOLUME /data",
            "ENV B=1 C=\"2 3\" A=4",
            "LABEL one=\"a b\" two=c",
        ];
        let config = apply_changes(ContainerConfig::default(), &changes.map(str::to_owned)).unwrap();
        assert_eq!(config.cmd.unwrap(), ["a", "b"]);
        assert_eq!(config.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
        assert_eq!(config.env, ["B=1", "C=2 3", "A=4"]);
        assert_eq!((config.labels["one"].as_str(), config.labels["two"].as_str()), ("a b", "c"));
        assert!(config.exposed_ports.contains_key("80/tcp"));
        assert_eq!(config.labels["k"], "v");
        assert!(config.volumes.unwrap().contains_key("/data"));
        assert!(apply_changes(ContainerConfig::default(), &["RUN x".to_owned()]).is_err());
    }
}
