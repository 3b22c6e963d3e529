//! Manifests and indexes, of the OCI and of Docker.

use drydock_images::{Descriptor, Digest};
use serde::{Deserialize, Serialize};

use crate::error::RegistryError;
use crate::platform::Platform;

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// What `Accept` names.
pub(crate) const ACCEPTED: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// A manifest of one image or of several platforms' images, with its bytes as received.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub descriptor: Descriptor,
    pub bytes: Vec<u8>,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    Image {
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
    Index(Vec<IndexEntry>),
    /// Schema 1, which no engine takes any more.
    Outdated,
}

/// One platform's image in an index.
#[derive(Clone, Debug)]
pub struct IndexEntry {
    pub descriptor: Descriptor,
    pub platform: Option<Platform>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct EntryPlatform {
    os: String,
    architecture: String,
    variant: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor {
    #[serde(default)]
    media_type: String,
    digest: Digest,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    platform: Option<EntryPlatform>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    fs_layers: Option<serde_json::Value>,
    config: Option<RawDescriptor>,
    #[serde(default)]
    layers: Option<Vec<RawDescriptor>>,
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
            (Some(entries), None) => {
                Content::Index(entries.into_iter().map(RawDescriptor::into_entry).collect())
            }
            (None, Some(config)) => Content::Image {
                config: config.into_entry().descriptor,
                layers: raw.layers.into_iter().flatten().map(|layer| layer.into_entry().descriptor).collect(),
            },
            (None, None) if raw.schema_version == 1 || raw.fs_layers.is_some() => Content::Outdated,
            (None, None) => return Err(serde::de::Error::missing_field("config")),
            (Some(_), Some(_)) => return Err(serde::de::Error::custom("both a manifest and an index")),
        };
        let descriptor = Descriptor { media_type, digest: Digest::of(&bytes), size: bytes.len() as u64 };
        Ok(Self { descriptor, bytes, content })
    }

    /// The configuration of an image; an index has none.
    pub fn config(&self) -> Option<&Descriptor> {
        match &self.content {
            Content::Image { config, .. } => Some(config),
            Content::Index(_) | Content::Outdated => None,
        }
    }

    /// The platforms of an index.
    pub fn platforms(&self) -> Vec<Platform> {
        let Content::Index(entries) = &self.content else { return Vec::new() };
        entries.iter().filter_map(|entry| entry.platform.clone()).collect()
    }
}

impl RawDescriptor {
    fn into_entry(self) -> IndexEntry {
        let descriptor = Descriptor { media_type: self.media_type, digest: self.digest, size: self.size };
        let platform = self.platform.map(|one| Platform {
            os: one.os,
            architecture: one.architecture,
            variant: Some(one.variant).filter(|variant| !variant.is_empty()),
        });
        IndexEntry { descriptor, platform: platform.filter(|platform| *platform != Platform::default()) }
    }
}

/// The entries of an index for a platform, best first; attestations name `unknown/unknown`, which nobody is.
pub fn select<'a>(entries: &'a [IndexEntry], platform: &Platform) -> Vec<&'a Descriptor> {
    platform.rank(entries.iter().map(|entry| (entry.platform.clone(), &entry.descriptor)))
}

/// Refuses what is no image: charts, models and other artifacts that are kept in registries as well.
pub(crate) fn check_config(manifest: &Descriptor, config: &Descriptor) -> Result<(), RegistryError> {
    const TAKEN: [&str; 6] =
        [DOCKER_CONFIG, OCI_CONFIG, "application/octet-stream", "application/json", "text/html", ""];
    if manifest.media_type == DOCKER_MANIFEST && !TAKEN.contains(&config.media_type.as_str()) {
        return Err(RegistryError::Class(config.media_type.clone()));
    }
    check_media_type(&config.media_type)
}

pub(crate) fn check_media_type(media_type: &str) -> Result<(), RegistryError> {
    let lower = media_type.to_ascii_lowercase();
    if lower.starts_with("application/vnd.docker.ai.") {
        return Err(RegistryError::Model);
    }
    let families = ["application/vnd.oci.image", "application/vnd.docker"];
    let is_family = families.iter().any(|family| {
        lower.strip_prefix(family).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    });
    if is_family
        || ["application/octet-stream", "application/json", "text/html", ""].contains(&lower.as_str())
    {
        return Ok(());
    }
    Err(RegistryError::MediaType(media_type.to_owned()))
}

/// A manifest of Docker's schema 2, byte for byte as moby writes it: the same image has the same digest from either.
pub fn docker_manifest(config: &Descriptor, layers: &[Descriptor]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Entry<'a> {
        media_type: &'a str,
        size: u64,
        digest: &'a Digest,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Whole<'a> {
        schema_version: u32,
        media_type: &'a str,
        config: Entry<'a>,
        layers: Vec<Entry<'a>>,
    }
    let entry = |media_type, one: &'_ Descriptor| (media_type, one.size, one.digest.clone());
    let parts: Vec<_> = std::iter::once(entry(DOCKER_CONFIG, config))
        .chain(layers.iter().map(|layer| entry(DOCKER_LAYER, layer)))
        .collect();
    let mut entries =
        parts.iter().map(|(media_type, size, digest)| Entry { media_type, size: *size, digest });
    let Some(config) = entries.next() else { return Vec::new() };
    let whole = Whole { schema_version: 2, media_type: DOCKER_MANIFEST, config, layers: entries.collect() };
    let mut bytes = Vec::new();
    let style = serde_json::ser::PrettyFormatter::with_indent(b"   ");
    // Strings and numbers always serialize, and a vector always takes them.
    let _ = whole.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, style));
    bytes
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
        let find = |text: &str| {
            let found = select(&entries, &Platform::parse(text).unwrap());
            found.first().map(|one| one.digest.to_string())
        };
        assert_eq!(find("linux/amd64"), Some(digest('2')));
        assert_eq!(find("linux/arm64"), Some(digest('1')));
        assert_eq!(find("aarch64"), Some(digest('1')));
        assert_eq!(find("linux/s390x"), None);
    }

    #[test]
    fn what_is_no_image_is_refused_by_its_media_type() {
        let of = |media_type: &str| Descriptor {
            media_type: media_type.to_owned(),
            digest: Digest::of(b""),
            size: 0,
        };
        let helm = of("application/vnd.cncf.helm.config.v1+json");
        assert_eq!(
            check_config(&of(OCI_MANIFEST), &helm).unwrap_err().to_string(),
            "unsupported media type application/vnd.cncf.helm.config.v1+json"
        );
        assert_eq!(
            check_config(&of(DOCKER_MANIFEST), &helm).unwrap_err().to_string(),
            "Encountered remote \"application/vnd.cncf.helm.config.v1+json\"(unknown) when fetching"
        );
        assert!(check_config(&of(OCI_MANIFEST), &of(OCI_CONFIG)).is_ok());
        assert!(check_media_type("application/vnd.oci.images_are_fun").is_err());
        assert!(matches!(check_media_type("application/vnd.docker.ai.model"), Err(RegistryError::Model)));
    }

    #[test]
    fn schema_1_is_known_and_not_taken() {
        let text = br#"{"schemaVersion":1,"name":"x","fsLayers":[{"blobSum":"y"}]}"#;
        let manifest = Manifest::parse(text.to_vec(), None).unwrap();
        assert!(matches!(manifest.content, Content::Outdated));
    }

    #[test]
    fn a_made_manifest_has_mobys_bytes() {
        let one = |text: &str, size| Descriptor {
            media_type: String::new(),
            digest: Digest::of(text.as_bytes()),
            size,
        };
        let bytes = docker_manifest(&one("c", 7), &[one("l", 9)]);
        let expected = format!(
            "{{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"{DOCKER_MANIFEST}\",\n   \"config\": {{\n      \"mediaType\": \"{DOCKER_CONFIG}\",\n      \"size\": 7,\n      \"digest\": \"{}\"\n   }},\n   \"layers\": [\n      {{\n         \"mediaType\": \"{DOCKER_LAYER}\",\n         \"size\": 9,\n         \"digest\": \"{}\"\n      }}\n   ]\n}}",
            Digest::of(b"c"),
            Digest::of(b"l"),
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }
}
