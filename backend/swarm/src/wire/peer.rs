//! Who makes a call, and whether it may.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Caller;
use crate::identity::{Credentials, Role, Subject};
use crate::{Code, Status};

/// Carries the caller of a call that a manager passes on: [`Caller`] as JSON.
pub(super) const FORWARDED: &str = "x-swarm-forwarded";

/// Who made a call, as its certificate says; or as a manager says, which passed the call on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Absent for a newcomer without a certificate.
    pub member: Option<Member>,
    /// Where the call came from.
    pub address: SocketAddr,
}

/// What a certificate says of its node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub node_id: String,
    pub role: Role,
    pub cluster_id: String,
}

impl From<&Subject> for Member {
    fn from(subject: &Subject) -> Self {
        Self { node_id: subject.node_id.clone(), role: subject.role, cluster_id: subject.cluster_id.clone() }
    }
}

impl Peer {
    /// The caller's node id. The calls of the authority are the only ones that a peer without one gets to.
    pub fn node_id(&self) -> Result<&str, Status> {
        self.member.as_ref().map(|member| member.node_id.as_str()).ok_or_else(no_certificate)
    }
}

/// Decides who gets in: members of this cluster whose certificate was not withdrawn.
#[derive(Clone)]
pub struct Gate {
    pub credentials: Credentials,
    /// Whether the node was removed from the cluster.
    pub is_removed: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

impl Gate {
    /// The caller of a call over a connection from `direct`: itself, or the one it passes a call on for, which only managers may.
    pub(super) fn caller(&self, direct: Peer, forwarded: Option<&str>) -> Result<Peer, Status> {
        let Some(forwarded) = forwarded else { return Ok(direct) };
        self.admit(&direct, Caller::Manager)
            .map_err(|status| denied(format_args!("unauthorized forwarder role: {}", status.message)))?;
        serde_json::from_str(forwarded)
            .map_err(|_| denied(format_args!("missing information in forwarded request")))
    }

    /// Whether `peer` may make calls for `caller`.
    pub(super) fn admit(&self, peer: &Peer, caller: Caller) -> Result<(), Status> {
        if caller == Caller::Anyone {
            return Ok(());
        }
        let member = peer.member.as_ref().ok_or_else(no_certificate)?;
        let cluster = self.credentials.cluster_id();
        if member.cluster_id != cluster {
            return Err(denied(format_args!("remote certificate not part of organization: {cluster}")));
        }
        if (self.is_removed)(&member.node_id) {
            return Err(denied(format_args!("node {} was removed from swarm", member.node_id)));
        }
        if caller == Caller::Manager && member.role != Role::Manager {
            return Err(denied(format_args!(
                "unauthorized peer role: rpc error: code = PermissionDenied desc = Permission denied: remote certificate not part of \
                 OUs: [swarm-manager]"
            )));
        }
        Ok(())
    }
}

fn denied(reason: fmt::Arguments<'_>) -> Status {
    Status::new(Code::PermissionDenied, format!("Permission denied: {reason}"))
}

fn no_certificate() -> Status {
    denied(format_args!(
        "unauthorized peer role: rpc error: code = PermissionDenied desc = no client certificates in request"
    ))
}
