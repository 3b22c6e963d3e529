//! Terminals of an instance: listed, opened, closed.

use axum::extract::Request;
use axum::routing::{delete, get};
use axum::{Json, Router};
use drydock_agent::protocol::Size;
use drydock_wire::session::Terminal;
use http::StatusCode;
use serde::Deserialize;

use super::found::{AtTerminal, OnInstance};
use super::refusal::Refusal;
use super::terminal_socket;
use crate::state::AppState;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/sessions/{session}/instances/{instance}/terminals", get(list).post(open))
        .route("/sessions/{session}/instances/{instance}/terminals/{terminal}", delete(close))
        .route("/sessions/{session}/instances/{instance}/terminals/{terminal}/ws", get(terminal_socket::open))
}

async fn list(OnInstance { instance, .. }: OnInstance) -> Result<Json<Vec<Terminal>>, Refusal> {
    Ok(Json(instance.terminals().await?))
}

/// The body may ask for a size.
#[derive(Debug, Deserialize)]
struct Open {
    #[serde(default = "default_cols")]
    cols: u16,
    #[serde(default = "default_rows")]
    rows: u16,
}

fn default_cols() -> u16 {
    Size::default().cols
}

fn default_rows() -> u16 {
    Size::default().rows
}

async fn open(
    OnInstance { session, instance }: OnInstance,
    request: Request,
) -> Result<Json<Terminal>, Refusal> {
    let body = axum::body::to_bytes(request.into_body(), 4096)
        .await
        .map_err(|_| Refusal::bad_request("the body is too long"))?;
    let Open { cols, rows } = match body.is_empty() {
        true => Open { cols: default_cols(), rows: default_rows() },
        false => serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(error.to_string()))?,
    };
    let id = instance.agent().open_terminal(Size { cols, rows }).await?;
    session.publish_terminals(&instance).await;
    Ok(Json(Terminal { id: id.to_string(), cols, rows, title: String::new() }))
}

async fn close(AtTerminal { session, instance, id }: AtTerminal) -> Result<StatusCode, Refusal> {
    instance.agent().close_terminal(id).await?;
    session.publish_terminals(&instance).await;
    Ok(StatusCode::OK)
}
