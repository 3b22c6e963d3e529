//! `/volumes/…`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::body::JsonBody;
use crate::api::query::{Filters, Parameters};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::http::version::ApiVersion;
use crate::volume::{ANONYMOUS, NewVolume, Volume, VolumeError};
use crate::wire::null_is_empty;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/volumes", get(list))
        .route("/volumes/create", post(create))
        .route("/volumes/prune", post(prune))
        .route("/volumes/{name}", get(inspect).put(update).delete(remove))
}

async fn list(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult<Json<Value>> {
    let filters = query.filters().map_err(|error| error.of("error reading volume filters"))?;
    filters.only(&["dangling", "driver", "label", "name"])?;
    let dangling = filters.yes_or_no("dangling")?;
    let takes = |volume: &Volume| {
        let labels = volume.labels.clone().unwrap_or_default();
        filters.any("name", |name| matches(name, &volume.name))
            && filters.any("driver", |driver| driver == volume.driver)
            && filters.labels(&labels)
            && dangling.is_none_or(|wanted| engine.volume_users(&volume.name).is_empty() == wanted)
    };
    let volumes: Vec<Volume> = engine.volumes.all().into_iter().filter(takes).collect();
    Ok(Json(json!({ "Volumes": volumes, "Warnings": null })))
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Wanted {
    #[serde(deserialize_with = "null_is_empty")]
    name: String,
    #[serde(deserialize_with = "null_is_empty")]
    driver: String,
    #[serde(deserialize_with = "null_is_empty")]
    driver_opts: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
}

async fn create(State(engine): State<Arc<Engine>>, JsonBody(wanted): JsonBody<Wanted>) -> ApiResult {
    let volume = engine.volumes.create(NewVolume {
        name: Some(wanted.name),
        driver: Some(wanted.driver),
        options: wanted.driver_opts,
        labels: wanted.labels,
    })?;
    Ok((StatusCode::CREATED, Json(volume)).into_response())
}

async fn inspect(State(engine): State<Arc<Engine>>, Path(name): Path<String>) -> ApiResult<Json<Volume>> {
    Ok(Json(engine.volumes.get(&name)?))
}

async fn remove(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let users = engine.volume_users(&name);
    if !users.is_empty() {
        let users = users.iter().map(crate::id::Id::as_str).collect::<Vec<_>>().join(", ");
        return Err(VolumeError::InUse { name, users }.into());
    }
    match engine.volumes.remove(&name) {
        Err(VolumeError::NotFound(_)) if query.flag("force") => Ok(StatusCode::NO_CONTENT),
        removed => Ok(removed.map(|()| StatusCode::NO_CONTENT)?),
    }
}

/// Only volumes that a whole cluster shares can be changed.
async fn update(Path(_): Path<String>, JsonBody(_): JsonBody<Value>) -> ApiError {
    let text = "volume update only valid for cluster volumes, but swarm is unavailable";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, text)
}

/// A filter's value is the name itself or a pattern in it.
fn matches(wanted: &str, name: &str) -> bool {
    wanted == name || regex_lite::Regex::new(wanted).is_ok_and(|pattern| pattern.is_match(name))
}

/// The filter `all`, in Go's words for yes and no.
fn all(filters: &Filters) -> ApiResult<bool> {
    let bad =
        |word: &str| format!("invalid filter 'all': strconv.ParseBool: parsing \"{word}\": invalid syntax");
    match filters.get("all") {
        [] => Ok(false),
        [word] => match word.as_str() {
            "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
            "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
            word => Err(ApiError::invalid(bad(word))),
        },
        _ => Err(ApiError::invalid("invalid filter 'all': only one value is expected")),
    }
}

/// Volumes nobody uses: those nobody named, or all with the filter `all` and for clients before API 1.42.
async fn prune(
    State(engine): State<Arc<Engine>>,
    axum::Extension(version): axum::Extension<ApiVersion>,
    Query(query): Query<Parameters>,
) -> ApiResult<Json<Value>> {
    let filters = query.filters()?;
    filters.only(&["label", "label!", "all"])?;
    let all = all(&filters)? || version.is_before(42);
    let mut deleted = Vec::new();
    let mut reclaimed = 0;
    for volume in engine.volumes.all() {
        let labels = volume.labels.clone().unwrap_or_default();
        // One with options stands for something outside.
        let wanted = volume.options.is_none() && (all || labels.contains_key(ANONYMOUS));
        if !wanted || !filters.labels(&labels) || !engine.volume_users(&volume.name).is_empty() {
            continue;
        }
        let size = crate::volume::size(&volume.mountpoint);
        if engine.volumes.remove(&volume.name).is_ok() {
            deleted.push(volume.name);
            reclaimed += size;
        }
    }
    let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed.to_string())]);
    engine.events.publish("volume", "prune", "", attributes);
    Ok(Json(json!({ "VolumesDeleted": deleted, "SpaceReclaimed": reclaimed })))
}
