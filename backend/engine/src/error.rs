//! What every door answers with when a verb fails: moby's `{"message": …}` and a status.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

/// A failure as the client sees it. Each verb's own error type becomes one of these at the door.
#[derive(Debug)]
pub struct ApiError {
    pub status: StatusCode,
    pub message: String,
}

pub type ApiResult<T = Response> = Result<T, ApiError>;

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    /// An endpoint moby has and this engine does not have yet.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(StatusCode::NOT_IMPLEMENTED, format!("{what} is not implemented by this engine yet"))
    }

    /// The same failure of a larger verb: `verb: failure`.
    #[must_use]
    pub fn of(mut self, verb: &str) -> Self {
        // Nothing to change is no failure.
        if self.status != StatusCode::NOT_MODIFIED {
            self.message = format!("{verb}: {}", self.message);
        }
        self
    }

    /// An error with every cause behind it, as moby's wrapped errors read: `a: b: c`.
    pub fn chain(status: StatusCode, error: &dyn std::error::Error) -> Self {
        Self::new(status, chain(error))
    }
}

/// `error: its source: the source's source`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.downcast_ref().map_or_else(|| cause.to_string(), plain);
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The system's words without Rust's ` (os error 2)`, in small letters as Go has them.
pub fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    match error.raw_os_error() {
        Some(number) => text.trim_end_matches(&format!(" (os error {number})")).to_lowercase(),
        None => text,
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        // What is not there, or only in a swarm, is the client's business.
        let is_ours = !matches!(self.status, StatusCode::NOT_IMPLEMENTED | StatusCode::SERVICE_UNAVAILABLE);
        if self.status.is_server_error() && is_ours {
            tracing::error!(http.status = self.status.as_u16(), "{}", self.message);
        } else {
            tracing::debug!(http.status = self.status.as_u16(), "{}", self.message);
        }
        (self.status, Json(serde_json::json!({ "message": self.message }))).into_response()
    }
}
