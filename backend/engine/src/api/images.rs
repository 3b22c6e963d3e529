//! `/images/…`, `/auth`, `/distribution/…`.

pub mod bodies;

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, RawQuery, State};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_images::{Named, ReferenceError};
use drydock_registry::{Credentials, Platform};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::json;

use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::image::progress::{Progress, respond, respond_in_stream};
use crate::image::{Filter, FilterError, Force, Parents, PullRequest, TransferError, Use};
use crate::wire::ContainerConfig;
use bodies::{blocking, blocking_reader, streamed};

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/images/json", get(list))
        .route("/images/create", post(create))
        .route("/images/search", get(search))
        .route("/images/get", get(save))
        .route("/images/load", post(load))
        .route("/images/prune", post(prune))
        // Names hold slashes: what is asked of an image stands behind its name.
        .route("/images/{*rest}", get(read_one).post(change_one).delete(remove_one))
        .route("/distribution/{*rest}", get(distribution))
        .route("/auth", post(auth))
}

fn bad_reference(error: ReferenceError) -> ApiError {
    ApiError::invalid(error.to_string())
}

fn bad_filter(error: FilterError) -> ApiError {
    ApiError::invalid(error.to_string())
}

fn is_true(query: &HashMap<String, String>, key: &str) -> bool {
    query.get(key).is_some_and(|value| {
        !matches!(value.to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
    })
}

fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    Credentials::from_header(headers.get("x-registry-auth")?.to_str().ok()?)
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

async fn list(State(engine): State<Arc<Engine>>, Query(query): Query<HashMap<String, String>>) -> ApiResult {
    const KNOWN: &[&str] = &["dangling", "label", "label!", "before", "since", "reference", "until"];
    let mut filter = query.get("filters").cloned();
    // Before API 1.28 one name could be asked for.
    if let Some(name) = query.get("filter").filter(|name| !name.is_empty()) {
        filter = Some(json!({ "reference": [name] }).to_string());
    }
    let filter = Filter::parse(filter.as_deref(), KNOWN).map_err(bad_filter)?;
    let all = is_true(&query, "all");
    let list = blocking(move || {
        let uses = uses(&engine);
        let count = |id: &str| Some(uses.iter().filter(|one| one.image == id).count() as i64);
        engine.images.list(&filter, all, &count)
    });
    Ok(Json(list.await??).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Create {
    from_image: String,
    from_src: String,
    repo: String,
    tag: String,
    message: String,
    platform: String,
    changes: Vec<String>,
}

async fn create(
    State(engine): State<Arc<Engine>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> ApiResult {
    let create = create_query(query.as_deref().unwrap_or_default());
    let platform = match create.platform.as_str() {
        "" => Platform::here(),
        text => Platform::parse(text).map_err(|error| ApiError::invalid(error.to_string()))?,
    };
    if create.from_image.is_empty() {
        return import(engine, create, body).await;
    }
    let name = pull_name(&create.from_image, &create.tag).map_err(bad_reference)?;
    let request = PullRequest { name, platform, credentials: credentials(&headers) };
    Ok(respond(async move |progress: Progress| Ok(engine.images.pull(&request, &progress).await?)).await)
}

/// `changes` may stand several times, which axum's query does not read.
fn create_query(query: &str) -> Create {
    let mut create = Create::default();
    for (key, value) in bodies::pairs(query) {
        match key.as_str() {
            "fromImage" => create.from_image = value,
            "fromSrc" => create.from_src = value,
            "repo" => create.repo = value,
            "tag" => create.tag = value,
            "message" => create.message = value,
            "platform" => create.platform = value,
            "changes" => create.changes.push(value),
            _ => {}
        }
    }
    create
}

/// The tag parameter may hold a digest, or a tag with a digest.
fn pull_name(image: &str, tag: &str) -> Result<Named, ReferenceError> {
    let name = Named::parse(image.trim_end_matches(':'))?;
    if tag.is_empty() {
        return Ok(name);
    }
    match tag.parse() {
        Ok(digest) => Ok(name.with_digest(digest)),
        Err(_) if tag.contains('@') => Named::parse(&format!("{image}:{tag}")),
        Err(_) => name.with_tag(tag),
    }
}

async fn import(engine: Arc<Engine>, create: Create, body: Body) -> ApiResult {
    if create.from_src != "-" {
        return Err(ApiError::not_implemented("import from a URL"));
    }
    let name = match create.repo.as_str() {
        "" => None,
        repo => {
            let name = Named::parse(repo).map_err(bad_reference)?;
            let name = if create.tag.is_empty() {
                name
            } else {
                name.with_tag(&create.tag).map_err(bad_reference)?
            };
            Some(name.or_latest())
        }
    };
    let config = match bodies::apply_changes(ContainerConfig::default(), &create.changes) {
        Ok(config) => config,
        Err(error) => {
            bodies::drain(body).await;
            return Err(error);
        }
    };
    let comment = if create.message.is_empty() { "Imported from -".to_owned() } else { create.message };
    let id = blocking_reader(body, move |reader| {
        engine.images.import(bodies::unzipped(reader), name.as_ref(), &config, &comment)
    })
    .await?;
    Ok(respond(async move |progress: Progress| {
        progress.say(&id?);
        Ok(())
    })
    .await)
}

async fn search(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<HashMap<String, String>>,
) -> ApiResult {
    let filter =
        Filter::parse(query.get("filters").map(String::as_str), &["is-official", "is-automated", "stars"])
            .map_err(bad_filter)?;
    let official = filter.flag("is-official").map_err(bad_filter)?;
    let term = query.get("term").map(String::as_str).unwrap_or_default();
    if term.is_empty() {
        return Err(ApiError::invalid("term is required"));
    }
    let limit =
        query.get("limit").and_then(|text| text.parse().ok()).filter(|limit| *limit > 0).unwrap_or(25);
    let found = engine.images.search(term).await?.into_iter().map(|name| {
        let short = name.strip_prefix("library/");
        json!({
            "name": short.unwrap_or(&name),
            "description": if short.is_some() { "In the offline library" } else { "" },
            "star_count": 0,
            "is_official": short.is_some(),
            "is_automated": false,
        })
    });
    let kept = found.filter(|one| official.is_none_or(|wanted| one["is_official"] == wanted));
    Ok(Json(kept.take(limit).collect::<Vec<_>>()).into_response())
}

async fn save(State(engine): State<Arc<Engine>>, RawQuery(query): RawQuery) -> ApiResult {
    let names: Vec<String> = bodies::pairs(query.as_deref().unwrap_or_default())
        .filter(|(key, _)| key == "names")
        .map(|(_, name)| name)
        .collect();
    save_names(engine, names).await
}

async fn save_names(engine: Arc<Engine>, names: Vec<String>) -> ApiResult {
    let images = engine.images.to_save(&names)?;
    Ok(streamed("application/x-tar", move |output| engine.images.save(&images, output)))
}

/// The answer has begun by the time the archive is read: what is wrong with it is told in the stream.
async fn load(State(engine): State<Arc<Engine>>, body: Body) -> ApiResult {
    let lines = blocking_reader(body, move |reader| engine.images.load(bodies::unzipped(reader))).await?;
    Ok(respond_in_stream(async move |progress: Progress| {
        lines?.iter().for_each(|line| progress.stream(line));
        Ok(())
    }))
}

async fn prune(State(engine): State<Arc<Engine>>, Query(query): Query<HashMap<String, String>>) -> ApiResult {
    let filter =
        Filter::parse(query.get("filters").map(String::as_str), &["dangling", "label", "label!", "until"])
            .map_err(bad_filter)?;
    let answer = blocking(move || engine.images.prune(&filter, &uses(&engine))).await??;
    Ok(Json(answer).into_response())
}

async fn read_one(State(engine): State<Arc<Engine>>, Path(rest): Path<String>) -> ApiResult {
    if let Some(name) = rest.strip_suffix("/json") {
        return Ok(Json(engine.images.inspect(name)?).into_response());
    }
    if let Some(name) = rest.strip_suffix("/history") {
        return Ok(Json(engine.images.history(name)?).into_response());
    }
    if let Some(name) = rest.strip_suffix("/get") {
        return save_names(engine, vec![name.to_owned()]).await;
    }
    Err(ApiError::not_found("page not found"))
}

async fn change_one(
    State(engine): State<Arc<Engine>>,
    Path(rest): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> ApiResult {
    if let Some(image) = rest.strip_suffix("/tag") {
        let repo = query.get("repo").map(String::as_str).unwrap_or_default();
        let name = Named::parse(repo).map_err(bad_reference)?;
        if name.digest().is_some() {
            return Err(ApiError::invalid("refusing to create a tag with a digest reference"));
        }
        let name = match query.get("tag").map(String::as_str).unwrap_or_default() {
            "" => name,
            tag => name.with_tag(tag).map_err(bad_reference)?,
        };
        engine.images.tag(image, &name)?;
        return Ok(StatusCode::CREATED.into_response());
    }
    if let Some(name) = rest.strip_suffix("/push") {
        let name = Named::parse(name).map_err(bad_reference)?;
        let name = match query.get("tag").map(String::as_str).unwrap_or_default() {
            "" => name.or_latest(),
            tag => name.with_tag(tag).map_err(bad_reference)?,
        };
        let credentials = credentials(&headers);
        return Ok(respond(async move |progress: Progress| {
            Ok(engine.images.push(&name, credentials.as_ref(), &progress).await?)
        })
        .await);
    }
    Err(ApiError::not_found("page not found"))
}

async fn remove_one(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> ApiResult {
    let force = if is_true(&query, "force") { Force::Yes } else { Force::No };
    let parents = if is_true(&query, "noprune") { Parents::Keep } else { Parents::Prune };
    let gone = blocking(move || engine.images.delete(&name, force, parents, &uses(&engine))).await??;
    Ok(Json(gone).into_response())
}

async fn distribution(
    State(engine): State<Arc<Engine>>,
    Path(rest): Path<String>,
    headers: HeaderMap,
) -> ApiResult {
    let name = rest.strip_suffix("/json").ok_or_else(|| ApiError::not_found("page not found"))?;
    let name = Named::parse(name).map_err(bad_reference)?.or_latest();
    Ok(Json(engine.images.distribution(&name, credentials(&headers).as_ref()).await?).into_response())
}

async fn auth(State(engine): State<Arc<Engine>>, Json(credentials): Json<Credentials>) -> ApiResult {
    match engine.images.login(&credentials).await {
        Ok(()) => Ok(Json(json!({"Status": "Login Succeeded", "IdentityToken": ""})).into_response()),
        Err(error @ TransferError::Registry(_)) => Err(error.into()),
        Err(error) => Err(error.into()),
    }
}
