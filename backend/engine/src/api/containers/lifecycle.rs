//! Start, stop, restart, kill, pause, rename, remove, prune.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::query::{Parameters, moment};
use crate::container::record::Status;
use crate::container::{
    links, pause as freezer, remove as removal, rename as naming, start as starting, stop as stopping,
};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};

type Name = Path<String>;
type Shared = State<Arc<Engine>>;

pub async fn start(State(engine): Shared, Path(name): Name) -> ApiResult<StatusCode> {
    let container = engine.containers.find(&name)?;
    starting::start(&engine, &container).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn stop(
    State(engine): Shared,
    Path(name): Name,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let container = engine.containers.find(&name)?;
    let stopped = stopping::stop(&engine, &container, &how(&query)?).await;
    stopped.map_err(|error| ApiError::from(error).of(&format!("cannot stop container: {name}")))?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn restart(
    State(engine): Shared,
    Path(name): Name,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let container = engine.containers.find(&name)?;
    stopping::restart(&engine, &container, &name, &how(&query)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn how(query: &Parameters) -> ApiResult<stopping::How> {
    Ok(stopping::How { signal: query.text("signal").map(str::to_owned), timeout_s: query.number("t")? })
}

pub async fn kill(
    State(engine): Shared,
    Path(name): Name,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let verb = format!("cannot kill container: {name}");
    let container = engine.containers.find(&name).map_err(|error| ApiError::from(error).of(&verb))?;
    let killed = stopping::kill(&engine, &container, query.text("signal")).await;
    killed.map_err(|error| ApiError::from(error).of(&verb))?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn pause(State(engine): Shared, Path(name): Name) -> ApiResult<StatusCode> {
    let container = engine.containers.find(&name)?;
    freezer::pause(&engine, &container).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn unpause(State(engine): Shared, Path(name): Name) -> ApiResult<StatusCode> {
    let container = engine.containers.find(&name)?;
    freezer::unpause(&engine, &container).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn rename(
    State(engine): Shared,
    Path(name): Name,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let container = engine.containers.find(&name)?;
    naming::rename(&engine, &container, query.text("name").unwrap_or_default()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A container may be called by the alias that another has for it.
pub async fn remove_by_link(
    engine: Shared,
    Path((parent, alias)): Path<(String, String)>,
    query: Query<Parameters>,
) -> ApiResult<StatusCode> {
    remove(engine, Path(links::full_name(&parent, &alias)), query).await
}

pub async fn remove(
    State(engine): Shared,
    Path(name): Name,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let container = engine.containers.find(&name)?;
    if query.flag("link") {
        links::unlink(&engine, &name)?;
        return Ok(StatusCode::NO_CONTENT);
    }
    let options = removal::Options { force: query.flag("force"), volumes: query.flag("v") };
    removal::remove(&engine, &container, options).await.map_err(|error| match error {
        error @ (removal::RemoveError::Gone(_) | removal::RemoveError::InProgress(_)) => error.into(),
        error => ApiError::from(error).of(&format!("cannot remove container \"{name}\"")),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// Containers that are not running, older than `until`.
pub async fn prune(State(engine): Shared, Query(query): Query<Parameters>) -> ApiResult {
    let filters = query.filters()?;
    filters.only(&["until", "label", "label!"])?;
    let unclear =
        |text: &str| ApiError::invalid(format!("failed to parse value as time or duration: {text:?}"));
    let until = filters.get("until").first();
    let until = until.map(|text| moment(text).map_err(|_| unclear(text))).transpose()?.flatten();
    let mut deleted = Vec::new();
    let mut reclaimed = 0;
    for container in engine.containers.all() {
        let (status, created, labels) = {
            let record = container.record();
            (record.state.status, record.created.clone(), record.config.labels.clone())
        };
        let created = moment(&created)?.unwrap_or(0);
        let idle = matches!(status, Status::Created | Status::Exited | Status::Dead);
        if !idle || until.is_some_and(|until| created > until) || !filters.labels(&labels) {
            continue;
        }
        let size = engine.images.rootfs_size(container.id.as_str()).map_or(0, |(written, _)| written);
        if removal::remove(&engine, &container, removal::Options::default()).await.is_ok() {
            deleted.push(container.id.to_string());
            reclaimed += size;
        }
    }
    engine.events.publish("container", "prune", "", [("reclaimed".to_owned(), reclaimed.to_string())].into());
    let deleted = if deleted.is_empty() { Value::Null } else { json!(deleted) };
    Ok(Json(json!({ "ContainersDeleted": deleted, "SpaceReclaimed": reclaimed })).into_response())
}
