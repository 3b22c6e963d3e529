//! A container gives its sandbox back. What others may want, ports, names and addresses, is free when
//! `leave` answers; links and namespaces are taken apart by a task behind it, many at a time, because the
//! kernel is slow there.

use std::path::PathBuf;
use std::sync::PoisonError;

use drydock_networks::netlink::NetlinkError;
use drydock_networks::{NetNs, sublink};

use super::overlay::Balance;
use super::service::Inner;
use super::state::Endpoint;
use crate::id::Id;

/// What is left of a sandbox or a network: nobody uses it any more.
#[derive(Debug, Default)]
pub struct Remains {
    pub links: Vec<String>,
    pub namespace: Option<PathBuf>,
    /// Its rules: closing their socket waits for the kernel.
    pub balance: Option<Balance>,
    /// Whether the sandbox was on a network of a swarm, which may be wanted no more.
    pub was_on_overlay: bool,
    /// The retired record of a network, to be forgotten once its bridge is gone.
    pub network: Option<Id>,
}

#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    #[error("close the published ports of container {container}")]
    Ports { container: Id, source: drydock_networks::bridge::BridgeError },
}

impl Inner {
    /// Takes a container's sandbox away. Nothing happens when there is none.
    pub(super) fn leave(&self, container: &Id) -> Result<(), LeaveError> {
        self.see_off(container);
        let (sandbox, records) = {
            let mut state = self.state();
            let Some(sandbox) = state.sandboxes.remove(container) else { return Ok(()) };
            let records = state.records(&sandbox.endpoints);
            (sandbox, records)
        };
        let closed = if sandbox.publications.is_empty() {
            Ok(())
        } else {
            self.shown.notify_one();
            self.host
                .unpublish(&sandbox.publications)
                .map_err(|source| LeaveError::Ports { container: container.clone(), source })
        };
        let balance = self.balances.lock().unwrap_or_else(PoisonError::into_inner).remove(container);
        self.tear_down(Remains { balance, ..Remains::default() });
        drop(sandbox.leases);
        drop(sandbox.name_server);
        for record in records.values() {
            self.tell("disconnect", record, Some(container));
        }
        self.discard(sandbox.endpoints.into_values(), Some(sandbox.path));
        closed
    }

    /// Takes endpoints off their networks and leaves their links to be taken apart.
    pub(super) fn discard(&self, endpoints: impl Iterator<Item = Endpoint>, namespace: Option<PathBuf>) {
        let endpoints: Vec<Endpoint> = endpoints.collect();
        let (overlaid, plain): (Vec<Endpoint>, Vec<Endpoint>) = {
            let state = self.state();
            endpoints.iter().cloned().partition(|endpoint| state.is_on_overlay(endpoint))
        };
        self.silence_in_switches(&overlaid);
        let links: Vec<String> = plain.iter().map(Endpoint::host_link).collect();
        if let Some(path) = &namespace {
            self.detach_sublinks(&endpoints, path);
        }
        match self.host.silence(&links) {
            Ok(()) => {
                let mut state = self.state();
                endpoints.iter().for_each(|endpoint| state.unplug(endpoint));
            }
            // Its addresses stay taken: something may still answer for them.
            Err(error) => tracing::warn!(%error, "cannot silence a container's links"),
        }
        let was_on_overlay = !overlaid.is_empty();
        self.tear_down(Remains { links, namespace, was_on_overlay, ..Remains::default() });
    }

    /// Links on a link of the host: the next container with the same hardware address could not have its own
    /// while one of these waits to be taken apart.
    fn detach_sublinks(&self, endpoints: &[Endpoint], namespace: &std::path::Path) {
        let is_sublink = |endpoint: &&Endpoint| {
            let state = self.state();
            state
                .networks
                .get(&endpoint.network)
                .is_some_and(|network| super::create::sublink(&network.record).is_some())
        };
        for endpoint in endpoints.iter().filter(is_sublink) {
            let detached = NetNs::open(namespace)
                .map_err(NetlinkError::Open)
                .and_then(|inside| sublink::detach(&inside, &endpoint.link));
            if let Err(error) = detached {
                tracing::warn!(endpoint.id = %endpoint.id, %error, "cannot delete a link");
            }
        }
    }

    /// Queues what is left for the task that takes it apart.
    pub(super) fn tear_down(&self, remains: Remains) {
        if let Err(unsent) = self.remains.send(remains) {
            // The task ends only with the runtime; what is left is swept at the next start.
            tracing::debug!("left for the next start: {:?}", unsent.0);
        }
    }

    /// Takes apart what was queued. Goes on after a failing step; the next start sweeps the rest.
    pub(super) fn take_apart(&self, mut all: Vec<Remains>) {
        all.iter_mut().for_each(|remains| drop(remains.balance.take()));
        let links: Vec<String> = all.iter().flat_map(|remains| remains.links.iter().cloned()).collect();
        let deleted = self.host.delete_links(&links);
        if let Err(error) = &deleted {
            tracing::warn!(?links, %error, "cannot delete links");
        }
        for path in all.iter().filter_map(|remains| remains.namespace.as_ref()) {
            if let Err(error) = NetNs::remove(path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a network namespace");
            }
        }
        if all.iter().any(|remains| remains.was_on_overlay) {
            self.forget_unwanted();
        }
        for id in all.iter().filter_map(|remains| remains.network.as_ref()).filter(|_| deleted.is_ok()) {
            if let Err(error) = self.shelf.forget(id) {
                tracing::warn!(network.id = %id, %error, "cannot remove a network's record");
            }
        }
    }
}
