//! `POST /containers/{name}/attach` and `/resize`.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use drydock_shim::config::Size;
use drydock_shim::protocol::{self, Streams};
use http::StatusCode;
use tokio::net::UnixStream;

use crate::api::query::Parameters;
use crate::container::record::Status;
use crate::container::{Container, shim};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::log::entry::Options;
use crate::log::follow;
use crate::stream::detach::DetachKeys;
use crate::stream::hijack::{self, Client, Kind, ReadWrite};
use crate::stream::pump::{self, End, Plan};

pub async fn attach(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
    mut request: Request,
) -> ApiResult {
    let container = engine.containers.find(&name)?;
    let keys = DetachKeys::parse(query.text("detachKeys").unwrap_or_default())
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    let (status, tty, open_stdin, stdin_once) = {
        let record = container.record();
        (record.state.status, record.config.tty, record.config.open_stdin, record.config.stdin_once)
    };
    if status == Status::Paused {
        return Err(ApiError::conflict(format!(
            "container {name} is paused, unpause the container before attach"
        )));
    }
    if status == Status::Restarting {
        return Err(ApiError::conflict(format!(
            "container {name} is restarting, wait until the container is running"
        )));
    }
    let streams = Streams {
        stdin: query.flag("stdin") && open_stdin,
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
    };
    let wanted = Wanted { logs: query.flag("logs"), live: query.flag("stream"), streams, tty };
    // Queued before the client is told to go on: its next request may be the start.
    let source = match (wanted.live, status.is_live()) {
        (false, _) => Source::Nothing,
        (true, true) => Source::Shim(
            shim::attach(&container.run_dir, streams)
                .await
                .map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))?,
        ),
        (true, false) => Source::AtStart(container.attach_at_start(streams)),
    };
    let kind = if tty { Kind::Raw } else { Kind::Multiplexed };
    let (response, client) = hijack::hijack(&mut request, kind);
    let can_send = client.can_send();
    let plan = Plan {
        raw: tty,
        stdin: streams.stdin && can_send,
        close_stdin: stdin_once && !tty,
        // Without a terminal Ctrl-P is data.
        detach: (tty && streams.stdin).then_some(keys),
    };
    tokio::spawn(serve(engine, container, client, source, wanted, plan));
    Ok(response)
}

struct Wanted {
    logs: bool,
    live: bool,
    streams: Streams,
    tty: bool,
}

enum Source {
    Nothing,
    Shim((UnixStream, Vec<u8>)),
    AtStart(tokio::sync::oneshot::Receiver<(UnixStream, Vec<u8>)>),
}

async fn serve(
    engine: Arc<Engine>,
    container: Arc<Container>,
    client: Client,
    source: Source,
    wanted: Wanted,
    plan: Plan,
) {
    let mut client = match client.open().await {
        Ok(client) => client,
        Err(error) => return tracing::debug!(container.id = %container.id, %error, "attach"),
    };
    if wanted.logs {
        replay(&container, &wanted, &mut client).await;
    }
    let stream = match source {
        Source::Nothing => None,
        Source::Shim(stream) => Some(stream),
        // The sender is dropped when the start fails: the client sees its end.
        Source::AtStart(ready) => ready.await.ok(),
    };
    let Some((stream, first)) = stream else { return };
    crate::container::publish(&engine, &container, "attach", []);
    let (end, _) = pump::run(client, stream, first, plan, |_| ()).await;
    if end == End::Detached {
        crate::container::publish(&engine, &container, "detach", []);
    }
}

/// `logs=1`: what was said before.
async fn replay(container: &Arc<Container>, wanted: &Wanted, client: &mut Box<dyn ReadWrite>) {
    use tokio::io::AsyncWriteExt;
    let options = Options {
        stdout: wanted.streams.stdout,
        stderr: wanted.streams.stderr,
        raw: wanted.tty,
        ..Options::default()
    };
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(follow::send(container.clone(), options, sender));
    while let Some(Ok(chunk)) = receiver.recv().await {
        if client.write_all(&chunk).await.is_err() {
            return;
        }
    }
}

pub async fn resize(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let container = engine.containers.find(&name)?;
    if !container.status().is_live() {
        return Err(ApiError::conflict(format!("container {} is not running", container.id)));
    }
    let request = protocol::Request::Resize { exec_id: None, size: size(&query)? };
    shim::command(&container.run_dir, &request)
        .await
        .map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))?;
    Ok(StatusCode::OK)
}

/// `?h=&w=`.
pub fn size(query: &Parameters) -> ApiResult<Size> {
    let side = |name: &str| {
        let number = query.number(name)?.and_then(|number| u16::try_from(number).ok());
        number.ok_or_else(|| ApiError::invalid(format!("invalid resize {name}")))
    };
    Ok(Size { rows: side("h")?, cols: side("w")? })
}
