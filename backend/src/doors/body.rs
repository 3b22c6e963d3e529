//! JSON bodies, refused as everything else is.

use axum::extract::{FromRequest, Request};
use axum::{Json, RequestExt};
use serde::de::DeserializeOwned;

use super::refusal::Refusal;

/// A JSON body; one that is not what it should be is a [`Refusal`] that says so.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + 'static> FromRequest<S> for JsonBody<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, _: &S) -> Result<Self, Refusal> {
        let Json(value) = request
            .extract::<Json<T>, _>()
            .await
            .map_err(|rejection| Refusal::new(rejection.status(), "bad_request", rejection.body_text()))?;
        Ok(Self(value))
    }
}
