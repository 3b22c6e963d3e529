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
use crate::api::query::Parameters;
use crate::engine::Engine;
use crate::error::ApiResult;
use crate::http::version::ApiVersion;
use crate::volume::{ANONYMOUS, NewVolume, Volume, VolumeError};
use crate::wire::null_is_empty;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/volumes", get(list))
        .route("/volumes/create", post(create))
        .route("/volumes/prune", post(prune))
        .route("/volumes/{name}", get(inspect).delete(remove))
}

async fn list(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult<Json<Value>> {
    let filters = query.filters()?;
    filters.only(&["dangling", "driver", "label", "name"])?;
    let dangling = filters.yes_or_no("dangling")?;
    let takes = |volume: &Volume| {
        let labels = volume.labels.clone().unwrap_or_default();
        filters.any("name", |name| volume.name.contains(name))
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

/// Volumes nobody uses: those nobody named, or all with the filter `all` and for clients before API 1.42.
async fn prune(
    State(engine): State<Arc<Engine>>,
    axum::Extension(version): axum::Extension<ApiVersion>,
    Query(query): Query<Parameters>,
) -> ApiResult<Json<Value>> {
    let filters = query.filters()?;
    filters.only(&["label", "label!", "all"])?;
    let all = filters.yes_or_no("all")?.unwrap_or(false) || version.is_before(42);
    let mut deleted = Vec::new();
    let mut reclaimed = 0;
    for volume in engine.volumes.all() {
        let labels = volume.labels.clone().unwrap_or_default();
        let wanted = all || labels.contains_key(ANONYMOUS);
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
