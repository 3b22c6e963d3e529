//! A container's record: what is written to `DATA_ROOT/containers/<id>/container.json`.

use std::collections::BTreeMap;

use bollard_stubs::models::{EndpointSettings, HostConfig};
use serde::{Deserialize, Serialize};

use crate::container::links::Links;
use crate::container::mounts::MountPoint;
use crate::id::Id;
use crate::network::PortMap;
use crate::wire::ContainerConfig;

/// Everything about a container that outlives the engine's process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub id: Id,
    /// Without the leading slash.
    pub name: String,
    /// RFC 3339 with nanoseconds, as the API shows it.
    pub created: String,
    pub image_id: String,
    pub platform: String,
    pub config: ContainerConfig,
    pub host_config: HostConfig,
    pub mounts: Vec<MountPoint>,
    /// Network name → what was asked for and, while it runs, what it got.
    pub networks: BTreeMap<String, EndpointSettings>,
    /// `--link`, by alias.
    #[serde(default)]
    pub links: Links,
    /// MAC addresses that the user chose, by network.
    #[serde(default)]
    pub macs: BTreeMap<String, String>,
    /// Its places on networks of a swarm, which asked for them while it runs.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
    /// Ports as they are really bound while it runs.
    pub ports: PortMap,
    /// The pinned network namespace while it runs, and its id.
    #[serde(default)]
    pub sandbox: Option<Sandbox>,
    pub state: State,
    /// Restarts by policy since the user last started it.
    #[serde(default)]
    pub restart_count: i64,
    /// The user stopped it: `unless-stopped` and `always` leave it alone until the next start.
    #[serde(default)]
    pub stopped_by_user: bool,
    /// A step of a build that goes on: nobody wants it when the build is gone.
    #[serde(default)]
    pub of_build: bool,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Sandbox {
    pub path: std::path::PathBuf,
    pub id: String,
    /// Its way out where none of its networks has one.
    #[serde(default)]
    pub gateway: Option<EndpointSettings>,
}

/// A plain container's place on a network of a swarm.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Attachment {
    /// The swarm's task that stands for it.
    pub task: String,
    /// The network's id, once it is known.
    pub network: String,
    /// Whether the swarm chose the address: it is not the user's wish then.
    pub is_given: bool,
}

/// Docker's words for where a container is in its life.
///
/// ```text
///   created ──start──▶ running ◀─▶ paused
///                        │  ▲
///                   exit │  │ policy
///                        ▼  │
///              exited / restarting ──rm──▶ removing ──▶ (gone)
///                                              └ failed ▶ dead
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    #[default]
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }

    /// A process of it exists.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// What moby's `State.Running` says: a container between two starts by policy counts as running.
    pub const fn counts_as_running(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Restarting)
    }
}

/// Written by `start`, `monitor` and `pause` only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub status: Status,
    pub pid: i32,
    pub exit_code: i32,
    pub error: String,
    pub oom_killed: bool,
    pub started_at: String,
    pub finished_at: String,
    #[serde(default)]
    pub health: Option<Health>,
}

/// Go's zero time: "never".
pub const NEVER: &str = "0001-01-01T00:00:00Z";

impl Default for State {
    fn default() -> Self {
        Self {
            status: Status::Created,
            pid: 0,
            exit_code: 0,
            error: String::new(),
            oom_killed: false,
            started_at: NEVER.into(),
            finished_at: NEVER.into(),
            health: None,
        }
    }
}

/// The newest results of a container's health check.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// `starting`, `healthy` or `unhealthy`.
    pub status: String,
    pub failing_streak: i64,
    pub log: Vec<Probe>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Probe {
    pub start: String,
    pub end: String,
    pub exit_code: i32,
    pub output: String,
}

impl Record {
    /// The name the container has for itself: `--hostname`, else its short id.
    pub fn hostname(&self) -> &str {
        if self.config.hostname.is_empty() { self.id.short() } else { &self.config.hostname }
    }

    pub fn network_mode(&self) -> &str {
        self.host_config.network_mode.as_deref().unwrap_or("default")
    }

    pub fn auto_remove(&self) -> bool {
        self.host_config.auto_remove.unwrap_or(false)
    }

    /// Attributes of its events: its labels, image and name.
    pub fn event_attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.config.labels.clone();
        attributes.insert("image".into(), self.config.image.clone());
        attributes.insert("name".into(), self.name.clone());
        attributes
    }
}

/// Now, as the API writes times.
pub fn now() -> String {
    rfc3339(time::OffsetDateTime::now_utc())
}

/// RFC 3339 with nine digits of nanoseconds, UTC.
pub fn rfc3339(time: time::OffsetDateTime) -> String {
    let format = time::macros::format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:9]Z"
    );
    time.to_offset(time::UtcOffset::UTC).format(format).unwrap_or_else(|_| NEVER.into())
}
