//! `GET /system/df`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use crate::container::summary;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::image::{Filter, Listing};

pub async fn usage(State(engine): State<Arc<Engine>>) -> ApiResult<Json<Value>> {
    // Sizes are walks over trees: not for the threads that serve.
    let answer = tokio::task::spawn_blocking(move || measure(&engine)).await;
    Ok(Json(answer.map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))??))
}

fn measure(engine: &Engine) -> ApiResult<Value> {
    let containers = engine.containers.all();
    let image_ids: Vec<String> =
        containers.iter().map(|container| container.record().image_id.clone()).collect();
    let count = |id: &str| image_ids.iter().filter(|own| *own == id).count() as i64;
    let listing = Listing { all: false, shared_size: true };
    let images = engine.images.list(&Filter::default(), listing, &count)?;
    let layers = engine.images.layers_size();
    let now = time::OffsetDateTime::now_utc();
    let names = engine.containers.names();
    let containers: Vec<Value> = containers
        .iter()
        .map(|container| {
            let record = container.record().clone();
            let own = names.get(&record.id).map(Vec::as_slice).unwrap_or_default();
            let mut answer = summary::summary(&record, own, &record.config.image, now);
            let (written, seen) = engine.images.rootfs_size(container.id.as_str()).unwrap_or_default();
            answer["SizeRw"] = json!(written);
            answer["SizeRootFs"] = json!(seen);
            answer
        })
        .collect();
    let volumes: Vec<Value> = engine
        .volumes
        .all()
        .into_iter()
        .map(|volume| {
            let usage = json!({
                "RefCount": engine.volume_users(&volume.name).len(),
                "Size": crate::volume::size(&volume.mountpoint),
            });
            let mut answer = json!(volume);
            answer["UsageData"] = usage;
            answer
        })
        .collect();
    Ok(json!({
        "LayersSize": layers,
        "Images": images,
        "Containers": containers,
        "Volumes": volumes,
        "BuildCache": [],
        "BuilderSize": 0,
    }))
}
