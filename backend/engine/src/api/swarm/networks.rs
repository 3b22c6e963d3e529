//! Networks of the swarm behind `/networks`: on a manager they are shown, made and removed beside the engine's own.

use std::sync::Arc;

use bollard_stubs::models::{self, NetworkCreateRequest, ServiceSpec};
use drydock_swarm::allocator::is_predefined;
use drydock_swarm::ask::Wish;
use drydock_swarm::manager::ClusterError;
use drydock_swarm::objects::{Network, NetworkAttachmentConfig};
use drydock_swarm::{Status, api};
use http::StatusCode;

use super::{refused, wish};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::network::is_predefined as is_own;

/// The networks that a manager shows beside those the engine takes part in; none on other nodes.
pub async fn list(engine: &Engine) -> Vec<models::Network> {
    let Ok(swarm) = engine.swarm() else { return Vec::new() };
    let shown = swarm.read(|view, _| {
        let shown = view.networks().iter().filter(|network| !is_predefined(network));
        shown.map(|network| api::network(network)).collect()
    });
    // A swarm without a leader shows what the engine itself knows.
    shown.await.unwrap_or_default()
}

/// The one that a client means; `None` when this is no manager, or there is no such network.
pub async fn find(engine: &Engine, reference: &str) -> ApiResult<Option<Arc<Network>>> {
    let Ok(swarm) = engine.swarm() else { return Ok(None) };
    if swarm.manager().is_err() {
        return Ok(None);
    }
    let found = swarm.read(|view, _| view.resolve(view.networks(), reference).map(|found| found.cloned()));
    match found.await? {
        Ok(network) => Ok(network),
        Err(ambiguous) => Err(refused(&api::ambiguous("network", reference, ambiguous))),
    }
}

/// Makes an overlay network; its id. `None` when this engine manages no swarm.
pub async fn create(engine: &Engine, request: NetworkCreateRequest) -> ApiResult<Option<String>> {
    match engine.swarm()?.manager() {
        Ok(_) => {}
        Err(ClusterError::NotInSwarm | ClusterError::NotManager) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    if is_own(&request.name) {
        let name = &request.name;
        return Err(ApiError::forbidden(format!("operation is not permitted on predefined {name} network ")));
    }
    if engine.networks.resolve(&request.name).is_ok() {
        return Err(ApiError::conflict(format!("network with name {} already exists", request.name)));
    }
    crate::network::read_plans(request.ipam.as_ref())?;
    wish(engine, Wish::CreateNetwork { spec: request }).await.map(Some)
}

pub async fn remove(engine: &Engine, network: &Network) -> ApiResult<()> {
    wish(engine, Wish::RemoveNetwork { id: network.id.clone() }).await.map(drop)
}

/// Removes those that no service uses; their names.
pub async fn prune(engine: &Engine, is_wanted: impl Fn(&models::Network) -> bool) -> Vec<String> {
    let mut removed = Vec::new();
    for network in list(engine).await {
        let is_ingress = network.ingress.unwrap_or(false);
        let (Some(id), Some(name)) = (network.id.clone(), network.name.clone()) else { continue };
        if is_ingress || !is_wanted(&network) {
            continue;
        }
        // One that is in use stays.
        if wish(engine, Wish::RemoveNetwork { id: id.into() }).await.is_ok() {
            removed.push(name);
        }
    }
    removed
}

/// Names of networks in a service's spec become ids, in both places where they may be.
pub async fn resolve(engine: &Engine, spec: &mut ServiceSpec) -> ApiResult<()> {
    let of_tasks = spec.task_template.as_mut().and_then(|template| template.networks.as_mut());
    for places in [of_tasks, spec.networks.as_mut()].into_iter().flatten() {
        for place in places {
            resolve_one(engine, place).await?;
        }
    }
    Ok(())
}

async fn resolve_one(engine: &Engine, wanted: &mut NetworkAttachmentConfig) -> ApiResult<()> {
    let target = wanted.target.clone().unwrap_or_default();
    if let Some(network) = find(engine, &target).await? {
        wanted.target = Some(network.id.to_string());
        return Ok(());
    }
    match engine.networks.inspect(&target) {
        // Every node has it by itself, and the swarm has it under the same name.
        Some(own) if is_own(&own.name) && own.name != target => {
            let network = find(engine, &own.name).await?;
            wanted.target = network.map(|network| network.id.to_string());
            Ok(())
        }
        Some(own) => Err(ApiError::new(
            StatusCode::FORBIDDEN,
            format!(
                "The network {} cannot be used with services. Only networks scoped to the swarm can be used, such as \
                 those created with the overlay driver.",
                own.name
            ),
        )),
        None => Err(refused(&missing(&target))),
    }
}

fn missing(reference: &str) -> Status {
    api::not_found("network", reference)
}
