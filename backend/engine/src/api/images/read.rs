//! Lists and descriptions, in the shape of the version that the client speaks.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, RawQuery, State};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::bodies::blocking;
use super::query::{first, is_true, platform};
use super::uses;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::http::version::ApiVersion;
use crate::image::{Filter, Listing};

pub async fn list(
    State(engine): State<Arc<Engine>>,
    Extension(version): Extension<ApiVersion>,
    RawQuery(query): RawQuery,
) -> ApiResult {
    const KNOWN: &[&str] = &["dangling", "label", "before", "since", "reference", "until"];
    let query = query.unwrap_or_default();
    let mut filter = Filter::parse(first(&query, "filters").as_deref(), KNOWN)?;
    if let Some(pattern) = first(&query, "filter").filter(|name| version.is_before(41) && !name.is_empty()) {
        filter.add("reference", pattern);
    }
    let listing = Listing {
        all: is_true(&query, "all"),
        shared_size: !version.is_before(42) && is_true(&query, "shared-size"),
    };
    let list = blocking(move || {
        let uses = uses(&engine);
        let count = |id: &str| uses.iter().filter(|one| one.image == id).count() as i64;
        engine.images.list(&filter, listing, &count)
    });
    let mut list = list.await??;
    list.iter_mut().for_each(|one| shape_summary(one, version));
    Ok(Json(list).into_response())
}

fn shape_summary(one: &mut Value, version: ApiVersion) {
    let is_nameless = |value: &Value| value.as_array().is_none_or(Vec::is_empty);
    if version.is_before(43) && is_nameless(&one["RepoTags"]) && is_nameless(&one["RepoDigests"]) {
        one["RepoTags"] = json!(["<none>:<none>"]);
        one["RepoDigests"] = json!(["<none>@<none>"]);
    }
    for key in ["RepoTags", "RepoDigests"] {
        if version.is_before(43) && is_nameless(&one[key]) {
            one[key] = Value::Null;
        }
    }
    if version.is_before(44) {
        one["VirtualSize"] = one["Size"].clone();
    }
    if version.is_before(51) {
        one["Containers"] = json!(-1);
    }
}

pub async fn inspect(engine: Arc<Engine>, version: ApiVersion, name: String, query: &str) -> ApiResult {
    let wants_manifests = !version.is_before(48) && is_true(query, "manifests");
    let platform = if version.is_before(49) { None } else { platform(query)? };
    if wants_manifests && platform.is_some() {
        return Err(ApiError::invalid(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let mut answer = blocking(move || engine.images.inspect(&name, platform.as_ref())).await??;
    shape_inspect(&mut answer, version);
    Ok(Json(answer).into_response())
}

/// Fields that came and went between versions.
fn shape_inspect(answer: &mut Value, version: ApiVersion) {
    if version.is_before(44) {
        answer["VirtualSize"] = answer["Size"].clone();
        if answer.get("Created").is_none() {
            answer["Created"] = json!("0001-01-01T00:00:00Z");
        }
    }
    if !version.is_before(45)
        && let Value::Object(fields) = answer
    {
        fields.remove("Container");
        fields.remove("ContainerConfig");
    }
    if version.is_before(50) {
        let config = &mut answer["Config"];
        for (key, usual) in [
            ("Hostname", json!("")),
            ("Domainname", json!("")),
            ("AttachStdin", json!(false)),
            ("AttachStdout", json!(false)),
            ("AttachStderr", json!(false)),
            ("Tty", json!(false)),
            ("OpenStdin", json!(false)),
            ("StdinOnce", json!(false)),
            ("Image", json!("")),
        ] {
            config[key] = usual;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minor(minor: u32) -> ApiVersion {
        ApiVersion { major: 1, minor }
    }

    #[test]
    fn old_clients_see_what_they_know() {
        let summary = json!({"RepoTags": [], "RepoDigests": [], "Size": 7, "Containers": 2});
        let shaped = |version| {
            let mut one = summary.clone();
            shape_summary(&mut one, version);
            one
        };
        assert_eq!(shaped(minor(42))["RepoTags"], json!(["<none>:<none>"]));
        assert_eq!(shaped(minor(43))["VirtualSize"], json!(7));
        assert_eq!(shaped(minor(44))["VirtualSize"], Value::Null);
        assert_eq!(shaped(minor(50))["Containers"], json!(-1));
        assert_eq!(shaped(minor(51))["Containers"], json!(2));
    }

    #[test]
    fn a_description_has_the_fields_of_its_version() {
        let description =
            json!({"Size": 7, "Container": "c", "ContainerConfig": {}, "Config": {"Cmd": null}});
        let shaped = |version| {
            let mut one = description.clone();
            shape_inspect(&mut one, version);
            one
        };
        assert_eq!(shaped(minor(44))["Container"], json!("c"));
        assert!(shaped(minor(45)).get("Container").is_none());
        assert_eq!(shaped(minor(49))["Config"]["Tty"], json!(false));
        assert!(shaped(minor(50))["Config"].get("Tty").is_none());
        assert_eq!(shaped(minor(43))["Created"], json!("0001-01-01T00:00:00Z"));
    }
}
