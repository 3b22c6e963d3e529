//! `docker network rm` and `prune`.

use drydock_networks::bridge::BridgeError;
use drydock_networks::sublink::{self, Parent};

use super::gateway;
use super::inspect::Filters;
use super::leave::Remains;
use super::record::{Driver, Record, option};
use super::service::Inner;
use crate::error::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("network {0} not found")]
    NotFound(String),
    #[error("{0} is a pre-defined network and cannot be removed")]
    Predefined(String),
    #[error("error while removing network: network {network} has active endpoints ({endpoints})")]
    Active { network: String, endpoints: String },
    #[error(
        "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run \
         this command on a manager node or promote the current node to a manager."
    )]
    OfSwarm,
    #[error("error while removing network: configuration network \"{0}\" is in use")]
    Configures(String),
    #[error("remove link {link}")]
    Parent { link: String, source: drydock_networks::sublink::SublinkError },
    #[error("remove bridge {link}")]
    Bridge { link: String, source: BridgeError },
    #[error("remove the record of network {name}")]
    Record { name: String, source: std::io::Error },
    #[error("the engine is shutting down")]
    Ending,
}

impl From<RemoveError> for ApiError {
    fn from(error: RemoveError) -> Self {
        let status = match &error {
            RemoveError::NotFound(_) => http::StatusCode::NOT_FOUND,
            RemoveError::Predefined(_) | RemoveError::Active { .. } | RemoveError::Configures(_) => {
                http::StatusCode::FORBIDDEN
            }
            RemoveError::OfSwarm => http::StatusCode::SERVICE_UNAVAILABLE,
            _ => http::StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

impl Inner {
    /// Blocks for the kernel.
    pub(super) fn remove(&self, reference: &str) -> Result<(), RemoveError> {
        let record = self.close(reference)?;
        let removed = self.unmake(&record);
        let mut state = self.state();
        if removed.is_ok() {
            state.networks.remove(&record.id);
        } else if let Some(network) = state.networks.get_mut(&record.id) {
            network.is_leaving = false;
        }
        drop(state);
        removed?;
        self.shown.notify_one();
        self.tell("destroy", &record, None);
        Ok(())
    }

    /// From here on nobody can join.
    fn close(&self, reference: &str) -> Result<Record, RemoveError> {
        let mut state = self.state();
        let not_found = || RemoveError::NotFound(reference.to_owned());
        let configures = state.find(reference).map(|network| network.record.clone()).filter(|pattern| {
            pattern.config_only
                && state.networks.values().any(|other| other.record.config_from == pattern.name)
        });
        if let Some(pattern) = configures {
            return Err(RemoveError::Configures(pattern.name.clone()));
        }
        let network = state.find_mut(reference).ok_or_else(not_found)?;
        if network.record.driver == Driver::Overlay {
            return Err(RemoveError::OfSwarm);
        }
        let record = (*network.record).clone();
        if record.is_predefined() {
            return Err(RemoveError::Predefined(record.name));
        }
        if !network.endpoints.is_empty() {
            let endpoints = network.endpoints.values();
            let mut endpoints: Vec<String> = endpoints
                .map(|endpoint| {
                    format!("name:\"{}\" id:\"{}\"", endpoint.container_name, endpoint.id.short())
                })
                .collect();
            endpoints.sort_unstable();
            return Err(RemoveError::Active { network: record.name, endpoints: endpoints.join(", ") });
        }
        if std::mem::replace(&mut network.is_leaving, true) {
            return Err(not_found());
        }
        Ok(record)
    }

    /// Rules and addresses go at once. The kernel takes some 50 ms to delete the link: nobody waits
    /// for that, unless the link has a name that the next network may want.
    fn unmake(&self, record: &Record) -> Result<(), RemoveError> {
        let is_shared = |parent: &Parent| {
            let state = self.state();
            let mut others = state.networks.values().filter(|other| other.record.id != record.id);
            others.any(|other| {
                super::create::sublink(&other.record).is_some() && other.record.parent() == *parent
            })
        };
        if super::create::sublink(record).is_some()
            && let parent = record.parent()
            && !is_shared(&parent)
        {
            sublink::delete_parent(self.host.namespace(), &parent)
                .map_err(|source| RemoveError::Parent { link: parent.name().to_owned(), source })?;
        }
        let kept = |source| RemoveError::Record { name: record.name.clone(), source };
        let Some(bridge) = record.bridge() else { return self.shelf.forget(&record.id).map_err(kept) };
        let failed = |source| RemoveError::Bridge { link: bridge.name.clone(), source };
        if record.options.contains_key(option::NAME) {
            self.host.delete_bridge(&bridge).map_err(failed)?;
            return self.shelf.forget(&record.id).map_err(kept);
        }
        self.host.retire_bridge(&bridge).map_err(failed)?;
        self.shelf.retire(&record.id).map_err(kept)?;
        let network = Some(record.id.clone());
        self.tear_down(Remains { links: vec![bridge.name], network, ..Remains::default() });
        Ok(())
    }

    /// Removes what nobody uses; answers names. Goes on after a failure.
    pub(super) fn prune(&self, filters: &Filters) -> Vec<String> {
        // Containers to come need it.
        let kept = if self.is_in_swarm() { gateway::NAME } else { "" };
        let candidates: Vec<(String, String)> = {
            let state = self.state();
            let unused = state.networks.values().filter(|network| {
                !network.record.is_predefined()
                    // Its managers remove it.
                    && network.record.driver != Driver::Overlay
                    && network.record.name != kept
                    && !network.record.config_only
                    && network.endpoints.is_empty()
                    && filters.admit(network)
            });
            unused.map(|network| (network.record.id.to_string(), network.record.name.clone())).collect()
        };
        let mut removed = Vec::new();
        for (id, name) in candidates {
            match self.remove(&id) {
                Ok(()) => removed.push(name),
                Err(error) => tracing::warn!(network.name = name, %error, "cannot prune network"),
            }
        }
        removed.sort_unstable();
        removed
    }
}
