//! A node's keys, from the secret that all nodes of a swarm have.

use std::fmt;

use boringtun::x25519::{PublicKey, StaticSecret};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};

const SALT: &[u8] = b"drydock overlay wireguard";
const LENGTH: usize = 32;

/// The swarm's secret, and which one it is: of two the one with the greater number is newer.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub number: u64,
    pub secret: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Key {{ number: {}, .. }}", self.number)
    }
}

/// What HKDF is asked for.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        LENGTH
    }
}

impl Key {
    /// HKDF-SHA256 of the secret for a node's name. Who knows the secret knows all nodes' keys: it says who is of the swarm, and no more.
    pub(crate) fn private(&self, node: &str) -> StaticSecret {
        let mut bytes = [0; LENGTH];
        let derived = Salt::new(HKDF_SHA256, SALT).extract(&self.secret);
        // Refused only for keys longer than 255 hashes.
        let filled =
            derived.expand(&[node.as_bytes()], Length).and_then(|material| material.fill(&mut bytes));
        debug_assert!(filled.is_ok());
        bytes.into()
    }

    pub(crate) fn public(&self, node: &str) -> PublicKey {
        PublicKey::from(&self.private(node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &[u8]) -> Key {
        Key { number: 1, secret: secret.to_vec() }
    }

    #[test]
    fn everybody_with_the_secret_derives_the_same_keys_and_nobody_else_does() {
        let (one, other) = (key(b"0123456789abcdef"), key(b"0123456789abcdeg"));
        assert_eq!(one.public("node"), key(b"0123456789abcdef").public("node"));
        assert_ne!(one.public("node"), one.public("edon"));
        assert_ne!(one.public("node"), other.public("node"));
    }

    #[test]
    fn a_key_does_not_show_itself() {
        assert_eq!(format!("{:?}", key(b"0123456789abcdef")), "Key { number: 1, .. }");
    }
}
