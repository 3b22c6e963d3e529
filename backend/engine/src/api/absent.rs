//! Endpoints of moby that this engine does not have: never a wrong 200.

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use http::{StatusCode, Uri};

use crate::engine::Engine;
use crate::error::ApiError;

pub fn routes() -> Router<Arc<Engine>> {
    let mut router = Router::new();
    for path in ["/build", "/build/prune", "/build/cancel", "/session", "/grpc"] {
        router = router.route(path, any(async || ApiError::not_implemented("docker build")));
    }
    for path in ["/plugins", "/plugins/{*rest}"] {
        router = router.route(path, any(async || ApiError::not_implemented("docker plugin")));
    }
    for path in ["/swarm/init", "/swarm/join", "/swarm/unlock"] {
        router = router.route(path, any(async || ApiError::not_implemented("docker swarm")));
    }
    for path in SWARM_ONLY {
        router = router.route(path, any(not_a_manager));
    }
    router
}

/// Only a swarm manager answers these; this engine is in no swarm.
const SWARM_ONLY: &[&str] = &[
    "/swarm",
    "/swarm/leave",
    "/swarm/update",
    "/swarm/unlockkey",
    "/nodes",
    "/nodes/{*rest}",
    "/services",
    "/services/{*rest}",
    "/tasks",
    "/tasks/{*rest}",
    "/secrets",
    "/secrets/{*rest}",
    "/configs",
    "/configs/{*rest}",
];

async fn not_a_manager() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect \
         this node to swarm and try again.",
    )
}

pub async fn no_such_page(_uri: Uri) -> ApiError {
    ApiError::not_found("page not found")
}
