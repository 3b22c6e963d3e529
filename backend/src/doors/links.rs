//! Cables of a session that lose packets: of one node, or between two.
//!
//! `/sessions/{session}/links` lists what is wrong; `…/links/{instance}` is a node's cable to the switch and
//! `…/links/{instance}/{other}` the way between two nodes. `PUT {"loss": 30}` lets it lose 30 of 100 packets each way,
//! 100 cuts it, and `DELETE` heals it.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, State};
use axum::routing::get;
use axum::{Json, Router};
use drydock_nodes::{FaultError, Loss};
use drydock_wire::topology::{Fault, NewFault};
use http::StatusCode;
use http::request::Parts;

use super::body::JsonBody;
use super::found::{self, InSession};
use super::refusal::Refusal;
use crate::playground::Session;
use crate::playground::links::Ends;
use crate::state::AppState;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/sessions/{session}/links", get(list))
        .route("/sessions/{session}/links/{instance}", get(show).put(lose).delete(heal))
        .route("/sessions/{session}/links/{instance}/{other}", get(show).put(lose).delete(heal))
}

/// The cable of `{session}`, `{instance}` and perhaps `{other}`.
struct OnCable {
    session: Arc<Session>,
    ends: Ends,
}

impl FromRequestParts<AppState> for OnCable {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let Path(parameters) = Path::<HashMap<String, String>>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
        let session = found::session(&parameters, state)?;
        let one = found::instance_at("instance", &parameters, &session)?;
        let other = match parameters.contains_key("other") {
            true => Some(found::instance_at("other", &parameters, &session)?),
            false => None,
        };
        Ok(Self { session, ends: Ends { one, other } })
    }
}

async fn list(State(state): State<AppState>, InSession(session): InSession) -> Json<Vec<Fault>> {
    Json(state.playground.faults(&session))
}

async fn show(State(state): State<AppState>, at: OnCable) -> Json<Fault> {
    Json(state.playground.fault(&at.session, &at.ends))
}

async fn lose(
    State(state): State<AppState>,
    at: OnCable,
    JsonBody(asked): JsonBody<NewFault>,
) -> Result<Json<Fault>, Refusal> {
    let loss = match asked.loss {
        0 => None,
        percent => Some(
            Loss::percent(percent)
                .ok_or_else(|| Refusal::bad_request("`loss` is a part of a hundred: 0 to 100"))?,
        ),
    };
    state.playground.set_fault(&at.session, &at.ends, loss).await?;
    Ok(Json(state.playground.fault(&at.session, &at.ends)))
}

async fn heal(State(state): State<AppState>, at: OnCable) -> Result<StatusCode, Refusal> {
    state.playground.set_fault(&at.session, &at.ends, None).await?;
    Ok(StatusCode::OK)
}

impl From<FaultError> for Refusal {
    fn from(error: FaultError) -> Self {
        match &error {
            FaultError::NoSession(_) => Self::not_found("session"),
            FaultError::NoCable { .. } => Self::not_found("node"),
            FaultError::Loop => Self::bad_request(error.to_string()),
            FaultError::Rules { .. } | FaultError::Record { .. } => Self::internal(&error),
        }
    }
}
