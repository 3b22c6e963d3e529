//! Fluentd's forward protocol: `[tag, time, record, option]` in MessagePack for each line.
//!
//! Without a queue every line is sent before the next is looked at, and a receiver that is gone is waited for. With one
//! (`fluentd-async`), lines are sent beside, and those that find it full are dropped.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use base64::Engine;
use drydock_logger::settings::{ClientTls, Fluentd, FluentdReceiver};
use drydock_shim::entry::Entry;
use rustls::ClientConfig;

use crate::inbox::Patience;
use crate::msgpack::{Writer, read_ack};
use crate::net::{self, NetError};
use crate::tls::{self, Encrypted, TlsError};
use crate::{Deliver, DeliverError, OpenError};

/// Pauses grow by this much from one attempt to the next, up to a minute.
const GROWTH: f64 = 1.5;
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("could not connect to fluentd after {0} retries")]
    Connect(u32),
    #[error("failed to write after {0} attempts")]
    Attempts(u32),
    #[error("the container has ended and fluentd does not answer")]
    Parted,
}

#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("set a time limit: {0}")]
    Limit(#[source] io::Error),
}

pub struct FluentdDriver {
    tag: String,
    record: BTreeMap<String, String>,
    sub_second: bool,
    acknowledged: bool,
    way: Way,
}

enum Way {
    Direct(Box<Link>),
    Queued { queue: usize, to_sender: SyncSender<Line>, sender: JoinHandle<()> },
}

/// One encoded line.
struct Line {
    bytes: Vec<u8>,
    /// What the receiver is to answer.
    ack: Option<String>,
}

impl FluentdDriver {
    pub fn open(settings: Fluentd, again: bool, patience: Patience) -> Result<Self, OpenError> {
        let (tag, record) = (settings.tag.clone(), settings.record.clone());
        let (sub_second, acknowledged) = (settings.sub_second_precision, settings.request_ack);
        let queue = settings.queue;
        let mut link = Link::new(settings, patience)?;
        let way = match queue {
            None => {
                match link.connect() {
                    Ok(connection) => link.connection = Some(connection),
                    Err(_) if again => {}
                    Err(ConnectError::Net(error)) => return Err(error.into()),
                    Err(ConnectError::Tls(error)) => return Err(error.into()),
                    Err(ConnectError::Limit(_)) => {}
                }
                Way::Direct(Box::new(link))
            }
            Some(queue) => {
                let (to_sender, inbox) = sync_channel(queue);
                let sender = std::thread::spawn(move || send_all(link, &inbox));
                Way::Queued { queue, to_sender, sender }
            }
        };
        Ok(Self { tag, record, sub_second, acknowledged, way })
    }

    fn encode(&self, entry: &Entry<'_>) -> Line {
        let line = String::from_utf8_lossy(entry.line);
        let mut fields: Vec<(&str, String)> =
            vec![("source", entry.source.name().to_owned()), ("log", line.into_owned())];
        if let Some(partial) = entry.partial {
            fields.push(("partial_message", "true".to_owned()));
            fields.push(("partial_id", partial.id.to_owned()));
            fields.push(("partial_ordinal", partial.ordinal.to_string()));
            fields.push(("partial_last", partial.last.to_string()));
        }
        // Labels and variables may take the place of the driver's own fields, as in moby.
        fields.retain(|(name, _)| !self.record.contains_key(*name));
        let (seconds, nanos) =
            (entry.time_nano.div_euclid(1_000_000_000), entry.time_nano.rem_euclid(1_000_000_000));
        let mut out = Writer::default();
        out.array(4);
        out.string(&self.tag);
        match self.sub_second {
            true => out.event_time(seconds as u32, nanos as u32),
            false => out.number(seconds),
        }
        out.map(self.record.len() + fields.len());
        let own = fields.iter().map(|(name, value)| (*name, value.as_str()));
        let common = self.record.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in common.chain(own) {
            out.string(name);
            out.string(value);
        }
        let ack = self.acknowledged.then(|| chunk_id(seconds));
        match &ack {
            Some(id) => {
                out.map(1);
                out.string("chunk");
                out.string(id);
            }
            None => out.map(0),
        }
        Line { bytes: out.0, ack }
    }
}

/// Sixteen bytes nobody else has.
fn chunk_id(seconds: i64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seconds.to_le_bytes());
    // Without randomness only answers to lines of one second could be mistaken for each other.
    let _ = getrandom::fill(&mut bytes[8..]);
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn send_all(mut link: Link, inbox: &Receiver<Line>) {
    while let Ok(line) = inbox.recv() {
        link.renew();
        if let Err(error) = link.write(&line) {
            eprintln!("drydock-logger: fluent#write: {error}");
        }
    }
}

impl Deliver for FluentdDriver {
    fn log(&mut self, entry: &Entry<'_>) -> Result<(), DeliverError> {
        let line = self.encode(entry);
        match &mut self.way {
            Way::Direct(link) => link.write(&line).map_err(DeliverError::Fluentd),
            Way::Queued { queue, to_sender, .. } => match to_sender.try_send(line) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(DeliverError::Full(*queue)),
            },
        }
    }

    fn close(self: Box<Self>) {
        if let Way::Queued { to_sender, sender, .. } = self.way {
            drop(to_sender);
            let _ = sender.join();
        }
    }
}

/// The connection, and how to get another.
struct Link {
    settings: Fluentd,
    tls: Option<Arc<ClientConfig>>,
    connection: Option<Connection>,
    since: Instant,
    patience: Patience,
}

enum Connection {
    Tcp(TcpStream),
    Tls(Box<Encrypted>),
    Unix(UnixStream),
}

impl Connection {
    fn exchange(&mut self, line: &Line) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => exchange(stream, line),
            Self::Tls(stream) => exchange(stream, line),
            Self::Unix(stream) => exchange(stream, line),
        }
    }
}

/// Writes, and reads the acknowledgement if one is to come.
fn exchange(stream: &mut (impl Read + Write), line: &Line) -> io::Result<()> {
    stream.write_all(&line.bytes)?;
    stream.flush()?;
    let Some(wanted) = &line.ack else { return Ok(()) };
    let (mut answer, mut bytes) = (Vec::new(), [0; 256]);
    loop {
        let length = stream.read(&mut bytes)?;
        answer.extend_from_slice(&bytes[..length]);
        match read_ack(&answer) {
            Ok(Some(id)) if id == *wanted => return Ok(()),
            Ok(None) if length > 0 => {}
            _ => return Err(io::Error::other("message ack doesn't match expected one")),
        }
    }
}

impl Link {
    fn new(settings: Fluentd, patience: Patience) -> Result<Self, TlsError> {
        let tls = match settings.receiver {
            FluentdReceiver::Tls(_) => Some(tls::config(&ClientTls::default())?),
            _ => None,
        };
        Ok(Self { settings, tls, connection: None, since: Instant::now(), patience })
    }

    fn connect(&self) -> Result<Connection, ConnectError> {
        let limit =
            Some(self.settings.write_timeout_ms).filter(|limit| *limit > 0).map(Duration::from_millis);
        let tcp = |address: &str| -> Result<TcpStream, ConnectError> {
            let stream = net::tcp(address)?;
            stream.set_write_timeout(limit).map_err(ConnectError::Limit)?;
            Ok(stream)
        };
        Ok(match (&self.settings.receiver, &self.tls) {
            (FluentdReceiver::Unix(path), _) => {
                let stream = net::unix(path)?;
                stream.set_write_timeout(limit).map_err(ConnectError::Limit)?;
                Connection::Unix(stream)
            }
            (FluentdReceiver::Tls(address), Some(config)) => {
                let (host, _) = net::split("tcp", address)?;
                Connection::Tls(Box::new(tls::wrap(config, &host, tcp(address)?)?))
            }
            (FluentdReceiver::Tcp(address) | FluentdReceiver::Tls(address), _) => {
                Connection::Tcp(tcp(address)?)
            }
        })
    }

    /// `fluentd-async-reconnect-interval`: a name may mean another machine by now.
    fn renew(&mut self) {
        let interval = Duration::from_millis(self.settings.reconnect_interval_ms);
        if !interval.is_zero() && self.since.elapsed() > interval {
            self.connection = None;
        }
    }

    fn write(&mut self, line: &Line) -> Result<(), WriteError> {
        for _ in 0..self.settings.max_retries {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => self.connect_with_patience()?,
            };
            if connection.exchange(line).is_ok() {
                self.connection = Some(connection);
                return Ok(());
            }
        }
        Err(WriteError::Attempts(self.settings.max_retries))
    }

    fn connect_with_patience(&mut self) -> Result<Connection, WriteError> {
        for attempt in 0..self.settings.max_retries {
            if let Ok(connection) = self.connect() {
                self.since = Instant::now();
                return Ok(connection);
            }
            if !self.patience.rest(pause(self.settings.retry_wait_ms, attempt)) {
                return Err(WriteError::Parted);
            }
        }
        Err(WriteError::Connect(self.settings.max_retries))
    }
}

fn pause(first_ms: u64, attempt: u32) -> Duration {
    let growth = GROWTH.powf(f64::from(attempt) - 1.0).floor();
    Duration::from_secs_f64((first_ms as f64 / 1000.0 * growth).min(LONGEST_PAUSE.as_secs_f64()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_minute() {
        let pauses: Vec<u128> = (0..8).map(|attempt| pause(1000, attempt).as_millis()).collect();
        assert_eq!(pauses, [0, 1000, 1000, 2000, 3000, 5000, 7000, 11000]);
        assert_eq!(pause(1000, 1000), LONGEST_PAUSE);
    }
}
