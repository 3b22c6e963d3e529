//! A service: what its user wants run, and what became of the last change of mind.

use serde::{Deserialize, Serialize};

use super::{
    EndpointPortConfig, EndpointSpec, Meta, Moment, NetworkAttachmentConfig, NetworkId, ServiceId,
    ServiceSpec, Timestamp, UpdateState, Version,
};

/// Spec by the user; endpoint by the allocator; update and job status by the orchestrators.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    pub id: ServiceId,
    pub meta: Meta,
    pub spec: ServiceSpec,
    /// Counts changes of the spec; tasks made from it carry it.
    pub spec_version: Option<Version>,
    pub previous_spec: Option<Box<ServiceSpec>>,
    pub previous_spec_version: Option<Version>,
    pub endpoint: Option<Endpoint>,
    pub update_status: Option<UpdateStatus>,
    /// Present on jobs.
    pub job_status: Option<JobStatus>,
    /// What the user gave for the registry of its image, as he encoded it. Never told back.
    pub registry_auth: Option<String>,
}

/// How many tasks a service shall have, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Replicated {
        replicas: u64,
    },
    Global,
    /// `total` completions, at most `concurrent` at a time.
    ReplicatedJob {
        concurrent: u64,
        total: u64,
    },
    GlobalJob,
}

impl Mode {
    pub fn is_job(self) -> bool {
        matches!(self, Self::ReplicatedJob { .. } | Self::GlobalJob)
    }

    /// Whether its tasks are bound to nodes rather than slots.
    pub fn is_global(self) -> bool {
        matches!(self, Self::Global | Self::GlobalJob)
    }

    /// The mode of a spec; replicated once when it says none. Numbers below zero count as none.
    pub fn of(spec: &ServiceSpec) -> Self {
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        let Some(mode) = &spec.mode else { return Self::Replicated { replicas: 1 } };
        if mode.global.is_some() {
            Self::Global
        } else if mode.global_job.is_some() {
            Self::GlobalJob
        } else if let Some(job) = &mode.replicated_job {
            let concurrent = count(job.max_concurrent.unwrap_or(1));
            Self::ReplicatedJob { concurrent, total: job.total_completions.map_or(concurrent, count) }
        } else {
            let replicas = mode.replicated.as_ref().and_then(|replicated| replicated.replicas);
            Self::Replicated { replicas: replicas.map_or(1, count) }
        }
    }
}

impl Service {
    pub fn name(&self) -> &str {
        self.spec.name.as_deref().unwrap_or_default()
    }

    pub fn mode(&self) -> Mode {
        Mode::of(&self.spec)
    }

    /// The networks its tasks attach to: the task template's, else the older place in the spec.
    pub fn networks(&self) -> &[NetworkAttachmentConfig] {
        networks_of(&self.spec)
    }
}

/// The networks that a spec names, from the task template or the older place.
pub(crate) fn networks_of(spec: &ServiceSpec) -> &[NetworkAttachmentConfig] {
    let template = spec.task_template.as_ref().and_then(|task| task.networks.as_deref()).unwrap_or_default();
    if template.is_empty() { spec.networks.as_deref().unwrap_or_default() } else { template }
}

/// The addresses and ports a service was given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Endpoint {
    /// The endpoint spec that this was allocated for.
    pub spec: EndpointSpec,
    /// The spec's ports, each with a published port.
    pub ports: Vec<EndpointPortConfig>,
    pub virtual_ips: Vec<VirtualIp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct VirtualIp {
    pub network_id: NetworkId,
    /// With the length of the network's mask: `10.0.1.2/24`.
    pub addr: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpdateStatus {
    pub state: UpdateState,
    pub started_at: Timestamp,
    pub completed_at: Option<Timestamp>,
    pub message: String,
    /// When this direction, forward or back, began, by the swarm's own time. Tasks that are made on the way carry it.
    pub phase_started_at: Timestamp,
    /// How many slots were out of date when it began.
    pub slots: u64,
}

impl UpdateStatus {
    /// Whether slots are being brought to the spec, and watched.
    pub fn is_running(&self) -> bool {
        matches!(self.state, UpdateState::UPDATING | UpdateState::ROLLBACK_STARTED)
    }

    pub fn is_paused(&self) -> bool {
        matches!(self.state, UpdateState::PAUSED | UpdateState::ROLLBACK_PAUSED)
    }

    /// A direction that begins now.
    pub fn begin(state: UpdateState, message: impl Into<String>, now: Moment) -> Self {
        Self {
            state,
            message: message.into(),
            started_at: now.wall,
            phase_started_at: now.clock,
            ..Self::default()
        }
    }
}

impl Default for UpdateStatus {
    fn default() -> Self {
        Self {
            state: UpdateState::EMPTY,
            started_at: Timestamp::default(),
            completed_at: None,
            message: String::new(),
            phase_started_at: Timestamp::default(),
            slots: 0,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobStatus {
    /// How often the job was started; tasks carry the start they belong to.
    pub iteration: Version,
    pub last_execution: Timestamp,
}
