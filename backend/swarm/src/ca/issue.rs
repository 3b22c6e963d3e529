//! Gives out certificates: on the leader, where the root's key and the nodes are.

use time::{Duration, OffsetDateTime};

use super::calls::{IssueAnswer, IssueRequest};
use crate::identity::authority::NODE_VALIDITY;
use crate::identity::{AuthorityError, Grant, JoinToken, Role, RootAuthority, new_id};
use crate::objects::{
    Availability, Certificate, Cluster, Issuance, Membership, Node, NodeId, NodeSpec, ObservedRole,
};
use crate::raft::RaftNode;
use crate::store::{Transaction, View};
use crate::wire::Peer;
use crate::wire::peer::Member;
use crate::{Code, Status};

/// The subsystem that the unlock key is kept under.
pub const MANAGER_KEY: &str = "manager";

/// Issues a certificate to who shows a join token, and another one to who has one already.
pub async fn issue(raft: &RaftNode, peer: &Peer, request: IssueRequest) -> Result<IssueAnswer, Status> {
    if request.csr.is_empty() {
        return Err(Status::invalid("InvalidArgument"));
    }
    let now = OffsetDateTime::now_utc();
    raft.update(|tx| {
        let cluster = the_cluster(tx)?;
        match known(tx, &cluster, peer.member.as_ref()) {
            Some(member) => renew(tx, &cluster, &member.node_id, &request, now),
            None => admit(tx, &cluster, &request, now),
        }
    })
    .await
}

/// What managers' key files are locked with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    /// `SWMKEY-1-…`; absent when managers unlock themselves.
    pub key: Option<String>,
    /// Version of the cluster that the key belongs to.
    pub version: u64,
}

/// The key that managers' files are locked with now.
pub fn unlock_key(view: &View) -> Result<Lock, Status> {
    let cluster = the_cluster(view)?;
    let newest = cluster
        .unlock_keys
        .iter()
        .filter(|key| key.subsystem == MANAGER_KEY)
        .max_by_key(|key| key.lamport_time);
    let key = newest.filter(|_| cluster.is_autolocked()).map(|key| key.key.clone());
    Ok(Lock { key, version: cluster.meta.version.index })
}

/// The authority that signs now, with the intermediates that go with each certificate: while a rotation runs, the new root's.
pub fn signer(cluster: &Cluster) -> Result<(RootAuthority, String), Status> {
    let (certificate, key, intermediates) = match &cluster.root_ca.rotation {
        Some(rotation) => (&rotation.certificate, &rotation.key, rotation.cross_signed.clone()),
        None => (&cluster.root_ca.certificate, &cluster.root_ca.key, String::new()),
    };
    let key = key.as_deref().ok_or_else(|| Status::new(Code::FailedPrecondition, "no valid signer found"))?;
    let authority = RootAuthority::from_pem(certificate, key).map_err(|error| unusable(&error))?;
    Ok((authority, intermediates))
}

pub(crate) fn the_cluster(view: &View) -> Result<std::sync::Arc<Cluster>, Status> {
    view.cluster().cloned().ok_or_else(|| Status::new(Code::Unknown, "could not find cluster object"))
}

/// A member of this cluster that was not removed. Who shows anything else counts as a newcomer, whose token is looked at.
fn known<'a>(view: &View, cluster: &Cluster, member: Option<&'a Member>) -> Option<&'a Member> {
    let member = member.filter(|member| member.cluster_id == cluster.id.as_str())?;
    let is_blocked = cluster.blocked_certificates.contains_key(&member.node_id);
    (!is_blocked || view.nodes().contains(&member.node_id)).then_some(member)
}

fn renew(
    tx: &mut Transaction<'_>,
    cluster: &Cluster,
    node_id: &str,
    request: &IssueRequest,
    now: OffsetDateTime,
) -> Result<IssueAnswer, Status> {
    let node = tx.nodes().get(node_id).cloned();
    let missing =
        || Status::not_found(format!("node {node_id} not found when attempting to renew certificate"));
    let mut node = node.ok_or_else(missing)?.as_ref().clone();
    let certificate = sign(cluster, node_id, role_of(node.observed_role), &request.csr, now)?;
    node.certificate = record(&node.id, node.observed_role, request, &certificate);
    tx.update(node)?;
    Ok(IssueAnswer { node_id: node_id.to_owned(), certificate })
}

fn admit(
    tx: &mut Transaction<'_>,
    cluster: &Cluster,
    request: &IssueRequest,
    now: OffsetDateTime,
) -> Result<IssueAnswer, Status> {
    let refusal = || Status::invalid("A valid join token is necessary to join this cluster");
    let role = token_role(cluster, &request.token).ok_or_else(refusal)?;
    let node_id = new_id();
    let certificate = sign(cluster, &node_id, role, &request.csr, now)?;
    let observed_role = observed(role);
    let id = NodeId::from(node_id.as_str());
    let node = Node {
        certificate: record(&id, observed_role, request, &certificate),
        id,
        spec: NodeSpec {
            role: Some(spec_role(role)),
            availability: request.availability.or(Some(Availability::ACTIVE)),
            ..NodeSpec::default()
        },
        membership: Membership::Accepted,
        observed_role,
        data_path_port: cluster.data_path_port,
        ..Node::default()
    };
    tx.create(node)?;
    Ok(IssueAnswer { node_id, certificate })
}

fn record(id: &NodeId, role: ObservedRole, request: &IssueRequest, certificate: &str) -> Certificate {
    Certificate {
        role,
        request: request.csr.clone(),
        state: Issuance::Issued,
        error: String::new(),
        certificate: certificate.to_owned(),
        common_name: id.to_string(),
    }
}

fn sign(
    cluster: &Cluster,
    node_id: &str,
    role: Role,
    csr: &str,
    now: OffsetDateTime,
) -> Result<String, Status> {
    let (authority, intermediates) = signer(cluster)?;
    let grant = Grant { node_id, role, cluster_id: cluster.id.as_str(), validity: validity(cluster) };
    let certificate = authority.sign(csr, grant, now).map_err(|error| match error {
        AuthorityError::Request(_) => Status::invalid("failed to sign CSR"),
        error => unusable(&error),
    })?;
    Ok(format!("{certificate}{intermediates}"))
}

fn unusable(error: &AuthorityError) -> Status {
    Status::new(Code::Internal, error.to_string())
}

/// How long the cluster's certificates live.
pub fn validity(cluster: &Cluster) -> Duration {
    let wanted = cluster.spec.ca_config.as_ref().and_then(|config| config.node_cert_expiry);
    wanted.filter(|wanted| *wanted > 0).map_or(NODE_VALIDITY, Duration::nanoseconds)
}

/// The role that a token gives, if it is one of the cluster's.
fn token_role(cluster: &Cluster, token: &str) -> Option<Role> {
    let token: JoinToken = token.parse().ok()?;
    let is = |ours: &Option<String>| {
        ours.as_deref().and_then(|ours| ours.parse().ok()).is_some_and(|ours: JoinToken| ours.matches(&token))
    };
    let tokens = &cluster.root_ca.join_tokens;
    match (is(&tokens.manager), is(&tokens.worker)) {
        (true, _) => Some(Role::Manager),
        (_, true) => Some(Role::Worker),
        _ => None,
    }
}

pub(crate) fn role_of(role: ObservedRole) -> Role {
    match role {
        ObservedRole::Manager => Role::Manager,
        ObservedRole::Worker => Role::Worker,
    }
}

pub(crate) fn observed(role: Role) -> ObservedRole {
    match role {
        Role::Manager => ObservedRole::Manager,
        Role::Worker => ObservedRole::Worker,
    }
}

pub(crate) fn spec_role(role: Role) -> crate::objects::Role {
    match role {
        Role::Manager => crate::objects::Role::MANAGER,
        Role::Worker => crate::objects::Role::WORKER,
    }
}
