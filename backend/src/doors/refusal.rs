//! An answer that is no success: a status, a stable word and a sentence.

use std::error::Error;

use axum::Json;
use axum::response::{IntoResponse, Response};
use drydock_agent::client::AgentError;
use drydock_agent::protocol::RefusalKind;
use drydock_sessions::StoreError;
use drydock_sessions::rate::TooMany;
use drydock_wire::session::Failure;
use http::{HeaderValue, StatusCode, header};

use crate::playground::create::{CreateSession, chain};
use crate::playground::furnish::Furnish;
use crate::playground::instances::{CreateInstance, EndInstance};

#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    /// See [`Failure::error`].
    pub word: &'static str,
    pub message: String,
    retry_after_seconds: Option<i64>,
}

impl Refusal {
    pub fn new(status: StatusCode, word: &'static str, message: impl Into<String>) -> Self {
        Self { status, word, message: message.into(), retry_after_seconds: None }
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    /// No room: the sentence says when to try again.
    pub fn full(message: impl Into<String>) -> Self {
        let refusal = Self::new(StatusCode::SERVICE_UNAVAILABLE, "out_of_capacity", message);
        Self { retry_after_seconds: Some(60), ..refusal }
    }

    /// A failure of ours. The log has the whole of it, the client what it was doing.
    pub fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "a request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
    }

    /// A node that does not do as told; the student may have broken it.
    fn node(error: &AgentError) -> Self {
        tracing::warn!(error = %chain(error), "a node failed");
        Self::new(StatusCode::BAD_GATEWAY, "node_unreachable", error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let failure = Failure { error: self.word.to_owned(), message: self.message };
        let mut response = (self.status, Json(failure)).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<TooMany> for Refusal {
    fn from(error: TooMany) -> Self {
        let seconds = error.0.whole_seconds().max(1);
        let refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", error.to_string());
        Self { retry_after_seconds: Some(seconds), ..refusal }
    }
}

impl From<CreateSession> for Refusal {
    fn from(error: CreateSession) -> Self {
        match error {
            CreateSession::Full(_) | CreateSession::HostFull(_) => Self::full(error.to_string()),
            _ => Self::internal(&error),
        }
    }
}

impl From<CreateInstance> for Refusal {
    fn from(error: CreateInstance) -> Self {
        use drydock_sessions::capacity::Full;
        let message = error.to_string();
        match error {
            CreateInstance::Privileged | CreateInstance::ForeignImage(_) | CreateInstance::BadHostname(_) => {
                Self::bad_request(message)
            }
            CreateInstance::HostnameTaken(_) => Self::new(StatusCode::CONFLICT, "hostname_taken", message),
            CreateInstance::Full(Full::SessionInstances(_)) => {
                Self::new(StatusCode::CONFLICT, "max_instances", message)
            }
            CreateInstance::Full(_) | CreateInstance::HostFull(_) => Self::full(message),
            CreateInstance::SessionEnded => Self::not_found("session"),
            CreateInstance::Name(_)
            | CreateInstance::Boot(_)
            | CreateInstance::Keep(_)
            | CreateInstance::CutShort => Self::internal(&error),
        }
    }
}

impl From<Furnish> for Refusal {
    fn from(error: Furnish) -> Self {
        match error {
            Furnish::Create(error) => error.into(),
            error => {
                let message = chain(&error);
                tracing::warn!(error = message, "no swarm was formed");
                Self::new(StatusCode::BAD_GATEWAY, "no_swarm", message)
            }
        }
    }
}

impl From<EndInstance> for Refusal {
    fn from(error: EndInstance) -> Self {
        Self::internal(&error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<AgentError> for Refusal {
    fn from(error: AgentError) -> Self {
        let message = error.to_string();
        match &error {
            AgentError::Refused { refusal } => match refusal.kind {
                RefusalKind::NotFound => Self::new(StatusCode::NOT_FOUND, "not_found", message),
                RefusalKind::Invalid => Self::bad_request(message),
                RefusalKind::Limit => Self::new(StatusCode::CONFLICT, "limit", message),
                RefusalKind::Failed => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "failed", message),
            },
            AgentError::TooLarge { .. } => Self::too_large(message),
            _ => Self::node(&error),
        }
    }
}
