//! `docker update`: new limits and another restart policy.

use std::sync::Arc;

use bollard_stubs::models::{ContainerUpdateBody, HostConfig};
use drydock_shim::protocol::Request;
use http::StatusCode;

use crate::container::live::SaveError;
use crate::container::shim::{self, ShimError};
use crate::container::spec::resources;
use crate::container::{Container, publish};
use crate::engine::Engine;
use crate::error::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("Restart policy cannot be updated because AutoRemove is enabled for the container")]
    AutoRemove,
    #[error(
        "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time"
    )]
    Swap,
    #[error("Cannot update container {id}")]
    Shim { id: String, source: ShimError },
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        let status = match error {
            UpdateError::AutoRemove | UpdateError::Swap => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

pub async fn update(
    engine: &Engine,
    container: &Arc<Container>,
    wanted: ContainerUpdateBody,
) -> Result<(), UpdateError> {
    let _one_verb = container.verbs.lock().await;
    let (mut config, live) = {
        let record = container.record();
        (record.host_config.clone(), record.state.status.is_live())
    };
    apply(&mut config, wanted)?;
    if live {
        let resources = Box::new(resources::resources(&config, &engine.host));
        let updated = shim::command(&container.run_dir, &Request::Update { resources }).await;
        updated.map_err(|source| UpdateError::Shim { id: container.id.to_string(), source })?;
    }
    container.update(|record| record.host_config = config)?;
    publish(engine, container, "update", []);
    Ok(())
}

/// What is given replaces what was; zero and empty are "not given".
fn apply(config: &mut HostConfig, wanted: ContainerUpdateBody) -> Result<(), UpdateError> {
    let number = |own: &mut Option<i64>, new: Option<i64>| {
        if new.is_some_and(|new| new != 0) {
            *own = new;
        }
    };
    let text = |own: &mut Option<String>, new: Option<String>| {
        if new.as_ref().is_some_and(|new| !new.is_empty()) {
            *own = new;
        }
    };
    let memory = wanted.memory.unwrap_or(0);
    let swap = config.memory_swap.unwrap_or(0);
    if memory > 0 && swap > 0 && memory > swap && wanted.memory_swap.unwrap_or(0) == 0 {
        return Err(UpdateError::Swap);
    }
    number(&mut config.cpu_shares, wanted.cpu_shares);
    number(&mut config.memory, wanted.memory);
    number(&mut config.memory_swap, wanted.memory_swap);
    number(&mut config.memory_reservation, wanted.memory_reservation);
    number(&mut config.cpu_period, wanted.cpu_period);
    number(&mut config.cpu_quota, wanted.cpu_quota);
    number(&mut config.nano_cpus, wanted.nano_cpus);
    number(&mut config.pids_limit, wanted.pids_limit);
    text(&mut config.cpuset_cpus, wanted.cpuset_cpus);
    text(&mut config.cpuset_mems, wanted.cpuset_mems);
    let policy =
        wanted.restart_policy.filter(|policy| policy.name.is_some_and(|name| !name.to_string().is_empty()));
    if let Some(policy) = policy {
        if config.auto_remove.unwrap_or(false) {
            return Err(UpdateError::AutoRemove);
        }
        config.restart_policy = Some(policy);
    }
    Ok(())
}
