//! The doors: one file per family of endpoints, each with its own table of routes.

mod absent;
pub mod body;
mod build;
mod commit;
pub mod containers;
pub mod debug;
mod events;
mod exec;
pub mod images;
pub mod info;
pub mod networks;
mod order;
pub mod query;
mod swarm;
mod system;
mod usage;
mod volumes;

pub use system::RELEASE;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use http::HeaderValue;

use crate::engine::Engine;

async fn say_what_is_experimental(State(engine): State<Arc<Engine>>, mut response: Response) -> Response {
    let value = if engine.config.experimental { "true" } else { "false" };
    response.headers_mut().insert("docker-experimental", HeaderValue::from_static(value));
    response
}

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
        .merge(swarm::routes())
        .merge(debug::routes())
        .route_layer(axum::middleware::from_fn_with_state(engine.clone(), crate::metrics::time))
        .fallback(absent::answer)
        .method_not_allowed_fallback(absent::answer)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(axum::middleware::map_response_with_state(engine.clone(), say_what_is_experimental))
        .with_state(engine)
}
