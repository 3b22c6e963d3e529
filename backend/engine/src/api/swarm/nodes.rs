//! `/nodes/…`.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_swarm::api::{self, filter};
use drydock_swarm::ask::Wish;
use drydock_swarm::objects::NodeSpec;
use http::StatusCode;
use serde_json::{Value, json};

use super::{filters, found, refused, version, wish};
use crate::api::body::JsonBody;
use crate::api::query::Parameters;
use crate::engine::Engine;
use crate::error::ApiResult;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/nodes", get(list))
        .route("/nodes/{id}", get(inspect).delete(remove))
        .route("/nodes/{id}/update", post(update))
}

async fn list(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult<Json<Value>> {
    engine.swarm()?.manager()?;
    let wanted = filter::NodeFilter::parse(filters(&query)?).map_err(|error| refused(&error))?;
    let nodes = engine.swarm()?.nodes().await?;
    let shown: Vec<_> = nodes.iter().filter(|node| wanted.matches(node)).map(api::node).collect();
    Ok(Json(json!(shown)))
}

async fn inspect(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    let node = engine
        .swarm()?
        .read(|view, reading| {
            found(view, view.nodes(), "node", &id).map(|node| api::node(&reading.node(&node)))
        })
        .await??;
    Ok(Json(json!(node)))
}

async fn remove(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let node = engine.swarm()?.read(|view, _| found(view, view.nodes(), "node", &id)).await??;
    wish(&engine, Wish::RemoveNode { id: node.id.clone(), is_forced: query.flag("force") }).await?;
    Ok(StatusCode::OK)
}

async fn update(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
    JsonBody(spec): JsonBody<NodeSpec>,
) -> ApiResult<StatusCode> {
    let version = version(&query)?;
    let node = engine.swarm()?.read(|view, _| found(view, view.nodes(), "node", &id)).await??;
    wish(&engine, Wish::UpdateNode { id: node.id.clone(), version, spec }).await?;
    Ok(StatusCode::OK)
}
