//! What `docker images`, `docker image inspect` and `docker history` show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use drydock_images::{Image as Stored, IndexError, Named};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::filter::Filter;
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
        all: bool,
        uses: &dyn Fn(&str) -> Option<i64>,
    ) -> Result<Value, LookupError> {
        let bounds = filter.bounds(self)?;
        let images = self.named_images().map_err(LookupError::Index)?;
        let parents: BTreeSet<_> = images.iter().filter_map(|one| one.image.parent.clone()).collect();
        // Steps on the way to another image are shown when they have a name, or to who wants all.
        let shown =
            images.into_iter().filter(|one| all || !one.is_nameless() || !parents.contains(&one.image.id));
        let shown = shown.filter_map(|one| filter.apply(one, &bounds));
        Ok(shown.map(|one| summary(&one, uses(&one.image.id.to_string()))).collect())
    }

    /// `GET /images/{name}/json`.
    pub fn inspect(&self, reference: &str) -> Result<Value, LookupError> {
        let image = self.store.find(reference)?;
        let (tags, digests) = self.store.names(&image.id).map_err(LookupError::Index)?;
        let named = NamedImage { image, tags, digests };
        let image = &named.image;
        let raw = image.json();
        let text = |key: &str| raw[key].as_str().unwrap_or_default().to_owned();
        let lower: Vec<String> =
            self.store.layer_paths(image).iter().map(|path| path.display().to_string()).collect();
        let mut data = json!({ "UpperDir": lower.first().cloned().unwrap_or_default() });
        if lower.len() > 1 {
            data["LowerDir"] = json!(lower[1..].join(":"));
        }
        let tagged = OffsetDateTime::from_unix_timestamp(image.tagged_at).ok();
        let mut answer = json!({
            "Id": image.id,
            "RepoTags": named.tag_texts(),
            "RepoDigests": named.digest_texts(),
            "Parent": image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            "Comment": raw["history"].as_array().and_then(|list| list.last()).and_then(|last| last["comment"].as_str()).unwrap_or_default(),
            "Created": text("created"),
            "DockerVersion": text("docker_version"),
            "Author": text("author"),
            "Config": config(&raw),
            "Architecture": text("architecture"),
            "Os": text("os"),
            "Size": image.size,
            "GraphDriver": {"Name": "overlay2", "Data": data},
            "RootFS": {"Type": "layers", "Layers": image.layers.iter().map(|layer| layer.diff_id.to_string()).collect::<Vec<_>>()},
            "Metadata": {"LastTagTime": tagged.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()},
        });
        if let Some(variant) = raw["variant"].as_str() {
            answer["Variant"] = json!(variant);
        }
        if let Some(manifest) = &image.manifest {
            answer["Descriptor"] =
                json!({"mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.size});
        }
        Ok(answer)
    }

    /// `GET /images/{name}/history`: newest first; the image itself has an id, and so have those it was made from here.
    pub fn history(&self, reference: &str) -> Result<Value, LookupError> {
        let image = self.store.find(reference)?;
        let raw = image.json();
        let mut layers = image.layers.iter();
        let mut rows = Vec::new();
        for entry in raw["history"].as_array().into_iter().flatten() {
            let layer = if entry["empty_layer"].as_bool() == Some(true) { None } else { layers.next() };
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

/// The wire's own shape, with every field that moby writes.
fn config(raw: &Value) -> Value {
    let config = match raw.get("config") {
        None | Some(Value::Null) => crate::wire::ContainerConfig::default(),
        Some(config) => serde_json::from_value(config.clone()).unwrap_or_default(),
    };
    let mut value = serde_json::to_value(&config).unwrap_or_default();
    // What only a container has.
    if let Value::Object(fields) = &mut value {
        for key in [
            "Hostname",
            "Domainname",
            "AttachStdin",
            "AttachStdout",
            "AttachStderr",
            "Tty",
            "OpenStdin",
            "StdinOnce",
            "Image",
        ] {
            fields.remove(key);
        }
    }
    value
}

fn summary(named: &NamedImage, containers: Option<i64>) -> Value {
    let labels = named.image.labels();
    json!({
        "Id": named.image.id,
        "ParentId": named.image.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
        "RepoTags": named.tag_texts(),
        "RepoDigests": named.digest_texts(),
        "Created": named.created(),
        "Size": named.image.size,
        "SharedSize": -1,
        "Labels": if labels.is_empty() { Value::Null } else { json!(labels) },
        "Containers": containers.unwrap_or(-1),
    })
}
