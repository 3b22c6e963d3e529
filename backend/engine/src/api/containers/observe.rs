//! `docker top`, `stats` and `update`.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use bollard_stubs::models::HostConfig;
use drydock_shim::protocol::{Reply, Request};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::api::body::{JsonBody, decode};
use crate::api::query::Parameters;
use crate::container::shim::{Connection, ShimError};
use crate::container::{Container, publish, stats as samples, top as processes, update as limits};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::wire::words;

/// How often `docker stats` is told.
const INTERVAL: Duration = Duration::from_secs(1);

pub async fn top(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult<Json<Value>> {
    let container = engine.containers.find(&name)?;
    if !container.status().is_live() {
        return Err(ApiError::conflict(format!("container {} is not running", container.id)));
    }
    let pids =
        pids(&container).await.map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))?;
    let table = match query.text("ps_args").unwrap_or("-ef") {
        "-ef" => processes::full(&pids),
        arguments => processes::by_ps(&pids, arguments)
            .map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))?,
    };
    publish(&engine, &container, "top", []);
    Ok(Json(json!({ "Titles": table.titles, "Processes": table.processes })))
}

async fn pids(container: &Container) -> Result<Vec<i32>, ShimError> {
    match Connection::open(&container.run_dir).await?.ask(&Request::Pids).await? {
        Reply::Pids(pids) => Ok(pids),
        other => Err(ShimError::Unexpected(other)),
    }
}

pub async fn stats(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult {
    let container = engine.containers.find(&name)?;
    let sample = |before: Option<&Value>| samples::sample(&container.record().clone(), &engine.host, before);
    if !query.flag_or("stream", true) {
        let first = sample(None);
        if query.flag("one-shot") || !container.status().is_live() {
            return Ok(Json(first).into_response());
        }
        tokio::time::sleep(INTERVAL).await;
        return Ok(Json(sample(Some(&first))).into_response());
    }
    let stream =
        futures_util::stream::unfold((engine, container, None), async |(engine, container, before)| {
            if before.is_some() {
                tokio::time::sleep(INTERVAL).await;
            }
            if container.phase().borrow().removed {
                return None;
            }
            let record = container.record().clone();
            let sample = samples::sample(&record, &engine.host, before.as_ref());
            let line = Bytes::from(format!("{sample}\n"));
            Some((Ok::<_, std::convert::Infallible>(line), (engine, container, Some(sample))))
        });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

pub async fn update(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    JsonBody(body): JsonBody<Value>,
) -> ApiResult<Json<Value>> {
    if let Some(unknown) = words::unknown_policy(&json!({ "RestartPolicy": body["RestartPolicy"] })) {
        return Err(ApiError::invalid(unknown));
    }
    let mut wanted: HostConfig = decode(body)?;
    let warnings = limits::check(&engine, &mut wanted)?;
    let container = engine.containers.find(&name)?;
    limits::update(&engine, &container, &wanted).await?;
    Ok(Json(json!({ "Warnings": if warnings.is_empty() { Value::Null } else { json!(warnings) } })))
}
