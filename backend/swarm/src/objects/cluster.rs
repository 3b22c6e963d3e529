//! The swarm itself: its settings, its certificate authority and its keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ClusterId, Duration, JoinTokens, Meta, SwarmSpec, SwarmSpecCaConfig, SwarmSpecDispatcher,
    SwarmSpecOrchestration, SwarmSpecRaft, Timestamp,
};

/// There is one, named `default`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    pub id: ClusterId,
    pub meta: Meta,
    pub spec: SwarmSpec,
    pub root_ca: RootCa,
    /// Keys of the network's control and data planes, newest by `lamport_time`.
    pub network_keys: Vec<EncryptionKey>,
    /// Counts the network keys ever made.
    pub lamport_clock: u64,
    /// When the newest of them were made.
    pub network_keys_renewed_at: Timestamp,
    /// Certificates of nodes that were removed, by node id, until they would have expired.
    pub blocked_certificates: BTreeMap<String, BlockedCertificate>,
    /// What a manager's keys on disk are encrypted with. Empty: managers unlock themselves.
    pub unlock_keys: Vec<EncryptionKey>,
    /// Where the subnets of overlay networks come from.
    pub default_address_pool: Vec<String>,
    /// Length of the mask of a subnet out of the pool.
    pub subnet_size: u32,
    pub data_path_port: u32,
}

impl Cluster {
    pub const NAME: &'static str = "default";
    /// What moby takes subnets from when nothing else is said.
    pub const DEFAULT_POOL: &'static str = "10.0.0.0/8";
    pub const DEFAULT_SUBNET_SIZE: u32 = 24;
    pub const DEFAULT_DATA_PATH_PORT: u32 = 4789;
    /// Finished tasks kept for a slot when the spec does not say.
    pub const DEFAULT_TASK_HISTORY: i64 = 5;
    pub const DEFAULT_HEARTBEAT: Duration = Duration::seconds(5);
    /// 90 days.
    pub const DEFAULT_CERTIFICATE_EXPIRY: Duration = Duration::seconds(90 * 24 * 3600);

    /// What moby fills in where `docker swarm init` leaves a setting open.
    pub fn default_spec() -> SwarmSpec {
        SwarmSpec {
            orchestration: Some(SwarmSpecOrchestration {
                task_history_retention_limit: Some(Self::DEFAULT_TASK_HISTORY),
            }),
            raft: Some(SwarmSpecRaft {
                snapshot_interval: Some(10_000),
                keep_old_snapshots: Some(0),
                log_entries_for_slow_followers: Some(500),
                election_tick: Some(10),
                heartbeat_tick: Some(1),
            }),
            dispatcher: Some(SwarmSpecDispatcher { heartbeat_period: Some(Self::DEFAULT_HEARTBEAT.0) }),
            ca_config: Some(SwarmSpecCaConfig {
                node_cert_expiry: Some(Self::DEFAULT_CERTIFICATE_EXPIRY.0),
                ..SwarmSpecCaConfig::default()
            }),
            ..SwarmSpec::default()
        }
    }

    /// Finished tasks that are kept for each slot, or node of a global service.
    pub fn task_history(&self) -> i64 {
        let limit = self.spec.orchestration.as_ref().and_then(|spec| spec.task_history_retention_limit);
        limit.unwrap_or(Self::DEFAULT_TASK_HISTORY)
    }

    pub fn heartbeat(&self) -> Duration {
        let period = self.spec.dispatcher.as_ref().and_then(|spec| spec.heartbeat_period);
        period.filter(|period| *period > 0).map_or(Self::DEFAULT_HEARTBEAT, Duration)
    }

    pub fn is_autolocked(&self) -> bool {
        self.spec.encryption_config.as_ref().and_then(|spec| spec.auto_lock_managers).unwrap_or(false)
    }
}

/// The root certificate, its key (absent with an external authority) and the join tokens. PEM text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootCa {
    pub key: Option<String>,
    pub certificate: String,
    /// `sha256:…` of the certificate, as in a join token.
    pub digest: String,
    pub join_tokens: JoinTokens,
    pub rotation: Option<RootRotation>,
    /// The spec's `ForceRotate` that this root was made for.
    pub last_forced_rotation: u64,
}

/// The root that nodes are being moved to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RootRotation {
    pub certificate: String,
    pub key: Option<String>,
    /// The new root, signed by the old one.
    pub cross_signed: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EncryptionKey {
    /// `networking:gossip`, `networking:ipsec` or `manager`.
    pub subsystem: String,
    /// Base64.
    pub key: String,
    pub lamport_time: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockedCertificate {
    pub expiry: Timestamp,
}
