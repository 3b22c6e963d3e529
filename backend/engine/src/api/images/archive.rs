//! `docker save` and `docker load`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};

use super::bodies::{begun, blocking, blocking_reader, streamed};
use super::query::{all, first, is_true, platform};
use crate::engine::Engine;
use crate::error::ApiResult;
use crate::http::version::ApiVersion;
use crate::image::progress::{Progress, respond_while};

pub async fn save(
    State(engine): State<Arc<Engine>>,
    Extension(version): Extension<ApiVersion>,
    RawQuery(query): RawQuery,
) -> ApiResult {
    let query = query.unwrap_or_default();
    save_names(engine, version, all(&query, "names"), &query).await
}

pub async fn save_names(
    engine: Arc<Engine>,
    version: ApiVersion,
    names: Vec<String>,
    query: &str,
) -> ApiResult {
    let platform = if version.is_before(48) { None } else { platform(query)? };
    let worker = engine.clone();
    let images = blocking(move || worker.images.to_save(&names, platform.as_ref())).await??;
    Ok(streamed("application/x-tar", move |output| engine.images.save(&images, output)))
}

pub async fn load(
    State(engine): State<Arc<Engine>>,
    Extension(version): Extension<ApiVersion>,
    RawQuery(query): RawQuery,
    body: Body,
) -> ApiResult {
    let query = query.unwrap_or_default();
    let platform = if version.is_before(48) { None } else { platform(&query)? };
    let is_quiet = first(&query, "quiet").is_none() || is_true(&query, "quiet");
    let body = begun(body).await;
    Ok(respond_while(async move |progress: Progress| {
        let progress = Arc::new(progress);
        let teller = progress.clone();
        let loaded = blocking_reader(body, move |reader| {
            engine.images.load(reader, platform.as_ref(), (!is_quiet).then_some(&*teller), &teller)
        });
        Ok(loaded.await??)
    }))
}
