//! `GET /services/{id}/logs` and `/tasks/{id}/logs`: lines of tasks on all nodes, as they come.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use drydock_swarm::dispatcher::calls::{LogOptions, LogRequest, LogSelector};
use http::{HeaderValue, header};

use super::found;
use crate::api::query::Parameters;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::swarm::{Details, line};

pub async fn of_service(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult {
    let service = engine.swarm()?.read(|view, _| found(view, view.services(), "service", &id)).await??;
    let selector = LogSelector { services: vec![service.id.clone()], ..LogSelector::default() };
    stream(&engine, selector, &query).await
}

pub async fn of_task(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult {
    let task = engine.swarm()?.read(|view, _| found(view, view.tasks(), "task", &id)).await??;
    let selector = LogSelector { tasks: vec![task.id.clone()], ..LogSelector::default() };
    stream(&engine, selector, &query).await
}

async fn stream(engine: &Engine, selector: LogSelector, query: &Parameters) -> ApiResult {
    let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    let tail = query.text("tail").filter(|tail| *tail != "all").and_then(|tail| tail.parse().ok());
    let since = crate::api::query::moment(query.text("since").unwrap_or_default())?;
    let options = LogOptions {
        stdout,
        stderr,
        follow: query.flag("follow"),
        tail,
        since: since.and_then(|since| i64::try_from(since).ok()),
    };
    let details = Details { timestamps: query.flag("timestamps"), details: query.flag("details") };
    let lines = engine.swarm()?.logs(LogRequest { selector, options }).await?;
    let body = futures_util::stream::unfold(lines, move |mut lines| async move {
        // A node that went away ends the stream, as in moby.
        let gathered = lines.next().await?.ok()?;
        let bytes: Vec<u8> = gathered.lines.iter().flat_map(|one| line(one, details)).collect();
        Some((Ok::<Bytes, std::convert::Infallible>(bytes.into()), lines))
    });
    let mut response = Response::new(Body::from_stream(body));
    let content = HeaderValue::from_static("application/vnd.docker.multiplexed-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, content);
    Ok(response)
}
