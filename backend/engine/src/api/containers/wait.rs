//! `POST /containers/{name}/wait`: the answer's head comes at once, its body when the condition holds.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderValue, header};
use serde_json::json;

use crate::api::query::Parameters;
use crate::container::live::Phase;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};

pub async fn wait(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult {
    let container = engine.containers.find(&name)?;
    let mut phase = container.phase();
    let before = phase.borrow().exits;
    let done: fn(&Phase, u64) -> bool = match query.text("condition").unwrap_or("not-running") {
        // One that is between two restarts counts as running; its next end is waited for, not its last.
        "not-running" => |phase, before| !phase.running || phase.exits > before || phase.removed,
        "next-exit" => |phase, before| phase.exits > before || phase.removed,
        "removed" => |phase, _| phase.removed,
        other => return Err(ApiError::invalid(format!("invalid condition: \"{other}\""))),
    };
    let body = async move {
        let phase = match phase.wait_for(|phase| done(phase, before)).await {
            Ok(phase) => phase.clone(),
            Err(_) => return Ok::<Bytes, std::convert::Infallible>(Bytes::new()),
        };
        let mut answer = json!({ "StatusCode": phase.exit_code });
        if let Some(error) = &phase.error {
            answer["Error"] = json!({ "Message": error });
        }
        // Kept alive until here: the sender of phases is in it.
        drop(container);
        Ok(Bytes::from(format!("{answer}\n")))
    };
    let mut response = Response::new(Body::from_stream(futures_util::stream::once(body)));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
