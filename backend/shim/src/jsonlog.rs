//! Docker's `json-file` log: one JSON object per line, exactly as moby writes it, with rotation.
//!
//! What arrives is cut at newlines. A line longer than [`LINE_LIMIT`] is written in pieces, of which only the last ends in a
//! newline; so is an unfinished line when the stream ends (moby's `daemon/logger/copier.go`).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// moby's `defaultBufSize`.
const LINE_LIMIT: usize = 16 * 1024;

/// The name of a stream in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Stdout,
    Stderr,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Source::Stdout => "stdout",
            Source::Stderr => "stderr",
        }
    }
}

/// An open log.
#[derive(Debug)]
pub struct JsonLog {
    path: PathBuf,
    file: File,
    size: u64,
    max_size: Option<u64>,
    max_file: u32,
    /// `"attrs":{…},`, or nothing.
    attrs: String,
    /// Unfinished lines of both streams.
    pending: [Pending; 2],
    /// Entries not yet written.
    batch: Vec<u8>,
}

#[derive(Debug, Default)]
struct Pending {
    line: Vec<u8>,
    /// When the first piece of an over-long line was written; the others carry the same time.
    first_piece: Option<String>,
}

impl JsonLog {
    pub fn open(
        path: &Path,
        max_size: Option<u64>,
        max_file: u32,
        attrs: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let file = append_to(path)?;
        let size = file.metadata()?.len();
        let attrs = match attrs.is_empty() {
            true => String::new(),
            false => format!("\"attrs\":{},", serde_json::to_string(attrs)?),
        };
        let pending = Default::default();
        Ok(Self { path: path.to_owned(), file, size, max_size, max_file, attrs, pending, batch: Vec::new() })
    }

    /// Opens the path anew, after somebody moved or removed the file.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = append_to(&self.path)?;
        self.size = self.file.metadata()?.len();
        Ok(())
    }

    /// Takes what a stream printed, at the time `now`. One write for all lines it completes.
    pub fn take(&mut self, source: Source, mut bytes: &[u8], now: &str) -> io::Result<()> {
        while !bytes.is_empty() {
            let pending = &mut self.pending[source as usize];
            let room = LINE_LIMIT - pending.line.len();
            let window = &bytes[..bytes.len().min(room)];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    pending.line.extend_from_slice(&window[..=end]);
                    bytes = &bytes[end + 1..];
                    self.entry(source, now)?;
                    self.pending[source as usize].first_piece = None;
                }
                None => {
                    pending.line.extend_from_slice(window);
                    bytes = &bytes[window.len()..];
                    if pending.line.len() == LINE_LIMIT {
                        self.piece(source, now)?;
                    }
                }
            }
        }
        self.flush()
    }

    /// The stream has ended: what it left unfinished is written as it is.
    pub fn finish(&mut self, source: Source, now: &str) -> io::Result<()> {
        if !self.pending[source as usize].line.is_empty() {
            self.piece(source, now)?;
        }
        self.flush()
    }

    fn piece(&mut self, source: Source, now: &str) -> io::Result<()> {
        self.pending[source as usize].first_piece.get_or_insert_with(|| now.to_owned());
        self.entry(source, now)
    }

    fn entry(&mut self, source: Source, now: &str) -> io::Result<()> {
        if self.max_size.is_some_and(|limit| self.size + self.batch.len() as u64 >= limit) {
            self.flush()?;
            self.rotate()?;
        }
        let mut line = std::mem::take(&mut self.pending[source as usize].line);
        let first = self.pending[source as usize].first_piece.as_deref();
        self.batch.extend_from_slice(b"{\"log\":\"");
        escape(&mut self.batch, &line);
        self.batch.extend_from_slice(b"\",\"stream\":\"");
        self.batch.extend_from_slice(source.name().as_bytes());
        self.batch.extend_from_slice(b"\",");
        self.batch.extend_from_slice(self.attrs.as_bytes());
        self.batch.extend_from_slice(b"\"time\":\"");
        self.batch.extend_from_slice(first.unwrap_or(now).as_bytes());
        self.batch.extend_from_slice(b"\"}\n");
        line.clear();
        // A long line must not keep its memory for ever.
        line.shrink_to(1024);
        self.pending[source as usize].line = line;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let result = self.file.write_all(&self.batch);
        self.size += self.batch.len() as u64;
        self.batch.clear();
        self.batch.shrink_to(4096);
        result
    }

    /// `path.2` → `path.3`, `path.1` → `path.2`, `path` → `path.1`, then a new `path`.
    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..self.max_file.saturating_sub(1)).rev() {
            ignore_missing(std::fs::rename(numbered(number), numbered(number + 1)))?;
        }
        if self.max_file > 1 {
            ignore_missing(std::fs::rename(&self.path, numbered(1)))?;
        } else {
            self.file.set_len(0)?;
        }
        self.reopen()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// As moby's `jsonlog` escapes: `<`, `>`, `&` and control characters by number, invalid UTF-8 as U+FFFD.
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => out.extend([b'\\', character as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '<' | '>' | '&' | '\0'..='\u{1f}' => by_number(out, character),
                '\u{2028}' | '\u{2029}' => by_number(out, character),
                plain => out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        // Go decodes byte by byte: each invalid one becomes a replacement of its own.
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn by_number(out: &mut Vec<u8>, character: char) {
    out.extend_from_slice(format!("\\u{:04x}", character as u32).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("drydock-jsonlog-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn log(&self, max_size: Option<u64>, max_file: u32) -> JsonLog {
            JsonLog::open(&self.0.join("x-json.log"), max_size, max_file, &BTreeMap::new()).unwrap()
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn lines_are_written_whole_wherever_the_reads_were_cut() {
        let folder = Folder::new("lines");
        let mut log = folder.log(None, 1);
        log.take(Source::Stdout, b"one\ntw", "T1").unwrap();
        log.take(Source::Stderr, b"err\n", "T2").unwrap();
        log.take(Source::Stdout, b"o\nend", "T3").unwrap();
        log.finish(Source::Stdout, "T4").unwrap();
        assert_eq!(
            folder.read("x-json.log"),
            "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"time\":\"T1\"}\n\
             {\"log\":\"err\\n\",\"stream\":\"stderr\",\"time\":\"T2\"}\n\
             {\"log\":\"two\\n\",\"stream\":\"stdout\",\"time\":\"T3\"}\n\
             {\"log\":\"end\",\"stream\":\"stdout\",\"time\":\"T4\"}\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_into_pieces_that_carry_one_time() {
        let folder = Folder::new("long");
        let mut log = folder.log(None, 1);
        log.take(Source::Stdout, &[b'a'; LINE_LIMIT + 3], "T1").unwrap();
        log.take(Source::Stdout, b"b\n", "T2").unwrap();
        let text = folder.read("x-json.log");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["log"].as_str().unwrap().len(), LINE_LIMIT);
        assert_eq!((&lines[1]["log"], &lines[1]["time"]), (&"aaab\n".into(), &"T1".into()));
    }

    #[test]
    fn text_is_escaped_as_moby_escapes_it() {
        for (bytes, json) in [
            (&b"a\"\\\t<&>"[..], r#"a\"\\\u0009\u003c\u0026\u003e"#),
            ("ä\u{2028}".as_bytes(), "ä\\u2028"),
            (b"\xff\xfex", r"\ufffd\ufffdx"),
            (b"\x1b[0m\r\n", r"\u001b[0m\r\n"),
        ] {
            let mut out = Vec::new();
            escape(&mut out, bytes);
            assert_eq!(String::from_utf8(out).unwrap(), json);
        }
    }

    #[test]
    fn a_full_log_is_rotated_and_the_oldest_forgotten() {
        let folder = Folder::new("rotate");
        let mut log = folder.log(Some(40), 2);
        for word in ["first", "second", "third"] {
            log.take(Source::Stdout, format!("{word}\n").as_bytes(), "T").unwrap();
        }
        assert!(folder.read("x-json.log").contains("third"));
        assert!(folder.read("x-json.log.1").contains("second"));
        assert!(!folder.0.join("x-json.log.2").exists());
    }

    #[test]
    fn attributes_stand_between_stream_and_time() {
        let folder = Folder::new("attrs");
        let attrs = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let mut log = JsonLog::open(&folder.0.join("x-json.log"), None, 1, &attrs).unwrap();
        log.take(Source::Stdout, b"x\n", "T").unwrap();
        let expected = "{\"log\":\"x\\n\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"1\"},\"time\":\"T\"}\n";
        assert_eq!(folder.read("x-json.log"), expected);
    }
}
