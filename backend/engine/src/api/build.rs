//! `POST /build` and `/build/prune`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, header};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::images::bodies;
use crate::api::query::Parameters;
use crate::build::{self, Failure, Lines, OptionsError, Request};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::http::hangup::Hangup;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/build", post(start))
        .route("/build/prune", post(prune))
        .route("/build/cancel", post(cancel))
}

impl From<OptionsError> for ApiError {
    fn from(error: OptionsError) -> Self {
        Self::invalid(crate::error::chain(&error))
    }
}

/// A build on its way; dropped with the response, it is cancelled.
struct Running {
    lines: mpsc::UnboundedReceiver<Bytes>,
    work: JoinHandle<Result<(), Failure>>,
    _cancel: DropGuard,
}

async fn start(
    State(engine): State<Arc<Engine>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    hangup: Option<Extension<Hangup>>,
    body: Body,
) -> ApiResult {
    let registries = headers.get("x-registry-config").and_then(|value| value.to_str().ok());
    let request = Request::read(bodies::pairs(query.as_deref().unwrap_or_default()), registries)?;
    if request.options.squash && !engine.config.experimental {
        return Err(ApiError::invalid("squash is only supported with experimental mode"));
    }
    let mut running = begin(engine, request, hangup.map(|Extension(hangup)| hangup), body);
    // A failure before the first line is a plain answer with its status.
    let Some(first) = running.lines.recv().await else {
        return match finish(&mut running).await {
            Ok(()) => Ok(answer(Body::empty())),
            Err(error) => Err(error.into()),
        };
    };
    let rest = stream::unfold(Some(running), async |running| {
        let mut running = running?;
        if let Some(line) = running.lines.recv().await {
            return Some((line, Some(running)));
        }
        let error = finish(&mut running).await.err()?;
        Some((error_line(&error), None))
    });
    let lines = stream::iter([first]).chain(rest).map(Ok::<_, std::convert::Infallible>);
    Ok(answer(Body::from_stream(lines)))
}

fn answer(body: Body) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn begin(engine: Arc<Engine>, request: Request, hangup: Option<Hangup>, body: Body) -> Running {
    let (sender, lines) = mpsc::unbounded_channel();
    let cancel = CancellationToken::new();
    let guard = cancel.clone().drop_guard();
    if let Some(hangup) = hangup {
        let cancel = cancel.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = hangup.wait() => cancel.cancel(),
                () = cancel.cancelled() => {}
            }
        });
    }
    let runtime = tokio::runtime::Handle::current();
    let (chunks, reader) = build::reader();
    let work = tokio::task::spawn_blocking(move || {
        let lines = Lines::new(sender, request.quiet);
        match build::build(&engine, &runtime, &request, reader, &lines, &cancel) {
            Ok(id) => {
                if request.quiet {
                    lines.result(&format!("{id}\n"));
                }
                Ok(())
            }
            Err(error) => {
                lines.release();
                Err(error)
            }
        }
    });
    tokio::spawn(build::feed(body, chunks));
    Running { lines, work, _cancel: guard }
}

async fn finish(running: &mut Running) -> Result<(), Failure> {
    match (&mut running.work).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Failure::Finish(drydock_builder::host::HostError::new(error.to_string()))),
    }
}

fn error_line(error: &Failure) -> Bytes {
    let message = crate::error::chain(error);
    let mut detail = json!({ "message": message });
    if let Some(code) = error.code() {
        detail = json!({ "code": code, "message": message });
    }
    tracing::debug!("build: {message}");
    build::line(&json!({ "errorDetail": detail, "error": message }))
}

/// What builds keep for the next ones: the caches of `RUN --mount=type=cache`. Images are `docker image prune`'s.
async fn prune(State(engine): State<Arc<Engine>>, Query(_query): Query<Parameters>) -> ApiResult {
    let own = engine.clone();
    let (deleted, freed) = bodies::blocking(move || build::prune(&own)).await??;
    let attributes = [("reclaimed".to_owned(), freed.to_string())];
    engine.events.publish("builder", "prune", "", attributes.into());
    let deleted = if deleted.is_empty() { serde_json::Value::Null } else { json!(deleted) };
    Ok(Json(json!({ "CachesDeleted": deleted, "SpaceReclaimed": freed })).into_response())
}

/// Builds of this builder have no ids; their clients end them by going away.
async fn cancel(Query(query): Query<Parameters>) -> ApiResult {
    match query.text("id") {
        None => Err(ApiError::invalid("build ID not provided")),
        Some(_) => Ok(http::StatusCode::OK.into_response()),
    }
}
