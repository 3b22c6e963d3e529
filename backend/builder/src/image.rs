//! An image's configuration as Docker writes it: the OCI's fields, and those of the classic builder.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::dockerfile::Healthcheck;

/// `{}`: the members of a set are keys with this value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// What a container of the image is; also the record of the container that made it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    #[serde(deserialize_with = "null_is_empty")]
    pub hostname: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub domainname: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub env: Vec<String>,
    pub cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Health>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub args_escaped: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub image: String,
    pub volumes: Option<BTreeMap<String, Empty>>,
    #[serde(deserialize_with = "null_is_empty")]
    pub working_dir: String,
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_disabled: Option<bool>,
    pub on_build: Option<Vec<String>>,
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub shell: Vec<String>,
}

/// A health check; times in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Health {
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: i64,
}

impl From<&Healthcheck> for Health {
    fn from(check: &Healthcheck) -> Self {
        Self {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }
    }
}

/// The image's own file; its digest is the image's id. Fields that mean nothing here are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageFile {
    #[serde(deserialize_with = "null_is_empty")]
    pub architecture: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub variant: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub config: Config,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub container: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_config: Option<Config>,
    #[serde(deserialize_with = "null_is_empty")]
    pub created: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub docker_version: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub history: Vec<History>,
    #[serde(deserialize_with = "null_is_empty")]
    pub os: String,
    pub rootfs: RootFs,
}

/// One step in an image's making.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub created: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub author: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub diff_ids: Vec<String>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self { kind: "layers".to_owned(), diff_ids: Vec::new() }
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Reads `null` as the type's empty value, as Go does.
fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Config {
    /// Whether a container made from one would have made the same as from the other: what moby's cache compares.
    /// The names of container and image are left out.
    pub fn made_the_same(&self, other: &Self) -> bool {
        let empty = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        self.env == other.env
            && empty(&self.cmd) == empty(&other.cmd)
            && empty(&self.entrypoint) == empty(&other.entrypoint)
            && self.shell == other.shell
            && self.exposed_ports.keys().eq(other.exposed_ports.keys())
            && keys(&self.volumes).eq(keys(&other.volumes))
            && self.labels.iter().flatten().eq(other.labels.iter().flatten())
            && empty(&self.on_build) == empty(&other.on_build)
            && self.user == other.user
            && self.working_dir == other.working_dir
            && self.stop_signal == other.stop_signal
            && self.healthcheck == other.healthcheck
    }

    /// `SHELL`, or what Docker uses without one.
    pub fn shell(&self) -> Vec<String> {
        match self.shell.as_slice() {
            [] => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            shell => shell.to_vec(),
        }
    }

    /// Sets `NAME=value` where the name is, or at the end.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let variable = format!("{name}={value}");
        let same = |other: &&mut String| other.split('=').next() == Some(name);
        match self.env.iter_mut().find(same) {
            Some(place) => *place = variable,
            None => self.env.push(variable),
        }
    }

    /// The value of a variable.
    pub fn env(&self, name: &str) -> Option<&str> {
        let variables = self.env.iter().filter_map(|variable| variable.split_once('='));
        variables.rev().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

fn keys(set: &Option<BTreeMap<String, Empty>>) -> impl Iterator<Item = &String> {
    set.iter().flat_map(BTreeMap::keys)
}

impl ImageFile {
    /// The image one step on: with another configuration, and with a layer unless the step changed no file.
    pub fn child(&self, step: Step) -> Self {
        let mut rootfs = self.rootfs.clone();
        let empty_layer = step.layer.is_none();
        rootfs.diff_ids.extend(step.layer);
        let created_by = step.container_config.cmd.as_deref().unwrap_or_default().join(" ");
        let mut history = self.history.clone();
        history.push(History {
            created: step.created.clone(),
            author: step.author.clone(),
            created_by,
            comment: String::new(),
            empty_layer,
        });
        Self {
            architecture: self.architecture.clone(),
            variant: self.variant.clone(),
            author: step.author,
            config: step.config,
            container: step.container,
            container_config: Some(step.container_config),
            created: step.created,
            docker_version: step.docker_version,
            history,
            os: self.os.clone(),
            rootfs,
        }
    }
}

/// What [`ImageFile::child`] adds.
#[derive(Clone, Debug)]
pub struct Step {
    pub created: String,
    pub author: String,
    pub config: Config,
    pub container: String,
    pub container_config: Config,
    pub docker_version: String,
    pub layer: Option<String>,
}
