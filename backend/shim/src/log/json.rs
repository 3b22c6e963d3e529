//! Docker's `json-file` line, exactly as moby writes it.

use std::collections::BTreeMap;

use drydock_shim::entry::Entry;

use super::stamp::Stamp;

/// What is the same in every line of one container.
#[derive(Debug)]
pub struct JsonLines {
    /// `"attrs":{…},`, or nothing.
    attrs: String,
    stamp: Stamp,
}

impl JsonLines {
    pub fn new(attrs: &BTreeMap<String, String>) -> Self {
        let attrs = match attrs.is_empty() {
            true => String::new(),
            // Neither keys nor values of strings can fail to be JSON.
            false => format!("\"attrs\":{},", serde_json::to_string(attrs).unwrap_or_default()),
        };
        Self { attrs, stamp: Stamp::default() }
    }

    pub fn encode(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"log\":\"");
        escape(out, entry.line);
        if entry.ends_line() {
            out.extend_from_slice(b"\\n");
        }
        out.extend_from_slice(b"\",\"stream\":\"");
        out.extend_from_slice(entry.source.name().as_bytes());
        out.extend_from_slice(b"\",");
        out.extend_from_slice(self.attrs.as_bytes());
        out.extend_from_slice(b"\"time\":\"");
        out.extend_from_slice(self.stamp.rfc3339(entry.time_nano).as_bytes());
        out.extend_from_slice(b"\"}\n");
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
    use drydock_shim::entry::{Partial, Source};

    use super::*;

    fn line(attrs: &[(&str, &str)], bytes: &[u8], partial: Option<Partial<'_>>) -> String {
        let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let entry = Entry { source: Source::Stderr, time_nano: 1_500_000_000, line: bytes, partial };
        let mut out = Vec::new();
        JsonLines::new(&attrs).encode(&entry, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_is_mobys_to_the_byte() {
        assert_eq!(
            line(&[], b"hi", None),
            "{\"log\":\"hi\\n\",\"stream\":\"stderr\",\"time\":\"1970-01-01T00:00:01.5Z\"}\n"
        );
        assert_eq!(
            line(&[("a", "1"), ("X", "y")], b"", None),
            "{\"log\":\"\\n\",\"stream\":\"stderr\",\"attrs\":{\"X\":\"y\",\"a\":\"1\"},\"time\":\"1970-01-01T00:00:01.5Z\"}\n"
        );
    }

    #[test]
    fn only_the_last_piece_of_a_line_has_a_newline() {
        let piece = |last| line(&[], b"x", Some(Partial { id: "i", ordinal: 1, last }));
        assert!(piece(false).starts_with("{\"log\":\"x\",") && piece(true).starts_with("{\"log\":\"x\\n\","));
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
}
