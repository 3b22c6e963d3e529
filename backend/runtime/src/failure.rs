//! A failure that crossed from a child process: its step, its whole message, and what it means for the caller.

use std::error::Error;
use std::fmt;
use std::io;

/// What a failure means for an exit status (`docker run`: 127, 126, 125).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// The program does not exist.
    NotFound,
    /// The program may not be executed.
    Permission,
    #[default]
    Other,
}

/// Told by a child, over its channel, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildFailure {
    pub step: String,
    pub message: String,
    pub kind: Kind,
}

impl fmt::Display for ChildFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for ChildFailure {}

impl ChildFailure {
    /// One line per field; the message last, so that it may hold newlines.
    pub fn to_bytes(&self) -> Vec<u8> {
        let kind = match self.kind {
            Kind::NotFound => "not-found",
            Kind::Permission => "permission",
            Kind::Other => "other",
        };
        format!("{}\n{kind}\n{}", self.step, self.message).into_bytes()
    }

    pub fn from_bytes(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut parts = text.splitn(3, '\n');
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let (step, kind, message) = (next(), next(), next());
        let kind = match kind.as_str() {
            "not-found" => Kind::NotFound,
            "permission" => Kind::Permission,
            _ => Kind::Other,
        };
        Self { step, message, kind }
    }
}

/// An error and all its causes on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&plain(error));
        cause = error.source();
    }
    text
}

/// The system's message without Rust's ` (os error 2)`: it is read by people and compared by programs.
fn plain(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    match error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
        Some(number) => {
            let text = text.strip_suffix(&format!(" (os error {number})")).unwrap_or(&text);
            text.to_lowercase()
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_channel_newlines_and_all() {
        let failure =
            ChildFailure { step: "mount".into(), message: "mount /proc:\nno".into(), kind: Kind::Permission };
        assert_eq!(ChildFailure::from_bytes(&failure.to_bytes()), failure);
    }

    #[test]
    fn a_chain_reads_as_the_system_says_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("open x")]
        struct Open(#[source] io::Error);
        assert_eq!(chain(&Open(io::Error::from_raw_os_error(2))), "open x: no such file or directory");
    }
}
