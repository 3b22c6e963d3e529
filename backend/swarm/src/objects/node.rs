//! A node: what its user wants of it, what its agent says, and whether a manager hears from it.

use serde::{Deserialize, Serialize};

use super::{
    Availability, Meta, NetworkAttachment, NodeDescription, NodeId, NodeSpec, NodeState, Reachability, Role,
    Timestamp,
};

/// Spec by the user; description and status by the dispatcher; `role` and `manager_status` by the
/// leader once raft agrees; attachments by the allocator; certificate by the authority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Node {
    pub id: NodeId,
    pub meta: Meta,
    pub spec: NodeSpec,
    pub membership: Membership,
    /// As the agent last said; absent until it first did.
    pub description: Option<NodeDescription>,
    pub status: NodeStatus,
    /// Present on managers.
    pub manager_status: Option<ManagerStatus>,
    /// What the node is now, where `spec.role` is what it shall become.
    pub observed_role: ObservedRole,
    pub certificate: Certificate,
    /// The node's own address in each overlay network it balances load for.
    pub attachments: Vec<NetworkAttachment>,
    pub data_path_port: u32,
    /// Where the tunnels of overlay networks end, when that is not the address of the status.
    pub data_path_addr: Option<String>,
}

impl Node {
    /// The role it shall have.
    pub fn desired_role(&self) -> Role {
        match self.spec.role {
            Some(Role::MANAGER) => Role::MANAGER,
            _ => Role::WORKER,
        }
    }

    pub fn availability(&self) -> Availability {
        match self.spec.availability {
            Some(Availability::PAUSE) => Availability::PAUSE,
            Some(Availability::DRAIN) => Availability::DRAIN,
            _ => Availability::ACTIVE,
        }
    }

    pub fn is_ready(&self) -> bool {
        self.status.state == NodeState::READY
    }

    pub fn is_down(&self) -> bool {
        self.status.state == NodeState::DOWN
    }

    pub fn is_drained(&self) -> bool {
        self.availability() == Availability::DRAIN
    }

    /// Notes what state a manager finds it in. `false` when that is no news.
    pub fn observe(&mut self, state: NodeState, message: &str, now: Timestamp) -> bool {
        let news = self.status.state != state || self.status.message != message;
        if self.status.state != state {
            self.status.since = now;
        }
        self.status.state = state;
        message.clone_into(&mut self.status.message);
        news
    }

    /// Where other nodes send what is for its tasks.
    pub fn tunnel_address(&self) -> &str {
        self.data_path_addr.as_deref().unwrap_or(&self.status.addr)
    }

    pub fn hostname(&self) -> &str {
        self.description.as_ref().and_then(|description| description.hostname.as_deref()).unwrap_or_default()
    }
}

/// Whether the cluster has taken the node in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    Pending,
    #[default]
    Accepted,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    pub state: NodeState,
    pub message: String,
    /// As the manager saw it, without a port.
    pub addr: String,
    /// When it came to this state.
    pub since: Timestamp,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ManagerStatus {
    pub raft_id: u64,
    /// Where the other managers reach it, with its port.
    pub addr: String,
    pub leader: bool,
    pub reachability: Reachability,
}

/// The certificate a node has asked for, or has. PEM text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    pub role: ObservedRole,
    pub request: String,
    pub state: Issuance,
    /// Why it was not issued.
    pub error: String,
    pub certificate: String,
    /// The node's id, the certificate's common name.
    pub common_name: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Issuance {
    #[default]
    Unknown,
    /// A new certificate shall be made from the request.
    Renew,
    Pending,
    Issued,
    Failed,
    /// The node shall ask for a new one.
    Rotate,
}

/// The role a certificate says, which the API's enumeration cannot default to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObservedRole {
    #[default]
    Worker,
    Manager,
}

impl From<Role> for ObservedRole {
    fn from(role: Role) -> Self {
        match role {
            Role::MANAGER => Self::Manager,
            _ => Self::Worker,
        }
    }
}
