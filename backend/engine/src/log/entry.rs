//! One line of a `json-file` log.

use serde::Deserialize;

/// What the shim wrote: a line of output, its stream, and when.
#[derive(Debug, Deserialize)]
pub struct Entry {
    pub log: String,
    pub stream: String,
    pub time: String,
    #[serde(default)]
    pub attrs: std::collections::BTreeMap<String, String>,
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

/// What became of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    Yes,
    No,
    /// It is after `until`: no later line will be shown.
    Past,
}

impl Entry {
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    fn nanos(&self) -> Option<i128> {
        let time = time::OffsetDateTime::parse(&self.time, &time::format_description::well_known::Rfc3339);
        Some(time.ok()?.unix_timestamp_nanos())
    }

    /// Appends the line as the client wants it.
    pub fn render(&self, options: &Options, out: &mut Vec<u8>) -> Shown {
        if options.since.is_some() || options.until.is_some() {
            let nanos = self.nanos().unwrap_or(0);
            if options.until.is_some_and(|until| nanos > until) {
                return Shown::Past;
            }
            if options.since.is_some_and(|since| nanos < since) {
                return Shown::No;
            }
        }
        let stream = if self.stream == "stderr" { 2u8 } else { 1 };
        if !(if stream == 2 { options.stderr } else { options.stdout }) {
            return Shown::No;
        }
        let header = out.len();
        if !options.raw {
            out.extend_from_slice(&[stream, 0, 0, 0, 0, 0, 0, 0]);
        }
        let begin = out.len();
        if options.timestamps {
            out.extend_from_slice(padded(&self.time).as_bytes());
            out.push(b' ');
        }
        if options.details {
            let words: Vec<String> = self.attrs.iter().map(|(key, value)| format!("{key}={value}")).collect();
            out.extend_from_slice(words.join(",").as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(self.log.as_bytes());
        let length = (out.len() - begin) as u32;
        if !options.raw {
            out[header + 4..header + 8].copy_from_slice(&length.to_be_bytes());
        }
        Shown::Yes
    }
}

/// `docker logs -t` shows nine digits of nanoseconds, whatever was written.
fn padded(time: &str) -> String {
    let Some(bare) = time.strip_suffix('Z') else { return time.to_owned() };
    let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    format!("{seconds}.{fraction:0<9}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_framed_and_stamped() {
        let line = br#"{"log":"hi\n","stream":"stderr","time":"2026-01-02T03:04:05.5Z"}"#;
        let entry = Entry::parse(line).expect("a line");
        let mut out = Vec::new();
        let options = Options { stderr: true, timestamps: true, ..Options::default() };
        assert_eq!(entry.render(&options, &mut out), Shown::Yes);
        assert_eq!(out[..8], [2, 0, 0, 0, 0, 0, 0, 34]);
        assert_eq!(&out[8..], b"2026-01-02T03:04:05.500000000Z hi\n");
        assert_eq!(entry.render(&Options::default(), &mut Vec::new()), Shown::No);
    }

    #[test]
    fn times_bound_what_is_shown() {
        let line = br#"{"log":"x","stream":"stdout","time":"1970-01-01T00:00:10Z"}"#;
        let entry = Entry::parse(line).expect("a line");
        let options = |since, until| Options { stdout: true, since, until, ..Options::default() };
        let second = 1_000_000_000;
        assert_eq!(entry.render(&options(Some(11 * second), None), &mut Vec::new()), Shown::No);
        assert_eq!(entry.render(&options(None, Some(9 * second)), &mut Vec::new()), Shown::Past);
        assert_eq!(entry.render(&options(Some(9 * second), Some(11 * second)), &mut Vec::new()), Shown::Yes);
    }
}
