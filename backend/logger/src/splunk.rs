//! Splunk's HTTP event collector: events in batches, sent beside the reader of the container's output.
//!
//! ```text
//!   main thread ── events, at most `queue` ──▶ sender: keeps at most `buffer` while the collector does not take them
//! ```

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use drydock_logger::settings::{Splunk, SplunkFormat};
use drydock_shim::entry::Entry;
use flate2::write::GzEncoder;

use crate::http::{Client, HttpError};
use crate::tls::{self, TlsError};
use crate::{Deliver, DeliverError, OpenError, uuid};

const PATH: &str = "/services/collector/event/1.0";

#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    #[error("Options \"{url}\": {source}")]
    Ask { url: String, source: HttpError },
    #[error("splunk: failed to verify connection - {status} - {text}")]
    Refused { status: String, text: String },
    #[error("open {}: {}", .path.display(), crate::net::said(.source))]
    Ca { path: std::path::PathBuf, source: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

#[derive(Debug, thiserror::Error)]
enum PostError {
    #[error("Post \"{url}\": {source}")]
    Ask { url: String, source: HttpError },
    #[error("splunk: failed to send event - {status} - {text}")]
    Refused { status: String, text: String },
    #[error("compress: {0}")]
    Compress(#[source] io::Error),
}

pub struct SplunkDriver {
    shape: Shape,
    to_sender: SyncSender<Vec<u8>>,
    sender: JoinHandle<()>,
}

/// What is the same in every event.
struct Shape {
    format: SplunkFormat,
    /// `,"host":…` to the end of the event.
    tail: String,
    /// `,"tag":…,"attrs":{…}`, or nothing.
    inline_tail: String,
    /// Before every raw line.
    raw_prefix: String,
}

impl SplunkDriver {
    pub fn open(settings: Splunk, again: bool) -> Result<Self, OpenError> {
        let config = if settings.url.starts_with("https:") {
            Some(tls::config(&settings.tls).map_err(reword)?)
        } else {
            None
        };
        let mut client = Client::new(&settings.url, config, settings.tls.server_name.clone());
        if settings.verify && !again {
            verify(&mut client, &settings.url)?;
        }
        let shape = Shape::new(&settings);
        let (to_sender, inbox) = sync_channel(settings.batching.queue);
        let sender = std::thread::spawn(move || Sender { client, settings, kept: Vec::new() }.run(&inbox));
        Ok(Self { shape, to_sender, sender })
    }
}

/// The splunk driver reads its authority by itself, and says so in other words.
fn reword(error: TlsError) -> VerifyError {
    match error {
        TlsError::ReadCa { path, source } => VerifyError::Ca { path, source },
        other => VerifyError::Tls(other),
    }
}

fn verify(client: &mut Client, url: &str) -> Result<(), VerifyError> {
    let whole = endpoint(url);
    let asked = client.ask("OPTIONS", PATH, &[("User-Agent", USER_AGENT)], b"");
    let answer = asked.map_err(|source| VerifyError::Ask { url: whole, source })?;
    match answer.code {
        200 => Ok(()),
        _ => Err(VerifyError::Refused { status: answer.status, text: answer.text }),
    }
}

const USER_AGENT: &str = concat!("drydock-logger/", env!("CARGO_PKG_VERSION"));

fn endpoint(url: &str) -> String {
    format!("{}{PATH}", url.trim_end_matches('/'))
}

impl Shape {
    fn new(settings: &Splunk) -> Self {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let mut tail = format!(",\"host\":{}", json(&hostname));
        for (name, value) in
            [("source", &settings.source), ("sourcetype", &settings.source_type), ("index", &settings.index)]
        {
            if !value.is_empty() {
                let _ = write!(tail, ",\"{name}\":{}", json(value));
            }
        }
        tail.push('}');
        let mut inline_tail = String::new();
        let mut raw_prefix = String::new();
        if !settings.tag.is_empty() {
            let _ = write!(inline_tail, ",\"tag\":{}", json(&settings.tag));
            let _ = write!(raw_prefix, "{} ", settings.tag);
        }
        if !settings.attrs.is_empty() {
            let attrs = serde_json::to_string(&settings.attrs).unwrap_or_default();
            let _ = write!(inline_tail, ",\"attrs\":{attrs}");
        }
        for (key, value) in &settings.attrs {
            let _ = write!(raw_prefix, "{key}={value} ");
        }
        Self { format: settings.format, tail, inline_tail, raw_prefix }
    }

    /// `None`: collectors refuse events of white space alone.
    fn event(&self, entry: &Entry<'_>) -> Option<Vec<u8>> {
        let line = String::from_utf8_lossy(entry.line);
        let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(entry.line).is_ok();
        let event = match self.format {
            SplunkFormat::Raw if line.trim().is_empty() => return None,
            SplunkFormat::Raw => json(&format!("{}{line}", self.raw_prefix)),
            SplunkFormat::Json if is_json() => self.inline(&line, entry),
            SplunkFormat::Json | SplunkFormat::Inline => self.inline(&json(&line), entry),
        };
        // Millionths, as Go's `%f` prints.
        let (seconds, nanos) =
            (entry.time_nano.div_euclid(1_000_000_000), entry.time_nano.rem_euclid(1_000_000_000));
        let time = format!("{seconds}.{:06}", nanos / 1000);
        Some(format!("{{\"event\":{event},\"time\":\"{time}\"{}", self.tail).into_bytes())
    }

    fn inline(&self, line: &str, entry: &Entry<'_>) -> String {
        format!("{{\"line\":{line},\"source\":\"{}\"{}}}", entry.source.name(), self.inline_tail)
    }
}

fn json(text: &str) -> String {
    // A string cannot fail to be JSON.
    serde_json::to_string(text).unwrap_or_default()
}

impl Deliver for SplunkDriver {
    fn log(&mut self, entry: &Entry<'_>) -> Result<(), DeliverError> {
        let Some(event) = self.shape.event(entry) else { return Ok(()) };
        let gone = |_| DeliverError::Refused("splunk: driver is closed".to_owned());
        self.to_sender.send(event).map_err(gone)
    }

    fn close(self: Box<Self>) {
        let Self { to_sender, sender, .. } = *self;
        drop(to_sender);
        let _ = sender.join();
    }
}

/// Its own thread.
struct Sender {
    client: Client,
    settings: Splunk,
    kept: Vec<Vec<u8>>,
}

impl Sender {
    fn run(mut self, inbox: &Receiver<Vec<u8>>) {
        let every = Duration::from_millis(self.settings.batching.every_ms.max(1));
        let mut next = Instant::now() + every;
        loop {
            match inbox.recv_timeout(next.saturating_duration_since(Instant::now())) {
                Ok(event) => {
                    self.kept.push(event);
                    // Exactly at the size of a batch: after a failure not at every event.
                    if self.kept.len().is_multiple_of(self.settings.batching.size.max(1)) {
                        self.post(false);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    next = Instant::now() + every;
                    self.post(false);
                }
                Err(RecvTimeoutError::Disconnected) => return self.post(true),
            }
        }
    }

    /// Sends all batches, or up to the first that is not taken.
    fn post(&mut self, last_chance: bool) {
        let size = self.settings.batching.size.max(1);
        while !self.kept.is_empty() {
            let batch = self.kept.len().min(size);
            if let Err(error) = try_post(&mut self.client, &self.settings, &self.kept[..batch]) {
                eprintln!("drydock-logger: error while sending logs: {error}");
                if last_chance || self.kept.len() >= self.settings.batching.buffer {
                    let lost = if last_chance { self.kept.len() } else { batch };
                    self.lose(lost);
                }
                return;
            }
            self.kept.drain(..batch);
        }
        self.kept.shrink_to(size);
    }

    /// They go where somebody may find them.
    fn lose(&mut self, count: usize) {
        for event in self.kept.drain(..count) {
            eprintln!("drydock-logger: failed to send a message: {}", String::from_utf8_lossy(&event));
        }
    }
}

fn try_post(client: &mut Client, settings: &Splunk, batch: &[Vec<u8>]) -> Result<(), PostError> {
    let mut body = batch.concat();
    let authorization = format!("Splunk {}", settings.token);
    let channel = settings.channel.then(uuid::random);
    let mut headers = vec![("User-Agent", USER_AGENT), ("Authorization", authorization.as_str())];
    if let Some(level) = settings.gzip {
        let level =
            u32::try_from(level).map_or_else(|_| flate2::Compression::default(), flate2::Compression::new);
        let mut encoder = GzEncoder::new(Vec::new(), level);
        encoder.write_all(&body).map_err(PostError::Compress)?;
        body = encoder.finish().map_err(PostError::Compress)?;
        headers.push(("Content-Encoding", "gzip"));
    }
    headers.extend(channel.as_deref().map(|channel| ("X-Splunk-Request-Channel", channel)));
    let asked = client.ask("POST", PATH, &headers, &body);
    let answer = asked.map_err(|source| PostError::Ask { url: endpoint(&settings.url), source })?;
    match answer.code {
        200 => Ok(()),
        _ => Err(PostError::Refused { status: answer.status, text: answer.text }),
    }
}

#[cfg(test)]
mod tests {
    use drydock_shim::entry::Source;

    use super::*;

    fn event(format: SplunkFormat, line: &[u8]) -> Option<serde_json::Value> {
        let settings = Splunk {
            url: String::new(),
            token: String::new(),
            source: "src".into(),
            source_type: String::new(),
            index: "main".into(),
            format,
            tag: "t".into(),
            attrs: [("a".to_owned(), "1".to_owned())].into(),
            gzip: None,
            verify: false,
            channel: false,
            tls: Default::default(),
            batching: Default::default(),
        };
        let entry = Entry { source: Source::Stdout, time_nano: 1_500_000_123_000, line, partial: None };
        let event = Shape::new(&settings).event(&entry)?;
        Some(serde_json::from_slice(&event).expect("JSON"))
    }

    #[test]
    fn every_format_is_mobys() {
        let inline = event(SplunkFormat::Inline, b"{\"x\":1}").unwrap();
        assert_eq!(inline["event"]["line"], "{\"x\":1}");
        assert_eq!(inline["event"]["source"], "stdout");
        assert_eq!((&inline["event"]["tag"], &inline["event"]["attrs"]["a"]), (&"t".into(), &"1".into()));
        assert_eq!(
            (&inline["time"], &inline["source"], &inline["index"]),
            (&"1500.000123".into(), &"src".into(), &"main".into())
        );
        assert!(inline.get("sourcetype").is_none() && inline["host"].is_string());
        assert_eq!(event(SplunkFormat::Json, b"{\"x\":1}").unwrap()["event"]["line"]["x"], 1);
        assert_eq!(event(SplunkFormat::Json, b"{x").unwrap()["event"]["line"], "{x");
        assert_eq!(event(SplunkFormat::Raw, b"hi").unwrap()["event"], "t a=1 hi");
        assert_eq!(event(SplunkFormat::Raw, b" \t"), None);
    }
}
