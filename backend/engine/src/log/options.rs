//! `--log-driver` and `--log-opt`, checked when a container is created, in moby's order and words (`daemon/logger/factory.go` and
//! each driver's `ValidateLogOpt`). What only a start can show is in [`super::setup`].

use std::collections::BTreeMap;

use drydock_logger::settings::{FluentdReceiver, SyslogFormat, SyslogReceiver};

use crate::golang::numbers::{NumberError, atoi, parse_bool, parse_u32};
use crate::golang::units::{DurationError, SizeError, parse_duration, print_duration, ram_in_bytes};
use crate::golang::url::{HostPortError, Url, UrlError, join_host_port, split_host_port};
use crate::golang::{os_error, quote};

pub type Options = BTreeMap<String, String>;

/// What `docker info` lists.
pub const DRIVERS: [&str; 7] = ["fluentd", "gelf", "journald", "json-file", "local", "splunk", "syslog"];

/// Options of every driver.
const COMMON: [&str; 6] =
    ["mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const CACHE: [&str; 4] = ["cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error("logger: logging mode not supported: {0}")]
    Mode(String),
    #[error("logger: max-buffer-size option is only supported with 'mode=non-blocking'")]
    BufferWithoutMode,
    #[error("error parsing option max-buffer-size: {0}")]
    BufferSize(#[source] SizeError),
    #[error("invalid value for option cache-disabled: {0}")]
    CacheDisabled(String),
    #[error("error looking up logging plugin {0}: plugin \"{0}\" not found")]
    Driver(String),
    #[error("unknown log opt '{option}' for {driver} log driver")]
    Unknown { option: String, driver: &'static str },
    #[error("unknown log opt '{0}' for log driver local")]
    UnknownLocal(String),
    #[error("unknown log opt {} for gelf log driver", quote(.0))]
    UnknownGelf(String),
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    HostPort(#[from] HostPortError),
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error(transparent)]
    Size(#[from] SizeError),
    #[error(transparent)]
    Duration(#[from] DurationError),
    #[error("unsupported scheme: '{0}'")]
    Scheme(String),
    #[error("stat {path}: {why}")]
    Stat { path: String, why: String },
    #[error("invalid syslog facility")]
    Facility,
    #[error("Invalid syslog format")]
    Format,
    #[error("gelf-address is a required parameter")]
    NoGelfAddress,
    #[error("gelf: endpoint needs to be TCP or UDP")]
    GelfScheme,
    #[error("gelf: please provide gelf-address as proto://host:port")]
    GelfPort,
    #[error("compression is only supported on UDP")]
    GelfCompression,
    #[error("unknown value {} for log opt {} for gelf log driver", quote(.value), quote(.option))]
    GelfValue { option: String, value: String },
    #[error("{} is only valid for TCP", quote(.0))]
    GelfTcp(String),
    #[error("{} must be a positive integer", quote(.0))]
    GelfPositive(String),
    #[error("invalid fluentd-address ({address}): {source}")]
    FluentdAddress { address: String, source: Box<OptionError> },
    #[error("path is empty")]
    NoPath,
    #[error("should not contain a path element")]
    Path,
    #[error("invalid port: {0}")]
    Port(#[source] NumberError),
    #[error("invalid fluentd-max-retries: value out of range")]
    FluentdRetries,
    #[error("invalid value for fluentd-async-reconnect-interval: {0}")]
    FluentdInterval(#[source] DurationError),
    #[error(
        "invalid value for fluentd-async-reconnect-interval: value ({}) must be between 100ms and 10s", quote(.0)
    )]
    FluentdIntervalRange(String),
    #[error("invalid value for fluentd-write-timeout: value must be a duration: {0}")]
    FluentdTimeout(#[source] DurationError),
    #[error("invalid value for fluentd-write-timeout: value must be a duration that is non-negative")]
    FluentdTimeoutSign,
}

/// Refuses what the driver will not understand.
pub fn validate(driver: &str, options: &Options) -> Result<(), OptionError> {
    if driver == "none" {
        return Ok(());
    }
    let mode = options.get("mode").map_or("", String::as_str);
    if !matches!(mode, "" | "blocking" | "non-blocking") {
        return Err(OptionError::Mode(mode.to_owned()));
    }
    if let Some(size) = options.get("max-buffer-size") {
        if mode != "non-blocking" {
            return Err(OptionError::BufferWithoutMode);
        }
        ram_in_bytes(size).map_err(OptionError::BufferSize)?;
    }
    if let Some(disabled) = options.get("cache-disabled").filter(|text| !text.is_empty()) {
        parse_bool(disabled).map_err(|_| OptionError::CacheDisabled(disabled.clone()))?;
    }
    let Some(driver) = DRIVERS.into_iter().find(|known| *known == driver) else {
        return Err(OptionError::Driver(driver.to_owned()));
    };
    validate_own(driver, options)
}

fn validate_own(driver: &'static str, options: &Options) -> Result<(), OptionError> {
    match driver {
        "json-file" => only(driver, options, &["max-file", "max-size", "compress"]),
        "local" => {
            let known = ["max-file", "max-size", "compress"];
            match unknown(options, |key| known.contains(&key)) {
                Some(option) => Err(OptionError::UnknownLocal(option)),
                None => Ok(()),
            }
        }
        "journald" => only(driver, options, &[]),
        "syslog" => {
            only(driver, options, &SYSLOG)?;
            syslog_receiver(options)?;
            syslog_facility(options)?;
            syslog_format(options).map(drop)
        }
        "gelf" => validate_gelf(options),
        "splunk" => only(driver, options, &SPLUNK),
        _ => {
            only(driver, options, &FLUENTD)?;
            fluentd(options).map(drop)
        }
    }
}

fn unknown(options: &Options, knows: impl Fn(&str) -> bool) -> Option<String> {
    options.keys().find(|key| !COMMON.contains(&key.as_str()) && !knows(key)).cloned()
}

fn only(driver: &'static str, options: &Options, own: &[&str]) -> Result<(), OptionError> {
    match unknown(options, |key| own.contains(&key) || ATTRIBUTES.contains(&key)) {
        Some(option) => Err(OptionError::Unknown { option, driver }),
        None => Ok(()),
    }
}

/// What the daemon's own options add to a container's: all of them for its own driver, those of the cache for any other.
pub fn merge_defaults(driver: &str, options: &mut Options, default_driver: &str, defaults: &Options) {
    for (key, value) in defaults {
        if driver == default_driver || CACHE.contains(&key.as_str()) {
            options.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

const SYSLOG: [&str; 7] = [
    "syslog-address",
    "syslog-facility",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
    "syslog-format",
];
const SYSLOG_PORT: &str = "514";
/// In the order of their numbers; the gaps have no name.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "",
    "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Where `syslog-address` leads. The files for TLS are added at the start.
pub fn syslog_receiver(options: &Options) -> Result<SyslogReceiver, OptionError> {
    let Some(address) = options.get("syslog-address").filter(|address| !address.is_empty()) else {
        return Ok(SyslogReceiver::Local);
    };
    let url = Url::parse(address)?;
    if matches!(url.scheme.as_str(), "unix" | "unixgram") {
        if let Err(error) = std::fs::metadata(&url.path) {
            return Err(OptionError::Stat { path: url.path, why: os_error(&error) });
        }
        let path = url.path.into();
        return Ok(if url.scheme == "unix" {
            SyslogReceiver::Unix(path)
        } else {
            SyslogReceiver::Unixgram(path)
        });
    }
    if !matches!(url.scheme.as_str(), "udp" | "tcp" | "tcp+tls") {
        return Err(OptionError::Scheme(url.scheme));
    }
    let host = match split_host_port(&url.host) {
        Ok(_) => url.host,
        Err(HostPortError::NoPort(_)) => join_host_port(&url.host, SYSLOG_PORT),
        Err(error) => return Err(error.into()),
    };
    Ok(match url.scheme.as_str() {
        "udp" => SyslogReceiver::Udp(host),
        "tcp" => SyslogReceiver::Tcp(host),
        _ => SyslogReceiver::Tls(host, Default::default()),
    })
}

pub fn syslog_facility(options: &Options) -> Result<u8, OptionError> {
    const DAEMON: u8 = 3;
    let Some(name) = options.get("syslog-facility").filter(|name| !name.is_empty()) else {
        return Ok(DAEMON);
    };
    if let Some(number) = FACILITIES.iter().position(|known| known == name) {
        return Ok(number as u8);
    }
    let number = atoi(name).ok().filter(|number| (0..=23).contains(number));
    number.map(|number| number as u8).ok_or(OptionError::Facility)
}

pub fn syslog_format(options: &Options) -> Result<SyslogFormat, OptionError> {
    match options.get("syslog-format").map_or("", String::as_str) {
        "" => Ok(SyslogFormat::Unix),
        "rfc3164" => Ok(SyslogFormat::Rfc3164),
        "rfc5424" => Ok(SyslogFormat::Rfc5424),
        "rfc5424micro" => Ok(SyslogFormat::Rfc5424Micro),
        _ => Err(OptionError::Format),
    }
}

/// `udp` or `tcp`, and `host:port`.
pub fn gelf_address(options: &Options) -> Result<(String, String), OptionError> {
    let address = options.get("gelf-address").map_or("", String::as_str);
    if address.is_empty() {
        return Err(OptionError::NoGelfAddress);
    }
    let url = Url::parse(address)?;
    if !matches!(url.scheme.as_str(), "udp" | "tcp") {
        return Err(OptionError::GelfScheme);
    }
    split_host_port(&url.host).map_err(|_| OptionError::GelfPort)?;
    Ok((url.scheme, url.host))
}

fn validate_gelf(options: &Options) -> Result<(), OptionError> {
    let (scheme, _) = gelf_address(options)?;
    for (key, value) in options.iter().filter(|(key, _)| !COMMON.contains(&key.as_str())) {
        let bad_value = || OptionError::GelfValue { option: key.clone(), value: value.clone() };
        match key.as_str() {
            "gelf-compression-level" | "gelf-compression-type" if scheme != "udp" => {
                return Err(OptionError::GelfCompression);
            }
            "gelf-compression-level" if !atoi(value).is_ok_and(|level| (-1..=9).contains(&level)) => {
                return Err(bad_value());
            }
            "gelf-compression-type" if !matches!(value.as_str(), "gzip" | "zlib" | "none") => {
                return Err(bad_value());
            }
            "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay" if scheme != "tcp" => {
                return Err(OptionError::GelfTcp(key.clone()));
            }
            "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay"
                if !atoi(value).is_ok_and(|number| number >= 0) =>
            {
                return Err(OptionError::GelfPositive(key.clone()));
            }
            "gelf-address"
            | "gelf-compression-level"
            | "gelf-compression-type"
            | "gelf-tcp-max-reconnect"
            | "gelf-tcp-reconnect-delay" => {}
            other if ATTRIBUTES.contains(&other) => {}
            other => return Err(OptionError::UnknownGelf(other.to_owned())),
        }
    }
    Ok(())
}

const SPLUNK: [&str; 13] = [
    "splunk-url",
    "splunk-token",
    "splunk-source",
    "splunk-sourcetype",
    "splunk-index",
    "splunk-capath",
    "splunk-caname",
    "splunk-insecureskipverify",
    "splunk-format",
    "splunk-verify-connection",
    "splunk-gzip",
    "splunk-gzip-level",
    "splunk-index-acknowledgment",
];

const FLUENTD: [&str; 9] = [
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
    "fluentd-max-retries",
    "fluentd-request-ack",
    "fluentd-retry-wait",
    "fluentd-sub-second-precision",
    "fluentd-write-timeout",
];

/// What the `fluentd-…` options say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FluentdOptions {
    pub receiver: FluentdReceiver,
    pub queue: Option<usize>,
    pub retry_wait_ms: u64,
    pub max_retries: u32,
    pub reconnect_interval_ms: u64,
    pub sub_second_precision: bool,
    pub request_ack: bool,
    pub write_timeout_ms: u64,
}

pub fn fluentd(options: &Options) -> Result<FluentdOptions, OptionError> {
    const BUFFER: i64 = 1 << 20;
    const RETRY_WAIT_MS: u64 = 1000;
    let get = |key: &str| options.get(key).map(String::as_str).filter(|text| !text.is_empty());
    let truth = |key: &str| get(key).map_or(Ok(false), parse_bool);
    let address = get("fluentd-address").unwrap_or_default();
    let receiver = fluentd_receiver(address).map_err(|source| OptionError::FluentdAddress {
        address: address.to_owned(),
        source: Box::new(source),
    })?;
    let buffer = get("fluentd-buffer-limit").map_or(Ok(BUFFER), ram_in_bytes)?;
    let retry_wait_ms = match get("fluentd-retry-wait") {
        Some(text) => millis(parse_duration(text)?),
        None => RETRY_WAIT_MS,
    };
    let max_retries = match get("fluentd-max-retries") {
        Some(text) => parse_u32(text)?,
        None => i32::MAX as u32,
    };
    if max_retries > i32::MAX as u32 {
        return Err(OptionError::FluentdRetries);
    }
    let asynchronous = truth("fluentd-async")?;
    let reconnect_interval_ms = fluentd_interval(get("fluentd-async-reconnect-interval"))?;
    let sub_second_precision = truth("fluentd-sub-second-precision")?;
    let request_ack = truth("fluentd-request-ack")?;
    let write_timeout_ms = match get("fluentd-write-timeout") {
        None => 0,
        Some(text) => match parse_duration(text).map_err(OptionError::FluentdTimeout)? {
            ..0 => return Err(OptionError::FluentdTimeoutSign),
            nanos => millis(nanos),
        },
    };
    let queue = asynchronous.then(|| usize::try_from(buffer).unwrap_or(0).max(1));
    Ok(FluentdOptions {
        receiver,
        queue,
        retry_wait_ms,
        max_retries,
        reconnect_interval_ms,
        sub_second_precision,
        request_ack,
        write_timeout_ms,
    })
}

fn millis(nanos: i64) -> u64 {
    u64::try_from(nanos / 1_000_000).unwrap_or(0)
}

fn fluentd_interval(text: Option<&str>) -> Result<u64, OptionError> {
    let Some(text) = text else { return Ok(0) };
    let nanos = parse_duration(text).map_err(OptionError::FluentdInterval)?;
    match millis(nanos) {
        0 if nanos == 0 => Ok(0),
        interval @ 100..=10_000 => Ok(interval),
        _ => Err(OptionError::FluentdIntervalRange(print_duration(nanos))),
    }
}

fn fluentd_receiver(address: &str) -> Result<FluentdReceiver, OptionError> {
    const HOST: &str = "127.0.0.1";
    const PORT: &str = "24224";
    if address.is_empty() {
        return Ok(FluentdReceiver::Tcp(join_host_port(HOST, PORT)));
    }
    let address = if address.contains("://") { address.to_owned() } else { format!("tcp://{address}") };
    let url = Url::parse(&address)?;
    match url.scheme.as_str() {
        "unix" if url.path.trim_start_matches('/').is_empty() => return Err(OptionError::NoPath),
        "unix" => return Ok(FluentdReceiver::Unix(url.path.into())),
        "tcp" | "tls" => {}
        other => return Err(OptionError::Scheme(other.to_owned())),
    }
    if !url.path.is_empty() {
        return Err(OptionError::Path);
    }
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let port = or(url.port(), PORT);
    let number = parse_u32(&port).map_err(OptionError::Port)?;
    if number > u32::from(u16::MAX) {
        return Err(OptionError::Port(NumberError::Range { function: "ParseUint", text: port }));
    }
    let address = join_host_port(&or(url.hostname(), HOST), &port);
    Ok(if url.scheme == "tls" { FluentdReceiver::Tls(address) } else { FluentdReceiver::Tcp(address) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(driver: &str, words: &[(&str, &str)]) -> String {
        let options = words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        match validate(driver, &options) {
            Ok(()) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// A driver, its options, and the answer.
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);

    /// What `docker run` said against moby 28.5.2.
    #[test]
    fn options_are_refused_in_mobys_words() {
        let cases: &[Case<'_>] = &[
            ("foo", &[], "error looking up logging plugin foo: plugin \"foo\" not found"),
            ("none", &[("foo", "1")], "ok"),
            ("json-file", &[("foo", "1")], "unknown log opt 'foo' for json-file log driver"),
            ("json-file", &[("cache-foo", "1")], "unknown log opt 'cache-foo' for json-file log driver"),
            ("json-file", &[("max-size", "x"), ("max-file", "x"), ("compress", "x"), ("tag", "{{")], "ok"),
            ("json-file", &[("mode", "x")], "logger: logging mode not supported: x"),
            (
                "json-file",
                &[("max-buffer-size", "1m")],
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
            (
                "json-file",
                &[("mode", "non-blocking"), ("max-buffer-size", "x")],
                "error parsing option max-buffer-size: invalid size: 'x'",
            ),
            ("json-file", &[("cache-disabled", "x")], "invalid value for option cache-disabled: x"),
            ("local", &[("labels", "x")], "unknown log opt 'labels' for log driver local"),
            ("journald", &[("foo", "x")], "unknown log opt 'foo' for journald log driver"),
            ("syslog", &[("foo", "x")], "unknown log opt 'foo' for syslog log driver"),
            ("syslog", &[("syslog-address", "foo://127.0.0.1")], "unsupported scheme: 'foo'"),
            (
                "syslog",
                &[("syslog-address", "127.0.0.1:514")],
                "parse \"127.0.0.1:514\": first path segment in URL cannot contain colon",
            ),
            ("syslog", &[("syslog-address", "foo")], "unsupported scheme: ''"),
            ("syslog", &[("syslog-address", "unix:///nope")], "stat /nope: no such file or directory"),
            (
                "syslog",
                &[("syslog-address", "tcp://a:b:c")],
                "parse \"tcp://a:b:c\": invalid port \":c\" after host",
            ),
            ("syslog", &[("syslog-facility", "foo")], "invalid syslog facility"),
            ("syslog", &[("syslog-facility", "24")], "invalid syslog facility"),
            ("syslog", &[("syslog-format", "foo")], "Invalid syslog format"),
            ("gelf", &[], "gelf-address is a required parameter"),
            ("gelf", &[("gelf-address", "foo")], "gelf: endpoint needs to be TCP or UDP"),
            (
                "gelf",
                &[("gelf-address", "udp://127.0.0.1")],
                "gelf: please provide gelf-address as proto://host:port",
            ),
            (
                "gelf",
                &[("gelf-address", "udp://a:1"), ("foo", "x")],
                "unknown log opt \"foo\" for gelf log driver",
            ),
            (
                "gelf",
                &[("gelf-address", "udp://a:1"), ("gelf-compression-type", "x")],
                "unknown value \"x\" for log opt \"gelf-compression-type\" for gelf log driver",
            ),
            (
                "gelf",
                &[("gelf-address", "udp://a:1"), ("gelf-compression-level", "x")],
                "unknown value \"x\" for log opt \"gelf-compression-level\" for gelf log driver",
            ),
            (
                "gelf",
                &[("gelf-address", "tcp://a:1"), ("gelf-compression-level", "1")],
                "compression is only supported on UDP",
            ),
            (
                "gelf",
                &[("gelf-address", "udp://a:1"), ("gelf-tcp-max-reconnect", "1")],
                "\"gelf-tcp-max-reconnect\" is only valid for TCP",
            ),
            (
                "gelf",
                &[("gelf-address", "tcp://a:1"), ("gelf-tcp-max-reconnect", "x")],
                "\"gelf-tcp-max-reconnect\" must be a positive integer",
            ),
            ("splunk", &[], "ok"),
            ("splunk", &[("splunk-foo", "x")], "unknown log opt 'splunk-foo' for splunk log driver"),
            ("fluentd", &[], "ok"),
            (
                "fluentd",
                &[("fluentd-address", "foo://x")],
                "invalid fluentd-address (foo://x): unsupported scheme: 'foo'",
            ),
            (
                "fluentd",
                &[("fluentd-address", "unix://")],
                "invalid fluentd-address (unix://): path is empty",
            ),
            (
                "fluentd",
                &[("fluentd-address", "tcp://a:b")],
                "invalid fluentd-address (tcp://a:b): parse \"tcp://a:b\": invalid port \":b\" after host",
            ),
            (
                "fluentd",
                &[("fluentd-address", "tcp://a/b")],
                "invalid fluentd-address (tcp://a/b): should not contain a path element",
            ),
            ("fluentd", &[("fluentd-async", "x")], "strconv.ParseBool: parsing \"x\": invalid syntax"),
            ("fluentd", &[("fluentd-buffer-limit", "x")], "invalid size: 'x'"),
            ("fluentd", &[("fluentd-retry-wait", "x")], "time: invalid duration \"x\""),
            ("fluentd", &[("fluentd-max-retries", "x")], "strconv.ParseUint: parsing \"x\": invalid syntax"),
            (
                "fluentd",
                &[("fluentd-max-retries", "4294967295")],
                "invalid fluentd-max-retries: value out of range",
            ),
            (
                "fluentd",
                &[("fluentd-async-reconnect-interval", "1h")],
                "invalid value for fluentd-async-reconnect-interval: value (\"1h0m0s\") must be between 100ms and 10s",
            ),
            (
                "fluentd",
                &[("fluentd-write-timeout", "x")],
                "invalid value for fluentd-write-timeout: value must be a duration: time: invalid duration \"x\"",
            ),
            (
                "fluentd",
                &[("fluentd-write-timeout", "-1s")],
                "invalid value for fluentd-write-timeout: value must be a duration that is non-negative",
            ),
            ("fluentd", &[("foo", "x")], "unknown log opt 'foo' for fluentd log driver"),
        ];
        for (driver, words, expected) in cases {
            assert_eq!(checked(driver, words), *expected, "{driver} {words:?}");
        }
    }

    #[test]
    fn addresses_have_defaults() {
        let options = |key: &str, value: &str| Options::from([(key.to_owned(), value.to_owned())]);
        let syslog = |address| syslog_receiver(&options("syslog-address", address)).expect(address);
        assert_eq!(syslog("tcp://h"), SyslogReceiver::Tcp("h:514".into()));
        assert_eq!(syslog("udp://[::1]:99"), SyslogReceiver::Udp("[::1]:99".into()));
        assert_eq!(syslog(""), SyslogReceiver::Local);
        let fluentd = |address| fluentd_receiver(address).expect(address);
        assert_eq!(fluentd("h"), FluentdReceiver::Tcp("h:24224".into()));
        assert_eq!(fluentd("tls://:1"), FluentdReceiver::Tls("127.0.0.1:1".into()));
        assert_eq!(syslog_facility(&options("syslog-facility", "local7")), Ok(23));
    }

    #[test]
    fn the_daemons_options_fill_in_its_own_driver_and_the_cache_of_others() {
        let defaults: Options = [("max-size", "1m"), ("cache-max-size", "2m")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let merged = |driver: &str| {
            let mut options = Options::from([("max-size".to_owned(), "5m".to_owned())]);
            merge_defaults(driver, &mut options, "json-file", &defaults);
            options
        };
        assert_eq!(merged("json-file")["max-size"], "5m");
        assert_eq!(merged("syslog").into_keys().collect::<Vec<_>>(), ["cache-max-size", "max-size"]);
    }
}
