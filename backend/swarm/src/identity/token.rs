//! Join tokens: `SWMTKN-1-<digest of the root certificate>-<secret>`.
//!
//! The digest lets a newcomer recognise the cluster before it trusts anybody; the secret lets the cluster recognise the newcomer, and
//! which of the two secrets it is says the role. Digest and secret are numbers in base 36, padded to 50 and 25 digits
//! (swarmkit `ca/config.go`).

use std::fmt;
use std::str::FromStr;

use super::{base36, random};

const DIGEST_DIGITS: usize = 50;
const SECRET_DIGITS: usize = 25;

/// A join token, parsed.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    digest: [u8; 32],
    secret: [u8; 16],
}

/// The text is no join token of this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidJoinToken {
    #[error("invalid join token")]
    Form,
    /// More than 256 bits.
    #[error("invalid checksum digest length")]
    Digest,
}

impl JoinToken {
    /// A token with a fresh secret for the authority with this digest.
    pub fn generate(digest: [u8; 32]) -> Self {
        let mut secret = [0; 16];
        random(&mut secret);
        Self { digest, secret }
    }

    /// SHA-256 of the root certificate's PEM that the token promises.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// The same secret for another authority: what tokens become when the root certificate is replaced.
    pub fn for_authority(&self, digest: [u8; 32]) -> Self {
        Self { digest, secret: self.secret }
    }

    /// Whether `other` is this token; takes the same time whatever differs.
    pub fn matches(&self, other: &Self) -> bool {
        let pairs = self.digest.iter().zip(&other.digest).chain(self.secret.iter().zip(&other.secret));
        pairs.fold(0, |difference, (ours, theirs)| difference | (ours ^ theirs)) == 0
    }
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digest = base36::encode(&self.digest, DIGEST_DIGITS);
        let secret = base36::encode(&self.secret, SECRET_DIGITS);
        write!(f, "SWMTKN-1-{digest}-{secret}")
    }
}

/// Secrets do not belong in logs.
impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinToken(…)")
    }
}

impl FromStr for JoinToken {
    type Err = InvalidJoinToken;

    fn from_str(text: &str) -> Result<Self, InvalidJoinToken> {
        let parts: Vec<&str> = text.split('-').collect();
        let [prefix, version, digest, secret] = parts[..] else { return Err(InvalidJoinToken::Form) };
        if (prefix, version) != ("SWMTKN", "1")
            || digest.len() != DIGEST_DIGITS
            || secret.len() != SECRET_DIGITS
        {
            return Err(InvalidJoinToken::Form);
        }
        Ok(Self {
            digest: base36::decode(digest).ok_or(InvalidJoinToken::Digest)?,
            secret: base36::decode(secret).ok_or(InvalidJoinToken::Form)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        let token = JoinToken::generate([7; 32]);
        let text = token.to_string();
        assert_eq!(text.len(), "SWMTKN-1-".len() + 50 + 1 + 25);
        assert!(text.parse::<JoinToken>().unwrap().matches(&token));
    }

    #[test]
    fn a_real_swarms_token_is_understood() {
        let text = "SWMTKN-1-3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx";
        assert_eq!(text.parse::<JoinToken>().unwrap().to_string(), text);
    }

    #[test]
    fn anything_else_is_an_invalid_join_token() {
        let good = JoinToken::generate([1; 32]).to_string();
        let wrong = [
            String::new(),
            "abc".to_owned(),
            good.replace("SWMTKN-1", "SWMTKN-9"),
            good.replace("SWMTKN", "SWMKEY"),
            good[..good.len() - 1].to_owned(),
            format!("{good}-x"),
        ];
        for text in wrong {
            assert_eq!(text.parse::<JoinToken>().unwrap_err().to_string(), "invalid join token", "{text}");
        }
        let large = format!("SWMTKN-1-{}-{}", "z".repeat(50), "0".repeat(25));
        assert_eq!(large.parse::<JoinToken>().unwrap_err(), InvalidJoinToken::Digest);
    }

    #[test]
    fn another_secret_or_another_authority_does_not_match() {
        let token = JoinToken::generate([1; 32]);
        assert!(!token.matches(&JoinToken::generate([1; 32])));
        assert!(!token.matches(&token.for_authority([2; 32])));
    }
}
