//! `GET /containers/{name}/logs`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use http::{HeaderValue, header};

use crate::api::query::{Parameters, moment};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::http::version::ApiVersion;
use crate::log::entry::Options;
use crate::log::follow;

/// Chunks in flight to a slow client.
const WINDOW: usize = 4;

pub async fn logs(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
    request: Request,
) -> ApiResult {
    let container = engine.containers.find(&name)?;
    let (tty, driver) = {
        let record = container.record();
        let driver = record.host_config.log_config.as_ref().and_then(|config| config.typ.clone());
        (record.config.tty, driver)
    };
    if driver.as_deref() == Some("none") {
        return Err(ApiError::new(
            http::StatusCode::NOT_IMPLEMENTED,
            "configured logging driver does not support reading",
        ));
    }
    let options = options(&query, tty)?;
    let (sender, receiver) = tokio::sync::mpsc::channel(WINDOW);
    tokio::spawn(follow::send(container, options, sender));
    let stream = futures_util::stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    });
    let mut response = Response::new(Body::from_stream(stream));
    let old = request.extensions().get::<ApiVersion>().is_some_and(|version| version.is_before(42));
    let content = if tty || old {
        "application/vnd.docker.raw-stream"
    } else {
        "application/vnd.docker.multiplexed-stream"
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content));
    Ok(response)
}

fn options(query: &Parameters, tty: bool) -> ApiResult<Options> {
    let options = Options {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        follow: query.flag("follow"),
        tail: query.text("tail").and_then(|tail| tail.parse().ok()),
        since: moment(query.text("since").unwrap_or_default())?,
        until: moment(query.text("until").unwrap_or_default())?,
        raw: tty,
    };
    if !options.stdout && !options.stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    Ok(options)
}
