//! Manifests and indexes, of the OCI and of Docker.

use drydock_images::{Descriptor, Digest, PlatformError, Specifier};
use serde::Deserialize;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What `Accept` names.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// A system that an image runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: Option<String>,
}

impl Platform {
    /// This machine's.
    pub fn here() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            other => (other, None),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// `linux/arm64/v8`, `linux/amd64`, or half of it alone.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let Specifier { os, architecture, variant } = Specifier::parse(text, &Self::here().architecture)?;
        Ok(Self { os, architecture, variant: Some(variant).filter(|variant| !variant.is_empty()) })
    }

    fn matches(&self, entry: &EntryPlatform) -> bool {
        let variant = |text: &Option<String>| {
            text.clone().filter(|text| !(self.architecture == "arm64" && text == "v8"))
        };
        entry.os == self.os
            && entry.architecture == self.architecture
            && (self.variant.is_none() || variant(&self.variant) == variant(&entry.variant))
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

/// A manifest of one image or of several platforms' images, with its bytes as received.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Image { config: Descriptor, layers: Vec<Descriptor> },
    Index(Vec<IndexEntry>),
}

/// One platform's image in an index.
#[derive(Clone, Debug)]
pub struct IndexEntry {
    pub descriptor: Descriptor,
    platform: Option<EntryPlatform>,
}

#[derive(Clone, Debug, Deserialize)]
struct EntryPlatform {
    os: String,
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    platform: Option<EntryPlatform>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Vec<RawDescriptor>,
    #[serde(default)]
    manifests: Option<Vec<RawDescriptor>>,
}

impl Manifest {
    /// Reads a manifest. `content_type` counts where the manifest does not name its own type.
    pub fn parse(bytes: Vec<u8>, content_type: Option<&str>) -> Result<Self, serde_json::Error> {
        let raw: Raw = serde_json::from_slice(&bytes)?;
        let is_index = raw.manifests.is_some();
        let media_type = raw.media_type.or_else(|| content_type.map(str::to_owned));
        let media_type = media_type.filter(|kind| ACCEPTED.contains(&kind.as_str()));
        let media_type =
            media_type.unwrap_or_else(|| (if is_index { OCI_INDEX } else { OCI_MANIFEST }).to_owned());
        let content = match (raw.manifests, raw.config) {
            (Some(entries), _) => {
                Content::Index(entries.into_iter().map(RawDescriptor::into_entry).collect())
            }
            (None, Some(config)) => Content::Image {
                config: config.into_entry().descriptor,
                layers: raw.layers.into_iter().map(|layer| layer.into_entry().descriptor).collect(),
            },
            (None, None) => return Err(serde::de::Error::missing_field("config")),
        };
        let descriptor = Descriptor { media_type, digest: Digest::of(&bytes), size: bytes.len() as u64 };
        Ok(Self { descriptor, bytes, content })
    }
}

impl Manifest {
    /// The configuration of an image; an index has none.
    pub fn config(&self) -> Option<&Descriptor> {
        match &self.content {
            Content::Image { config, .. } => Some(config),
            Content::Index(_) => None,
        }
    }

    /// The platforms of an index.
    pub fn platforms(&self) -> Vec<Platform> {
        let Content::Index(entries) = &self.content else { return Vec::new() };
        let named = entries.iter().filter_map(|entry| entry.platform.clone());
        let platform = |one: EntryPlatform| Platform {
            os: one.os,
            architecture: one.architecture,
            variant: one.variant,
        };
        named.map(platform).collect()
    }
}

impl RawDescriptor {
    fn into_entry(self) -> IndexEntry {
        let descriptor = Descriptor { media_type: self.media_type, digest: self.digest, size: self.size };
        IndexEntry { descriptor, platform: self.platform }
    }
}

/// The entry for a platform; entries without one (attestations name `unknown/unknown`) never match.
pub fn select<'a>(entries: &'a [IndexEntry], platform: &Platform) -> Option<&'a Descriptor> {
    let found = entries.iter().find(|entry| entry.platform.as_ref().is_some_and(|one| platform.matches(one)));
    found.map(|entry| &entry.descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_gives_the_entry_of_the_platform() {
        let digest = |digit: char| format!("sha256:{}", digit.to_string().repeat(64));
        let text = serde_json::json!({"schemaVersion": 2, "manifests": [
            {"digest": digest('0'), "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}},
            {"digest": digest('1'), "size": 1, "platform": {"os": "linux", "architecture": "arm64", "variant": "v8"}},
            {"digest": digest('2'), "size": 1, "platform": {"os": "linux", "architecture": "amd64"}},
        ]});
        let manifest = Manifest::parse(text.to_string().into_bytes(), Some(DOCKER_LIST)).unwrap();
        assert_eq!(manifest.descriptor.media_type, DOCKER_LIST);
        let Content::Index(entries) = manifest.content else { panic!("an index") };
        let find =
            |text: &str| select(&entries, &Platform::parse(text).unwrap()).map(|one| one.digest.to_string());
        assert_eq!(find("linux/amd64"), Some(digest('2')));
        assert_eq!(find("linux/arm64"), Some(digest('1')));
        assert_eq!(find("aarch64"), Some(digest('1')));
        assert_eq!(find("linux/s390x"), None);
    }
}
