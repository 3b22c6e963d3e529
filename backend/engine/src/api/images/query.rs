//! Query strings of images, read as moby reads them.

use drydock_images::{Named, ReferenceError};
use drydock_registry::Platform;
use serde::Deserialize;

use super::bodies::pairs;
use crate::error::ApiError;

impl From<ReferenceError> for ApiError {
    fn from(error: ReferenceError) -> Self {
        Self::invalid(error.to_string())
    }
}

/// The first value of a parameter.
pub fn first(query: &str, name: &str) -> Option<String> {
    pairs(query).find(|(key, _)| key == name).map(|(_, value)| value)
}

/// Every value of a parameter.
pub fn all(query: &str, name: &str) -> Vec<String> {
    pairs(query).filter(|(key, _)| key == name).map(|(_, value)| value).collect()
}

/// Anything but the words for "no" is yes.
pub fn is_true(query: &str, name: &str) -> bool {
    first(query, name).is_some_and(|value| {
        !matches!(value.trim().to_ascii_lowercase().as_str(), "" | "0" | "no" | "false" | "none")
    })
}

/// `repo` and `tag`: a name with a tag, `latest` where there is none; nothing without a repository.
pub fn tagged(repo: &str, tag: &str) -> Result<Option<Named>, ApiError> {
    if repo.is_empty() {
        return Ok(None);
    }
    let name = Named::parse(repo)?;
    if name.digest().is_some() {
        return Err(ApiError::invalid("cannot import digest reference"));
    }
    Ok(Some(if tag.is_empty() { name.or_latest() } else { name.with_tag(tag)? }))
}

/// The `platform` parameter, which is JSON and stands once.
pub fn platform(query: &str) -> Result<Option<Platform>, ApiError> {
    let mut given = all(query, "platform");
    if given.len() > 1 {
        return Err(ApiError::invalid("multiple platform parameters not supported"));
    }
    given.pop().filter(|text| !text.is_empty()).map(|text| decode(&text)).transpose()
}

/// The `platforms` parameter, which may stand several times.
pub fn platforms(query: &str) -> Result<Vec<Platform>, ApiError> {
    all(query, "platforms").iter().map(|text| decode(text)).collect()
}

fn decode(text: &str) -> Result<Platform, ApiError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Json {
        os: String,
        architecture: String,
        variant: String,
        #[serde(rename = "os.version")]
        os_version: String,
        #[serde(rename = "os.features")]
        os_features: Vec<String>,
    }
    let json: Json = serde_json::from_str(text)
        .map_err(|error| ApiError::invalid(format!("failed to parse platform: {error}")))?;
    if json.os.is_empty() || json.architecture.is_empty() {
        let has_more =
            !json.variant.is_empty() || !json.os_version.is_empty() || !json.os_features.is_empty();
        let none = json.os.is_empty() && json.architecture.is_empty();
        return Err(ApiError::invalid(if none && has_more {
            "optional platform fields provided, but OS and Architecture are missing"
        } else {
            "both OS and Architecture must be provided"
        }));
    }
    let variant = Some(json.variant).filter(|variant| !variant.is_empty());
    Ok(Platform { os: json.os, architecture: json.architecture, variant })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms_are_json_with_mobys_complaints() {
        let read = |json: &str| {
            let encoded: String = json.bytes().map(|byte| format!("%{byte:02x}")).collect();
            platform(&format!("platform={encoded}")).map_err(|error| error.message)
        };
        let read_text = |json: &str| read(json).map(|one| one.map(|one| one.to_string()));
        assert_eq!(
            read_text(r#"{"os":"linux","architecture":"arm64","variant":"v8"}"#),
            Ok(Some("linux/arm64/v8".to_owned()))
        );
        assert_eq!(read_text(""), Ok(None));
        assert_eq!(
            read_text(r#"{"os":"linux"}"#),
            Err("both OS and Architecture must be provided".to_owned())
        );
        assert_eq!(
            read_text(r#"{"variant":"v8"}"#),
            Err("optional platform fields provided, but OS and Architecture are missing".to_owned())
        );
        assert!(read_text("linux").unwrap_err().starts_with("failed to parse platform: "));
        let twice = platform("platform=a&platform=b").unwrap_err();
        assert_eq!(twice.message, "multiple platform parameters not supported");
    }

    #[test]
    fn a_repository_gets_a_tag() {
        let name = |repo: &str, tag: &str| {
            tagged(repo, tag).map(|name| name.map(|name| name.familiar())).map_err(|error| error.message)
        };
        assert_eq!(name("", "x"), Ok(None));
        assert_eq!(name("a", ""), Ok(Some("a:latest".to_owned())));
        assert_eq!(name("a:1", "2"), Ok(Some("a:2".to_owned())));
        assert_eq!(name("a", "!"), Err("invalid tag format".to_owned()));
        let digest = format!("a@sha256:{}", "0".repeat(64));
        assert_eq!(name(&digest, ""), Err("cannot import digest reference".to_owned()));
    }
}
