//! The 64 hexadecimal digits Docker names containers, networks and execs with.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A full id: 64 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(String);

impl Id {
    /// A fresh random id. Like Docker's, its first 12 digits are never all decimal, so that a
    /// short id used as a host name is not mistaken for a number.
    pub fn random() -> Self {
        loop {
            let mut bytes = [0u8; 32];
            getrandom::fill(&mut bytes).expect("the kernel's random source always answers");
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            if digits[..12].bytes().any(|digit| digit.is_ascii_alphabetic()) {
                return Self(digits);
            }
        }
    }

    /// Takes a stored id back. `None` when the text is not a full id.
    pub fn parse(text: &str) -> Option<Self> {
        let full = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        full.then(|| Self(text.to_owned()))
    }

    /// The id of an object of a swarm: 25 digits and small letters. `None` when the text is not one.
    pub fn of_swarm(text: &str) -> Option<Self> {
        let full = text.len() == 25 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'z'));
        full.then(|| Self(text.to_owned()))
    }

    /// Stands for the routing mesh's own sandbox, where others have a container's id.
    pub fn of_mesh() -> Self {
        Self("ingress-sbox".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The 12 digits people see.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl fmt::Display for Id {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for Id {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
