//! Instances: made, shown, ended, and commands run in them.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_agent::client::ExecOutput;
use drydock_agent::protocol::ExecRequest;
use drydock_wire::session::{Instance as View, NewInstance};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::JsonBody;
use super::found::{InSession, OnInstance};
use super::origin::host;
use super::refusal::Refusal;
use crate::playground::Instance;
use crate::state::AppState;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/sessions/{session}/instances", get(list).post(create))
        .route("/sessions/{session}/instances/{instance}", get(show).delete(end))
        .route("/sessions/{session}/instances/{instance}/exec", post(exec))
}

async fn list(InSession(session): InSession, headers: HeaderMap) -> Json<Vec<View>> {
    let (label, host) = (session.label(), host(&headers).unwrap_or_default());
    Json(session.instances().iter().map(|instance| instance.view(&label, host)).collect())
}

async fn create(
    State(state): State<AppState>,
    InSession(session): InSession,
    headers: HeaderMap,
    JsonBody(asked): JsonBody<NewInstance>,
) -> Result<Json<View>, Refusal> {
    let instance = state.playground.create_instance(&session, asked).await?;
    Ok(Json(instance.view(&session.label(), host(&headers).unwrap_or_default())))
}

async fn show(OnInstance { session, instance }: OnInstance, headers: HeaderMap) -> Json<View> {
    Json(instance.view(&session.label(), host(&headers).unwrap_or_default()))
}

async fn end(
    State(state): State<AppState>,
    OnInstance { session, instance }: OnInstance,
) -> Result<StatusCode, Refusal> {
    state.playground.end_instance(&session, &instance.record.name).await?;
    Ok(StatusCode::OK)
}

#[derive(Debug, Deserialize)]
struct Exec {
    command: Vec<String>,
}

async fn exec(
    OnInstance { instance, .. }: OnInstance,
    JsonBody(exec): JsonBody<Exec>,
) -> Result<Json<Value>, Refusal> {
    let output = run(&instance, exec.command).await?;
    Ok(Json(json!({
        "status_code": output.code(),
        "stdout": String::from_utf8_lossy(&output.stdout),
        "stderr": String::from_utf8_lossy(&output.stderr),
    })))
}

/// Runs a command to its end.
pub async fn run(instance: &Instance, command: Vec<String>) -> Result<ExecOutput, Refusal> {
    if command.is_empty() {
        return Err(Refusal::bad_request("the command is empty"));
    }
    Ok(instance.agent().exec(ExecRequest::new(command)).await?)
}
