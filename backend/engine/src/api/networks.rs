//! `/networks/…`.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bollard_stubs::models::{NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::body::{JsonBody, decode};
use super::swarm;
use crate::container::{Container, files};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::network::{Inspected, filters};

const LIST_FILTERS: &[&str] = &["name", "id", "driver", "type", "scope", "label", "dangling"];
const PRUNE_FILTERS: &[&str] = &["label", "label!", "until"];

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/networks", get(list))
        .route("/networks/create", post(create))
        .route("/networks/prune", post(prune))
        .route("/networks/{id}", get(inspect).delete(remove))
        .route("/networks/{id}/connect", post(connect))
        .route("/networks/{id}/disconnect", post(disconnect))
}

#[derive(Debug, Deserialize)]
struct Filtered {
    filters: Option<String>,
}

async fn list(State(engine): State<Arc<Engine>>, Query(query): Query<Filtered>) -> ApiResult {
    let filters = filters(query.filters.as_deref(), LIST_FILTERS)?;
    let own = engine.networks.list(&filters);
    let others = swarm::networks::list(&engine).await.into_iter();
    let others = others.filter(|other| !own.iter().any(|own| Some(&own.id) == other.id.as_ref()));
    let others: Vec<_> = others.filter(|other| filters.admit_other(other)).collect();
    let all = own.iter().map(|network| json!(network)).chain(others.iter().map(|network| json!(network)));
    Ok(Json(all.collect::<Vec<_>>()).into_response())
}

#[derive(Debug, Deserialize)]
struct Scoped {
    #[serde(default)]
    scope: String,
}

async fn inspect(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Scoped>,
) -> ApiResult {
    let has_scope = |scope: &str| query.scope.is_empty() || query.scope == scope;
    if let Some(network) = engine.networks.inspect(&id).filter(|network| has_scope(network.scope)) {
        return Ok(Json(network).into_response());
    }
    match swarm::networks::find(&engine, &id).await?.filter(|_| has_scope("swarm")) {
        Some(network) => Ok(Json(drydock_swarm::api::network(&network)).into_response()),
        None => Err(ApiError::not_found(format!("network {id} not found"))),
    }
}

async fn create(
    State(engine): State<Arc<Engine>>,
    JsonBody(mut body): JsonBody<serde_json::Map<String, serde_json::Value>>,
) -> ApiResult {
    // A request without a name is one with an empty name.
    if !body.iter().any(|(key, value)| key.eq_ignore_ascii_case("name") && !value.is_null()) {
        body.retain(|key, _| !key.eq_ignore_ascii_case("name"));
        body.insert("Name".to_owned(), "".into());
    }
    let request: NetworkCreateRequest = decode(body.into())?;
    let same_name = swarm::networks::find(&engine, &request.name).await?;
    if same_name.is_some_and(|found| found.name() == request.name)
        && !crate::network::is_predefined(&request.name)
    {
        return Err(ApiError::conflict(format!("network with name {} already exists", request.name)));
    }
    if request.driver.as_deref() == Some("overlay")
        // Without a swarm it is refused as any network that cannot be made.
        && let Some(id) = swarm::networks::create(&engine, request.clone()).await?
    {
        return Ok((StatusCode::CREATED, Json(json!({ "Id": id, "Warning": "" }))).into_response());
    }
    let created = engine.networks.create(request).await?;
    let answer = json!({ "Id": created.id, "Warning": created.warning });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn remove(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let own = engine.networks.inspect(&id).filter(|network| network.scope == "local");
    match swarm::networks::find(&engine, &id).await?.filter(|_| own.is_none()) {
        Some(network) => swarm::networks::remove(&engine, &network).await?,
        None => engine.networks.remove(&id).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn prune(State(engine): State<Arc<Engine>>, Query(query): Query<Filtered>) -> ApiResult {
    let filters = filters(query.filters.as_deref(), PRUNE_FILTERS)?;
    let of_swarm = swarm::networks::prune(&engine, |network| filters.admit_other(network)).await;
    let mut removed = engine.networks.prune(filters).await;
    removed.extend(of_swarm);
    engine.events.publish("network", "prune", "", [("reclaimed".to_owned(), "0".to_owned())].into());
    // Go's empty list.
    let removed = (!removed.is_empty()).then_some(removed);
    Ok(Json(json!({ "NetworksDeleted": removed })).into_response())
}

async fn connect(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<NetworkConnectRequest>,
) -> ApiResult<Response> {
    let container = engine.containers.find(named(request.container.as_deref())?)?;
    let network = engine.networks.inspect(&id);
    let settings = request.endpoint_config.unwrap_or_default();
    let mac = settings.mac_address.clone().filter(|mac| !mac.is_empty());
    refuse_shared(&container)?;
    if let Some(network) = &network {
        refuse_mixture(&container, network)?;
    }
    let _one_verb = container.verbs.lock().await;
    let (name, shown, ports) = if container.status().is_live() {
        if let Some(network) = &network {
            refuse_twice(&container, &network.name)?;
        }
        let attached = crate::swarm::attach(&engine, &container, &id, &settings).await?;
        let (network, settings) = match (attached, network) {
            (Some(attached), _) => attached,
            (None, Some(network)) => (network.id, settings),
            (None, None) => return Err(not_found(&id)),
        };
        let join = crate::container::start::ask_network(&container.record());
        let connected = engine.networks.connect(join, &network, settings).await;
        if connected.is_err() {
            crate::swarm::detach(&engine, &container, &network);
        }
        let connected = connected?;
        files::connected(&container, &connected);
        (connected.network, connected.settings, connected.ports)
    } else {
        // A network that is not there yet may be by the time the container starts.
        let name = network.map_or(id, |network| network.name);
        refuse_twice(&container, &name)?;
        engine.networks.check_one(&name, &settings)?;
        (name, settings, None)
    };
    note(&container, |record| {
        record.ports = ports.unwrap_or_else(|| std::mem::take(&mut record.ports));
        record.macs.extend(mac.map(|mac| (name.clone(), mac)));
        drop(record.networks.insert(name, shown));
    })?;
    Ok(StatusCode::OK.into_response())
}

async fn disconnect(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<NetworkDisconnectRequest>,
) -> ApiResult<Response> {
    let reference = named(request.container.as_deref())?;
    let container = match engine.containers.find(reference) {
        // By force an endpoint goes whose container is gone; such a one is never left here.
        Err(_) if request.force.unwrap_or(false) && engine.networks.inspect(&id).is_some() => {
            return Err(ApiError::not_found(format!("endpoint {reference} not found")));
        }
        found => found?,
    };
    let network = engine.networks.inspect(&id);
    let is_host = network.as_ref().is_some_and(|network| network.driver == "host");
    if is_host && container.record().network_mode() == "host" {
        let why =
            "cannot disconnect container from host network - container was created in host network mode";
        return Err(ApiError::forbidden(why));
    }
    let _one_verb = container.verbs.lock().await;
    let is_live = container.status().is_live();
    let network = match network {
        Some(network) => network.name,
        // A wish that was noted for a network that is not there, or not any more.
        None if !is_live => id,
        None => return Err(not_found(&id)),
    };
    if !container.record().networks.contains_key(&network) {
        return Err(ApiError::forbidden(format!(
            "container {} is not connected to network {network}",
            container.id
        )));
    }
    let ports = if is_live {
        let join = crate::container::start::ask_network(&container.record());
        let id = engine.networks.inspect(&network).map(|found| found.id).unwrap_or_default();
        let left = engine.networks.disconnect(join, &network).await?;
        crate::swarm::detach(&engine, &container, &id);
        left.1
    } else {
        None
    };
    note(&container, |record| {
        record.ports = ports.unwrap_or_else(|| std::mem::take(&mut record.ports));
        record.macs.remove(&network);
        drop(record.networks.remove(&network));
    })?;
    Ok(StatusCode::OK.into_response())
}

/// A container that does not run is connected when it starts.
fn refuse_twice(container: &Container, network: &str) -> Result<(), ApiError> {
    let record = container.record();
    if record.networks.contains_key(network) {
        let name = &record.name;
        return Err(ApiError::forbidden(format!(
            "endpoint with name {name} already exists in network {network}"
        )));
    }
    Ok(())
}

fn not_found(network: &str) -> ApiError {
    ApiError::not_found(format!("network {network} not found"))
}

/// The container that a request names.
fn named(reference: Option<&str>) -> Result<&str, ApiError> {
    let reference = reference.unwrap_or_default();
    if reference.is_empty() {
        return Err(ApiError::invalid("invalid name or ID supplied: \"\""));
    }
    Ok(reference)
}

/// A container that has the host's or another's network cannot have more.
fn refuse_shared(container: &Container) -> Result<(), ApiError> {
    let mode = container.record().network_mode().to_owned();
    if mode == "host" || mode.starts_with("container:") {
        let why = "container sharing network namespace with another container or host cannot be connected to \
                   any other network";
        // moby does not class the host's case with the other.
        return Err(if mode == "host" { ApiError::forbidden(why) } else { ApiError::invalid(why) });
    }
    Ok(())
}

/// The host's network cannot be had later, and none at all not beside another.
fn refuse_mixture(container: &Container, network: &Inspected) -> Result<(), ApiError> {
    if network.driver == "host" {
        let why = "cannot connect container to host network - container must be created in host network mode";
        return Err(ApiError::forbidden(why));
    }
    let has_none =
        container.record().networks.contains_key("none") || container.record().network_mode() == "none";
    if has_none || (network.name == "none" && !container.record().networks.is_empty()) {
        let why = "container cannot be connected to multiple networks with one of the networks in private (none) mode";
        return Err(ApiError::forbidden(why));
    }
    Ok(())
}

fn note(container: &Container, change: impl FnOnce(&mut crate::container::Record)) -> Result<(), ApiError> {
    container.update(change).map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))
}
