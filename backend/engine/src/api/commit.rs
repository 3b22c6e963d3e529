//! `POST /commit`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use drydock_images::Named;
use http::StatusCode;
use serde_json::json;

use super::body::JsonBody;
use super::images::bodies::{apply_changes, pairs};
use crate::container::commit::{Commit, WhileRunning, commit};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::wire::ContainerConfig;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new().route("/commit", post(answer))
}

async fn answer(
    State(engine): State<Arc<Engine>>,
    RawQuery(query): RawQuery,
    // The CLI sends `null`, other clients nothing.
    JsonBody(config): JsonBody<Option<ContainerConfig>>,
) -> ApiResult<Response> {
    let (container, mut wanted, changes) = read(query.as_deref().unwrap_or_default())?;
    let container = engine.containers.find(&container)?;
    // Nobody's configuration is the container's.
    let config = config.unwrap_or_else(|| container.record().config.clone());
    wanted.config = apply_changes(config, &changes)?;
    let id = commit(&engine, &container, wanted).await?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": id }))).into_response())
}

fn read(query: &str) -> Result<(String, Commit, Vec<String>), ApiError> {
    let (mut container, mut repository, mut tag) = (String::new(), String::new(), String::new());
    let mut changes = Vec::new();
    let mut wanted = Commit {
        name: None,
        author: String::new(),
        comment: String::new(),
        config: ContainerConfig::default(),
        while_running: WhileRunning::Pause,
    };
    for (key, value) in pairs(query) {
        match key.as_str() {
            "container" => container = value,
            "repo" => repository = value,
            "tag" => tag = value,
            "author" => wanted.author = value,
            "comment" => wanted.comment = value,
            "changes" => changes.extend(value.lines().map(str::to_owned)),
            "pause" if matches!(value.as_str(), "0" | "false" | "no" | "none") => {
                wanted.while_running = WhileRunning::GoOn;
            }
            _ => {}
        }
    }
    if !repository.is_empty() {
        wanted.name = Some(name(&repository, &tag)?);
    }
    Ok((container, wanted, changes))
}

fn name(repository: &str, tag: &str) -> Result<Named, ApiError> {
    let bad = |error: drydock_images::ReferenceError| ApiError::invalid(error.to_string());
    let name = Named::parse(repository).map_err(bad)?;
    if name.digest().is_some() {
        return Err(ApiError::invalid("cannot commit to digest reference"));
    }
    let name = if tag.is_empty() { name } else { name.with_tag(tag).map_err(bad)? };
    Ok(name.or_latest())
}
