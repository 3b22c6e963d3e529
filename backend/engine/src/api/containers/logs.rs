//! `GET /containers/{name}/logs`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use http::{HeaderValue, header};

use crate::api::query::Parameters;
use crate::container::record::Status;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::golang::numbers::{NumberError, parse_int};
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
    // Before the container is looked for, as in moby.
    let mut options = options(&query)?;
    let container = engine.containers.find(&name)?;
    let (tty, status) = {
        let record = container.record();
        (record.config.tty, record.state.status)
    };
    options.raw = tty;
    if matches!(status, Status::Removing | Status::Dead) {
        return Err(ApiError::conflict(
            "can not get logs from container which is dead or marked for removal",
        ));
    }
    let Some(files) = container.log_files() else {
        return Err(ApiError::new(
            http::StatusCode::NOT_IMPLEMENTED,
            "configured logging driver does not support reading",
        ));
    };
    let (sender, receiver) = tokio::sync::mpsc::channel(WINDOW);
    tokio::spawn(follow::send(container, files, options, sender));
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

fn options(query: &Parameters) -> ApiResult<Options> {
    let options = Options {
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
        timestamps: query.flag("timestamps"),
        details: query.flag("details"),
        follow: query.flag("follow"),
        tail: query.text("tail").and_then(|tail| tail.parse().ok()),
        since: query.text("since").map(seconds).transpose()?,
        until: query.text("until").filter(|until| *until != "0").map(seconds).transpose()?,
        raw: false,
    };
    if !options.stdout && !options.stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    Ok(options)
}

/// Seconds since 1970, with or without a fraction; nanoseconds. Whatever else a user may say, clients turn into these.
fn seconds(text: &str) -> ApiResult<i128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number = |text: &str| {
        let failed = |error: NumberError| ApiError::internal(error.to_string());
        parse_int("ParseInt", text).map(i128::from).map_err(failed)
    };
    let nanos = match fraction {
        "" => 0,
        digits => number(digits)? * 10_i128.pow(9_u32.saturating_sub(digits.len() as u32)),
    };
    Ok(number(whole)? * 1_000_000_000 + nanos)
}
