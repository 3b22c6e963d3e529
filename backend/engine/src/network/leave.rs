//! A container gives its sandbox back. What others may want at once, ports and names, is free when
//! `leave` answers; links and namespaces are taken apart by a task behind it, many at a time, because the
//! kernel is slow there; addresses are given out again after that.

use std::path::PathBuf;

use drydock_networks::NetNs;

use super::service::Inner;
use super::state::Endpoint;
use crate::id::Id;

/// What is left of a sandbox.
#[derive(Debug)]
pub struct Remains {
    /// Who waits for its addresses when it starts again.
    pub container: Option<Id>,
    pub endpoints: Vec<Endpoint>,
    pub namespace: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    #[error("close the published ports of container {container}")]
    Ports { container: Id, source: drydock_networks::bridge::BridgeError },
}

impl Inner {
    /// Takes a container's sandbox away. Nothing happens when there is none.
    pub(super) fn leave(&self, container: &Id) -> Result<(), LeaveError> {
        let (sandbox, records) = {
            let mut state = self.state();
            let Some(sandbox) = state.sandboxes.remove(container) else { return Ok(()) };
            let records = state.records(&sandbox.endpoints);
            sandbox.endpoints.values().for_each(|endpoint| state.unplug(endpoint));
            (sandbox, records)
        };
        let closed = if sandbox.publications.is_empty() {
            Ok(())
        } else {
            self.host
                .unpublish(&sandbox.publications)
                .map_err(|source| LeaveError::Ports { container: container.clone(), source })
        };
        drop(sandbox.leases);
        drop(sandbox.name_server);
        for record in records.values() {
            self.tell("disconnect", record, Some(container));
        }
        self.tear_down(Remains {
            container: Some(container.clone()),
            endpoints: sandbox.endpoints.into_values().collect(),
            namespace: Some(sandbox.path),
        });
        closed
    }

    /// Queues what is left for the task that takes it apart.
    pub(super) fn tear_down(&self, remains: Remains) {
        if let Some(container) = &remains.container {
            self.leaving().insert(container.clone());
        }
        if let Err(unsent) = self.remains.send(remains) {
            // The task ends only with the runtime; what is left is swept at the next start.
            tracing::debug!("left for the next start: {:?}", unsent.0.namespace);
        }
    }

    /// Takes apart what was queued. Goes on after a failing step; the next start sweeps the rest.
    pub(super) fn take_apart(&self, all: Vec<Remains>) {
        for remains in &all {
            for endpoint in &remains.endpoints {
                if let Err(error) = self.host.detach(&endpoint.host_link()) {
                    tracing::warn!(endpoint.id = %endpoint.id, %error, "cannot delete a link");
                }
            }
            if let Some(path) = &remains.namespace
                && let Err(error) = NetNs::remove(path)
            {
                tracing::warn!(path = %path.display(), %error, "cannot remove a network namespace");
            }
            let mut state = self.state();
            remains.endpoints.iter().for_each(|endpoint| state.forget(endpoint));
        }
        let mut leaving = self.leaving();
        all.iter().filter_map(|remains| remains.container.as_ref()).for_each(|container| {
            leaving.remove(container);
        });
        drop(leaving);
        self.taken_apart.notify_waiters();
    }

    /// Waits until nothing of the container's last sandbox is left, so that it can have the same
    /// addresses again.
    pub(super) async fn wait_until_gone(&self, container: &Id) {
        loop {
            let taken_apart = self.taken_apart.notified();
            tokio::pin!(taken_apart);
            taken_apart.as_mut().enable();
            if !self.leaving().contains(container) {
                return;
            }
            taken_apart.await;
        }
    }
}
