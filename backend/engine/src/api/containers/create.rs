//! `POST /containers/create`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use crate::api::query::Parameters;
use crate::container::create::{self, Wanted};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};

pub async fn create(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<Parameters>,
    body: Bytes,
) -> ApiResult {
    let wanted: Wanted = crate::api::json_body(&body)?;
    if wanted.config.image.is_empty() {
        return Err(ApiError::invalid("config cannot be empty in order to create a container"));
    }
    let (container, warnings) = create::create(&engine, query.text("name"), wanted).await?;
    Ok(created(container.id.as_str(), &warnings))
}

fn created(id: &str, warnings: &[String]) -> Response {
    (StatusCode::CREATED, Json(json!({ "Id": id, "Warnings": warnings }))).into_response()
}
