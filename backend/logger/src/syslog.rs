//! syslog: RFC 3164 and RFC 5424, over datagrams, streams and TLS.

use std::io::{self, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drydock_logger::settings::{ClientTls, Syslog, SyslogFormat, SyslogReceiver};
use drydock_shim::entry::{Entry, Source};
use rustls::ClientConfig;
use time::{OffsetDateTime, UtcOffset};

use crate::net::{self, NetError};
use crate::tls::{self, Encrypted};
use crate::{Deliver, DeliverError, OpenError};

/// Severities, of the eight.
const ERROR: u8 = 3;
const INFO: u8 = 6;
/// Between two attempts to connect.
const REST: Duration = Duration::from_millis(10);
/// Where a machine's own syslog may listen, in the order to look.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

pub struct SyslogDriver {
    settings: Syslog,
    tls: Option<Arc<ClientConfig>>,
    hostname: String,
    connection: Option<Connection>,
    /// No attempt to connect before: one for every line would slow down a container whose receiver is gone.
    rest_until: Instant,
}

enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<Encrypted>),
    Unix(UnixStream),
    Unixgram(UnixDatagram),
}

impl Connection {
    /// A message is one write.
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).map(drop),
            Self::Unixgram(socket) => socket.send(message).map(drop),
            Self::Tcp(stream) => stream.write_all(message),
            Self::Unix(stream) => stream.write_all(message),
            Self::Tls(stream) => stream.write_all(message).and_then(|()| stream.flush()),
        }
    }

    const fn network(&self) -> &'static str {
        match self {
            Self::Udp(_) => "udp",
            Self::Tcp(_) | Self::Tls(_) => "tcp",
            Self::Unix(_) => "unix",
            Self::Unixgram(_) => "unixgram",
        }
    }
}

impl SyslogDriver {
    /// Reaches the receiver, unless it was reached before.
    pub fn open(settings: Syslog, again: bool) -> Result<Self, OpenError> {
        let tls = match &settings.receiver {
            SyslogReceiver::Tls(_, files) => Some(tls::config(files)?),
            _ => None,
        };
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut driver = Self { settings, tls, hostname, connection: None, rest_until: Instant::now() };
        match driver.connect() {
            Ok(connection) => driver.connection = Some(connection),
            Err(_) if again => {}
            Err(error) => return Err(error),
        }
        Ok(driver)
    }

    fn connect(&self) -> Result<Connection, OpenError> {
        Ok(match &self.settings.receiver {
            SyslogReceiver::Local => local().ok_or(OpenError::NoSyslog)?,
            SyslogReceiver::Unix(path) => Connection::Unix(net::unix(path)?),
            SyslogReceiver::Unixgram(path) => Connection::Unixgram(net::unixgram(path)?),
            SyslogReceiver::Udp(address) => Connection::Udp(net::udp(address)?),
            SyslogReceiver::Tcp(address) => Connection::Tcp(net::tcp(address)?),
            SyslogReceiver::Tls(address, files) => Connection::Tls(Box::new(self.encrypt(address, files)?)),
        })
    }

    fn encrypt(&self, address: &str, files: &ClientTls) -> Result<Encrypted, OpenError> {
        let config = match &self.tls {
            Some(config) => config.clone(),
            None => tls::config(files)?,
        };
        let (host, _) = net::split("tcp", address)?;
        let name = files.server_name.as_deref().unwrap_or(&host);
        Ok(tls::wrap(&config, name, net::tcp(address)?)?)
    }

    /// By way of the connection there is; if it is broken, by way of a new one, once.
    fn send(&mut self, message: &[u8]) -> Result<(), DeliverError> {
        if let Some(connection) = &mut self.connection
            && connection.send(message).is_ok()
        {
            return Ok(());
        }
        self.connection = None;
        let now = Instant::now();
        if now < self.rest_until {
            return Err(DeliverError::Resting);
        }
        self.rest_until = now + REST;
        let mut connection = self.connect().map_err(|error| DeliverError::Refused(error.to_string()))?;
        let network = connection.network();
        connection.send(message).map_err(|source| NetError::Write { network, source })?;
        self.connection = Some(connection);
        self.rest_until = now;
        Ok(())
    }

    fn is_framed_by_length(&self) -> bool {
        matches!(self.settings.receiver, SyslogReceiver::Tls(..))
            && matches!(self.settings.format, SyslogFormat::Rfc5424 | SyslogFormat::Rfc5424Micro)
    }
}

fn local() -> Option<Connection> {
    let paths = || LOCAL.iter().map(Path::new);
    paths()
        .find_map(|path| net::unixgram(path).ok().map(Connection::Unixgram))
        .or_else(|| paths().find_map(|path| net::unix(path).ok().map(Connection::Unix)))
}

impl Deliver for SyslogDriver {
    fn log(&mut self, entry: &Entry<'_>) -> Result<(), DeliverError> {
        if entry.line.is_empty() {
            return Ok(());
        }
        let severity = if entry.source == Source::Stderr { ERROR } else { INFO };
        let head = Head {
            priority: self.settings.facility << 3 | severity,
            time: local_time(entry.time_nano),
            hostname: &self.hostname,
            tag: &self.settings.tag,
            pid: std::process::id(),
        };
        let message = format(self.settings.format, &head, entry.line);
        if self.is_framed_by_length() {
            // RFC 5425: the octets are counted, whatever is in them.
            let mut framed = format!("{} ", message.len()).into_bytes();
            framed.extend_from_slice(&message);
            return self.send(&framed);
        }
        self.send(&message)
    }
}

/// What is before the text.
struct Head<'a> {
    priority: u8,
    time: OffsetDateTime,
    hostname: &'a str,
    tag: &'a str,
    pid: u32,
}

/// One message, with the newline moby ends each with.
fn format(format: SyslogFormat, head: &Head<'_>, line: &[u8]) -> Vec<u8> {
    let Head { priority, time, hostname, tag, pid } = head;
    let mut out = match format {
        SyslogFormat::Unix => format!("<{priority}>{} {tag}[{pid}]: ", stamp(*time)),
        SyslogFormat::Rfc3164 => format!("<{priority}>{} {hostname} {tag}[{pid}]: ", stamp(*time)),
        SyslogFormat::Rfc5424 => {
            format!("<{priority}>1 {} {hostname} {tag} {pid} {tag} - ", rfc3339(*time, false))
        }
        SyslogFormat::Rfc5424Micro => {
            format!("<{priority}>1 {} {hostname} {tag} {pid} {tag} - ", rfc3339(*time, true))
        }
    }
    .into_bytes();
    out.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        out.push(b'\n');
    }
    out
}

/// `Jan  2 15:04:05`.
fn stamp(time: OffsetDateTime) -> String {
    let format =
        time::macros::format_description!("[month repr:short] [day padding:space] [hour]:[minute]:[second]");
    time.format(format).unwrap_or_default()
}

fn rfc3339(time: OffsetDateTime, with_micros: bool) -> String {
    let seconds = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let mut text = time.format(seconds).unwrap_or_default();
    if with_micros {
        text.push_str(&format!(".{:06}", time.microsecond()));
    }
    match time.offset().as_hms() {
        (0, 0, _) => text.push('Z'),
        (hours, minutes, _) => {
            let sign = if time.offset().is_negative() { '-' } else { '+' };
            text.push_str(&format!("{sign}{:02}:{:02}", hours.abs(), minutes.abs()));
        }
    }
    text
}

/// The time on this machine's clocks: RFC 3164 has no other.
fn local_time(nanos: i64) -> OffsetDateTime {
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let seconds = drydock_sys::clock::seconds_east(time.unix_timestamp());
    time.to_offset(UtcOffset::from_whole_seconds(seconds).unwrap_or(UtcOffset::UTC))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_mobys() {
        let time = OffsetDateTime::from_unix_timestamp_nanos(1_767_327_845_000_123_000).unwrap();
        let head = |time| Head { priority: 30, time, hostname: "box", tag: "tag", pid: 7 };
        let cases = [
            (SyslogFormat::Unix, "<30>Jan  2 04:24:05 tag[7]: hi\n"),
            (SyslogFormat::Rfc3164, "<30>Jan  2 04:24:05 box tag[7]: hi\n"),
            (SyslogFormat::Rfc5424, "<30>1 2026-01-02T04:24:05Z box tag 7 tag - hi\n"),
            (SyslogFormat::Rfc5424Micro, "<30>1 2026-01-02T04:24:05.000123Z box tag 7 tag - hi\n"),
        ];
        for (kind, text) in cases {
            assert_eq!(String::from_utf8(format(kind, &head(time), b"hi")).unwrap(), text);
        }
        let west = time.to_offset(UtcOffset::from_hms(-3, -30, 0).unwrap());
        let text = format(SyslogFormat::Rfc5424, &head(west), b"hi");
        assert_eq!(text, b"<30>1 2026-01-02T00:54:05-03:30 box tag 7 tag - hi\n");
    }
}
