//! `/_ping`, `/version`, `/events`, and where `/info` and `/system/df` are.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::api::query::{Filters, Parameters, moment};
use crate::engine::Engine;
use crate::error::ApiResult;
use crate::events::Message;
use crate::http::version::NEWEST;

/// The engine release whose API this is.
pub const RELEASE: &str = "28.5.2";

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/_ping", get(ping))
        .route("/version", get(version))
        .route("/info", get(super::info::info))
        .route("/plugins", get(plugins))
        .route("/events", get(events))
        .route("/system/df", get(super::usage::usage))
}

async fn ping(State(engine): State<Arc<Engine>>) -> impl IntoResponse {
    let headers = [
        ("docker-experimental", if engine.config.experimental { "true" } else { "false" }),
        ("builder-version", "1"),
        ("swarm", "inactive"),
        ("cache-control", "no-cache, no-store, must-revalidate"),
        ("pragma", "no-cache"),
        ("content-type", "text/plain; charset=utf-8"),
    ];
    (headers, "OK")
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

/// What `docker events --filter` takes.
struct Wanted {
    filters: Filters,
    since: Option<i128>,
    until: Option<i128>,
}

impl Wanted {
    fn takes(&self, message: &Message) -> bool {
        let actor = &message.actor;
        let name = actor.attributes.get("name");
        let named = |wanted: &str| actor.id.starts_with(wanted) || name.is_some_and(|name| name == wanted);
        let of_kind = |kind: &'static str| {
            self.filters.get(kind).is_empty() || (message.kind == kind && self.filters.any(kind, named))
        };
        let action = message.action.split(':').next().unwrap_or(&message.action);
        let image = |wanted: &str| {
            named(wanted) || actor.attributes.get("image").is_some_and(|image| image == wanted)
        };
        self.since.is_none_or(|since| i128::from(message.time_nano) >= since)
            && self.until.is_none_or(|until| i128::from(message.time_nano) <= until)
            && self.filters.any("type", |kind| kind == message.kind)
            && self.filters.any("event", |event| event == action || event == message.action)
            && self.filters.any("scope", |scope| scope == message.scope)
            && self.filters.labels(&actor.attributes)
            && ["container", "network", "volume", "daemon"].into_iter().all(of_kind)
            && self.filters.any("image", image)
    }
}

async fn events(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult {
    let filters = query.filters()?;
    filters.only(&[
        "config",
        "container",
        "daemon",
        "event",
        "image",
        "label",
        "network",
        "node",
        "plugin",
        "scope",
        "secret",
        "service",
        "type",
        "volume",
    ])?;
    let since = moment(query.text("since").unwrap_or_default())?;
    let until = moment(query.text("until").unwrap_or_default())?;
    let wanted = Wanted { filters, since, until };
    let (past, live) = engine.events.subscribe();
    // Without `since` only what comes is asked for.
    let past = if since.is_some() || until.is_some_and(|until| until <= now()) { past } else { Vec::new() };
    let past: Vec<_> =
        past.into_iter().filter(|message| wanted.takes(message)).map(|message| line(&message)).collect();
    let first = futures_util::stream::iter(past);
    let rest = futures_util::stream::unfold((live, wanted), async |(mut live, wanted)| {
        loop {
            let message = match wanted.until {
                Some(until) => {
                    let left = std::time::Duration::from_nanos(u64::try_from(until - now()).unwrap_or(0));
                    tokio::time::timeout(left, live.recv()).await.ok()?
                }
                None => live.recv().await,
            };
            match message {
                Ok(message) if wanted.takes(&message) => return Some((line(&message), (live, wanted))),
                // A reader too slow for its place in the queue goes on with what is there.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let stream = futures_util::StreamExt::chain(first, rest);
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn now() -> i128 {
    time::OffsetDateTime::now_utc().unix_timestamp_nanos()
}

fn line(message: &Message) -> Result<Bytes, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line.into())
}
