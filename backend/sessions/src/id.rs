//! The names of things. A value of one of these types has the right form; whether it exists, the store knows.

use std::fmt;

/// Letters and digits that a host name may carry and nobody confuses.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// 180 bits. An instance's name shows the first 40 of them, the other 140 stay the holder's secret:
/// whoever knows a session's id may do everything in it.
const SESSION_LENGTH: usize = 36;
/// How much of a session's id stands in the names of its instances.
const SHOWN_LENGTH: usize = 8;
const LABEL_LENGTH: usize = 16;
const INSTANCE_LENGTH: usize = 12;

#[derive(Debug, thiserror::Error)]
#[error("the kernel gave no random bytes: {0}")]
pub struct NoRandomness(getrandom::Error);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(String);

/// Stands for a session in port links and grants nothing but reaching its nodes' ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(String);

/// `<first 8 of the session's id>_<12 more>`: unique on this server, no secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InstanceName(String);

impl SessionId {
    pub fn random() -> Result<Self, NoRandomness> {
        random_text(SESSION_LENGTH).map(Self)
    }

    pub fn parse(text: &str) -> Option<Self> {
        is_of(text, SESSION_LENGTH).then(|| Self(text.to_owned()))
    }

    /// The part that is shown in instance names and may be logged.
    pub fn short(&self) -> &str {
        &self.0[..SHOWN_LENGTH]
    }

    /// The whole secret. Not `Display`, so that no log line shows it by accident.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}…", self.short())
    }
}

impl Label {
    pub fn random() -> Result<Self, NoRandomness> {
        random_text(LABEL_LENGTH).map(Self)
    }

    pub fn parse(text: &str) -> Option<Self> {
        is_of(text, LABEL_LENGTH).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl InstanceName {
    pub fn random(session: &SessionId) -> Result<Self, NoRandomness> {
        Ok(Self(format!("{}_{}", session.short(), random_text(INSTANCE_LENGTH)?)))
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (session, rest) = text.split_once('_')?;
        (is_of(session, SHOWN_LENGTH) && is_of(rest, INSTANCE_LENGTH)).then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_of(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// Each byte gives five bits: 32 divides 256, so no letter is likelier than another.
fn random_text(length: usize) -> Result<String, NoRandomness> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_parses_and_never_repeats() {
        let id = SessionId::random().unwrap();
        assert_eq!(SessionId::parse(id.reveal()), Some(id.clone()));
        assert_ne!(SessionId::random().unwrap(), id);
        let name = InstanceName::random(&id).unwrap();
        assert_eq!(InstanceName::parse(name.as_str()), Some(name.clone()));
        assert!(name.as_str().starts_with(id.short()));
        let label = Label::random().unwrap();
        assert_eq!(Label::parse(label.as_str()), Some(label));
    }

    #[test]
    fn foreign_text_is_no_id() {
        for text in ["", "..", "a", "../../../../../../../../etc/passwd12", &"A".repeat(36), &"é".repeat(18)]
        {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
        for text in ["", "_", "abcdefgh", "abcdefgh_", "abcdefgh_../../../../"] {
            assert_eq!(InstanceName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_log_line_never_shows_a_whole_session_id() {
        let id = SessionId::random().unwrap();
        assert!(!format!("{id:?}").contains(id.reveal()));
    }
}
