//! Labs: what there is, and what a student's clicks ask of the server.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_labs::attempt::{Attempt, Done, Refusal as Declined};
use drydock_labs::present;
use drydock_wire::lab::{Lab, Progress, Summary};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

use super::body::JsonBody;
use super::found::InSession;
use super::refusal::Refusal;
use crate::playground::Session;
pub use crate::playground::lessons::Labs;
use crate::playground::lessons::SessionNodes;
use crate::state::AppState;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/labs", get(list))
        .route("/labs/{id}", get(show))
        .route("/sessions/{session}/lab", get(progress))
        .route("/sessions/{session}/lab/blocks/{block}", post(act))
        .route("/sessions/{session}/lab/quizzes/{quiz}", post(answer))
}

async fn list(State(state): State<AppState>) -> Json<Vec<Summary>> {
    Json(state.labs.all().iter().map(|lab| present::summary(lab)).collect())
}

async fn show(State(state): State<AppState>, Path(id): Path<String>) -> Result<Json<Lab>, Refusal> {
    let lab = state.labs.get(&id).ok_or_else(|| Refusal::not_found("lab"))?;
    Ok(Json(present::lab(lab)))
}

async fn progress(InSession(session): InSession) -> Result<Json<Progress>, Refusal> {
    Ok(Json(attempt(&session)?.progress()))
}

/// `{session}` is taken by [`InSession`]; of the path only the last word is left to read.
#[derive(Debug, Deserialize)]
struct Block {
    block: String,
}

/// Writes a file block's file or sets a link block's cables, or asks a check and answers its state.
async fn act(
    InSession(session): InSession,
    Path(Block { block }): Path<Block>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    match attempt(&session)?.act(&block).await? {
        Done::Written | Done::Linked => Ok((StatusCode::OK, Json(json!({})))),
        Done::Checked(state) => Ok((StatusCode::OK, Json(json!(state)))),
    }
}

#[derive(Debug, Deserialize)]
struct Quiz {
    quiz: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    /// Indices of the chosen ones, or the one text.
    answer: Vec<String>,
}

async fn answer(
    InSession(session): InSession,
    Path(Quiz { quiz }): Path<Quiz>,
    JsonBody(Answer { answer }): JsonBody<Answer>,
) -> Result<Json<Value>, Refusal> {
    let correct = attempt(&session)?.answer(&quiz, &answer)?;
    Ok(Json(json!({ "correct": correct })))
}

fn attempt(session: &Session) -> Result<&Arc<Attempt<SessionNodes>>, Refusal> {
    session.attempt.get().ok_or_else(|| Refusal::not_found("lab in this session"))
}

impl From<Declined> for Refusal {
    fn from(declined: Declined) -> Self {
        let message = declined.to_string();
        match declined {
            Declined::NoBlock { .. } | Declined::NoQuiz { .. } => {
                Self::new(StatusCode::NOT_FOUND, "not_found", message)
            }
            Declined::Closed { .. } => Self::new(StatusCode::CONFLICT, "step_closed", message),
            Declined::Link(source) => {
                tracing::warn!(error = %source, "a lab's cables were not changed");
                Self::new(StatusCode::BAD_GATEWAY, "not_linked", format!("{message}: {source}"))
            }
            Declined::Write(source) => {
                tracing::warn!(error = %source, "a lab's file was not written");
                Self::new(StatusCode::BAD_GATEWAY, "not_written", format!("{message}: {source}"))
            }
        }
    }
}
