//! Reading a terminal's output as a person does: is a shell asking for the next command? Pure.

/// What a terminal has shown, without colours and cursor movements.
#[derive(Debug, Default)]
pub struct Transcript {
    text: String,
    state: Escape,
    /// Bytes of a letter cut at the end of what has arrived.
    partial: Vec<u8>,
}

/// Where in an escape sequence (ECMA-48) the stream stands.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum Escape {
    #[default]
    None,
    /// After ESC.
    Begun,
    /// After ESC `[`: parameters, then one final byte.
    Control,
    /// After ESC `]`, `P`, `_`, `^` or `X`: a string that ends with BEL or ESC `\`.
    String,
    StringEnding,
    /// After ESC and an intermediate byte (`ESC ( B`): one more byte.
    Intermediate,
}

impl Transcript {
    pub fn push(&mut self, bytes: &[u8]) {
        let mut plain = std::mem::take(&mut self.partial);
        plain.extend(bytes.iter().filter(|byte| self.is_plain(**byte)));
        loop {
            match str::from_utf8(&plain) {
                Ok(text) => return self.text.push_str(text),
                Err(error) => {
                    let (whole, rest) = plain.split_at(error.valid_up_to());
                    self.text.push_str(str::from_utf8(whole).unwrap_or_default());
                    let Some(bad) = error.error_len() else {
                        self.partial = rest.to_vec();
                        return;
                    };
                    self.text.push('\u{fffd}');
                    plain = rest[bad..].to_vec();
                }
            }
        }
    }

    /// A place in the text, to ask later what came after it.
    pub fn mark(&self) -> usize {
        self.text.len()
    }

    pub fn since(&self, mark: usize) -> &str {
        &self.text[mark..]
    }

    /// The last lines, for a report.
    pub fn tail(&self, lines: usize) -> String {
        let whole = self.text.replace("\r\n", "\n");
        let all: Vec<&str> = whole.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    fn is_plain(&mut self, byte: u8) -> bool {
        let (next, plain) = match (self.state, byte) {
            (Escape::None, 0x1b) => (Escape::Begun, false),
            (Escape::None, b'\n' | b'\r' | b'\t') => (Escape::None, true),
            (Escape::None, byte) => (Escape::None, byte >= 0x20 && byte != 0x7f),
            (Escape::Begun, b'[') => (Escape::Control, false),
            (Escape::Begun, b']' | b'P' | b'_' | b'^' | b'X') => (Escape::String, false),
            (Escape::Begun | Escape::Intermediate, 0x20..=0x2f) => (Escape::Intermediate, false),
            (Escape::Begun | Escape::Intermediate, _) => (Escape::None, false),
            (Escape::Control, 0x40..=0x7e) => (Escape::None, false),
            (Escape::Control, _) => (Escape::Control, false),
            (Escape::String, 0x07) => (Escape::None, false),
            (Escape::String, 0x1b) => (Escape::StringEnding, false),
            (Escape::String, _) => (Escape::String, false),
            (Escape::StringEnding, b'\\') => (Escape::None, false),
            (Escape::StringEnding, _) => (Escape::String, false),
        };
        self.state = next;
        plain
    }
}

/// Whether this output ends where a shell waits: the node's (`$ `), a container's (`/ # `, `root@1f2e:/# `), the second
/// prompt inside an unfinished command (`> `), or a client's (`127.0.0.1:6379> `).
pub fn is_asking(output: &str) -> bool {
    let last = output.rsplit(['\n', '\r']).next().unwrap_or_default();
    last.len() < 120 && ["$ ", "# ", "> "].iter().any(|ending| last.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_known_and_output_is_not_taken_for_one() {
        for (output, asking) in [
            ("ls\r\nbin etc\r\n[node1] root@10.0.3.2 ~\r\n$ ", true),
            ("docker run -it alpine sh\r\n/ # ", true),
            ("\r\nroot@1f2e3d:/# ", true),
            ("cat <<X\r\n> ", true),
            ("127.0.0.1:6379> ", true),
            ("", false),
            ("docker run -d nginx", false),
            ("Unable to find image 'alpine:latest' locally\r\n", false),
            ("Are you sure you want to continue? [y/N] ", false),
            ("172.17.0.1 - - GET / 200\r\n", false),
        ] {
            assert_eq!(is_asking(output), asking, "{output:?}");
        }
    }

    #[test]
    fn colours_titles_and_cut_letters_leave_plain_text() {
        let shown = "\x1b]0;node1\x07\x1b[1;32m[nœud]\x1b[0m \x1b(B\x1b[?2004h$ \x1b[6n".as_bytes();
        for cut in 0..shown.len() {
            let mut transcript = Transcript::default();
            transcript.push(&shown[..cut]);
            transcript.push(&shown[cut..]);
            assert_eq!(transcript.since(0), "[nœud] $ ", "cut at {cut}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_as_such() {
        let mut transcript = Transcript::default();
        transcript.push(b"a\xffb");
        assert_eq!(transcript.since(0), "a\u{fffd}b");
    }
}
