//! Path parameters as what they name: a door that takes one of these is entered only by those who know an id.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use drydock_agent::protocol::TerminalId;
use drydock_sessions::{InstanceName, SessionId};
use http::request::Parts;

use super::refusal::Refusal;
use crate::playground::{Instance, Session};
use crate::state::AppState;

/// The session of `{session}`.
#[derive(Debug)]
pub struct InSession(pub Arc<Session>);

/// The instance of `{session}` and `{instance}`.
#[derive(Debug)]
pub struct OnInstance {
    pub session: Arc<Session>,
    pub instance: Arc<Instance>,
}

/// The terminal of `{session}`, `{instance}` and `{terminal}`; whether it exists the node says.
#[derive(Debug)]
pub struct AtTerminal {
    pub session: Arc<Session>,
    pub instance: Arc<Instance>,
    pub id: TerminalId,
}

type Parameters = Path<HashMap<String, String>>;

impl FromRequestParts<AppState> for InSession {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let parameters = parameters(parts, state).await?;
        session(&parameters, state).map(Self)
    }
}

impl FromRequestParts<AppState> for OnInstance {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let parameters = parameters(parts, state).await?;
        let session = session(&parameters, state)?;
        let instance = instance(&parameters, &session)?;
        Ok(Self { session, instance })
    }
}

impl FromRequestParts<AppState> for AtTerminal {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        let parameters = parameters(parts, state).await?;
        let session = session(&parameters, state)?;
        let instance = instance(&parameters, &session)?;
        let id = parameters
            .get("terminal")
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| Refusal::not_found("terminal"))?;
        Ok(Self { session, instance, id: TerminalId(id) })
    }
}

async fn parameters(parts: &mut Parts, state: &AppState) -> Result<HashMap<String, String>, Refusal> {
    let Path(parameters) = Parameters::from_request_parts(parts, state)
        .await
        .map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
    Ok(parameters)
}

pub fn session(parameters: &HashMap<String, String>, state: &AppState) -> Result<Arc<Session>, Refusal> {
    parameters
        .get("session")
        .and_then(|id| SessionId::parse(id))
        .and_then(|id| state.playground.session(&id))
        .ok_or_else(|| Refusal::not_found("session: it has ended, or never was"))
}

fn instance(parameters: &HashMap<String, String>, session: &Session) -> Result<Arc<Instance>, Refusal> {
    instance_at("instance", parameters, session)
}

/// The instance that the parameter `name` names.
pub fn instance_at(
    name: &str,
    parameters: &HashMap<String, String>,
    session: &Session,
) -> Result<Arc<Instance>, Refusal> {
    parameters
        .get(name)
        .and_then(|name| InstanceName::parse(name))
        .and_then(|name| session.instance(&name))
        .ok_or_else(|| Refusal::not_found("node"))
}
