//! Bytes for containers: secrets, which only leave the managers for nodes that run a task of
//! theirs, and configs.

use serde::{Deserialize, Serialize};

use super::{ConfigId, ConfigSpec, Meta, SecretId, SecretSpec};

/// The spec's `data` is base64, as in the API; it is never told back to a client.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Secret {
    pub id: SecretId,
    pub meta: Meta,
    pub spec: SecretSpec,
    /// Made by the swarm itself, and not listed.
    pub internal: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    pub id: ConfigId,
    pub meta: Meta,
    pub spec: ConfigSpec,
}
