//! The doors: one file per family of endpoints, each with its own table of routes.

mod absent;
pub mod images;
pub mod networks;
mod system;

use std::sync::Arc;

use axum::Router;

use crate::engine::Engine;

/// The whole Engine API. Versions are taken off the path before (`http::version`).
pub fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .merge(system::routes())
        .merge(images::routes())
        .merge(networks::routes())
        .merge(absent::routes())
        .fallback(absent::no_such_page)
        .method_not_allowed_fallback(absent::no_such_page)
        .with_state(engine)
}
