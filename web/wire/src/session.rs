//! Sessions, instances and terminals as JSON, with play-with-docker's field names where it has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `GET /sessions/{id}`. Times are RFC 3339 in UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    pub id: String,
    pub created_at: String,
    pub expires_at: String,
    pub pwd_ip_address: String,
    pub ready: bool,
    pub stack: String,
    pub stack_name: String,
    pub image_name: String,
    pub host: String,
    pub user_id: String,
    pub playground_id: String,
    /// By instance name.
    pub instances: BTreeMap<String, Instance>,
    /// How many nodes this session may have.
    #[serde(default)]
    pub max_instances: u32,
    /// The lab this session was opened for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// `<first 8 of the session id>_<id>`: unique on this server.
    pub name: String,
    pub image: String,
    /// `node1`, `node2`, …
    pub hostname: String,
    pub ip: String,
    pub routable_ip: String,
    pub tls: bool,
    pub session_id: String,
    /// `ip10-0-1-3-<label>`; a port's page is `<proxy_host>-<port>.direct.<host>`.
    pub proxy_host: String,
    pub session_host: String,
    #[serde(rename = "type")]
    pub kind: String,
}

/// `POST /sessions/{id}/instances`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NewInstance {
    #[serde(rename = "ImageName")]
    pub image_name: String,
    #[serde(rename = "Hostname")]
    pub hostname: String,
    #[serde(rename = "Type")]
    pub kind: String,
    #[serde(rename = "Tls")]
    pub tls: bool,
    #[serde(rename = "Privileged")]
    pub privileged: bool,
    #[serde(rename = "Envs")]
    pub envs: Vec<String>,
    #[serde(rename = "Networks")]
    pub networks: Vec<String>,
}

/// `GET` (list) and `POST` (make) `/sessions/{id}/instances/{name}/terminals`; `DELETE …/{terminal}` ends one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Terminal {
    /// `1`, `2`, …: unique in its node, never used again.
    pub id: String,
    pub cols: u16,
    pub rows: u16,
    /// The title the shell last set, or empty.
    pub title: String,
}

/// A text frame of `GET /sessions/{id}/ws/`, both ways.
///
/// Play-with-docker's names (`instance new`, `instance delete`, `instance stats`, `instance docker ports`,
/// `session ready`, `session end`, …) plus ours:
/// `session topology` ([`crate::topology::Topology`]), `instance traffic` ([`crate::topology::Traffic`]), `session expires` (RFC 3339),
/// `instance terminals` (instance name, list of [`Terminal`]), `lab progress` ([`crate::lab::Progress`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub name: String,
    #[serde(default)]
    pub args: Vec<serde_json::Value>,
}

/// The body of every error answer that is JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable word (`out_of_capacity`, `not_found`, …).
    pub error: String,
    /// What happened and what to do, for people.
    pub message: String,
}

/// `GET /playground`: what the landing page offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Playground {
    /// Seconds a new session lasts, and the most it can ask for.
    pub default_duration_seconds: u64,
    pub max_duration_seconds: u64,
    pub max_instances: u32,
    pub images: Vec<String>,
    pub templates: Vec<Template>,
    /// Why no session can be made at the moment, or `None` when one can.
    pub full: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Given as `stack_name` to `POST /`.
    pub name: String,
    pub title: String,
    pub summary: String,
    pub nodes: u32,
}
