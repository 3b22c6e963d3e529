//! What a container's shim is told of its log, when it starts. What moby's drivers find wrong only then is found here, in
//! their words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use drydock_logger::settings::{
    Batching, ClientTls, Compression, DEFAULT_LEVEL, Driver, Fluentd, Gelf, GelfReceiver, Settings, Splunk,
    SplunkFormat, Syslog, SyslogReceiver,
};
use drydock_shim::config::{Delivery, Helper, Log, LogFile};

use super::info::{Info, PatternError, SHORT_ID};
use super::options::{self, OptionError, Options};
use crate::container::Record;
use crate::golang::numbers::{NumberError, atoi, parse_bool, parse_int};
use crate::golang::template::TemplateError;
use crate::golang::units::{SizeError, from_human_size, parse_duration, ram_in_bytes};
use crate::golang::url::Url;

/// Where the journal of a host listens.
const JOURNAL: &str = "/run/systemd/journal/socket";
/// What the `local` driver, and the copies beside other drivers, keep.
const LOCAL_SIZE: i64 = 20 << 20;
const LOCAL_FILES: i64 = 5;
/// moby's `defaultRingMaxSize`.
const RING: u64 = 1_000_000;

#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error(transparent)]
    Size(#[from] SizeError),
    #[error(transparent)]
    Tag(#[from] TemplateError),
    #[error(transparent)]
    Pattern(#[from] PatternError),
    #[error("max-size must be a positive number")]
    MaxSize,
    #[error("max-file cannot be less than 1")]
    MaxFile,
    #[error("compress cannot be true when max-file is less than 2 or max-size is not set")]
    Compress,
    #[error("invalid value for {option}: {value}: {source}")]
    LocalSize { option: String, value: String, source: SizeError },
    #[error("invalid value for {option}: {value}: {source}")]
    LocalNumber { option: String, value: String, source: NumberError },
    #[error("error reading {option} log option: {source}")]
    LocalCompress { option: String, source: NumberError },
    #[error("max file count cannot be less than 0")]
    LocalFiles,
    #[error("compression cannot be enabled when max file count is 1")]
    LocalCompressOne,
    #[error("splunk: {0} is expected")]
    SplunkMissing(&'static str),
    #[error("splunk: failed to parse {0} as url value in splunk-url")]
    SplunkParse(String),
    #[error("splunk: expected format scheme://dns_name_or_ip:port for splunk-url")]
    SplunkUrl,
    #[error("not supported level '{0}' for splunk-gzip-level (supported values between -1 and 9)")]
    SplunkLevel(String),
    #[error("unknown format specified {0}, supported formats are inline, json and raw")]
    SplunkFormat(String),
    #[error("encode the settings of the log driver: {0}")]
    Encode(#[source] serde_json::Error),
}

/// Where a container's logs are.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    /// The container's folder.
    pub dir: &'a Path,
    pub json_file: PathBuf,
    /// The program of the remote drivers.
    pub logger: &'a Path,
}

impl Places<'_> {
    pub fn local_file(&self) -> PathBuf {
        self.dir.join("local-logs/container.log")
    }

    pub fn cache_file(&self) -> PathBuf {
        self.dir.join("container-cached.log")
    }
}

/// The driver and its options, as they were written down at creation.
pub fn configured(record: &Record) -> (String, Options) {
    let config = record.host_config.log_config.clone().unwrap_or_default();
    (config.typ.unwrap_or_default(), config.config.unwrap_or_default().into_iter().collect())
}

pub fn setup(record: &Record, places: &Places<'_>) -> Result<Log, SetupError> {
    let (driver, options) = configured(record);
    let json_path = places.json_file.to_string_lossy().into_owned();
    let log_path = if driver == "json-file" { json_path } else { String::new() };
    let info = Info::of(record, options, log_path);
    match driver.as_str() {
        "none" => return Ok(Log::None),
        "" | "json-file" => return json_file(&info, places),
        "local" => return Ok(Log::Local { file: local_file(&info.options, "", places.local_file())? }),
        _ => {}
    }
    let delivery = delivery(&info.options)?;
    let cache = cache(&info.options, places)?;
    if driver == "journald" {
        let fields = journald_fields(&info)?;
        return Ok(Log::Journald { socket: JOURNAL.into(), fields, delivery, cache });
    }
    let driver = match driver.as_str() {
        "syslog" => Driver::Syslog(syslog(&info)?),
        "gelf" => Driver::Gelf(gelf(&info)?),
        "splunk" => Driver::Splunk(splunk(&info)?),
        "fluentd" => Driver::Fluentd(fluentd(&info)?),
        other => return Err(OptionError::Driver(other.to_owned()).into()),
    };
    let settings = serde_json::to_value(Settings { driver, again: false }).map_err(SetupError::Encode)?;
    Ok(Log::Remote { helper: Helper { program: places.logger.to_owned(), settings }, delivery, cache })
}

fn delivery(options: &Options) -> Result<Delivery, SetupError> {
    if options.get("mode").map(String::as_str) != Some("non-blocking") {
        return Ok(Delivery::Blocking);
    }
    let max_buffer = match options.get("max-buffer-size") {
        Some(size) => u64::try_from(ram_in_bytes(size)?).unwrap_or(0),
        None => RING,
    };
    Ok(Delivery::NonBlocking { max_buffer })
}

fn json_file(info: &Info, places: &Places<'_>) -> Result<Log, SetupError> {
    let get = |key: &str| info.options.get(key);
    let max_size = match get("max-size").map(|text| from_human_size(text)).transpose()? {
        Some(..=0) => return Err(SetupError::MaxSize),
        size => size.map(i64::cast_unsigned),
    };
    let max_file = match get("max-file").map(|text| atoi(text)).transpose()? {
        Some(..=0) => return Err(SetupError::MaxFile),
        count => u32::try_from(count.unwrap_or(1)).unwrap_or(u32::MAX),
    };
    let compress = get("compress").map_or(Ok(false), |text| parse_bool(text))?;
    if compress && (max_file == 1 || max_size.is_none()) {
        return Err(SetupError::Compress);
    }
    let mut attrs = info.attributes(str::to_owned)?;
    let tag = info.tag("")?;
    if !tag.is_empty() {
        attrs.insert("tag".to_owned(), tag);
    }
    Ok(Log::JsonFile {
        file: LogFile { path: places.json_file.clone(), max_size, max_file, compress },
        attrs,
    })
}

/// A file in the format of the `local` driver; `prefix` is `cache-` for a copy beside another driver.
fn local_file(options: &Options, prefix: &str, path: PathBuf) -> Result<LogFile, SetupError> {
    let get = |key: &str| {
        let option = format!("{prefix}{key}");
        options.get(&option).map(|value| (option, value.clone()))
    };
    let max_size = match get("max-size") {
        None => LOCAL_SIZE,
        Some((option, value)) => {
            from_human_size(&value).map_err(|source| SetupError::LocalSize { option, value, source })?
        }
    };
    let max_file = match get("max-file") {
        None => LOCAL_FILES,
        Some((option, value)) => {
            atoi(&value).map_err(|source| SetupError::LocalNumber { option, value, source })?
        }
    };
    let compress = match get("compress") {
        None => true,
        Some((option, value)) => {
            parse_bool(&value).map_err(|source| SetupError::LocalCompress { option, source })?
        }
    };
    match max_file {
        ..0 => Err(SetupError::LocalFiles),
        0..=1 if compress => Err(SetupError::LocalCompressOne),
        _ => Ok(LogFile {
            path,
            max_size: Some(max_size.cast_unsigned()),
            max_file: u32::try_from(max_file).unwrap_or(u32::MAX),
            compress,
        }),
    }
}

fn cache(options: &Options, places: &Places<'_>) -> Result<Option<LogFile>, SetupError> {
    match is_cached(options) {
        true => Ok(Some(local_file(options, "cache-", places.cache_file())?)),
        false => Ok(None),
    }
}

/// Whether the engine keeps a copy of what a driver that cannot be read back takes.
pub fn is_cached(options: &Options) -> bool {
    let disabled = options.get("cache-disabled").map(String::as_str).filter(|text| !text.is_empty());
    !disabled.is_some_and(|text| parse_bool(text).unwrap_or(true))
}

fn journald_fields(info: &Info) -> Result<BTreeMap<String, String>, SetupError> {
    let tag = info.tag(SHORT_ID)?;
    let mut fields: BTreeMap<String, String> = [
        ("CONTAINER_ID", info.short_id()),
        ("CONTAINER_ID_FULL", info.id.as_str()),
        ("CONTAINER_NAME", info.name.as_str()),
        ("CONTAINER_TAG", tag.as_str()),
        ("IMAGE_NAME", info.image_name.as_str()),
        ("SYSLOG_IDENTIFIER", tag.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    fields.extend(info.attributes(journald_name)?);
    // A name of nothing but what journald refuses is no name.
    fields.retain(|name, _| !name.is_empty());
    Ok(fields)
}

/// Capital letters, digits and underscores; none of these at the beginning.
fn journald_name(name: &str) -> String {
    let allowed = |letter: char| match letter {
        'a'..='z' => letter.to_ascii_uppercase(),
        'A'..='Z' | '0'..='9' => letter,
        _ => '_',
    };
    name.chars().map(allowed).collect::<String>().trim_start_matches('_').to_owned()
}

fn syslog(info: &Info) -> Result<Syslog, SetupError> {
    let tag = info.tag(SHORT_ID)?;
    let receiver = match options::syslog_receiver(&info.options)? {
        SyslogReceiver::Tls(address, _) => SyslogReceiver::Tls(address, syslog_tls(&info.options)),
        other => other,
    };
    let (facility, format) =
        (options::syslog_facility(&info.options)?, options::syslog_format(&info.options)?);
    Ok(Syslog { receiver, facility, tag, format })
}

fn syslog_tls(options: &Options) -> ClientTls {
    let file = |key: &str| options.get(key).filter(|path| !path.is_empty()).map(PathBuf::from);
    ClientTls {
        ca: file("syslog-tls-ca-cert"),
        cert: file("syslog-tls-cert"),
        key: file("syslog-tls-key"),
        server_name: None,
        // Whatever it is set to, as in moby.
        skip_verify: options.contains_key("syslog-tls-skip-verify"),
    }
}

fn gelf(info: &Info) -> Result<Gelf, SetupError> {
    let (scheme, address) = options::gelf_address(&info.options)?;
    let tag = info.tag(SHORT_ID)?;
    let mut extra: BTreeMap<String, String> = [
        ("_container_id", info.id.clone()),
        ("_container_name", info.name.clone()),
        ("_image_id", info.image_id.clone()),
        ("_image_name", info.image_name.clone()),
        ("_command", info.command()),
        ("_tag", tag),
        ("_created", info.created.clone()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    extra.extend(
        info.attributes(|name| if name.starts_with('_') { name.to_owned() } else { format!("_{name}") })?,
    );
    let number = |key: &str, default: i64| info.options.get(key).map_or(Ok(default), |text| atoi(text));
    let receiver = if scheme == "tcp" {
        GelfReceiver::Tcp {
            address,
            max_reconnect: u32::try_from(number("gelf-tcp-max-reconnect", 3)?).unwrap_or(u32::MAX),
            reconnect_delay_s: u64::try_from(number("gelf-tcp-reconnect-delay", 1)?).unwrap_or(0),
        }
    } else {
        let compression = match info.options.get("gelf-compression-type").map(String::as_str) {
            Some("zlib") => Compression::Zlib,
            Some("none") => Compression::None,
            _ => Compression::Gzip,
        };
        // Go's `flate.BestSpeed`.
        let level = i32::try_from(number("gelf-compression-level", 1)?).unwrap_or(DEFAULT_LEVEL);
        GelfReceiver::Udp { address, compression, level }
    };
    Ok(Gelf { receiver, extra })
}

fn splunk(info: &Info) -> Result<Splunk, SetupError> {
    let get = |key: &str| info.options.get(key).map(String::as_str);
    let truth = |key: &str, default: bool| get(key).map_or(Ok(default), parse_bool);
    let url = splunk_url(get("splunk-url"))?;
    let token = get("splunk-token").ok_or(SetupError::SplunkMissing("splunk-token"))?.to_owned();
    let skip_verify = truth("splunk-insecureskipverify", false)?;
    let tls = ClientTls {
        ca: get("splunk-capath").map(PathBuf::from),
        server_name: get("splunk-caname").map(str::to_owned),
        skip_verify,
        ..ClientTls::default()
    };
    let gzip = truth("splunk-gzip", false)?;
    let level = splunk_level(get("splunk-gzip-level"))?;
    let channel = truth("splunk-index-acknowledgment", false)?;
    // An empty tag takes the tag away.
    let tag = if get("tag") == Some("") { String::new() } else { info.tag(SHORT_ID)? };
    let attrs = info.attributes(str::to_owned)?;
    let verify = truth("splunk-verify-connection", true)?;
    let format = match get("splunk-format") {
        None | Some("inline") => SplunkFormat::Inline,
        Some("json") => SplunkFormat::Json,
        Some("raw") => SplunkFormat::Raw,
        Some(other) => return Err(SetupError::SplunkFormat(other.to_owned())),
    };
    let text = |key: &str| get(key).unwrap_or_default().to_owned();
    Ok(Splunk {
        url,
        token,
        source: text("splunk-source"),
        source_type: text("splunk-sourcetype"),
        index: text("splunk-index"),
        format,
        tag,
        attrs,
        gzip: gzip.then_some(level),
        verify,
        channel,
        tls,
        batching: batching(|name| std::env::var(name).ok()),
    })
}

fn splunk_url(text: Option<&str>) -> Result<String, SetupError> {
    let text = text.ok_or(SetupError::SplunkMissing("splunk-url"))?;
    let url = Url::parse(text).map_err(|_| SetupError::SplunkParse(text.to_owned()))?;
    let bare = matches!(url.path.as_str(), "" | "/") && url.query.is_empty() && url.fragment.is_empty();
    if !matches!(url.scheme.as_str(), "http" | "https") || !bare || url.opaque {
        return Err(SetupError::SplunkUrl);
    }
    Ok(format!("{}://{}", url.scheme, url.host))
}

fn splunk_level(text: Option<&str>) -> Result<i32, SetupError> {
    let Some(text) = text else { return Ok(DEFAULT_LEVEL) };
    match parse_int("ParseInt", text)? {
        level @ -1..=9 => Ok(level as i32),
        _ => Err(SetupError::SplunkLevel(text.to_owned())),
    }
}

/// The engine's environment decides, as moby's does. What cannot be read counts as not said.
fn batching(read: impl Fn(&str) -> Option<String>) -> Batching {
    let default = Batching::default();
    let number = |name: &str, default: usize| {
        let text = read(&format!("SPLUNK_LOGGING_DRIVER_{name}"));
        text.and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let every_ms = read("SPLUNK_LOGGING_DRIVER_POST_MESSAGES_FREQUENCY")
        .and_then(|text| u64::try_from(parse_duration(&text).ok()? / 1_000_000).ok());
    Batching {
        every_ms: every_ms.unwrap_or(default.every_ms),
        size: number("POST_MESSAGES_BATCH_SIZE", default.size),
        buffer: number("BUFFER_MAX", default.buffer),
        queue: number("CHANNEL_SIZE", default.queue),
    }
}

fn fluentd(info: &Info) -> Result<Fluentd, SetupError> {
    let options = options::fluentd(&info.options)?;
    let tag = info.tag(SHORT_ID)?;
    let mut record: BTreeMap<String, String> =
        [("container_id", info.id.clone()), ("container_name", format!("/{}", info.name))]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
    record.extend(info.attributes(str::to_owned)?);
    Ok(Fluentd {
        receiver: options.receiver,
        tag,
        record,
        queue: options.queue,
        retry_wait_ms: options.retry_wait_ms,
        max_retries: options.max_retries,
        reconnect_interval_ms: options.reconnect_interval_ms,
        sub_second_precision: options.sub_second_precision,
        request_ack: options.request_ack,
        write_timeout_ms: options.write_timeout_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::super::info::tests::info;
    use super::*;

    fn places() -> Places<'static> {
        Places { dir: Path::new("/c"), json_file: "/c/x-json.log".into(), logger: Path::new("/logger") }
    }

    fn said<T>(result: Result<T, SetupError>) -> String {
        result.map_or_else(|error| error.to_string(), |_| "ok".to_owned())
    }

    /// What `docker run` said against moby 28.5.2, after `failed to initialize logging driver: `.
    #[test]
    fn files_are_refused_in_mobys_words() {
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("max-size", "x")], "invalid size: 'x'"),
            (&[("max-size", "0")], "max-size must be a positive number"),
            (&[("max-size", "-1")], "invalid size: '-1'"),
            (&[("max-file", "x")], "strconv.Atoi: parsing \"x\": invalid syntax"),
            (&[("max-file", "0")], "max-file cannot be less than 1"),
            (&[("compress", "x")], "strconv.ParseBool: parsing \"x\": invalid syntax"),
            (
                &[("compress", "true")],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
            (&[("compress", "true"), ("max-size", "1k"), ("max-file", "2")], "ok"),
            (&[("labels-regex", "(")], "error parsing regexp: missing closing ): `(`"),
        ];
        for (options, expected) in cases {
            assert_eq!(said(json_file(&info(options), &places())), *expected, "{options:?}");
        }
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("max-size", "x")], "invalid value for max-size: x: invalid size: 'x'"),
            (
                &[("max-file", "x")],
                "invalid value for max-file: x: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (&[("max-file", "1")], "compression cannot be enabled when max file count is 1"),
            (&[("max-file", "-1")], "max file count cannot be less than 0"),
            (
                &[("compress", "x")],
                "error reading compress log option: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
            (&[("max-file", "0"), ("compress", "false")], "ok"),
        ];
        for (options, expected) in cases {
            let options = info(options).options;
            assert_eq!(said(local_file(&options, "", "/x".into())), *expected, "{options:?}");
        }
    }

    #[test]
    fn splunk_is_refused_in_mobys_words() {
        let ready = [("splunk-url", "http://h:1"), ("splunk-token", "t")];
        let cases: &[(&[(&str, &str)], &str)] = &[
            (&[("splunk-gzip", "x")], "strconv.ParseBool: parsing \"x\": invalid syntax"),
            (&[("splunk-gzip-level", "x")], "strconv.ParseInt: parsing \"x\": invalid syntax"),
            (
                &[("splunk-gzip-level", "11")],
                "not supported level '11' for splunk-gzip-level (supported values between -1 and 9)",
            ),
            (
                &[("splunk-format", "x")],
                "unknown format specified x, supported formats are inline, json and raw",
            ),
            (&[], "ok"),
        ];
        for (more, expected) in cases {
            let options: Vec<_> = ready.iter().chain(*more).copied().collect();
            assert_eq!(said(splunk(&info(&options))), *expected, "{more:?}");
        }
        assert_eq!(said(splunk(&info(&[]))), "splunk: splunk-url is expected");
        assert_eq!(said(splunk(&info(&ready[..1]))), "splunk: splunk-token is expected");
        for url in ["x", "http://h/foo", "ftp://h:1", "http:h"] {
            assert_eq!(
                said(splunk(&info(&[("splunk-url", url), ready[1]]))),
                "splunk: expected format scheme://dns_name_or_ip:port for splunk-url",
                "{url}"
            );
        }
    }

    #[test]
    fn sizes_are_thousands_and_defaults_are_mobys() {
        let Ok(Log::JsonFile { file, attrs }) =
            json_file(&info(&[("max-size", "1k"), ("tag", "{{.Name}}")]), &places())
        else {
            panic!("a log")
        };
        assert_eq!((file.max_size, file.max_file, attrs["tag"].as_str()), (Some(1000), 1, "web"));
        let cached =
            cache(&info(&[("cache-max-size", "2m")]).options, &places()).expect("a cache").expect("one");
        assert_eq!((cached.max_size, cached.max_file, cached.compress), (Some(2_000_000), 5, true));
        assert!(cache(&info(&[("cache-disabled", "true")]).options, &places()).expect("none").is_none());
    }

    #[test]
    fn names_of_fields_suit_their_receiver() {
        assert_eq!(journald_name("_io.Team-a1"), "IO_TEAM_A1");
        let fields = journald_fields(&info(&[("labels", "io.y")])).expect("fields");
        assert_eq!((fields["IO_Y"].as_str(), fields["CONTAINER_ID"].as_str()), ("z", "0123456789ab"));
        let gelf = gelf(&info(&[("gelf-address", "udp://h:1"), ("env", "A")])).expect("gelf");
        assert_eq!((gelf.extra["_A"].as_str(), gelf.extra["_command"].as_str()), ("b", "sh -c true"));
    }
}
