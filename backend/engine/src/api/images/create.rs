//! `POST /images/create`: pull, and import.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use drydock_images::{Named, ReferenceError};
use drydock_registry::Platform;
use http::HeaderMap;

use super::bodies::{self, blocking_reader};
use super::query::tagged;
use super::registry::credentials;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::image::progress::{Progress, respond};
use crate::image::{Imported, PullRequest};
use crate::wire::ContainerConfig;

#[derive(Debug, Default)]
struct Create {
    from_image: String,
    from_src: String,
    repo: String,
    tag: String,
    message: String,
    platform: String,
    changes: Vec<String>,
}

pub async fn create(
    State(engine): State<Arc<Engine>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> ApiResult {
    let create = read(query.as_deref().unwrap_or_default());
    let platform = match create.platform.as_str() {
        "" => None,
        text => Some(Platform::parse(text).map_err(|error| ApiError::invalid(error.to_string()))?),
    };
    if create.from_image.is_empty() {
        return import(engine, create, platform, body).await;
    }
    let name = pull_name(&create.from_image, &create.tag)?;
    let request = PullRequest { name, platform, credentials: credentials(&headers) };
    Ok(respond(async move |progress: Progress| Ok(engine.images.pull(&request, &progress).await?)).await)
}

/// `changes` may stand several times, which axum's query does not read.
fn read(query: &str) -> Create {
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

/// The tag parameter may hold a digest; a name with a tag and a digest means the digest.
fn pull_name(image: &str, tag: &str) -> Result<Named, ReferenceError> {
    let name = Named::parse(image.trim_end_matches(':'))?;
    let name = match tag.parse() {
        _ if tag.is_empty() => name,
        Ok(digest) => name.with_digest(digest),
        Err(_) => name.with_tag(tag)?,
    };
    Ok(match name.digest().cloned() {
        Some(digest) => name.with_digest(digest),
        None => name,
    })
}

async fn import(engine: Arc<Engine>, create: Create, platform: Option<Platform>, body: Body) -> ApiResult {
    let checked = tagged(&create.repo, &create.tag).and_then(|name| {
        if platform.as_ref().is_some_and(|platform| platform.os != "linux") {
            return Err(ApiError::invalid("operating system is not supported"));
        }
        let config = bodies::apply_changes(ContainerConfig::default(), &create.changes)?;
        let usual = || format!("Imported from {}", create.from_src);
        let comment = Some(create.message).filter(|message| !message.is_empty()).unwrap_or_else(usual);
        Ok(Imported { name, config, comment, platform: platform.unwrap_or_else(Platform::here) })
    });
    let new = match checked {
        Ok(new) => new,
        Err(error) => {
            bodies::drain(body).await;
            return Err(error);
        }
    };
    if create.from_src != "-" {
        return Ok(respond(async move |progress: Progress| {
            let id = engine.images.import_from(&create.from_src, new, &progress).await?;
            progress.say(&id);
            Ok(())
        })
        .await);
    }
    let id = blocking_reader(body, move |reader| engine.images.import(reader, &new)).await?;
    Ok(respond(async move |progress: Progress| {
        progress.say(&id?);
        Ok(())
    })
    .await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_pull_may_be_said_in_several_ways() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (image, tag, expected) in [
            ("app", "1", "app:1".to_owned()),
            ("app:1", "", "app:1".to_owned()),
            ("app", "", "app".to_owned()),
            ("app:", "", "app".to_owned()),
            ("app", digest.as_str(), format!("app@{digest}")),
            ("app:1", digest.as_str(), format!("app@{digest}")),
            (&format!("app:1@{digest}"), "", format!("app@{digest}")),
        ] {
            assert_eq!(pull_name(image, tag).unwrap().familiar(), expected, "{image} {tag}");
        }
        assert_eq!(pull_name("app", "!!").unwrap_err().to_string(), "invalid tag format");
    }
}
