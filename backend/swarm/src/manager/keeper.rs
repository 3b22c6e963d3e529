//! Keeps the node's certificate: renewed in time, of the role the cluster says, and of the root it trusts.
//!
//! One task. Renewals go to whichever manager answers, and are tried until one does: the node works on with the old certificate.
//!
//! By a clock that is wrong a certificate may be due as soon as it is there, or never have been valid. Then a renewal is asked for less and
//! less often ([`Pace`]), what is the matter is said once ([`Credentials::complaint`](crate::identity::Credentials::complaint)), and with the right time all goes on.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

use super::node::Shared;
use crate::Status;
use crate::ca::issue::role_of;
use crate::ca::join::next_identity;
use crate::dispatcher::calls::SessionMessage;
use crate::identity::{Identity, TrustRoot};
use crate::objects::Issuance;

/// How long to wait between tries.
const RETRY: Duration = Duration::from_millis(250);
/// So long between tries at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The clock may be set: nobody sleeps longer without looking at it.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

pub(super) async fn keep(shared: Arc<Shared>) {
    tokio::select! {
        () = shared.end.cancelled() => {}
        () = watch_over(&shared) => {}
    }
}

async fn watch_over(shared: &Shared) {
    let mut told = shared.told.subscribe();
    let (mut renewed_for, mut pace, mut complained) = (None, Pace::default(), None);
    loop {
        complain(shared, &mut complained);
        let message = told.borrow_and_update().clone();
        if let Some(message) = &message {
            shared.remember_remotes();
            trust(shared, message);
        }
        let request = message.as_ref().map(|message| message.node.certificate.request.clone());
        let is_wanted = message.as_ref().is_some_and(|message| is_other_wanted(shared, message))
            && renewed_for != request;
        let is_due = is_due(shared);
        if !is_due {
            pace = Pace::default();
        }
        if is_wanted || (is_due && pace.left(Instant::now()).is_zero()) {
            pace.tried(Instant::now());
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
            () = sleep(if is_due { pace.left(Instant::now()) } else { until_due(shared) }) => {}
        }
    }
}

/// Says once what is the matter with the certificate, or rather with the clock.
fn complain(shared: &Shared, complained: &mut Option<String>) {
    let complaint = shared.credentials.complaint();
    if let Some(complaint) = complaint.as_ref().filter(|_| complained.is_none()) {
        tracing::error!("{complaint}");
    } else if complaint.is_none() && complained.is_some() {
        tracing::info!("the certificate is valid again");
    }
    *complained = complaint;
}

/// How soon a renewal that is due may be asked for again.
#[derive(Debug, Default)]
struct Pace {
    pause: Duration,
    next: Option<Instant>,
}

impl Pace {
    fn left(&self, now: Instant) -> Duration {
        self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }

    fn tried(&mut self, now: Instant) {
        self.pause = (self.pause * 2).clamp(RETRY, LONGEST_PAUSE);
        self.next = Some(now + self.pause);
    }
}

/// Whether the cluster wants the node to have another certificate than it has.
fn is_other_wanted(shared: &Shared, message: &SessionMessage) -> bool {
    let certificate = &message.node.certificate;
    certificate.state == Issuance::Rotate || role_of(message.node.observed_role) != shared.credentials.role()
}

/// Also one that a leader gave whose clock was ahead: nobody takes it until then.
fn is_due(shared: &Shared) -> bool {
    let now = OffsetDateTime::now_utc();
    due_at(shared) <= now || now < shared.credentials.get().subject.not_before
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_is_due_as_soon_as_it_is_there_is_renewed_less_and_less_often() {
        let (start, mut pace) = (Instant::now(), Pace::default());
        assert_eq!(pace.left(start), Duration::ZERO, "the first renewal waits for nothing");
        let (mut now, mut renewals) = (start, 0);
        while now < start + Duration::from_secs(3600) {
            pace.tried(now);
            renewals += 1;
            assert!(pace.left(now) >= RETRY);
            now += pace.left(now);
        }
        assert!(renewals < 75, "{renewals} within an hour");
    }
}
