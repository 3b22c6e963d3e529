//! `docker save`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use drydock_images::{Digest, FindError, Image as Stored, ImageId, Named, Reference};
use drydock_registry::Platform;
use serde::Serialize;
use tar::{Builder, EntryType, Header};

use super::archive::{ArchiveError, Entry, OCI_LAYER, Part, blob};
use super::describe::created;
use super::transfer::other_platform;
use super::{ImageService, LookupError};

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image to save, with the names that were asked for.
#[derive(Debug)]
pub struct Saved {
    image: Arc<Stored>,
    names: Vec<Named>,
}

/// An image, and the name by which it was found.
type Meant = (Arc<Stored>, Option<Named>);

/// An OCI manifest or index, in the order that moby writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Part>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Vec<Part>>,
}

impl ImageService {
    /// Finds all that is to be saved, before the first byte is sent.
    pub fn to_save(
        &self,
        references: &[String],
        platform: Option<&Platform>,
    ) -> Result<Vec<Saved>, ArchiveError> {
        let mut found: BTreeMap<ImageId, Saved> = BTreeMap::new();
        for reference in references {
            for (image, name) in self.meant(reference)? {
                if let Some(platform) = platform
                    && other_platform(reference, &image, platform).is_some()
                {
                    return Err(ArchiveError::NoTarget(platform.to_string()));
                }
                let saved =
                    found.entry(image.id.clone()).or_insert_with(|| Saved { image, names: Vec::new() });
                saved.names.extend(name.filter(|name| !saved.names.contains(name)));
            }
        }
        Ok(found.into_values().collect())
    }

    /// A name without a tag means all of its tags, or else the beginning of an id.
    fn meant(&self, reference: &str) -> Result<Vec<Meant>, ArchiveError> {
        let by_id = || match self.store.find(reference) {
            Ok(image) => Ok(vec![(image, None)]),
            Err(FindError::NotFound(_)) => Err(ArchiveError::NoImage(reference.to_owned())),
            Err(error) => Err(LookupError::from(error).into()),
        };
        let Reference::Named(name) = Reference::parse(reference).map_err(ArchiveError::Name)? else {
            return by_id();
        };
        if name.familiar_name() == "sha256" {
            return by_id();
        }
        if name.tag().is_some() || name.digest().is_some() {
            let image = self.store.resolve(&name).map_err(ArchiveError::Index)?;
            let image = image.ok_or(ArchiveError::NoReference)?;
            return Ok(vec![(image, Some(name).filter(|name| name.digest().is_none()))]);
        }
        let mut all = Vec::new();
        for (other, id) in self.store.references().map_err(ArchiveError::Index)? {
            if other.name() == name.name()
                && let Some(image) = self.store.image(&id).map_err(ArchiveError::Index)?
            {
                all.push((image, Some(other).filter(|other| other.digest().is_none())));
            }
        }
        if all.is_empty() { by_id() } else { Ok(all) }
    }

    /// Writes the archive.
    pub fn save(&self, images: &[Saved], output: impl Write) -> Result<(), ArchiveError> {
        let mut saving = Saving {
            images: self,
            archive: Builder::new(output),
            written: BTreeSet::new(),
            manifests: Vec::new(),
        };
        for folder in ["blobs/", "blobs/sha256/"] {
            saving.folder(folder).map_err(ArchiveError::Write)?;
        }
        let ids: BTreeSet<&ImageId> = images.iter().map(|saved| &saved.image.id).collect();
        let mut entries = images.iter().map(|saved| saving.image(saved)).collect::<Result<Vec<_>, _>>()?;
        for (entry, saved) in entries.iter_mut().zip(images) {
            let parent = saved.image.parent.as_ref();
            entry.parent = parent.filter(|parent| ids.contains(parent)).map(ToString::to_string);
        }
        saving.finish(&entries, images).map_err(ArchiveError::Write)?;
        for saved in images {
            let id = saved.image.id.to_string();
            self.publish("save", &id, &id);
        }
        Ok(())
    }
}

struct Saving<'a, W: Write> {
    images: &'a ImageService,
    archive: Builder<W>,
    written: BTreeSet<Digest>,
    manifests: Vec<Part>,
}

impl<W: Write> Saving<'_, W> {
    fn image(&mut self, saved: &Saved) -> Result<Entry, ArchiveError> {
        let image = &saved.image;
        let date = u64::try_from(created(image)).unwrap_or_default();
        let mut layers = Vec::new();
        for layer in &image.layers {
            let size = self.images.store.layer_tar_size(&layer.diff_id).unwrap_or_default();
            layers.push(Part::new(OCI_LAYER, layer.diff_id.0.clone(), size));
            if self.written.insert(layer.diff_id.0.clone()) {
                self.layer(layer, size, date)?;
            }
        }
        let config = Part::new(OCI_CONFIG, image.id.0.clone(), image.raw.len() as u64);
        let manifest = json(&Document {
            schema_version: 2,
            media_type: OCI_MANIFEST,
            config: Some(config),
            layers: Some(layers.clone()),
            manifests: None,
        });
        let digest = Digest::of(&manifest);
        self.small(&image.id.0, &image.raw, date).map_err(ArchiveError::Write)?;
        self.small(&digest, &manifest, 0).map_err(ArchiveError::Write)?;
        let plain = Part::new(OCI_MANIFEST, digest, manifest.len() as u64);
        let mut named: Vec<Part> = saved.names.iter().map(|name| annotated(&plain, name)).collect();
        if named.is_empty() {
            named.push(plain);
        }
        self.manifests.extend(named);
        let tags: Vec<String> = saved.names.iter().map(Named::familiar).collect();
        Ok(Entry {
            config: blob(&image.id.0),
            repo_tags: Some(tags).filter(|tags| !tags.is_empty()),
            layers: image.layers.iter().map(|layer| blob(&layer.diff_id.0)).collect(),
            parent: None,
            layer_sources: layers.into_iter().map(|part| (part.digest.clone(), part)).collect(),
        })
    }

    fn layer(&mut self, layer: &drydock_images::Layer, size: u64, date: u64) -> Result<(), ArchiveError> {
        let mut header = file_header(size, date);
        header.set_path(blob(&layer.diff_id.0)).map_err(ArchiveError::Write)?;
        header.set_cksum();
        let output = self.archive.get_mut();
        output.write_all(header.as_bytes()).map_err(ArchiveError::Write)?;
        self.images.store.write_layer(layer, output).map_err(ArchiveError::Layer)?;
        let padding = (512 - size % 512) % 512;
        output.write_all(&[0; 512][..padding as usize]).map_err(ArchiveError::Write)
    }

    fn small(&mut self, digest: &Digest, bytes: &[u8], date: u64) -> io::Result<()> {
        if self.written.insert(digest.clone()) { self.file(&blob(digest), bytes, date) } else { Ok(()) }
    }

    fn file(&mut self, path: &str, bytes: &[u8], date: u64) -> io::Result<()> {
        self.archive.append_data(&mut file_header(bytes.len() as u64, date), path, bytes)
    }

    fn folder(&mut self, path: &str) -> io::Result<()> {
        let mut header = file_header(0, 0);
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        self.archive.append_data(&mut header, path, io::empty())
    }

    fn finish(mut self, entries: &[Entry], images: &[Saved]) -> io::Result<()> {
        let index = json(&Document {
            schema_version: 2,
            media_type: OCI_INDEX,
            config: None,
            layers: None,
            manifests: Some(std::mem::take(&mut self.manifests)),
        });
        self.file("index.json", &index, 0)?;
        self.file("manifest.json", &line(&entries), 0)?;
        self.file("oci-layout", br#"{"imageLayoutVersion": "1.0.0"}"#, 0)?;
        let repositories = repositories(images);
        if !repositories.is_empty() {
            self.file("repositories", &line(&repositories), 0)?;
        }
        self.archive.into_inner()?.flush()
    }
}

fn annotated(plain: &Part, name: &Named) -> Part {
    let annotations = [
        ("io.containerd.image.name", name.to_string()),
        ("org.opencontainers.image.ref.name", name.tag().unwrap_or("latest").to_owned()),
    ];
    Part {
        annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(),
        ..plain.clone()
    }
}

/// The file that clients before manifest.json read; the top layer's id is all it holds.
fn repositories(images: &[Saved]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for saved in images {
        let Some(top) = saved.image.layers.last() else { continue };
        for name in &saved.names {
            let tags = found.entry(name.familiar_name()).or_default();
            tags.insert(name.tag().unwrap_or("latest").to_owned(), top.diff_id.0.hex().to_owned());
        }
    }
    found
}

/// Texts, numbers, lists and maps with text keys always serialize.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// As Go's encoder ends a document.
fn line(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = json(value);
    bytes.push(b'\n');
    bytes
}

fn file_header(size: u64, date: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(date);
    header.set_size(size);
    header
}
