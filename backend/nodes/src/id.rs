//! Names of sessions and nodes, safe as file names and in command lines.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Letters, digits, `-` and `_`, at most 64, not beginning with `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

/// As [`NodeId`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no id: 1 to 64 letters, digits, - and _, not beginning with -")]
pub struct BadId(String);

fn checked(text: String) -> Result<String, BadId> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let good = (1..=64).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(plain);
    if good { Ok(text) } else { Err(BadId(text)) }
}

macro_rules! id {
    ($name:ident) => {
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                checked(text.to_owned()).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                checked(text).map(Self)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(NodeId);
id!(SessionId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_are_ids() {
        for good in ["a", "node1", "4f2c_node-1"] {
            assert!(good.parse::<NodeId>().is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "-x", "a b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad}");
        }
    }
}
