//! `/images/…`, `/auth`, `/distribution/…`.

mod archive;
pub mod bodies;
mod create;
mod query;
mod read;
mod registry;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, Path, Query, RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};

use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::http::version::ApiVersion;
use crate::image::{Filter, Force, Parents, Use};
use bodies::blocking;
use query::{is_true, platform, tagged};

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/images/json", get(read::list))
        .route("/images/create", post(create::create))
        .route("/images/search", get(registry::search))
        .route("/images/get", get(archive::save))
        .route("/images/load", post(archive::load))
        .route("/images/prune", post(prune))
        // Names hold slashes: what is asked of an image stands behind its name.
        .route("/images/{*rest}", get(read_one).post(change_one).delete(remove_one))
        .route("/distribution/{*rest}", get(registry::distribution))
        .route("/auth", post(registry::auth))
}

/// The containers, as far as images care.
fn uses(engine: &Engine) -> Vec<Use> {
    let containers = engine.containers.all();
    let one = |container: &Arc<crate::container::Container>| {
        let record = container.record();
        Use {
            container: record.id.to_string(),
            image: record.image_id.clone(),
            is_running: record.state.status.is_live(),
        }
    };
    containers.iter().map(one).collect()
}

async fn prune(State(engine): State<Arc<Engine>>, Query(query): Query<HashMap<String, String>>) -> ApiResult {
    const KNOWN: &[&str] = &["dangling", "label", "label!", "until"];
    let filter = Filter::parse(query.get("filters").map(String::as_str), KNOWN)?;
    let answer = blocking(move || engine.images.prune(&filter, &uses(&engine))).await??;
    Ok(Json(answer).into_response())
}

async fn read_one(
    State(engine): State<Arc<Engine>>,
    Extension(version): Extension<ApiVersion>,
    Path(rest): Path<String>,
    RawQuery(query): RawQuery,
) -> ApiResult {
    let query = query.unwrap_or_default();
    if let Some(name) = rest.strip_suffix("/json") {
        return read::inspect(engine, version, name.to_owned(), &query).await;
    }
    if let Some(name) = rest.strip_suffix("/history") {
        let platform = if version.is_before(48) { None } else { platform(&query)? };
        return Ok(Json(engine.images.history(name, platform.as_ref())?).into_response());
    }
    if let Some(name) = rest.strip_suffix("/get") {
        return archive::save_names(engine, version, vec![name.to_owned()], &query).await;
    }
    Err(ApiError::not_found("page not found"))
}

async fn change_one(
    State(engine): State<Arc<Engine>>,
    Path(rest): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> ApiResult {
    let text = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
    if let Some(image) = rest.strip_suffix("/tag") {
        let name = tagged(text("repo"), text("tag"))?;
        let name =
            name.ok_or_else(|| ApiError::invalid("repository name must have at least one component"))?;
        if name.familiar_name() == "sha256" {
            return Err(ApiError::invalid(
                "refusing to create an ambiguous tag using digest algorithm as name",
            ));
        }
        engine.images.tag(image, &name)?;
        return Ok(StatusCode::CREATED.into_response());
    }
    if let Some(name) = rest.strip_suffix("/push") {
        // Old clients send the credentials a second time.
        bodies::drain(body).await;
        return registry::push(engine, name, text("tag"), &headers).await;
    }
    Err(ApiError::not_found("page not found"))
}

async fn remove_one(
    State(engine): State<Arc<Engine>>,
    Extension(version): Extension<ApiVersion>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> ApiResult {
    let query = query.unwrap_or_default();
    if name.trim().is_empty() {
        return Err(ApiError::invalid("image name cannot be blank"));
    }
    let platforms = if version.is_before(50) { Vec::new() } else { query::platforms(&query)? };
    if platforms.len() > 1 {
        return Err(ApiError::invalid("multiple platforms are not supported"));
    }
    let force = if is_true(&query, "force") { Force::Yes } else { Force::No };
    let parents = if is_true(&query, "noprune") { Parents::Keep } else { Parents::Prune };
    let gone =
        blocking(move || engine.images.delete(&name, platforms.first(), force, parents, &uses(&engine)));
    Ok(Json(gone.await??).into_response())
}
