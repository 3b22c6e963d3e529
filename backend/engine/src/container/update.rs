//! `docker update`: new limits and another restart policy.

use std::sync::Arc;

use bollard_stubs::models::{HostConfig, RestartPolicyNameEnum};
use drydock_shim::protocol::Request;
use http::StatusCode;

use crate::container::check::resources::{self as limits, When};
use crate::container::check::{self, Refused};
use crate::container::live::SaveError;
use crate::container::record::Status;
use crate::container::shim::{self, ShimError};
use crate::container::spec::resources;
use crate::container::{Container, publish};
use crate::engine::Engine;
use crate::error::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("Cannot update container {id}: {why}")]
    Conflict { id: String, why: &'static str },
    #[error("Cannot update container {id}")]
    Device { id: String, source: resources::BlockDeviceError },
    #[error("Cannot update container {id}: runc did not terminate successfully: exit status 1")]
    Shim { id: String, source: ShimError },
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        let status = match error {
            UpdateError::Refused(_) => StatusCode::BAD_REQUEST,
            UpdateError::Conflict { .. } => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

/// What moby checks before it looks for the container; answers what to warn of.
pub fn check(engine: &Engine, wanted: &mut HostConfig) -> Result<Vec<String>, UpdateError> {
    check::restart_policy(wanted.restart_policy.as_ref())?;
    Ok(limits::check(wanted, &engine.host, When::Update)?)
}

/// Changes the container, and what runs of it.
pub async fn update(
    engine: &Engine,
    container: &Arc<Container>,
    wanted: &HostConfig,
) -> Result<(), UpdateError> {
    let _one_verb = container.verbs.lock().await;
    let id = || container.id.to_string();
    let (mut config, status) = {
        let record = container.record();
        (record.host_config.clone(), record.state.status)
    };
    if matches!(status, Status::Removing | Status::Dead) {
        let why = "container is marked for removal and cannot be \"update\"";
        return Err(UpdateError::Conflict { id: id(), why });
    }
    apply(&mut config, wanted).map_err(|why| UpdateError::Conflict { id: id(), why })?;
    if status.is_live() {
        let resources = resources::resources(&config, &engine.host)
            .map_err(|source| UpdateError::Device { id: id(), source })?;
        let request = Request::Update { resources: Box::new(resources) };
        let updated = shim::command(&container.run_dir, &request).await;
        updated.map_err(|source| UpdateError::Shim { id: id(), source })?;
    }
    container.update(|record| record.host_config = config)?;
    publish(engine, container, "update", []);
    Ok(())
}

/// What is given replaces what was; zero and empty are "not given".
fn apply(config: &mut HostConfig, wanted: &HostConfig) -> Result<(), &'static str> {
    processors(config, wanted)?;
    memory(config, wanted)?;
    if wanted.blkio_weight.is_some_and(|weight| weight != 0) {
        config.blkio_weight = wanted.blkio_weight;
    }
    if let Some(limit) = wanted.pids_limit {
        config.pids_limit = Some(limit.max(0));
    }
    let policy = wanted
        .restart_policy
        .as_ref()
        .filter(|policy| !matches!(policy.name, None | Some(RestartPolicyNameEnum::EMPTY)));
    if let Some(policy) = policy {
        if config.auto_remove.unwrap_or(false) && policy.name != Some(RestartPolicyNameEnum::NO) {
            return Err("Restart policy cannot be updated because AutoRemove is enabled for the container");
        }
        config.restart_policy = Some(policy.clone());
    }
    Ok(())
}

fn replace<T: Default + PartialEq + Clone>(own: &mut Option<T>, new: &Option<T>) {
    if new.as_ref().is_some_and(|new| *new != T::default()) {
        own.clone_from(new);
    }
}

/// `--cpus` and the two numbers it stands for exclude each other, also over time.
fn processors(config: &mut HostConfig, wanted: &HostConfig) -> Result<(), &'static str> {
    let set = |value: Option<i64>| value.unwrap_or(0) > 0;
    if set(wanted.nano_cpus) && set(config.cpu_period) {
        return Err("Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set");
    }
    if set(wanted.nano_cpus) && set(config.cpu_quota) {
        return Err("Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set");
    }
    if set(wanted.cpu_period) && set(config.nano_cpus) {
        return Err("Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set");
    }
    if set(wanted.cpu_quota) && set(config.nano_cpus) {
        return Err("Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set");
    }
    replace(&mut config.cpu_shares, &wanted.cpu_shares);
    replace(&mut config.nano_cpus, &wanted.nano_cpus);
    replace(&mut config.cpu_period, &wanted.cpu_period);
    replace(&mut config.cpu_quota, &wanted.cpu_quota);
    replace(&mut config.cpu_realtime_period, &wanted.cpu_realtime_period);
    replace(&mut config.cpu_realtime_runtime, &wanted.cpu_realtime_runtime);
    replace(&mut config.cpuset_cpus, &wanted.cpuset_cpus);
    replace(&mut config.cpuset_mems, &wanted.cpuset_mems);
    Ok(())
}

fn memory(config: &mut HostConfig, wanted: &HostConfig) -> Result<(), &'static str> {
    let (limit, swap) = (wanted.memory.unwrap_or(0), config.memory_swap.unwrap_or(0));
    if limit != 0 && limit > swap && wanted.memory_swap.unwrap_or(0) == 0 {
        return Err(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        );
    }
    replace(&mut config.memory, &wanted.memory);
    replace(&mut config.memory_swap, &wanted.memory_swap);
    replace(&mut config.memory_reservation, &wanted.memory_reservation);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_excludes_each_other_does_so_over_time() {
        let nano = HostConfig { nano_cpus: Some(5), ..HostConfig::default() };
        let quota = HostConfig { cpu_quota: Some(5), ..HostConfig::default() };
        assert!(apply(&mut nano.clone(), &quota).is_err() && apply(&mut quota.clone(), &nano).is_err());
        let mut small = HostConfig { memory: Some(1), memory_swap: Some(2), ..HostConfig::default() };
        let big = |memory_swap| HostConfig { memory: Some(3), memory_swap, ..HostConfig::default() };
        assert!(apply(&mut small, &big(None)).is_err());
        assert!(apply(&mut small, &big(Some(4))).is_ok());
        assert_eq!((small.memory, small.memory_swap), (Some(3), Some(4)));
    }
}
