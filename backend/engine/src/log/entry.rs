//! One entry of a log, in either format, and how a client sees it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use drydock_shim::entry::{self, Source};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::container::record::rfc3339;

/// How a file holds its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `json-file`: a JSON object on each line.
    Json,
    /// `local`: protocol buffers between their lengths.
    Local,
}

/// An entry, borrowed from the bytes it was found in where it could be.
#[derive(Debug)]
pub struct Entry<'a> {
    source: Source,
    time: Time<'a>,
    /// With its newline, if the line ends here.
    text: Cow<'a, [u8]>,
    attrs: BTreeMap<String, String>,
}

#[derive(Debug)]
enum Time<'a> {
    /// RFC 3339.
    Text(Cow<'a, str>),
    Nanos(i64),
}

/// A `json-file` line.
#[derive(Debug, Deserialize)]
struct JsonLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// Which lines, and how they look.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub stdout: bool,
    pub stderr: bool,
    pub timestamps: bool,
    pub details: bool,
    pub follow: bool,
    /// The newest lines only; none: all.
    pub tail: Option<usize>,
    /// Nanoseconds since 1970.
    pub since: Option<i128>,
    pub until: Option<i128>,
    /// The container has a terminal: no frames.
    pub raw: bool,
}

/// What was found at the front of some bytes.
#[derive(Debug)]
pub enum Found<'a> {
    Entry(Entry<'a>, usize),
    /// So many bytes that are no entry; a line torn by a crash is left out, as moby does.
    Nonsense(usize),
    /// Nothing that is whole yet.
    Nothing,
    /// What follows cannot be understood, nor where it ends.
    Broken,
}

impl Format {
    pub fn find(self, bytes: &[u8]) -> Found<'_> {
        match self {
            Self::Json => match bytes.iter().position(|byte| *byte == b'\n') {
                None => Found::Nothing,
                Some(end) => match serde_json::from_slice::<JsonLine<'_>>(&bytes[..end]) {
                    Ok(line) => Found::Entry(line.into(), end + 1),
                    Err(_) => Found::Nonsense(end + 1),
                },
            },
            Self::Local => match entry::decode_frame(bytes) {
                Ok(None) => Found::Nothing,
                Err(_) => Found::Broken,
                Ok(Some((message, used))) => match entry::decode(message) {
                    Ok(entry) => Found::Entry(entry.into(), used),
                    Err(_) => Found::Nonsense(used),
                },
            },
        }
    }
}

impl<'a> From<JsonLine<'a>> for Entry<'a> {
    fn from(line: JsonLine<'a>) -> Self {
        let text = match line.log {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        let source = Source::from_name(line.stream.as_bytes());
        Self { source, time: Time::Text(line.time), text, attrs: line.attrs }
    }
}

impl<'a> From<entry::Entry<'a>> for Entry<'a> {
    fn from(entry: entry::Entry<'a>) -> Self {
        let text = match entry.ends_line() {
            true => Cow::Owned([entry.line, b"\n"].concat()),
            false => Cow::Borrowed(entry.line),
        };
        Self { source: entry.source, time: Time::Nanos(entry.time_nano), text, attrs: BTreeMap::new() }
    }
}

impl Entry<'_> {
    pub fn time_nano(&self) -> i128 {
        match &self.time {
            Time::Nanos(nanos) => (*nanos).into(),
            Time::Text(text) => {
                OffsetDateTime::parse(text, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp_nanos)
            }
        }
    }

    /// Appends the entry as the client wants it.
    fn render(&self, options: &Options, out: &mut Vec<u8>) {
        let header = out.len();
        if !options.raw {
            let stream = if self.source == Source::Stderr { 2u8 } else { 1 };
            out.extend_from_slice(&[stream, 0, 0, 0, 0, 0, 0, 0]);
        }
        let begin = out.len();
        if options.timestamps {
            out.extend_from_slice(self.stamp().as_bytes());
            out.push(b' ');
        }
        if options.details {
            let pair = |(key, value): (&String, &String)| format!("{}={}", escape(key), escape(value));
            let words: Vec<String> = self.attrs.iter().map(pair).collect();
            out.extend_from_slice(words.join(",").as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(&self.text);
        let length = (out.len() - begin) as u32;
        if !options.raw {
            out[header + 4..header + 8].copy_from_slice(&length.to_be_bytes());
        }
    }

    /// Nine digits of nanoseconds, whatever was written.
    fn stamp(&self) -> String {
        match &self.time {
            Time::Nanos(nanos) => stamp(*nanos),
            Time::Text(text) => padded(text),
        }
    }
}

/// Nanoseconds since 1970 as a client sees them.
pub fn stamp(nanos: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos.into());
    rfc3339(time.unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

fn padded(time: &str) -> String {
    let Some(bare) = time.strip_suffix('Z') else { return time.to_owned() };
    let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    format!("{seconds}.{fraction:0<9}Z")
}

/// Go's `url.QueryEscape`, which moby passes attributes through.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// What became of an entry.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    Yes,
    No,
    /// It is after `until`: no later entry will be shown.
    Past,
}

/// Passes entries to a client, in order.
#[derive(Debug)]
pub struct Filter<'a> {
    options: &'a Options,
    /// Until the first entry that is not before it: times need not only grow, and what follows belongs together.
    since: Option<i128>,
}

impl<'a> Filter<'a> {
    pub fn new(options: &'a Options) -> Self {
        Self { options, since: options.since }
    }

    pub fn show(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) -> Shown {
        if self.since.is_some_and(|since| entry.time_nano() < since) {
            return Shown::No;
        }
        self.since = None;
        if self.options.until.is_some_and(|until| entry.time_nano() > until) {
            return Shown::Past;
        }
        let wanted = match entry.source {
            Source::Stdout => self.options.stdout,
            Source::Stderr => self.options.stderr,
        };
        if !wanted {
            return Shown::No;
        }
        entry.render(self.options, out);
        Shown::Yes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: Format, bytes: &[u8], options: &Options) -> (Shown, Vec<u8>) {
        let Found::Entry(entry, used) = format.find(bytes) else { panic!("no entry in {bytes:?}") };
        assert_eq!(used, bytes.len());
        let mut out = Vec::new();
        (Filter::new(options).show(&entry, &mut out), out)
    }

    #[test]
    fn a_line_is_framed_and_stamped() {
        let line = b"{\"log\":\"hi\\n\",\"stream\":\"stderr\",\"time\":\"2026-01-02T03:04:05.5Z\"}\n";
        let options = Options { stderr: true, timestamps: true, ..Options::default() };
        let (what, out) = shown(Format::Json, line, &options);
        assert_eq!((what, &out[..8]), (Shown::Yes, &[2, 0, 0, 0, 0, 0, 0, 34][..]));
        assert_eq!(&out[8..], b"2026-01-02T03:04:05.500000000Z hi\n");
        assert_eq!(shown(Format::Json, line, &Options::default()).0, Shown::No);
    }

    #[test]
    fn both_formats_look_the_same() {
        let mut local = Vec::new();
        let time_nano = 1_767_323_045_500_000_000;
        let entry = entry::Entry { source: Source::Stdout, time_nano, line: b"hi", partial: None };
        entry::encode_framed(&entry, &mut local);
        let json = b"{\"log\":\"hi\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05.5Z\"}\n";
        let options = Options { stdout: true, timestamps: true, details: true, ..Options::default() };
        assert_eq!(shown(Format::Local, &local, &options), shown(Format::Json, json, &options));
    }

    #[test]
    fn details_are_escaped_as_in_a_query() {
        let line = b"{\"log\":\"x\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"l2/28 b\",\"X\":\"y\"},\"time\":\"2026-01-02T03:04:05Z\"}\n";
        let options = Options { stdout: true, raw: true, details: true, ..Options::default() };
        assert_eq!(shown(Format::Json, line, &options).1, b"X=y,a=l2%2F28+b x");
    }

    #[test]
    fn times_bound_what_is_shown() {
        let line = b"{\"log\":\"x\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:10Z\"}\n";
        let options = |since, until| Options { stdout: true, since, until, ..Options::default() };
        let second = 1_000_000_000;
        assert_eq!(shown(Format::Json, line, &options(Some(11 * second), None)).0, Shown::No);
        assert_eq!(shown(Format::Json, line, &options(None, Some(9 * second))).0, Shown::Past);
        assert_eq!(shown(Format::Json, line, &options(Some(9 * second), Some(11 * second))).0, Shown::Yes);
    }

    #[test]
    fn what_is_torn_is_passed_over_or_ends_the_file() {
        assert!(matches!(Format::Json.find(b"{\"log\":\"x\n{"), Found::Nonsense(10)));
        assert!(matches!(Format::Json.find(b"{\"log\""), Found::Nothing));
        assert!(matches!(Format::Local.find(&[0, 0, 0, 1, 0, 0, 0, 0, 9]), Found::Broken));
    }
}
