//! Another root for a running cluster, without a call refused on the way.
//!
//! ```text
//!  begun: certificates are signed by the new root and carry it as an intermediate of the old one
//!    │      nodes are told, one write at a time, to ask for such a certificate
//!    ▼
//!  all nodes have one: the new root is the root; tokens carry its digest; nodes are told to trust it
//! ```
//! At every moment each node's certificate chains to the root of each other. The steps are pure; the leader takes them when nodes change.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use time::OffsetDateTime;

use crate::identity::{JoinToken, RootAuthority, TrustRoot};
use crate::objects::{Cluster, Issuance, Node, RootCa, RootRotation};
use crate::store::Transaction;
use crate::{Code, Status};

/// How many nodes are told at once.
const AT_ONCE: usize = 20;

/// Begins a rotation to `next`, or to a fresh root.
pub fn begin(cluster: &mut Cluster, next: Option<RootAuthority>, now: OffsetDateTime) -> Result<(), Status> {
    let failed = |error: crate::identity::AuthorityError| Status::new(Code::Internal, error.to_string());
    let next = next.map_or_else(|| RootAuthority::create(now), Ok).map_err(failed)?;
    let old = current(&cluster.root_ca)?;
    cluster.root_ca.rotation = Some(RootRotation {
        certificate: next.root().pem().to_owned(),
        key: Some(next.key_pem().to_owned()),
        cross_signed: old.cross_sign(next.root()).map_err(failed)?,
    });
    Ok(())
}

/// Goes on with a rotation: tells more nodes, or finishes. Nothing changes while none runs or all who were told are not done.
pub fn go_on(tx: &mut Transaction<'_>) -> Result<(), Status> {
    let Some(cluster) = tx.cluster().cloned() else { return Ok(()) };
    let Some(rotation) = &cluster.root_ca.rotation else { return Ok(()) };
    let next = TrustRoot::from_pem(&rotation.certificate)?;
    let issuer = STANDARD.encode(next.public_key()?);
    let behind: Vec<_> = tx.nodes().iter().filter(|node| !is_issued_by(node, &issuer)).cloned().collect();
    if behind.is_empty() {
        return finish(tx, &cluster, rotation, &next);
    }
    let told = behind.iter().filter(|node| node.certificate.state == Issuance::Rotate).count();
    let untold = behind.iter().filter(|node| node.certificate.state != Issuance::Rotate);
    for node in untold.take(AT_ONCE.saturating_sub(told)) {
        let mut node = node.as_ref().clone();
        node.certificate.state = Issuance::Rotate;
        tx.update(node)?;
    }
    Ok(())
}

fn finish(
    tx: &mut Transaction<'_>,
    cluster: &Cluster,
    rotation: &RootRotation,
    next: &TrustRoot,
) -> Result<(), Status> {
    let mut cluster = cluster.clone();
    let token = |old: &Option<String>| {
        let old: Option<JoinToken> = old.as_deref().and_then(|old| old.parse().ok());
        old.map(|old| old.for_authority(next.digest()).to_string())
    };
    let tokens = &cluster.root_ca.join_tokens;
    cluster.root_ca = RootCa {
        key: rotation.key.clone(),
        certificate: rotation.certificate.clone(),
        digest: digest_text(next),
        join_tokens: crate::objects::JoinTokens {
            worker: token(&tokens.worker),
            manager: token(&tokens.manager),
        },
        rotation: None,
        last_forced_rotation: cluster.root_ca.last_forced_rotation,
    };
    tx.update(cluster).map_err(Status::from)
}

/// What the node itself said: that it was given a certificate is not that it has it.
fn is_issued_by(node: &Node, issuer: &str) -> bool {
    let tls = node.description.as_ref().and_then(|description| description.tls_info.as_ref());
    tls.and_then(|tls| tls.cert_issuer_public_key.as_deref()) == Some(issuer)
}

fn current(root: &RootCa) -> Result<RootAuthority, Status> {
    let key =
        root.key.as_deref().ok_or_else(|| Status::new(Code::FailedPrecondition, "no valid signer found"))?;
    Ok(RootAuthority::from_pem(&root.certificate, key)?)
}

/// `sha256:…`, as the cluster object keeps it.
pub fn digest_text(root: &TrustRoot) -> String {
    let digits: String = root.digest().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}
