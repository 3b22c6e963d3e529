//! The doors: one file per family of endpoints, each with its own table of routes.

mod absent;
mod build;
mod commit;
pub mod containers;
mod exec;
pub mod images;
pub mod networks;
pub mod query;
mod system;
mod usage;
mod volumes;

pub use system::RELEASE;

use std::sync::Arc;

use axum::Router;

use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};

/// The whole Engine API. Versions are taken off the path before (`http::version`).
pub fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .merge(system::routes())
        .merge(containers::routes())
        .merge(commit::routes())
        .merge(exec::routes())
        .merge(images::routes())
        .merge(build::routes())
        .merge(networks::routes())
        .merge(volumes::routes())
        .fallback(absent::answer)
        .method_not_allowed_fallback(absent::answer)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(engine)
}

/// The request's JSON; an empty body is an empty object, as in moby.
pub fn json_body<T: serde::de::DeserializeOwned>(body: &[u8]) -> ApiResult<T> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| ApiError::invalid(format!("invalid JSON: {error}")))
}
