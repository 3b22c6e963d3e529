//! `/secrets/…` and `/configs/…`: the same doors, but that a secret is never shown.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_swarm::api::{self, filter};
use drydock_swarm::ask::Wish;
use drydock_swarm::objects::{ConfigSpec, SecretSpec};
use http::StatusCode;
use serde_json::{Value, json};

use super::{filters, found, refused, version, wish};
use crate::api::body::JsonBody;
use crate::api::query::Parameters;
use crate::engine::Engine;
use crate::error::ApiResult;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/secrets", get(secrets))
        .route("/secrets/create", post(create_secret))
        .route("/secrets/{id}", get(secret).delete(remove_secret))
        .route("/secrets/{id}/update", post(update_secret))
        .route("/configs", get(configs))
        .route("/configs/create", post(create_config))
        .route("/configs/{id}", get(config).delete(remove_config))
        .route("/configs/{id}/update", post(update_config))
}

fn made(id: &str) -> Response {
    (StatusCode::CREATED, Json(json!({ "ID": id }))).into_response()
}

async fn secrets(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<Parameters>,
) -> ApiResult<Json<Value>> {
    engine.swarm()?.manager()?;
    let wanted = filter::SecretFilter::for_secrets(filters(&query)?).map_err(|error| refused(&error))?;
    let shown = engine.swarm()?.read(|view, _| {
        let matching = view.secrets().iter().filter(|secret| wanted.matches_secret(secret));
        json!(matching.map(|secret| api::secret(secret)).collect::<Vec<_>>())
    });
    Ok(Json(shown.await?))
}

async fn create_secret(
    State(engine): State<Arc<Engine>>,
    JsonBody(spec): JsonBody<SecretSpec>,
) -> ApiResult<Response> {
    Ok(made(&wish(&engine, Wish::CreateSecret { spec }).await?))
}

async fn secret(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let secret = engine.swarm()?.read(|view, _| found(view, view.secrets(), "secret", &id)).await??;
    Ok(Json(json!(api::secret(&secret))))
}

async fn remove_secret(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let secret = engine.swarm()?.read(|view, _| found(view, view.secrets(), "secret", &id)).await??;
    wish(&engine, Wish::RemoveSecret { id: secret.id.clone() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn update_secret(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
    JsonBody(spec): JsonBody<SecretSpec>,
) -> ApiResult<StatusCode> {
    let version = version(&query)?;
    let secret = engine.swarm()?.read(|view, _| found(view, view.secrets(), "secret", &id)).await??;
    wish(&engine, Wish::UpdateSecret { id: secret.id.clone(), version, spec }).await?;
    Ok(StatusCode::OK)
}

async fn configs(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<Parameters>,
) -> ApiResult<Json<Value>> {
    engine.swarm()?.manager()?;
    let wanted = filter::SecretFilter::for_configs(filters(&query)?).map_err(|error| refused(&error))?;
    let shown = engine.swarm()?.read(|view, _| {
        let matching = view.configs().iter().filter(|config| wanted.matches_config(config));
        json!(matching.map(|config| api::config(config)).collect::<Vec<_>>())
    });
    Ok(Json(shown.await?))
}

async fn create_config(
    State(engine): State<Arc<Engine>>,
    JsonBody(spec): JsonBody<ConfigSpec>,
) -> ApiResult<Response> {
    Ok(made(&wish(&engine, Wish::CreateConfig { spec }).await?))
}

async fn config(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let config = engine.swarm()?.read(|view, _| found(view, view.configs(), "config", &id)).await??;
    Ok(Json(json!(api::config(&config))))
}

async fn remove_config(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let config = engine.swarm()?.read(|view, _| found(view, view.configs(), "config", &id)).await??;
    wish(&engine, Wish::RemoveConfig { id: config.id.clone() }).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn update_config(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
    JsonBody(spec): JsonBody<ConfigSpec>,
) -> ApiResult<StatusCode> {
    let version = version(&query)?;
    let config = engine.swarm()?.read(|view, _| found(view, view.configs(), "config", &id)).await??;
    wish(&engine, Wish::UpdateConfig { id: config.id.clone(), version, spec }).await?;
    Ok(StatusCode::OK)
}
