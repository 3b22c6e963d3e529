//! `docker save`, `docker load` and `docker import`.
//!
//! A saved archive is both an OCI layout and what `docker load` of any version reads (`manifest.json`); layers are
//! written uncompressed under their diffids, as Docker 25 and later do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use drydock_images::{
    Descriptor, DiffId, Digest, FindError, Image as Stored, ImageError, ImportError, IndexError, LayerError,
    Named, NewImage,
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::{ImageService, LookupError};
use crate::error::ApiError;
use crate::wire::ContainerConfig;

/// An archive could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("write the archive")]
    Write(#[source] io::Error),
    #[error("write a layer")]
    Layer(#[source] LayerError),
    #[error("unpack the archive")]
    Unpack(#[source] io::Error),
    /// It ends inside a file; Go's words.
    #[error("unexpected EOF")]
    CutShort,
    /// Moby looks for the file of the oldest archives last, and names that.
    #[error("open {}/repositories: no such file or directory", .0.display())]
    NotAnImage(PathBuf),
    #[error("invalid archive: {path} is not valid")]
    Parse { path: String, source: serde_json::Error },
    #[error("invalid archive: {path}")]
    Missing { path: String, source: io::Error },
    #[error("invalid archive: {0:?} leaves it")]
    Escapes(String),
    #[error("invalid archive: it names {diffs} layers in one place and {layers} in another")]
    LayerCount { diffs: usize, layers: usize },
    #[error("invalid archive")]
    Digest(#[source] drydock_images::DigestError),
    #[error("invalid archive")]
    Name(#[source] drydock_images::ReferenceError),
    #[error("invalid archive")]
    Layout(#[source] ImportError),
    #[error("record the image")]
    Image(#[source] ImageError),
    #[error("name the image")]
    Index(#[source] IndexError),
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Lookup(error) => error.into(),
            ArchiveError::NotAnImage(_)
            | ArchiveError::CutShort
            | ArchiveError::Parse { .. }
            | ArchiveError::Missing { .. }
            | ArchiveError::Escapes(_)
            | ArchiveError::LayerCount { .. }
            | ArchiveError::Digest(_)
            | ArchiveError::Name(_)
            | ArchiveError::Layout(_) => Self::chain(StatusCode::BAD_REQUEST, &error),
            _ => Self::chain(StatusCode::INTERNAL_SERVER_ERROR, &error),
        }
    }
}

/// An image to save, with the names that were asked for.
#[derive(Debug)]
pub struct Saved {
    image: Arc<Stored>,
    names: Vec<Named>,
}

/// `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl ImageService {
    /// Finds all that is to be saved, before the first byte is sent.
    pub fn to_save(&self, references: &[String]) -> Result<Vec<Saved>, ArchiveError> {
        let mut found: BTreeMap<_, Saved> = BTreeMap::new();
        for reference in references {
            let mut names = self.names_meant(reference)?;
            let is_id = names.is_empty();
            if is_id {
                names.push(reference.clone());
            }
            for name in names {
                let image = self.store.find(&name).map_err(|error| match error {
                    FindError::NotFound(_) => LookupError::NotFound(reference.clone()),
                    error => error.into(),
                })?;
                let saved =
                    found.entry(image.id.clone()).or_insert_with(|| Saved { image, names: Vec::new() });
                saved.names.extend(Named::parse(&name).ok().filter(|name| !is_id && name.digest().is_none()));
            }
        }
        Ok(found.into_values().collect())
    }

    /// A name without a tag means all of its tags; nothing is answered for an id.
    fn names_meant(&self, reference: &str) -> Result<Vec<String>, ArchiveError> {
        let Ok(name) = Named::parse(reference) else { return Ok(Vec::new()) };
        if reference.starts_with("sha256:") {
            return Ok(Vec::new());
        }
        if name.tag().is_some() || name.digest().is_some() {
            return Ok(vec![reference.to_owned()]);
        }
        let all = self.store.references().map_err(LookupError::Index)?;
        let same = all.into_iter().filter(|(other, _)| other.tag().is_some() && other.name() == name.name());
        Ok(same.map(|(other, _)| other.to_string()).collect())
    }

    /// Writes the archive.
    pub fn save(&self, images: &[Saved], output: impl Write) -> Result<(), ArchiveError> {
        let mut archive = Builder::new(output);
        let mut written = BTreeSet::new();
        let (mut entries, mut manifests) = (Vec::new(), Vec::new());
        for saved in images {
            let (entry, manifest) = self.save_one(saved, &mut archive, &mut written)?;
            entries.push(entry);
            manifests.extend(manifest);
        }
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        });
        for (path, value) in [
            ("index.json", index),
            ("manifest.json", json!(entries)),
            ("oci-layout", json!({"imageLayoutVersion": "1.0.0"})),
            ("repositories", repositories(images)),
        ] {
            add(&mut archive, path, value.to_string().as_bytes()).map_err(ArchiveError::Write)?;
        }
        archive.into_inner().and_then(|mut output| output.flush()).map_err(ArchiveError::Write)
    }

    fn save_one(
        &self,
        saved: &Saved,
        archive: &mut Builder<impl Write>,
        written: &mut BTreeSet<Digest>,
    ) -> Result<(Value, Vec<Value>), ArchiveError> {
        let image = &saved.image;
        let mut layers = Vec::new();
        for layer in &image.layers {
            let size = self.store.layer_tar_size(&layer.diff_id).unwrap_or_default();
            layers.push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.diff_id, "size": size}));
            if written.insert(layer.diff_id.0.clone()) {
                let mut header = file_header(size);
                header.set_path(blob(&layer.diff_id.0)).map_err(ArchiveError::Write)?;
                header.set_cksum();
                let output = archive.get_mut();
                output.write_all(header.as_bytes()).map_err(ArchiveError::Write)?;
                self.store.write_layer(layer, output).map_err(ArchiveError::Layer)?;
                let padding = (512 - size % 512) % 512;
                output.write_all(&[0; 512][..padding as usize]).map_err(ArchiveError::Write)?;
            }
        }
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": image.id, "size": image.raw.len()},
            "layers": layers,
        })
        .to_string();
        let manifest_digest = Digest::of(manifest.as_bytes());
        for (digest, bytes) in [(&image.id.0, image.raw.as_slice()), (&manifest_digest, manifest.as_bytes())]
        {
            if written.insert(digest.clone()) {
                add(archive, &blob(digest), bytes).map_err(ArchiveError::Write)?;
            }
        }
        let descriptor = json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": manifest_digest,
            "size": manifest.len(),
        });
        let mut manifests: Vec<Value> = saved
            .names
            .iter()
            .map(|name| {
                let mut entry = descriptor.clone();
                entry["annotations"] = json!({
                    "io.containerd.image.name": name.to_string(),
                    "org.opencontainers.image.ref.name": name.tag().unwrap_or("latest"),
                });
                entry
            })
            .collect();
        if manifests.is_empty() {
            manifests.push(descriptor);
        }
        let entry = json!({
            "Config": blob(&image.id.0),
            "RepoTags": if saved.names.is_empty() { Value::Null } else { json!(saved.names.iter().map(Named::familiar).collect::<Vec<_>>()) },
            "Layers": image.layers.iter().map(|layer| blob(&layer.diff_id.0)).collect::<Vec<_>>(),
        });
        Ok((entry, manifests))
    }

    /// Reads an archive of `docker save`, or an OCI layout; answers the lines to print.
    pub fn load(&self, input: impl Read) -> Result<Vec<String>, ArchiveError> {
        // Beside the store, so that layers become blobs without being copied.
        let folder = tempfile::tempdir_in(self.store.root().join("tmp")).map_err(ArchiveError::Unpack)?;
        extract(input, folder.path())?;
        let path = folder.path().join("manifest.json");
        if !path.exists() {
            return self.load_layout(folder.path());
        }
        let bytes = read(folder.path(), "manifest.json")?;
        let entries: Vec<Entry> = serde_json::from_slice(&bytes)
            .map_err(|source| ArchiveError::Parse { path: "manifest.json".to_owned(), source })?;
        let mut lines = Vec::new();
        for entry in entries {
            lines.extend(self.load_one(folder.path(), entry)?);
        }
        Ok(lines)
    }

    fn load_layout(&self, folder: &Path) -> Result<Vec<String>, ArchiveError> {
        if !folder.join("index.json").exists() {
            return Err(ArchiveError::NotAnImage(folder.to_owned()));
        }
        let imported = self.store.import_layout(folder).map_err(ArchiveError::Layout)?;
        for one in &imported {
            self.publish("load", &one.id.to_string(), &one.name.familiar());
        }
        Ok(imported.iter().map(|one| format!("Loaded image: {}\n", one.name.familiar())).collect())
    }

    fn load_one(&self, folder: &Path, entry: Entry) -> Result<Vec<String>, ArchiveError> {
        #[derive(Deserialize)]
        struct Config {
            rootfs: RootFs,
        }
        #[derive(Deserialize)]
        struct RootFs {
            #[serde(default)]
            diff_ids: Vec<DiffId>,
        }
        let config = read(folder, &entry.config)?;
        let parsed: Config = serde_json::from_slice(&config)
            .map_err(|source| ArchiveError::Parse { path: entry.config.clone(), source })?;
        let diff_ids = parsed.rootfs.diff_ids;
        if diff_ids.len() != entry.layers.len() {
            return Err(ArchiveError::LayerCount { diffs: diff_ids.len(), layers: entry.layers.len() });
        }
        let pairs: Vec<(PathBuf, &DiffId)> = entry
            .layers
            .iter()
            .zip(&diff_ids)
            .map(|(layer, diff_id)| Ok((resolve(folder, layer)?, diff_id)))
            .collect::<Result<_, ArchiveError>>()?;
        let blobs: Vec<Descriptor> = pairs
            .iter()
            .map(|(path, diff_id)| self.store.take_layer_file(path, diff_id).map_err(ArchiveError::Layer))
            .collect::<Result<_, _>>()?;
        let image = self
            .store
            .put_image(NewImage { config: &config, manifest: None, blobs })
            .map_err(ArchiveError::Image)?;
        let id = image.id.to_string();
        let mut lines = Vec::new();
        for tag in entry.repo_tags.unwrap_or_default() {
            let name = Named::parse(&tag).map_err(ArchiveError::Name)?.or_latest();
            self.store.tag(&name, &image.id).map_err(ArchiveError::Index)?;
            self.publish("load", &id, &name.familiar());
            lines.push(format!("Loaded image: {}\n", name.familiar()));
        }
        if lines.is_empty() {
            self.publish("load", &id, &id);
            lines.push(format!("Loaded image ID: {id}\n"));
        }
        Ok(lines)
    }

    /// `docker import`: a tar archive of a tree becomes an image of one layer.
    pub fn import(
        &self,
        input: impl Read,
        name: Option<&Named>,
        config: &ContainerConfig,
        comment: &str,
    ) -> Result<String, ArchiveError> {
        let (diff_id, _) = self.store.import_layer(input).map_err(ArchiveError::Layer)?;
        let now = time::OffsetDateTime::now_utc();
        let now = now.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
        let platform = drydock_registry::Platform::here();
        let config = json!({
            "architecture": platform.architecture,
            "os": platform.os,
            "created": now,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": now, "comment": comment}],
        });
        let config = config.to_string();
        let new = NewImage { config: config.as_bytes(), manifest: None, blobs: Vec::new() };
        let image = self.store.put_image(new).map_err(ArchiveError::Image)?;
        if let Some(name) = name {
            self.store.tag(name, &image.id).map_err(ArchiveError::Index)?;
        }
        let id = image.id.to_string();
        self.publish("import", &id, &name.map_or_else(|| id.clone(), Named::familiar));
        Ok(id)
    }
}

fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

fn file_header(size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn add(archive: &mut Builder<impl Write>, path: &str, bytes: &[u8]) -> io::Result<()> {
    archive.append_data(&mut file_header(bytes.len() as u64), path, bytes)
}

/// The file that clients before manifest.json read; the top layer's id is all it holds.
fn repositories(images: &[Saved]) -> Value {
    let mut found = json!({});
    for saved in images {
        let Some(top) = saved.image.layers.last() else { continue };
        for name in &saved.names {
            found[name.familiar_name()][name.tag().unwrap_or("latest")] = json!(top.diff_id.0.hex());
        }
    }
    found
}

/// Unpacks regular files, and the links between layers that old archives have, into `folder`.
fn extract(input: impl Read, folder: &Path) -> Result<(), ArchiveError> {
    let mut archive = tar::Archive::new(input);
    for entry in archive.entries().map_err(ArchiveError::Unpack)? {
        let mut entry = entry.map_err(unreadable)?;
        let name = entry.path().map_err(ArchiveError::Unpack)?.to_string_lossy().into_owned();
        let path = resolve(folder, &name)?;
        match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                let parent = path.parent().unwrap_or(folder);
                fs::create_dir_all(parent).map_err(ArchiveError::Unpack)?;
                // Links are made as copies of names below, so that no write ever goes through one.
                let mut file = File::create(&path).map_err(ArchiveError::Unpack)?;
                let size = entry.size();
                if io::copy(&mut entry, &mut file).map_err(ArchiveError::Unpack)? < size {
                    return Err(ArchiveError::CutShort);
                }
            }
            EntryType::Symlink | EntryType::Link => {
                let target =
                    entry.link_name().map_err(ArchiveError::Unpack)?.unwrap_or_default().into_owned();
                let base = if entry.header().entry_type() == EntryType::Symlink {
                    Path::new(&name).parent().unwrap_or(Path::new("")).join(target)
                } else {
                    target
                };
                let source = resolve(folder, &normal(&base))?;
                fs::hard_link(source, path).map_err(ArchiveError::Unpack)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// The `tar` crate has no kind of its own for an archive that ends in a header.
fn unreadable(error: io::Error) -> ArchiveError {
    let cut =
        error.kind() == io::ErrorKind::UnexpectedEof || error.to_string() == "failed to read entire block";
    if cut { ArchiveError::CutShort } else { ArchiveError::Unpack(error) }
}

/// `a/../b` → `b`; what would leave keeps its dots and is refused by [`resolve`].
fn normal(path: &Path) -> String {
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::ParentDir if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            Component::ParentDir => parts.push("..".as_ref()),
            Component::Normal(part) => parts.push(part),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    parts.iter().collect::<PathBuf>().to_string_lossy().into_owned()
}

/// A path of the archive, inside the folder. The folder holds regular files and folders only.
fn resolve(folder: &Path, name: &str) -> Result<PathBuf, ArchiveError> {
    let mut path = folder.to_owned();
    for component in Path::new(name).components() {
        match component {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(ArchiveError::Escapes(name.to_owned()));
            }
        }
    }
    Ok(path)
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, ArchiveError> {
    fs::read(resolve(folder, name)?).map_err(|source| ArchiveError::Missing { path: name.to_owned(), source })
}
