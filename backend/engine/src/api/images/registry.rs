//! What asks a registry beside a pull: push, login, search, and what a registry says of a name.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use bytes::Bytes;
use drydock_images::{Named, Reference};
use drydock_registry::Credentials;
use http::HeaderMap;
use serde_json::json;

use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::image::Filter;
use crate::image::progress::{Progress, respond};

/// Nobody, where the header is missing or cannot be read: moby says nothing of it either.
pub fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    Credentials::from_header(headers.get("x-registry-auth")?.to_str().ok()?)
}

/// Without a tag, all of them.
pub async fn push(engine: Arc<Engine>, name: &str, tag: &str, headers: &HeaderMap) -> ApiResult {
    let name = Named::parse(name)?;
    let name = if tag.is_empty() { name } else { name.with_tag(tag)? };
    let credentials = credentials(headers);
    Ok(respond(async move |progress: Progress| {
        Ok(engine.images.push(&name, credentials.as_ref(), &progress).await?)
    })
    .await)
}

pub async fn search(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> ApiResult {
    const KNOWN: &[&str] = &["is-automated", "is-official", "stars"];
    let text = |key: &str| query.get(key).map(String::as_str);
    let limit = match text("limit").filter(|text| !text.is_empty()) {
        None => 0,
        Some(text) => text.parse::<i64>().map_err(|_| {
            ApiError::invalid(format!(
                "invalid limit specified: strconv.Atoi: parsing {text:?}: invalid syntax"
            ))
        })?,
    };
    let filter = Filter::parse(text("filters"), KNOWN)?;
    if filter.flag("is-automated")? == Some(true) {
        return Ok(Json(json!([])).into_response());
    }
    let official = filter.flag("is-official")?;
    let mut stars = 0;
    for value in filter.get("stars") {
        let wrong =
            format!("invalid filter 'stars={value}': strconv.Atoi: parsing {value:?}: invalid syntax");
        stars = stars.max(value.parse::<i64>().map_err(|_| ApiError::invalid(wrong))?);
    }
    let term = text("term").unwrap_or_default();
    let mut found = engine.images.search(term, limit, credentials(&headers).as_ref()).await?;
    found.retain(|one| official.is_none_or(|wanted| one.is_official == wanted) && one.star_count >= stars);
    for one in &mut found {
        one.is_automated = false;
    }
    Ok(Json(found).into_response())
}

pub async fn distribution(
    State(engine): State<Arc<Engine>>,
    Path(rest): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    let name = rest.strip_suffix("/json").ok_or_else(|| ApiError::not_found("page not found"))?;
    let Reference::Named(name) = Reference::parse(name)? else {
        return Err(ApiError::internal("no manifest found for full image ID"));
    };
    let name = name.or_latest();
    Ok(Json(engine.images.distribution(&name, credentials(&headers).as_ref()).await?).into_response())
}

pub async fn auth(State(engine): State<Arc<Engine>>, body: Bytes) -> ApiResult {
    let credentials: Credentials = serde_json::from_slice(&body).map_err(|error| {
        // Go's decoder's words for the ends that a body may come to.
        ApiError::internal(match (error.is_eof(), body.is_empty()) {
            (true, true) => "EOF".to_owned(),
            (true, false) => "unexpected EOF".to_owned(),
            (false, _) => error.to_string(),
        })
    })?;
    let identity = engine.images.login(&credentials).await?;
    Ok(Json(json!({"IdentityToken": identity, "Status": "Login Succeeded"})).into_response())
}
