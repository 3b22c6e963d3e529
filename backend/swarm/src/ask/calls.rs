//! Questions and answers.

use serde::{Deserialize, Serialize};

use crate::objects::{
    ConfigId, ConfigSpec, NetworkCreateRequest, NetworkId, NodeId, NodeSpec, SecretId, SecretSpec, ServiceId,
    ServiceSpec, SwarmSpec,
};
use crate::raft::node::Member;
use crate::wire::call::call;

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// How far must a copy of the store be to be looked at?
    Read,
    UpdateSwarm(Box<SwarmUpdate>),
    Wish(Box<Wish>),
}

/// What a user wants made, changed or removed. Objects are named by their ids: the engine has looked them up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "an Ask holds it in a box")]
pub enum Wish {
    UpdateNode { id: NodeId, version: u64, spec: NodeSpec },
    RemoveNode { id: NodeId, is_forced: bool },
    CreateService { spec: ServiceSpec, registry_auth: Option<String> },
    UpdateService { id: ServiceId, version: u64, to: ServiceTo, registry_auth: Option<String> },
    RemoveService { id: ServiceId },
    CreateNetwork { spec: NetworkCreateRequest },
    RemoveNetwork { id: NetworkId },
    CreateSecret { spec: SecretSpec },
    UpdateSecret { id: SecretId, version: u64, spec: SecretSpec },
    RemoveSecret { id: SecretId },
    CreateConfig { spec: ConfigSpec },
    UpdateConfig { id: ConfigId, version: u64, spec: ConfigSpec },
    RemoveConfig { id: ConfigId },
}

/// What a service becomes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTo {
    Spec(Box<ServiceSpec>),
    /// The one before: `docker service rollback`.
    Previous,
}

/// `docker swarm update`, and the rotations that go the same way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SwarmUpdate {
    pub version: u64,
    pub spec: SwarmSpec,
    pub rotate: RotateKeys,
}

/// Which secrets to replace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RotateKeys {
    pub worker_token: bool,
    pub manager_token: bool,
    pub unlock_key: bool,
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Reading(Reading),
    /// Of what was made.
    Id(String),
    Nothing,
}

/// What a look at the store goes with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// The entry of the log that must be applied before.
    pub index: u64,
    /// Raft's members, as the leader sees them.
    pub members: Vec<Member>,
}

call!(
    /// A question of an engine.
    Control, "Control/Ask", Manager, Leader, Ask => Answer
);
