//! What `docker images`, `docker image inspect` and `docker history` show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drydock_images::{Digest, Image as Stored, IndexError, Named};
use drydock_registry::Platform;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::filter::Filter;
use super::transfer::other_platform;
use super::{ImageService, LookupError};

/// An image with its names.
pub(super) struct NamedImage {
    pub image: Arc<Stored>,
    pub tags: Vec<Named>,
    pub digests: Vec<Named>,
}

impl NamedImage {
    pub fn tag_texts(&self) -> Vec<String> {
        self.tags.iter().map(Named::familiar).collect()
    }

    pub fn digest_texts(&self) -> Vec<String> {
        self.digests.iter().map(Named::familiar).collect()
    }

    pub fn is_nameless(&self) -> bool {
        self.tags.is_empty() && self.digests.is_empty()
    }

    /// Seconds since 1970; images without a date are from the beginning.
    pub fn created(&self) -> i64 {
        created(&self.image)
    }
}

pub(super) fn created(image: &Stored) -> i64 {
    image.created().map_or(0, seconds)
}

fn seconds(text: &str) -> i64 {
    OffsetDateTime::parse(text, &Rfc3339).map_or(0, OffsetDateTime::unix_timestamp)
}

impl ImageService {
    /// All images with their names, newest first.
    pub(super) fn named_images(&self) -> Result<Vec<NamedImage>, IndexError> {
        let mut names: BTreeMap<_, (Vec<Named>, Vec<Named>)> = BTreeMap::new();
        for (name, id) in self.store.references()? {
            let (tags, digests) = names.entry(id).or_default();
            if name.digest().is_some() { digests.push(name) } else { tags.push(name) }
        }
        let images = self.store.images()?.into_iter().map(|image| {
            let (tags, digests) = names.remove(&image.id).unwrap_or_default();
            NamedImage { image, tags, digests }
        });
        let mut images: Vec<_> = images.collect();
        images.sort_by_key(|one| std::cmp::Reverse(one.created()));
        Ok(images)
    }

    /// `GET /images/json`. `uses` counts the containers of an image.
    pub fn list(
        &self,
        filter: &Filter,
        listing: Listing,
        uses: &dyn Fn(&str) -> i64,
    ) -> Result<Vec<Value>, LookupError> {
        let bounds = filter.bounds(self)?;
        let images = self.named_images().map_err(LookupError::Index)?;
        let parents: BTreeSet<_> = images.iter().filter_map(|one| one.image.parent.clone()).collect();
        let shared = if listing.shared_size { Some(shared_chains(&images)) } else { None };
        // Steps on the way to another image are shown when they have a name, or to who wants all.
        let shown = images
            .into_iter()
            .filter(|one| listing.all || !one.is_nameless() || !parents.contains(&one.image.id));
        let shown = shown.filter_map(|one| filter.apply(one, &bounds));
        Ok(shown
            .map(|one| {
                let size = shared.as_ref().map(|shared| self.shared_size(&one.image, shared));
                summary(&one, uses(&one.image.id.to_string()), size)
            })
            .collect())
    }

    fn shared_size(&self, image: &Stored, shared: &BTreeSet<Digest>) -> u64 {
        let layers = image.layers.iter().zip(image.chain_ids());
        let layers = layers.filter(|(_, chain)| shared.contains(chain));
        layers.filter_map(|(layer, _)| self.store.layer_size(&layer.diff_id)).sum()
    }

    /// Bytes of all layers, each counted once.
    pub fn layers_size(&self) -> u64 {
        let images = self.store.images().unwrap_or_default();
        let layers: BTreeSet<_> =
            images.iter().flat_map(|image| image.layers.iter().map(|layer| layer.diff_id.clone())).collect();
        layers.iter().filter_map(|diff_id| self.store.layer_size(diff_id)).sum()
    }

    /// Finds an image, and refuses one that is for another platform.
    pub(super) fn find_for(
        &self,
        reference: &str,
        platform: Option<&Platform>,
    ) -> Result<Arc<Stored>, LookupError> {
        let image = self.store.find(reference)?;
        let wrong = platform.and_then(|platform| other_platform(reference, &image, platform));
        wrong.map_or(Ok(image), |text| Err(LookupError::Platform(text)))
    }

    /// `GET /images/{name}/json`, with all fields that any version of the API has.
    pub fn inspect(&self, reference: &str, platform: Option<&Platform>) -> Result<Value, LookupError> {
        let image = self.find_for(reference, platform)?;
        let (tags, digests) = self.store.names(&image.id).map_err(LookupError::Index)?;
        let named = NamedImage { image, tags, digests };
        let image = &named.image;
        let raw = image.json();
        let text = |key: &str| raw[key].as_str().unwrap_or_default().to_owned();
        let last = raw["history"].as_array().and_then(|list| list.last());
        let last = last.and_then(|last| last["comment"].as_str()).unwrap_or_default();
        let comment = Some(text("comment")).filter(|comment| !comment.is_empty());
        let tagged = OffsetDateTime::from_unix_timestamp(image.tagged_at).ok();
        let mut answer = json!({
            "Id": image.id,
            "RepoTags": named.tag_texts(),
            "RepoDigests": named.digest_texts(),
            "Parent": image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            "Comment": comment.unwrap_or_else(|| last.to_owned()),
            "ContainerConfig": container_config(&raw["container_config"]),
            "DockerVersion": text("docker_version"),
            "Author": text("author"),
            "Config": image_config(&raw["config"]),
            "Architecture": text("architecture"),
            "Os": text("os"),
            "Size": image.size,
            "GraphDriver": {"Name": self.driver_name(), "Data": self.layer_places(image)},
            "RootFS": {"Type": "layers", "Layers": image.layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>()},
            "Metadata": {"LastTagTime": tagged.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()},
        });
        for (key, from) in [
            ("Created", "created"),
            ("Container", "container"),
            ("Variant", "variant"),
            ("OsVersion", "os.version"),
        ] {
            if let Some(text) = raw[from].as_str().filter(|text| !text.is_empty()) {
                answer[key] = json!(text);
            }
        }
        Ok(answer)
    }

    /// Where the driver has the image's files, under the names that moby's drivers give them.
    fn layer_places(&self, image: &Stored) -> Value {
        let paths = self.store.layer_paths(image);
        let Some((top, below)) = paths.split_first().filter(|_| self.driver_name() == "overlay2") else {
            return Value::Null;
        };
        let beside = |name: &str| top.with_file_name(name).display().to_string();
        let mut data = json!({
            "MergedDir": beside("merged"), "UpperDir": top.display().to_string(), "WorkDir": beside("work"),
        });
        if !below.is_empty() {
            let below: Vec<String> = below.iter().map(|path| path.display().to_string()).collect();
            data["LowerDir"] = json!(below.join(":"));
        }
        data
    }

    /// `GET /images/{name}/history`: newest first; the image itself has an id, and so have those it was made from here.
    pub fn history(&self, reference: &str, platform: Option<&Platform>) -> Result<Value, LookupError> {
        let image = self.find_for(reference, platform)?;
        let raw = image.json();
        let mut layers = image.layers.iter();
        let mut rows = Vec::new();
        for entry in raw["history"].as_array().into_iter().flatten() {
            let layer = match entry["empty_layer"].as_bool() {
                Some(true) => None,
                _ => Some(layers.next().ok_or(LookupError::History)?),
            };
            let size = layer.and_then(|layer| self.store.layer_size(&layer.diff_id)).unwrap_or_default();
            rows.push(json!({
                "Id": "<missing>",
                "Created": entry["created"].as_str().map_or(0, seconds),
                "CreatedBy": entry["created_by"].as_str().unwrap_or_default(),
                "Tags": null,
                "Size": size,
                "Comment": entry["comment"].as_str().unwrap_or_default(),
            }));
        }
        rows.reverse();
        let mut step = Some(image);
        for row in &mut rows {
            let Some(image) = step else { break };
            let (tags, _) = self.store.names(&image.id).map_err(LookupError::Index)?;
            row["Id"] = json!(image.id);
            if !tags.is_empty() {
                row["Tags"] = json!(tags.iter().map(Named::familiar).collect::<Vec<_>>());
            }
            step = match &image.parent {
                Some(parent) => self.store.image(parent).map_err(LookupError::Index)?,
                None => None,
            };
        }
        Ok(json!(rows))
    }
}

/// How to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Listing {
    /// Steps on the way to other images too.
    pub all: bool,
    /// Tell how much each shares with others.
    pub shared_size: bool,
}

/// Chains that several images have.
fn shared_chains(images: &[NamedImage]) -> BTreeSet<Digest> {
    let mut counts: BTreeMap<Digest, usize> = BTreeMap::new();
    for chain in images.iter().flat_map(|one| one.image.chain_ids()) {
        *counts.entry(chain).or_default() += 1;
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(chain, _)| chain).collect()
}

/// What of an image's configuration moby shows: the OCI's fields and Docker's own, those that are always there as null
/// or empty.
fn image_config(config: &Value) -> Value {
    let mut shown = json!({});
    for (key, usual) in [
        ("Cmd", Value::Null),
        ("Entrypoint", Value::Null),
        ("Env", Value::Null),
        ("Labels", Value::Null),
        ("OnBuild", Value::Null),
        ("User", json!("")),
        ("Volumes", Value::Null),
        ("WorkingDir", json!("")),
    ] {
        shown[key] = given(config, key).unwrap_or(usual);
    }
    for key in ["ArgsEscaped", "ExposedPorts", "Healthcheck", "Shell", "StopSignal"] {
        if let Some(value) = given(config, key).filter(|value| *value != json!(false)) {
            shown[key] = value;
        }
    }
    shown
}

/// The configuration of the container that an image was made of, as API versions before 1.45 show it.
fn container_config(config: &Value) -> Value {
    let mut shown = image_config(config);
    for key in ["Hostname", "Domainname", "Image"] {
        shown[key] = given(config, key).unwrap_or_else(|| json!(""));
    }
    for key in ["AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin", "StdinOnce"] {
        shown[key] = given(config, key).unwrap_or(Value::Bool(false));
    }
    shown
}

/// A field that says something.
fn given(config: &Value, key: &str) -> Option<Value> {
    let value = config.get(key)?;
    let is_empty = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty() && key != "Cmd" && key != "Entrypoint",
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    };
    (!is_empty).then(|| value.clone())
}

fn summary(named: &NamedImage, containers: i64, shared_size: Option<u64>) -> Value {
    let labels = named.image.labels();
    json!({
        "Id": named.image.id,
        "ParentId": named.image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        "RepoTags": named.tag_texts(),
        "RepoDigests": named.digest_texts(),
        "Created": named.created(),
        "Size": named.image.size,
        "SharedSize": shared_size.map_or(json!(-1), |size| json!(size)),
        "Labels": if labels.is_empty() { Value::Null } else { json!(labels) },
        "Containers": containers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_shows_the_fields_that_moby_shows() {
        let shown = image_config(
            &json!({"Cmd": ["a"], "Env": [], "Labels": {}, "Tty": true, "StopSignal": "SIGINT"}),
        );
        let expected = json!({
            "Cmd": ["a"], "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null, "User": "",
            "Volumes": null, "WorkingDir": "", "StopSignal": "SIGINT",
        });
        assert_eq!(shown, expected);
        let whole = container_config(&Value::Null);
        assert_eq!((&whole["Tty"], &whole["Hostname"]), (&json!(false), &json!("")));
    }
}
