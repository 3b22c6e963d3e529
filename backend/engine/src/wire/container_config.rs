//! `Config` of a container and of an image: the same shape in moby.

use std::collections::BTreeMap;

use bollard_stubs::models::HealthConfig;
use serde::{Deserialize, Deserializer, Serialize};

use super::null_is_empty;

/// `{}`: a set's members are keys with this value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// What the container's first process is. Portable between hosts, unlike `HostConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    #[serde(deserialize_with = "null_is_empty")]
    pub hostname: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub domainname: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub user: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub attach_stdin: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub attach_stdout: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub attach_stderr: bool,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    #[serde(deserialize_with = "null_is_empty")]
    pub tty: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub open_stdin: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub stdin_once: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "word_or_words")]
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub image: String,
    pub volumes: Option<BTreeMap<String, Empty>>,
    #[serde(deserialize_with = "null_is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "word_or_words")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_disabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac_address: Option<String>,
    pub on_build: Option<Vec<String>>,
    #[serde(deserialize_with = "null_is_empty")]
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// Old clients send `"Cmd": "true"` for `["true"]`.
fn word_or_words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum WordOrWords {
        Word(String),
        Words(Vec<String>),
    }
    Ok(Option::deserialize(deserializer)?.map(|either| match either {
        WordOrWords::Word(word) => vec![word],
        WordOrWords::Words(words) => words,
    }))
}
