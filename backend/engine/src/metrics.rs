//! `--metrics-addr`: figures for Prometheus, in its text form and by moby's names.
//!
//! Task tree: [`serve`] is one task until it is told to stop.

mod histogram;
mod text;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Method, StatusCode, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::golang::os_error;
use histogram::Histogram;

/// What is timed.
const ACTIONS: [&str; 5] = ["changes", "commit", "create", "delete", "start"];

#[derive(Debug, Default)]
pub struct Metrics {
    /// In the order of [`ACTIONS`].
    actions: [Histogram; ACTIONS.len()],
    builds: AtomicU64,
    health_checks: AtomicU64,
    health_checks_failed: AtomicU64,
}

impl Metrics {
    pub fn health_check(&self) {
        self.health_checks.fetch_add(1, Ordering::Relaxed);
    }

    /// It could not be run.
    pub fn health_check_failed(&self) {
        self.health_checks_failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// What of [`ACTIONS`] a request asks for.
fn action(method: &Method, route: &str) -> Option<usize> {
    let name = match (method.as_str(), route) {
        ("GET", "/containers/{name}/changes") => "changes",
        ("POST", "/commit") => "commit",
        ("POST", "/containers/create") => "create",
        ("DELETE", "/containers/{name}") => "delete",
        ("POST", "/containers/{name}/start") => "start",
        _ => return None,
    };
    ACTIONS.iter().position(|action| *action == name)
}

/// Takes the time of a request.
pub async fn time(State(engine): State<Arc<Engine>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_default();
    let action = action(request.method(), &route);
    if request.method() == Method::POST && route == "/build" {
        engine.metrics.builds.fetch_add(1, Ordering::Relaxed);
    }
    let begun = std::time::Instant::now();
    let response = next.run(request).await;
    if let Some(action) = action {
        engine.metrics.actions[action].note(begun.elapsed());
    }
    response
}

#[derive(Debug, thiserror::Error)]
#[error("failed to start metrics server: listen tcp {address}: bind: {}", os_error(.source))]
pub struct ListenError {
    address: String,
    source: io::Error,
}

/// Binds `host:port`; without a host, on every address.
pub async fn bind(address: &str) -> Result<TcpListener, ListenError> {
    let bound = match address.strip_prefix(':') {
        Some(port) => TcpListener::bind(format!("0.0.0.0:{port}")).await,
        // Not by getaddrinfo(3): a static program would load the host's NSS modules.
        None => TcpListener::bind(address.replace("localhost:", "127.0.0.1:")).await,
    };
    bound.map_err(|source| ListenError { address: address.to_owned(), source })
}

pub async fn serve(listener: TcpListener, engine: Arc<Engine>, stop: CancellationToken) {
    let router = Router::new()
        .route("/metrics", get(answer))
        .fallback(async || (StatusCode::NOT_FOUND, "404 page not found\n"))
        .with_state(engine);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "serve metrics");
    }
}

async fn answer(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text::all(&engine))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_timed_is_known_by_its_route() {
        let named = |method: Method, route| action(&method, route).map(|at| ACTIONS[at]);
        assert_eq!(named(Method::POST, "/containers/create"), Some("create"));
        assert_eq!(named(Method::DELETE, "/containers/{name}"), Some("delete"));
        assert_eq!(named(Method::GET, "/containers/{name}/json"), None);
    }
}
