//! `/containers/{name}/exec` and `/exec/…`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_shim::config::Size;
use drydock_shim::protocol::{self, Streams};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::body::{self, JsonBody};
use crate::api::containers::size;
use crate::api::query::Parameters;
use crate::container::exec::{Exec, ExecConfig, ExecError};
use crate::container::shim;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::stream::detach::DetachKeys;
use crate::stream::hijack::{self, Client, Kind};
use crate::stream::pump::{self, End, Plan, ShimReader};

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/containers/{name}/exec", post(create))
        .route("/exec/{id}/start", post(start))
        .route("/exec/{id}/json", get(inspect))
        .route("/exec/{id}/resize", post(resize))
}

async fn create(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    JsonBody(config): JsonBody<ExecConfig>,
) -> ApiResult {
    if config.cmd.is_empty() {
        return Err(ExecError::NoCommand.into());
    }
    let container = engine.containers.find(&name)?;
    let exec = engine.execs.create(&engine, container, &name, config)?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": exec.id.as_str() }))).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct StartConfig {
    detach: bool,
    tty: bool,
    console_size: Option<Vec<u16>>,
}

async fn start(State(engine): State<Arc<Engine>>, Path(id): Path<String>, request: Request) -> ApiResult {
    let (mut parts, content) = request.into_parts();
    let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let content = Bytes::from_request(Request::from_parts(parts.clone(), content), &())
        .await
        .map_err(|error| ApiError::invalid(error.to_string()))?;
    let mut request = Request::from_parts(parts, axum::body::Body::empty());
    if let Some(upgrade) = upgrade {
        request.extensions_mut().insert(upgrade);
    }
    let wanted: StartConfig = body::read(request.headers(), &content)?;
    let exec = engine.execs.find(&id)?;
    let keys =
        DetachKeys::parse(&exec.config.detach_keys).map_err(|error| ApiError::invalid(error.to_string()))?;
    let size = wanted.console_size.as_deref().or(Some(&exec.config.console_size)).and_then(console_size);
    let config = &exec.config;
    let streams = if wanted.detach {
        Streams::default()
    } else {
        Streams { stdin: config.attach_stdin, stdout: config.attach_stdout, stderr: config.attach_stderr }
    };
    let claimed = exec.claim();
    if wanted.detach {
        claimed?;
        let (stream, first) = exec.start(&engine, size, streams).await?;
        tokio::spawn(async move {
            let exit = ShimReader::new(stream, first).to_the_end().await;
            exec.ended(&engine, exit.as_ref());
        });
        return Ok(StatusCode::OK.into_response());
    }
    // To who stays, moby says it in the stream that it was started before: compose counts on that.
    let again = match claimed {
        Err(error @ (ExecError::AlreadyRun(_) | ExecError::AlreadyRunning(_))) => Some(error.to_string()),
        claimed => claimed.map(|()| None)?,
    };
    let tty = exec.config.tty;
    // It is this request that says how its answer is framed, whatever the process has.
    let kind = if wanted.tty { Kind::Raw } else { Kind::Multiplexed };
    let (response, client) = hijack::hijack(&mut request, kind);
    let plan = Plan {
        raw: wanted.tty,
        stdin: streams.stdin && client.can_send(),
        close_stdin: true,
        detach: (tty && streams.stdin).then_some(keys),
    };
    if let Some(text) = again {
        tokio::spawn(async move { explain(client.open().await.ok(), &text, plan.raw).await });
        return Ok(response);
    }
    tokio::spawn(serve(engine, exec, client, (size, streams), plan));
    Ok(response)
}

fn console_size(size: &[u16]) -> Option<Size> {
    match size {
        [rows, cols] if *rows > 0 && *cols > 0 => Some(Size { rows: *rows, cols: *cols }),
        _ => None,
    }
}

async fn serve(
    engine: Arc<Engine>,
    exec: Arc<Exec>,
    client: Client,
    (size, streams): (Option<Size>, Streams),
    plan: Plan,
) {
    let (client, started) = tokio::join!(client.open(), exec.start(&engine, size, streams));
    let (stream, first) = match started {
        Ok(started) => started,
        // The answer's head is sent: like moby, say it in the stream. The exit code tells programs.
        Err(error) => return explain(client.ok(), &error.to_string(), plan.raw).await,
    };
    let reader = match client {
        Ok(client) => {
            let note = |end: &End| match end {
                End::Process(exit) => exec.ended(&engine, exit.as_ref()),
                End::Detached => exec.detached(&engine),
                End::Client => {}
            };
            pump::run(client, stream, first, plan, note).await.1
        }
        Err(_) => Some(ShimReader::new(stream, first)),
    };
    // The client has left; the process goes on.
    if let Some(reader) = reader {
        let exit = reader.to_the_end().await;
        exec.ended(&engine, exit.as_ref());
    }
}

async fn explain(client: Option<Box<dyn hijack::ReadWrite>>, text: &str, raw: bool) {
    use tokio::io::AsyncWriteExt;
    let Some(mut client) = client else { return };
    let line = format!("{text}\r\n");
    let mut bytes = Vec::new();
    if raw {
        bytes.extend_from_slice(line.as_bytes());
    } else {
        protocol::encode_frame(&mut bytes, protocol::Stream::Stdout, line.as_bytes());
    }
    let _ = client.write_all(&bytes).await;
    let _ = client.shutdown().await;
}

async fn inspect(State(engine): State<Arc<Engine>>, Path(id): Path<String>) -> ApiResult<Json<Value>> {
    Ok(Json(engine.execs.find(&id)?.inspect()))
}

async fn resize(
    State(engine): State<Arc<Engine>>,
    Path(id): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult<StatusCode> {
    let size = size(&query)?;
    let exec = engine.execs.find(&id)?;
    if !exec.is_running() {
        return Err(ApiError::not_found(format!("NotFound: process does not exist {}: not found", exec.id)));
    }
    if !exec.config.tty {
        return Ok(StatusCode::OK);
    }
    let request = protocol::Request::Resize { exec_id: Some(exec.id.to_string()), size };
    shim::command(&exec.container.run_dir, &request)
        .await
        .map_err(|error| ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, &error))?;
    Ok(StatusCode::OK)
}
