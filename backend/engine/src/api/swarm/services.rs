//! `/services/…` and `/tasks/…`.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_swarm::api::{self, filter};
use drydock_swarm::ask::{ServiceTo, Wish};
use drydock_swarm::objects::{Service, ServiceSpec};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{as_moby_names, filters, found, logs, networks, refused, version, wish, words};
use crate::api::body::{self, JsonBody};
use crate::api::query::Parameters;
use crate::container::names;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::id::Id;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/services", get(list))
        .route("/services/create", post(create))
        .route("/services/{id}", get(inspect).delete(remove))
        .route("/services/{id}/update", post(update))
        .route("/services/{id}/logs", get(logs::of_service))
        .route("/tasks", get(tasks))
        .route("/tasks/{id}", get(task))
        .route("/tasks/{id}/logs", get(logs::of_task))
}

async fn list(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult<Json<Value>> {
    engine.swarm()?.manager()?;
    let wanted = filter::ServiceFilter::parse(filters(&query)?).map_err(|error| refused(&error))?;
    let has_status = query.flag("status");
    let shown = engine.swarm()?.read(|view, _| {
        let matching = view.services().iter().filter(|service| wanted.matches(service));
        let answers = matching.map(|service| {
            let mut answer = api::service(service);
            if has_status {
                answer.service.service_status = Some(api::service_status(view, service));
            }
            answer
        });
        as_moby_names(answers.collect::<Vec<_>>())
    });
    Ok(Json(shown.await?))
}

async fn one(engine: &Engine, id: &str) -> ApiResult<Arc<Service>> {
    engine.swarm()?.read(|view, _| found(view, view.services(), "service", id)).await?
}

async fn inspect(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult<Json<Value>> {
    let service = one(&engine, &id).await?;
    let mut answer = api::service(&service);
    if query.flag("insertDefaults") {
        answer.service.spec = answer.service.spec.as_ref().map(api::with_defaults);
    }
    Ok(Json(as_moby_names(answer)))
}

fn registry_auth(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-registry-auth")?.to_str().ok()?;
    (!text.is_empty()).then(|| text.to_owned())
}

fn read(spec: Value) -> ApiResult<ServiceSpec> {
    words::check(&spec)?;
    body::decode(spec)
}

async fn create(
    State(engine): State<Arc<Engine>>,
    headers: HeaderMap,
    JsonBody(spec): JsonBody<Value>,
) -> ApiResult<Response> {
    engine.swarm()?.manager()?;
    let mut spec = read(spec)?;
    if spec.name.as_deref().unwrap_or_default().is_empty() {
        spec.name = Some(names::suggest(&Id::random()));
    }
    networks::resolve(&engine, &mut spec).await?;
    let id = wish(&engine, Wish::CreateService { spec, registry_auth: registry_auth(&headers) }).await?;
    Ok((StatusCode::CREATED, Json(json!({ "ID": id, "Warnings": [] }))).into_response())
}

async fn remove(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<StatusCode> {
    let service = one(&engine, &id).await?;
    wish(&engine, Wish::RemoveService { id: service.id.clone() }).await?;
    Ok(StatusCode::OK)
}

async fn update(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
    headers: HeaderMap,
    JsonBody(spec): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    let version = version(&query)?;
    let mut spec = read(spec)?;
    let service = one(&engine, &id).await?;
    let to = match query.text("rollback") {
        Some("previous") => ServiceTo::Previous,
        None => {
            networks::resolve(&engine, &mut spec).await?;
            ServiceTo::Spec(Box::new(spec))
        }
        Some(_) => return Err(ApiError::invalid("unrecognized rollback option")),
    };
    let registry_auth = registry_auth(&headers);
    wish(&engine, Wish::UpdateService { id: service.id.clone(), version, to, registry_auth }).await?;
    Ok(Json(json!({ "Warnings": null })))
}

async fn tasks(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult<Json<Value>> {
    engine.swarm()?.manager()?;
    let filters = filters(&query)?;
    let shown = engine.swarm()?.read(|view, _| -> ApiResult<Value> {
        let wanted = filter::TaskFilter::parse(view, filters).map_err(|error| refused(&error))?;
        let matching = view.tasks().iter().filter(|task| wanted.matches(view, task));
        Ok(as_moby_names(matching.map(|task| api::task(view, task)).collect::<Vec<_>>()))
    });
    Ok(Json(shown.await??))
}

async fn task(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let shown = engine.swarm()?.read(|view, _| {
        found(view, view.tasks(), "task", &id).map(|task| as_moby_names(api::task(view, &task)))
    });
    Ok(Json(shown.await??))
}
