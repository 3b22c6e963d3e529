//! GELF 1.1 (Graylog): JSON in compressed, chunked datagrams, or on a stream with a zero byte after each.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use drydock_logger::settings::{Compression, Gelf, GelfReceiver};
use drydock_shim::entry::{Entry, Source};
use flate2::write::{GzEncoder, ZlibEncoder};
use serde::Serialize;

use crate::inbox::Patience;
use crate::net::{self, NetError};
use crate::{Deliver, DeliverError, OpenError};

const ERROR: u8 = 3;
const INFO: u8 = 6;
/// A datagram longer than this is cut.
const CHUNK: usize = 1420;
/// Two magic bytes, eight of an id, which of how many.
const HEAD: usize = 12;
const DATA: usize = CHUNK - HEAD;
const MOST_CHUNKS: usize = 128;

pub struct GelfDriver {
    hostname: String,
    extra: BTreeMap<String, String>,
    receiver: Receiver,
}

enum Receiver {
    Udp { socket: Option<UdpSocket>, address: String, compression: Compression, level: i32 },
    Tcp { stream: Option<TcpStream>, address: String, attempts: u32, delay: Duration, patience: Patience },
}

#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("{0}")]
    Connect(#[source] NetError),
    #[error("write udp: {}", net::said(.0))]
    Write(#[source] io::Error),
    #[error("msg too large, would need {0} chunks")]
    TooLong(usize),
    #[error("compress: {0}")]
    Compress(#[source] io::Error),
    #[error("encode: {0}")]
    Encode(#[source] serde_json::Error),
    #[error("no randomness for a message's id")]
    Id,
}

#[derive(Serialize)]
struct Message<'a> {
    version: &'static str,
    host: &'a str,
    short_message: &'a str,
    timestamp: f64,
    level: u8,
    #[serde(flatten)]
    extra: &'a BTreeMap<String, String>,
}

impl GelfDriver {
    pub fn open(settings: Gelf, again: bool, patience: Patience) -> Result<Self, OpenError> {
        let refused = |address: &str, source| OpenError::Gelf { address: address.to_owned(), source };
        let receiver = match settings.receiver {
            GelfReceiver::Udp { address, compression, level } => {
                let socket = optional(net::udp(&address), again).map_err(|error| refused(&address, error))?;
                Receiver::Udp { socket, address, compression, level }
            }
            GelfReceiver::Tcp { address, max_reconnect, reconnect_delay_s } => {
                let stream = optional(net::tcp(&address), again).map_err(|error| refused(&address, error))?;
                let delay = Duration::from_secs(reconnect_delay_s);
                Receiver::Tcp { stream, address, attempts: max_reconnect, delay, patience }
            }
        };
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Self { hostname, extra: settings.extra, receiver })
    }

    fn message(&self, entry: &Entry<'_>) -> Result<Vec<u8>, SendError> {
        let message = Message {
            version: "1.1",
            host: &self.hostname,
            short_message: &String::from_utf8_lossy(entry.line),
            // Thousandths, as moby sends.
            timestamp: (entry.time_nano / 1_000_000) as f64 / 1000.0,
            level: if entry.source == Source::Stderr { ERROR } else { INFO },
            extra: &self.extra,
        };
        serde_json::to_vec(&message).map_err(SendError::Encode)
    }
}

/// A connection that need not be there when it was before.
fn optional<T>(connected: Result<T, NetError>, again: bool) -> Result<Option<T>, NetError> {
    match connected {
        Ok(connection) => Ok(Some(connection)),
        Err(_) if again => Ok(None),
        Err(error) => Err(error),
    }
}

impl Deliver for GelfDriver {
    fn log(&mut self, entry: &Entry<'_>) -> Result<(), DeliverError> {
        if entry.line.is_empty() {
            return Ok(());
        }
        let message = self.message(entry).map_err(DeliverError::Gelf)?;
        match &mut self.receiver {
            Receiver::Udp { socket, address, compression, level } => {
                send_datagrams(socket, address, &message, *compression, *level).map_err(DeliverError::Gelf)
            }
            Receiver::Tcp { stream, address, attempts, delay, patience } => {
                send_stream(stream, address, message, *attempts, *delay, patience)
            }
        }
    }
}

fn send_datagrams(
    socket: &mut Option<UdpSocket>,
    address: &str,
    message: &[u8],
    compression: Compression,
    level: i32,
) -> Result<(), SendError> {
    let socket = match socket {
        Some(socket) => socket,
        None => socket.insert(net::udp(address).map_err(SendError::Connect)?),
    };
    let packed = pack(message, compression, level).map_err(SendError::Compress)?;
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|_| SendError::Id)?;
    for datagram in chunks(&packed, id)? {
        socket.send(&datagram).map_err(SendError::Write)?;
    }
    Ok(())
}

fn pack(message: &[u8], compression: Compression, level: i32) -> io::Result<Vec<u8>> {
    let level =
        u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
    match compression {
        Compression::None => Ok(message.to_vec()),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(message)?;
            encoder.finish()
        }
        Compression::Zlib => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(message)?;
            encoder.finish()
        }
    }
}

/// The datagrams of one message.
fn chunks(packed: &[u8], id: [u8; 8]) -> Result<Vec<Vec<u8>>, SendError> {
    if packed.len() <= CHUNK {
        return Ok(vec![packed.to_vec()]);
    }
    let count = packed.len().div_ceil(DATA);
    if count > MOST_CHUNKS {
        return Err(SendError::TooLong(count));
    }
    let chunk = |(number, data): (usize, &[u8])| {
        let mut datagram = Vec::with_capacity(HEAD + data.len());
        datagram.extend_from_slice(&[0x1e, 0x0f]);
        datagram.extend_from_slice(&id);
        datagram.extend_from_slice(&[number as u8, count as u8]);
        datagram.extend_from_slice(data);
        datagram
    };
    Ok(packed.chunks(DATA).enumerate().map(chunk).collect())
}

/// Tries as often as the user said, and then no more for this message.
fn send_stream(
    stream: &mut Option<TcpStream>,
    address: &str,
    mut message: Vec<u8>,
    attempts: u32,
    delay: Duration,
    patience: &mut Patience,
) -> Result<(), DeliverError> {
    message.push(0);
    for _ in 0..=attempts {
        if let Some(open) = stream
            && open.write_all(&message).is_ok()
        {
            return Ok(());
        }
        *stream = None;
        if !patience.rest(delay) {
            break;
        }
        *stream = net::tcp(address).ok();
    }
    Err(DeliverError::Reconnects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_into_numbered_chunks() {
        let packed: Vec<u8> = (0..DATA * 2 + 1).map(|number| number as u8).collect();
        let cut = chunks(&packed, [7; 8]).unwrap();
        assert_eq!(cut.len(), 3);
        assert_eq!(cut[2][..HEAD], [0x1e, 0x0f, 7, 7, 7, 7, 7, 7, 7, 7, 2, 3]);
        assert!(cut.iter().all(|datagram| datagram.len() <= CHUNK));
        let joined: Vec<u8> = cut.iter().flat_map(|datagram| datagram[HEAD..].to_vec()).collect();
        assert_eq!(joined, packed);
        assert_eq!(chunks(&packed[..CHUNK], [7; 8]).unwrap(), [&packed[..CHUNK]]);
        assert!(matches!(chunks(&vec![0; DATA * 128 + 1], [7; 8]), Err(SendError::TooLong(129))));
        // A whole number of chunks has no empty one at its end.
        assert_eq!(chunks(&packed[..DATA * 2], [7; 8]).unwrap().len(), 2);
    }
}
