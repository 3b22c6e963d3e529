//! `/_ping`, `/version`, and where `/info` and `/system/df` are.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::engine::Engine;
use crate::http::version::NEWEST;

/// The engine release whose API this is.
pub const RELEASE: &str = "28.5.2";

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/_ping", get(ping).head(ping_head))
        .route("/version", get(version))
        .route("/info", get(super::info::info))
        .route("/plugins", get(plugins))
        .route("/events", get(super::events::events))
        .route("/system/df", get(super::usage::usage))
}

async fn ping(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    let headers = [
        ("docker-experimental", if engine.config.experimental { "true" } else { "false" }),
        ("builder-version", "1"),
        ("swarm", super::swarm::state(&engine)),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("content-type", "text/plain; charset=utf-8"),
    ];
    (headers, "OK")
}

/// The same without the two bytes.
async fn ping_head(engine: State<Arc<Engine>>) -> impl IntoResponse {
    (ping(engine).await.into_response().into_parts().0, "").into_response()
}

/// None is installed; none can be.
async fn plugins() -> Json<Value> {
    Json(json!([]))
}

async fn version(State(engine): State<Arc<Engine>>) -> Json<Value> {
    let own = env!("CARGO_PKG_VERSION");
    let api = NEWEST.to_string();
    let least = engine.config.min_api_version.to_string();
    let details = json!({
        "ApiVersion": api, "Arch": "amd64", "BuildTime": "", "Experimental": engine.config.experimental.to_string(), "GitCommit": own,
        "GoVersion": "", "KernelVersion": engine.host.kernel, "MinAPIVersion": least, "Os": "linux",
    });
    Json(json!({
        "Platform": { "Name": format!("Drydock Engine {own}") },
        "Components": [
            { "Name": "Engine", "Version": RELEASE, "Details": details },
            { "Name": "drydock-runtime", "Version": own, "Details": { "GitCommit": own } },
        ],
        "Version": RELEASE,
        "ApiVersion": api,
        "MinAPIVersion": least,
        "GitCommit": format!("drydock-{own}"),
        "GoVersion": "",
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": engine.host.kernel,
        "BuildTime": "",
    }))
}
