//! `POST /containers/create`.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use drydock_registry::Platform;
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::body::{self, JsonBody};
use crate::api::query::Parameters;
use crate::container::create::{self, Wanted};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::http::version::ApiVersion;
use crate::wire::words;

use super::mac;

pub async fn create(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<Parameters>,
    Extension(version): Extension<ApiVersion>,
    JsonBody(body): JsonBody<Value>,
) -> ApiResult {
    if let Some(unknown) = words::unknown_in_create(&body) {
        return Err(ApiError::invalid(unknown));
    }
    // Older clients mean nothing by it.
    let platform = query.text("platform").filter(|_| !version.is_before(41)).map(Platform::parse).transpose();
    let mut wanted = Wanted {
        config: body::decode(body.clone())?,
        around: body::decode(body)?,
        platform: platform.map_err(|error| ApiError::invalid(error.to_string()))?,
        of_build: false,
    };
    if wanted.config.image.is_empty() {
        return Err(ApiError::invalid("config cannot be empty in order to create a container"));
    }
    let deprecated = mac::adopt(&mut wanted, version)?;
    let (container, mut warnings) = create::create(&engine, query.text("name"), wanted).await?;
    warnings.extend(deprecated);
    Ok(created(container.id.as_str(), &warnings))
}

fn created(id: &str, warnings: &[String]) -> Response {
    (StatusCode::CREATED, Json(json!({ "Id": id, "Warnings": warnings }))).into_response()
}
