//! JSON bodies, refused as everything else is.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::StatusCode;
use serde::de::DeserializeOwned;

use super::refusal::Refusal;

/// A JSON body; one that is not what it should be is a [`Refusal`] that says so. Whatever its `Content-Type` says, and
/// nothing is `{}`: play-with-docker's clients send both. A foreign page gains nothing by that: it knows no session's id.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + 'static> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        let body =
            Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Refusal::too_large(rejection.body_text()),
                _ => Refusal::bad_request(rejection.body_text()),
            })?;
        let json = if body.is_empty() { b"{}" } else { &*body };
        serde_json::from_slice(json).map(Self).map_err(|error| Refusal::bad_request(error.to_string()))
    }
}
