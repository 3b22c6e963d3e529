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

use super::body::JsonBody;
use crate::container::Container;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::network::filters;

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
    let filters = filters(query.filters.as_deref(), LIST_FILTERS)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    Ok(Json(engine.networks.list(&filters)).into_response())
}

async fn inspect(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult {
    match engine.networks.inspect(&id) {
        Some(network) => Ok(Json(network).into_response()),
        None => Err(ApiError::not_found(format!("network {id} not found"))),
    }
}

async fn create(
    State(engine): State<Arc<Engine>>,
    JsonBody(request): JsonBody<NetworkCreateRequest>,
) -> ApiResult {
    let created = engine.networks.create(request).await?;
    let answer = json!({ "Id": created.id, "Warning": created.warning });
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn remove(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    engine.networks.remove(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn prune(State(engine): State<Arc<Engine>>, Query(query): Query<Filtered>) -> ApiResult {
    let filters = filters(query.filters.as_deref(), PRUNE_FILTERS)
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    let removed = engine.networks.prune(filters).await;
    engine.events.publish("network", "prune", "", [("reclaimed".to_owned(), "0".to_owned())].into());
    Ok(Json(json!({ "NetworksDeleted": removed })).into_response())
}

async fn connect(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    JsonBody(request): JsonBody<NetworkConnectRequest>,
) -> ApiResult<Response> {
    let network = engine.networks.inspect(&id).ok_or_else(|| not_found(&id))?;
    let container = engine.containers.find(request.container.as_deref().unwrap_or_default())?;
    let settings = request.endpoint_config.unwrap_or_default();
    let mac = settings.mac_address.clone().filter(|mac| !mac.is_empty());
    refuse_shared(&container)?;
    let _one_verb = container.verbs.lock().await;
    let (name, shown) = if container.status().is_live() {
        let join = crate::container::start::ask_network(&container.record());
        engine.networks.connect(join, &network.id, settings).await?
    } else {
        if container.record().networks.contains_key(&network.name) {
            return Err(ApiError::forbidden(format!(
                "endpoint with name {} already exists in network {}",
                container.record().name,
                network.name
            )));
        }
        (network.name, settings)
    };
    note(&container, |record| {
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
    let network = engine.networks.inspect(&id).ok_or_else(|| not_found(&id))?;
    let reference = request.container.unwrap_or_default();
    let container = engine.containers.find(&reference)?;
    refuse_shared(&container)?;
    let _one_verb = container.verbs.lock().await;
    if !container.record().networks.contains_key(&network.name) {
        return Err(ApiError::forbidden(format!(
            "container {} is not connected to network {}",
            container.id, network.name
        )));
    }
    if container.status().is_live() {
        engine.networks.disconnect(&container.id, &network.id).await?;
    }
    note(&container, |record| {
        record.macs.remove(&network.name);
        drop(record.networks.remove(&network.name));
    })?;
    Ok(StatusCode::OK.into_response())
}

fn not_found(network: &str) -> ApiError {
    ApiError::not_found(format!("network {network} not found"))
}

/// A container that has the host's or another's network cannot have more.
fn refuse_shared(container: &Container) -> Result<(), ApiError> {
    let mode = container.record().network_mode().to_owned();
    if mode == "host" {
        let why = "cannot connect container to another network: it shares the host's (NetworkMode=host)";
        return Err(ApiError::forbidden(why));
    }
    if mode.starts_with("container:") {
        let why = "container sharing network namespace with another container or host cannot be connected to \
                   any other network";
        return Err(ApiError::invalid(why));
    }
    Ok(())
}

fn note(container: &Container, change: impl FnOnce(&mut crate::container::Record)) -> Result<(), ApiError> {
    container.update(change).map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))
}
