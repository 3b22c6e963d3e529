//! As much of HTTP/1.1 as a collector needs: one request after the other on a connection that is kept.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::net::{self, NetError};
use crate::tls::{self, Encrypted, TlsError};

/// moby's `batchSendTimeout`.
const PATIENCE: Duration = Duration::from_secs(30);
/// moby's `maxResponseSize`: nobody reads more of an answer.
const LONGEST_TEXT: usize = 1024;
const LONGEST_HEAD: usize = 16 << 10;

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{}", net::said(.0))]
    Io(#[source] io::Error),
    #[error("EOF")]
    Closed,
    #[error("net/http: HTTP/1.x transport connection broken: malformed HTTP response")]
    Malformed,
}

/// Whom to ask.
#[derive(Debug)]
pub struct Client {
    /// `host:port`.
    authority: String,
    host: String,
    tls: Option<Arc<ClientConfig>>,
    /// The name in its certificate.
    server_name: String,
    connection: Option<Connection>,
}

#[derive(Debug)]
enum Connection {
    Plain(TcpStream),
    Encrypted(Box<Encrypted>),
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Encrypted(stream) => stream.read(buffer),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Encrypted(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Encrypted(stream) => stream.flush(),
        }
    }
}

/// The answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: u16,
    /// `400 Bad Request`.
    pub status: String,
    /// Its first thousand bytes.
    pub text: String,
}

impl Client {
    /// `url` is `http[s]://host[:port]`.
    pub fn new(url: &str, tls: Option<Arc<ClientConfig>>, server_name: Option<String>) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let host = rest.split('/').next().unwrap_or(rest).to_owned();
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let port = if scheme == "https" { 443 } else { 80 };
        let authority = if has_port { host.clone() } else { format!("{host}:{port}") };
        let name = authority.rsplit_once(':').map_or(authority.as_str(), |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self { authority, host, tls, server_name: server_name.unwrap_or(name), connection: None }
    }

    /// Asks; a connection that was kept and is found closed is opened again, once.
    pub fn ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, HttpError> {
        let kept = self.connection.is_some();
        match self.try_ask(method, path, headers, body) {
            Err(HttpError::Closed | HttpError::Io(_)) if kept => self.try_ask(method, path, headers, body),
            other => other,
        }
    }

    fn try_ask(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, HttpError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host).into_bytes();
        for (name, value) in headers {
            request.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        request.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend_from_slice(body);
        connection.write_all(&request).and_then(|()| connection.flush()).map_err(HttpError::Io)?;
        let (answer, may_go_on) = read_answer(&mut connection)?;
        if may_go_on {
            self.connection = Some(connection);
        }
        Ok(answer)
    }

    fn connect(&self) -> Result<Connection, HttpError> {
        let stream = net::tcp(&self.authority)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(HttpError::Io)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(HttpError::Io)?;
        Ok(match &self.tls {
            None => Connection::Plain(stream),
            Some(config) => Connection::Encrypted(Box::new(tls::wrap(config, &self.server_name, stream)?)),
        })
    }
}

/// How the end of a body is known.
enum Length {
    Bytes(usize),
    Chunked,
    ToTheEnd,
}

/// The answer, and whether the connection is still of use: its body was read to its end and nobody closes it.
fn read_answer(from: &mut impl Read) -> Result<(Answer, bool), HttpError> {
    let mut buffer = Vec::new();
    loop {
        let (mut answer, used, length, keep) = match parse_head(&buffer)? {
            Some(head) => head,
            None if buffer.len() > LONGEST_HEAD => return Err(HttpError::Malformed),
            None => {
                more(from, &mut buffer)?;
                continue;
            }
        };
        buffer.drain(..used);
        // `100 Continue` and its like announce the answer.
        if answer.code < 200 {
            continue;
        }
        let (text, whole) = match length {
            Length::Bytes(length) => read_bytes(from, buffer, length)?,
            Length::Chunked => read_chunks(from, buffer)?,
            Length::ToTheEnd => (read_some(from, buffer), false),
        };
        answer.text = String::from_utf8_lossy(&text[..text.len().min(LONGEST_TEXT)]).into_owned();
        return Ok((answer, whole && keep));
    }
}

type Head = (Answer, usize, Length, bool);

fn parse_head(buffer: &[u8]) -> Result<Option<Head>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(buffer).map_err(|_| HttpError::Malformed)? {
        httparse::Status::Complete(used) => used,
        httparse::Status::Partial => return Ok(None),
    };
    let code = response.code.unwrap_or(0);
    let value = |name: &str| {
        let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| String::from_utf8_lossy(header.value).to_ascii_lowercase())
    };
    let length = match (value("transfer-encoding"), value("content-length")) {
        _ if matches!(code, 100..200 | 204 | 304) => Length::Bytes(0),
        (Some(encoding), _) if encoding.contains("chunked") => Length::Chunked,
        (_, Some(length)) => Length::Bytes(length.trim().parse().map_err(|_| HttpError::Malformed)?),
        _ => Length::ToTheEnd,
    };
    let keep =
        response.version == Some(1) && value("connection").is_none_or(|value| !value.contains("close"));
    let status = format!("{code} {}", response.reason.unwrap_or_default()).trim_end().to_owned();
    Ok(Some((Answer { code, status, text: String::new() }, used, length, keep)))
}

fn more(from: &mut impl Read, buffer: &mut Vec<u8>) -> Result<(), HttpError> {
    let mut bytes = [0; 2048];
    match from.read(&mut bytes) {
        Ok(0) => Err(HttpError::Closed),
        Ok(length) => {
            buffer.extend_from_slice(&bytes[..length]);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        Err(error) => Err(HttpError::Io(error)),
    }
}

/// A body that is too long is not read: the connection ends with it.
fn read_bytes(
    from: &mut impl Read,
    mut buffer: Vec<u8>,
    length: usize,
) -> Result<(Vec<u8>, bool), HttpError> {
    if length > LONGEST_HEAD {
        return Ok((read_some(from, buffer), false));
    }
    while buffer.len() < length {
        more(from, &mut buffer)?;
    }
    let whole = buffer.len() == length;
    buffer.truncate(length);
    Ok((buffer, whole))
}

fn read_some(from: &mut impl Read, mut buffer: Vec<u8>) -> Vec<u8> {
    while buffer.len() < LONGEST_TEXT && more(from, &mut buffer).is_ok() {}
    buffer
}

fn read_chunks(from: &mut impl Read, mut buffer: Vec<u8>) -> Result<(Vec<u8>, bool), HttpError> {
    let mut text = Vec::new();
    loop {
        match httparse::parse_chunk_size(&buffer).map_err(|_| HttpError::Malformed)? {
            httparse::Status::Partial => more(from, &mut buffer)?,
            httparse::Status::Complete((used, size)) => {
                let size = usize::try_from(size).ok().filter(|size| *size <= LONGEST_HEAD);
                let size = size.ok_or(HttpError::Malformed)?;
                // A chunk ends in a line's end; trailers are not read, and end the connection.
                while buffer.len() < used + size + 2 {
                    more(from, &mut buffer)?;
                }
                if size == 0 {
                    let whole = buffer.len() == used + 2 && buffer.ends_with(b"\r\n");
                    return Ok((text, whole));
                }
                text.extend_from_slice(&buffer[used..used + size]);
                buffer.drain(..used + size + 2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Drops<'a>(&'a [u8]);

    impl Read for Drops<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            (buffer[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    fn answer(bytes: &str) -> Result<(u16, String, String, bool), HttpError> {
        let (answer, keep) = read_answer(&mut Drops(bytes.as_bytes()))?;
        Ok((answer.code, answer.status, answer.text, keep))
    }

    #[test]
    fn answers_are_read_however_their_length_is_given() {
        let ok = |text: &str, keep| (200, "200 OK".to_owned(), text.to_owned(), keep);
        let cases = [
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", ok("hi", true)),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ok("", true)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n",
                ok("hi!", true),
            ),
            ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", ok("hi", false)),
            ("HTTP/1.0 200 OK\r\n\r\nto the end", ok("to the end", false)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(answer(bytes).unwrap(), expected, "{bytes:?}");
        }
        assert!(matches!(answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"), Err(HttpError::Closed)));
        assert!(matches!(answer("nonsense\r\n\r\n"), Err(HttpError::Malformed)));
    }

    #[test]
    fn a_url_says_where_to_connect() {
        let parts = |url: &str| {
            let client = Client::new(url, None, None);
            (client.authority, client.server_name)
        };
        assert_eq!(parts("http://h"), ("h:80".to_owned(), "h".to_owned()));
        assert_eq!(parts("https://h:8088/"), ("h:8088".to_owned(), "h".to_owned()));
        assert_eq!(parts("https://[::1]"), ("[::1]:443".to_owned(), "::1".to_owned()));
    }
}
