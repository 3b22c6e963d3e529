//! Unlock keys, `SWMKEY-1-…`: what an operator types after a manager with autolock was restarted.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::SealKey;

/// The key that wraps a manager's private key and the key of its raft log.
#[derive(Clone)]
pub struct UnlockKey(SealKey);

/// The text is no unlock key of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid key string")]
pub struct InvalidUnlockKey;

impl UnlockKey {
    pub fn generate() -> Self {
        Self(SealKey::generate())
    }

    pub fn seal_key(&self) -> &SealKey {
        &self.0
    }

    /// Whether `other` is this key; takes the same time whatever differs.
    pub fn matches(&self, other: &Self) -> bool {
        let pairs = self.0.as_bytes().iter().zip(other.0.as_bytes());
        pairs.fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs)) == 0
    }
}

impl fmt::Display for UnlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SWMKEY-1-{}", STANDARD_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for UnlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnlockKey(…)")
    }
}

impl FromStr for UnlockKey {
    type Err = InvalidUnlockKey;

    fn from_str(text: &str) -> Result<Self, InvalidUnlockKey> {
        let encoded = text.strip_prefix("SWMKEY-1-").ok_or(InvalidUnlockKey)?;
        let bytes = STANDARD_NO_PAD.decode(encoded).map_err(|_| InvalidUnlockKey)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| InvalidUnlockKey)?;
        Ok(Self(SealKey::from_bytes(bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_was_written() {
        let key = UnlockKey::generate();
        let text = key.to_string();
        assert!(text.starts_with("SWMKEY-1-"), "{text}");
        assert!(text.parse::<UnlockKey>().unwrap().matches(&key));
        assert!(!UnlockKey::generate().matches(&key));
    }

    #[test]
    fn anything_else_is_an_invalid_key() {
        for text in ["", "SWMKEY-1-", "SWMKEY-1-AAAA", "SWMKEY-2-AAAA", "SWMTKN-1-a-b"] {
            assert_eq!(text.parse::<UnlockKey>().unwrap_err(), InvalidUnlockKey, "{text}");
        }
    }
}
