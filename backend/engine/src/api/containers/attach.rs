//! `POST /containers/{name}/attach` (and `GET …/attach/ws`) and `/resize`.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{Path, Query, Request, State};
use drydock_shim::config::Size;
use drydock_shim::protocol::{self, Streams};
use http::StatusCode;
use tokio::net::UnixStream;

use crate::api::query::Parameters;
use crate::container::live::Listener;
use crate::container::record::Status;
use crate::container::{Container, shim};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::log::entry::Options;
use crate::log::follow;
use crate::stream::detach::DetachKeys;
use crate::stream::hijack::{self, Kind, ReadWrite};
use crate::stream::pump::{self, End, Plan};
use crate::stream::websocket;

pub async fn attach(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
    mut request: Request,
) -> ApiResult {
    let attachment = Attachment::begin(&engine, &name, &query).await?;
    let kind = if attachment.wanted.tty { Kind::Raw } else { Kind::Multiplexed };
    let (response, client) = hijack::hijack(&mut request, kind);
    let plan = attachment.plan(attachment.wanted.tty, client.can_send());
    tokio::spawn(async move {
        match client.open().await {
            Ok(client) => serve(engine, attachment, client, plan).await,
            Err(error) => tracing::debug!(container.id = %attachment.container.id, %error, "attach"),
        }
    });
    Ok(response)
}

/// `GET /containers/{name}/attach/ws`: the same without frames, as messages of a WebSocket.
pub async fn attach_by_websocket(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
    upgrade: WebSocketUpgrade,
) -> ApiResult {
    let attachment = Attachment::begin(&engine, &name, &query).await?;
    let plan = attachment.plan(true, true);
    Ok(upgrade.on_upgrade(async move |socket| {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        tokio::join!(serve(engine, attachment, Box::new(ours), plan), websocket::carry(socket, theirs));
    }))
}

/// A client on its way to a container's streams.
struct Attachment {
    container: Arc<Container>,
    source: Source,
    wanted: Wanted,
    keys: DetachKeys,
    stdin_once: bool,
    listener: Listener,
}

impl Attachment {
    /// Queued before the client is told to go on: its next request may be the start.
    async fn begin(engine: &Engine, name: &str, query: &Parameters) -> ApiResult<Self> {
        let container = engine.containers.find(name)?;
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
        let listener = container.listen();
        let source = match (wanted.live, status.is_live()) {
            (false, _) => Source::Nothing,
            (true, true) => Source::Shim(
                shim::attach(&container.run_dir, streams)
                    .await
                    .map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))?,
            ),
            (true, false) => Source::AtStart(container.attach_at_start(streams)),
        };
        crate::container::publish(engine, &container, "attach", []);
        Ok(Self { container, source, wanted, keys, stdin_once, listener })
    }

    fn plan(&self, raw: bool, can_send: bool) -> Plan {
        let Wanted { tty, streams, .. } = self.wanted;
        Plan {
            raw,
            stdin: streams.stdin && can_send,
            close_stdin: self.stdin_once && !tty,
            // Without a terminal Ctrl-P is data.
            detach: (tty && streams.stdin).then(|| self.keys.clone()),
        }
    }
}

#[derive(Clone, Copy)]
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

async fn serve(engine: Arc<Engine>, attachment: Attachment, mut client: Box<dyn ReadWrite>, plan: Plan) {
    let Attachment { container, source, wanted, listener, .. } = attachment;
    if wanted.logs {
        replay(&container, &wanted, plan.raw, &mut client).await;
    }
    let stream = match source {
        Source::Nothing => None,
        Source::Shim(stream) => Some(stream),
        // The sender is dropped when the start fails: the client sees its end.
        Source::AtStart(ready) => ready.await.ok(),
    };
    let Some((stream, first)) = stream else { return };
    let (end, _) = pump::run(client, stream, first, plan, |_| drop(listener)).await;
    if end == End::Detached {
        crate::container::publish(&engine, &container, "detach", []);
    }
}

/// `logs=1`: what was said before.
async fn replay(container: &Arc<Container>, wanted: &Wanted, raw: bool, client: &mut Box<dyn ReadWrite>) {
    use tokio::io::AsyncWriteExt;
    let options =
        Options { stdout: wanted.streams.stdout, stderr: wanted.streams.stderr, raw, ..Options::default() };
    let Some(files) = container.log_files() else { return };
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(follow::send(container.clone(), files, options, sender));
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
    let size = size(&query)?;
    let told = [("height", size.rows.to_string()), ("width", size.cols.to_string())];
    if !container.record().config.tty {
        // There is nothing to size; moby says nothing about it.
        crate::container::publish(&engine, &container, "resize", told);
        return Ok(StatusCode::OK);
    }
    let request = protocol::Request::Resize { exec_id: None, size };
    shim::command(&container.run_dir, &request)
        .await
        .map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))?;
    crate::container::publish(&engine, &container, "resize", told);
    Ok(StatusCode::OK)
}

/// `?h=&w=`.
pub fn size(query: &Parameters) -> ApiResult<Size> {
    let side = |name: &str, word: &str| {
        let text = query.text(name).unwrap_or_default();
        text.parse::<u16>()
            .map_err(|_| ApiError::invalid(format!("invalid resize {word} \"{text}\": invalid syntax")))
    };
    Ok(Size { rows: side("h", "height")?, cols: side("w", "width")? })
}
