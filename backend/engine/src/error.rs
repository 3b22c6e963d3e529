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
        let cause_text = in_go(&cause.to_string());
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// The system's words as Go prints them: `No such file or directory (os error 2)` → `no such file or directory`.
pub fn plain(error: &std::io::Error) -> String {
    in_go(&error.to_string())
}

/// Also where a library has put ` at path "…"` behind it.
fn in_go(text: &str) -> String {
    let Some((words, rest)) = text.rsplit_once(" (os error ") else { return text.to_owned() };
    let is_number = |number: &str| number.bytes().all(|byte| byte.is_ascii_digit());
    let is_last = |rest: &str| rest.is_empty() || rest.starts_with(" at path ");
    let mut letters = words.chars();
    match (rest.split_once(')'), letters.next()) {
        (Some((number, rest)), Some(first)) if is_number(number) && is_last(rest) => {
            format!("{}{}", first.to_ascii_lowercase(), letters.as_str())
        }
        _ => text.to_owned(),
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
