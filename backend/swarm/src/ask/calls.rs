//! Questions and answers.

use serde::{Deserialize, Serialize};

use crate::objects::{NodeSpec, SwarmSpec};
use crate::raft::node::Member;
use crate::wire::call::call;

/// A question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// How far must a copy of the store be to be looked at?
    Read,
    UpdateSwarm(Box<SwarmUpdate>),
    UpdateNode {
        reference: String,
        version: u64,
        spec: Box<NodeSpec>,
    },
    RemoveNode {
        reference: String,
        is_forced: bool,
    },
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
