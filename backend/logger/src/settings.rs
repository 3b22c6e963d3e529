//! What a driver is told, in its first message. Everything is checked already, except what only trying can show.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The whole of the first message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    pub driver: Driver,
    /// Its predecessor died: the receiver need not be there at once.
    #[serde(default)]
    pub again: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Driver {
    Syslog(Syslog),
    Gelf(Gelf),
    Splunk(Splunk),
    Fluentd(Fluentd),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Syslog {
    pub receiver: SyslogReceiver,
    /// 0 to 23.
    pub facility: u8,
    pub tag: String,
    pub format: SyslogFormat,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyslogReceiver {
    /// `/dev/log` or its like.
    Local,
    Unix(PathBuf),
    Unixgram(PathBuf),
    /// `host:port`, as are the next two.
    Udp(String),
    Tcp(String),
    Tls(String, ClientTls),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyslogFormat {
    /// As `syslog(3)` writes to its own machine: RFC 3164 without a host name.
    Unix,
    Rfc3164,
    Rfc5424,
    Rfc5424Micro,
}

/// How a client proves itself and whom it believes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientTls {
    /// An authority to believe beside the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    #[serde(default)]
    pub cert: Option<PathBuf>,
    #[serde(default)]
    pub key: Option<PathBuf>,
    /// The name in the receiver's certificate; none: the host connected to.
    #[serde(default)]
    pub server_name: Option<String>,
    #[serde(default)]
    pub skip_verify: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gelf {
    pub receiver: GelfReceiver,
    /// Fields of every message; their names begin with `_`.
    pub extra: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GelfReceiver {
    Udp { address: String, compression: Compression, level: i32 },
    Tcp { address: String, max_reconnect: u32, reconnect_delay_s: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    Gzip,
    Zlib,
    None,
}

/// Go's `flate.DefaultCompression` is −1.
pub const DEFAULT_LEVEL: i32 = -1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Splunk {
    /// `http://host:port` or `https://host:port`, as the user wrote it, without a path.
    pub url: String,
    pub token: String,
    #[serde(default)]
    pub source: String,
    #[serde(default)]
    pub source_type: String,
    #[serde(default)]
    pub index: String,
    pub format: SplunkFormat,
    #[serde(default)]
    pub tag: String,
    #[serde(default)]
    pub attrs: BTreeMap<String, String>,
    /// The level of compression; none: no compression.
    #[serde(default)]
    pub gzip: Option<i32>,
    /// Ask the collector whether it is there before the container starts.
    pub verify: bool,
    /// Name a channel in every request, for collectors that acknowledge.
    #[serde(default)]
    pub channel: bool,
    #[serde(default)]
    pub tls: ClientTls,
    pub batching: Batching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SplunkFormat {
    Inline,
    Json,
    Raw,
}

/// moby's four environment variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batching {
    /// `…_POST_MESSAGES_FREQUENCY`
    pub every_ms: u64,
    /// `…_POST_MESSAGES_BATCH_SIZE`
    pub size: usize,
    /// `…_BUFFER_MAX`: messages kept while the collector does not take them.
    pub buffer: usize,
    /// `…_CHANNEL_SIZE`: messages that may wait to be looked at.
    pub queue: usize,
}

impl Default for Batching {
    fn default() -> Self {
        Self { every_ms: 5000, size: 1000, buffer: 10_000, queue: 4000 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fluentd {
    pub receiver: FluentdReceiver,
    pub tag: String,
    /// Fields of every record.
    pub record: BTreeMap<String, String>,
    /// So many messages may wait for a receiver, and the container does not.
    #[serde(default)]
    pub queue: Option<usize>,
    pub retry_wait_ms: u64,
    pub max_retries: u32,
    #[serde(default)]
    pub reconnect_interval_ms: u64,
    #[serde(default)]
    pub sub_second_precision: bool,
    #[serde(default)]
    pub request_ack: bool,
    /// 0: for ever.
    #[serde(default)]
    pub write_timeout_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FluentdReceiver {
    Unix(PathBuf),
    Tcp(String),
    Tls(String),
}
