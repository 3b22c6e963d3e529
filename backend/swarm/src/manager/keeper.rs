//! Keeps the node's certificate: renewed in time, of the role the cluster says, and of the root it trusts.
//!
//! One task. Renewals go to whichever manager answers, and are tried until one does: the node works on with the old certificate.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::sleep;

use super::node::Shared;
use crate::Status;
use crate::ca::issue::role_of;
use crate::ca::join::next_identity;
use crate::dispatcher::calls::SessionMessage;
use crate::identity::{Identity, TrustRoot};
use crate::objects::Issuance;

/// How long to wait between tries.
const RETRY: Duration = Duration::from_millis(250);
/// The clock may be set: nobody sleeps longer without looking at it.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

pub(super) async fn keep(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.end.cancelled() => {}
        () = watch_over(&shared) => {}
    }
}

async fn watch_over(shared: &Shared) {
    let mut told = shared.told.subscribe();
    let mut renewed_for = None;
    loop {
        let message = told.borrow_and_update().clone();
        if let Some(message) = &message {
            shared.remember_remotes();
            trust(shared, message);
        }
        let request = message.as_ref().map(|message| message.node.certificate.request.clone());
        let is_wanted = message.as_ref().is_some_and(|message| is_other_wanted(shared, message))
            && renewed_for != request;
        if is_wanted || is_due(shared) {
            match renew(shared).await {
                Ok(()) => renewed_for = request,
                Err(error) => {
                    tracing::warn!(%error, "the certificate was not renewed, and will be");
                    sleep(RETRY).await;
                }
            }
            continue;
        }
        tokio::select! {
            changed = told.changed() => if changed.is_err() { return },
            () = sleep(until_due(shared)) => {}
        }
    }
}

/// Whether the cluster wants the node to have another certificate than it has.
fn is_other_wanted(shared: &Shared, message: &SessionMessage) -> bool {
    let certificate = &message.node.certificate;
    certificate.state == Issuance::Rotate || role_of(message.node.observed_role) != shared.credentials.role()
}

fn is_due(shared: &Shared) -> bool {
    due_at(shared) <= OffsetDateTime::now_utc()
}

fn until_due(shared: &Shared) -> Duration {
    let left = due_at(shared) - OffsetDateTime::now_utc();
    Duration::try_from(left).unwrap_or(Duration::ZERO).clamp(RETRY, LONGEST_SLEEP)
}

fn due_at(shared: &Shared) -> OffsetDateTime {
    let identity = shared.credentials.get();
    let spread = identity.subject.node_id.bytes().fold(0u8, u8::wrapping_add);
    identity.subject.renew_at(f64::from(spread) / 255.0)
}

/// Trusts what the leader trusts, if the node's own certificate chains to it.
fn trust(shared: &Shared, message: &SessionMessage) {
    let now = shared.credentials.get();
    let Ok(root) = TrustRoot::from_pem(&message.root_ca) else { return };
    if root == now.root {
        return;
    }
    match Identity::new(root.clone(), now.certificate.clone(), now.key.clone()) {
        Ok(identity) => {
            if let Err(error) = shared.files.save_root(&root) {
                tracing::warn!(%error, "the new trust root was not written down");
                return;
            }
            shared.credentials.replace(identity);
            tracing::info!("the node trusts another root");
        }
        Err(error) => tracing::warn!(%error, "the node's certificate is not of the new root"),
    }
}

async fn renew(shared: &Shared) -> Result<(), Status> {
    let mut last = crate::wire::no_leader();
    for attempt in 0..3 {
        let Some(address) = shared.remotes.pick(attempt) else { break };
        match next_identity(&shared.pool, &address).await {
            Ok(identity) => {
                let role = identity.subject.role;
                shared
                    .adopt(identity)
                    .map_err(|error| Status::new(crate::Code::Internal, error.to_string()))?;
                tracing::info!(role = role.unit(), "the certificate was renewed");
                return Ok(());
            }
            Err(status) => {
                shared.remotes.failed(&address);
                last = status;
            }
        }
    }
    Err(last)
}
