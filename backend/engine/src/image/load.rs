//! `docker load`: an archive of `docker save` of any version since 1.10, or a bare OCI layout; compressed or not.
//!
//! The archive is spread out beside the store, each file hashed on its way, so that a layer becomes a blob without
//! being copied or read again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use drydock_images::{
    Descriptor, DiffId, Digest, Hasher, Image as Stored, LayerError, Named, NewImage, Received,
};
use drydock_registry::Platform;
use serde::Deserialize;
use tar::EntryType;

use super::ImageService;
use super::archive::{ArchiveError, Entry};
use super::progress::{Progress, short};

/// Large enough that the price of a call does not show.
const BUFFER: usize = 256 << 10;

/// An archive on the disk: its files, by their paths in it, with their digests.
struct Spread {
    folder: tempfile::TempDir,
    digests: BTreeMap<PathBuf, Digest>,
}

/// What of an image's configuration loading looks at.
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    os: String,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    #[serde(default)]
    diff_ids: Vec<DiffId>,
}

impl ImageService {
    /// Reads an archive; says each name as soon as it means the image. `bars` hears of layers.
    pub fn load(
        &self,
        input: impl Read,
        platform: Option<&Platform>,
        bars: Option<&Progress>,
        said: &Progress,
    ) -> Result<(), ArchiveError> {
        let spread = self.spread(input)?;
        if !spread.has("manifest.json") {
            if spread.has("index.json") && spread.has("oci-layout") {
                return self.load_layout(spread.folder.path(), said);
            }
            let path = spread.folder.path().join("repositories").display().to_string();
            return Err(ArchiveError::Missing { path });
        }
        // First as any JSON at all: a text that ends too early has no other fault.
        let manifest: serde_json::Value =
            serde_json::from_slice(&spread.read("manifest.json")?).map_err(ArchiveError::Parse)?;
        let entries: Option<Vec<Entry>> = serde_json::from_value(manifest).map_err(ArchiveError::Parse)?;
        let (mut loaded, mut parents) = (Vec::new(), Vec::new());
        let mut is_named = false;
        for entry in entries.ok_or(ArchiveError::Null)? {
            let Some(image) = self.load_one(&spread, &entry, platform, bars)? else { continue };
            is_named = self.name(&image, &entry, said)?;
            let id = image.id.to_string();
            self.publish("load", &id, &id);
            parents.push((image.clone(), entry.parent));
            loaded.push(id);
        }
        self.link_parents(&parents)?;
        if !is_named {
            loaded.iter().for_each(|id| said.stream(&format!("Loaded image ID: {id}\n")));
        }
        Ok(())
    }

    fn load_layout(&self, folder: &Path, said: &Progress) -> Result<(), ArchiveError> {
        let imported = self.store.load_layout(folder).map_err(ArchiveError::Layout)?;
        for one in &imported {
            let id = one.id.to_string();
            self.publish("load", &id, &id);
            said.stream(&match &one.name {
                Some(name) => format!("Loaded image: {}\n", name.familiar()),
                None => format!("Loaded image ID: {id}\n"),
            });
        }
        Ok(())
    }

    /// `None` for an image of another platform than the one that is wanted.
    fn load_one(
        &self,
        spread: &Spread,
        entry: &Entry,
        platform: Option<&Platform>,
        bars: Option<&Progress>,
    ) -> Result<Option<Arc<Stored>>, ArchiveError> {
        let config = spread.read(&entry.config)?;
        let parsed: Config = serde_json::from_slice(&config).map_err(ArchiveError::Parse)?;
        if !parsed.os.is_empty() && parsed.os != "linux" {
            return Err(ArchiveError::System(parsed.os));
        }
        let diff_ids = parsed.rootfs.diff_ids;
        if let Some(platform) = platform
            && is_other(&config, platform)
        {
            return Ok(None);
        }
        if diff_ids.len() != entry.layers.len() {
            return Err(ArchiveError::LayerCount { expected: entry.layers.len(), got: diff_ids.len() });
        }
        let held = self.store.hold(diff_ids.iter().map(|diff_id| diff_id.0.clone()));
        let layers = self.load_layers(spread, &entry.layers, &diff_ids, bars);
        let image = layers.and_then(|blobs| {
            let new = NewImage { config: &config, manifest: None, blobs };
            self.store.put_image(new).map(Some).map_err(ArchiveError::Image)
        });
        drop(held);
        if image.is_err() {
            let blobs = entry.layers.iter().filter_map(|layer| spread.digest(layer).ok());
            let brought = diff_ids.iter().map(|diff_id| diff_id.0.clone()).chain(blobs);
            if let Err(error) = self.store.discard(brought) {
                tracing::warn!(%error, "what a failed load brought stays");
            }
        }
        image
    }

    /// All layers, on all processors.
    fn load_layers(
        &self,
        spread: &Spread,
        layers: &[String],
        diff_ids: &[DiffId],
        bars: Option<&Progress>,
    ) -> Result<Vec<Option<Descriptor>>, ArchiveError> {
        let jobs = Mutex::new(layers.iter().zip(diff_ids).enumerate());
        let done = Mutex::new(vec![None; layers.len()]);
        let work = || -> Result<(), ArchiveError> {
            loop {
                // Taken and let go before the layer is worked on.
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some((index, (layer, diff_id))) = job else { return Ok(()) };
                let blob = self.load_layer(spread, index, layer, diff_id, bars)?;
                done.lock().unwrap_or_else(PoisonError::into_inner)[index] = blob;
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..workers.min(layers.len())).map(|_| scope.spawn(work)).collect();
            running
                .into_iter()
                .try_for_each(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// A layer that is here already is not looked at: moby does not, either.
    fn load_layer(
        &self,
        spread: &Spread,
        index: usize,
        layer: &str,
        diff_id: &DiffId,
        bars: Option<&Progress>,
    ) -> Result<Option<Descriptor>, ArchiveError> {
        if self.store.has_layer(diff_id) {
            return Ok(self.store.layer_blob(diff_id));
        }
        let path = spread.path(layer)?;
        let size = fs::metadata(&path)
            .map_err(|_| ArchiveError::Missing { path: path.display().to_string() })?
            .len();
        let tell = |current: u64| {
            if let Some(bars) = bars {
                bars.bar(short(&diff_id.0), "Loading layer", current, size);
            }
        };
        let received = Received { path: &path, digest: spread.digest(layer)? };
        let taken = self.store.take_layer_file(received, diff_id, &mut |current| tell(current));
        match taken {
            Err(LayerError::DiffMismatch { expected, received }) => {
                Err(ArchiveError::Diff { layer: index, expected: expected.0, got: received })
            }
            other => other.map(Some).map_err(ArchiveError::Layer),
        }
    }

    /// Whether the image has a name from the archive now.
    fn name(&self, image: &Stored, entry: &Entry, said: &Progress) -> Result<bool, ArchiveError> {
        let tags = entry.repo_tags.as_deref().unwrap_or_default();
        for tag in tags {
            let name = Named::parse(tag).map_err(ArchiveError::Name)?;
            if name.tag().is_none() {
                return Err(ArchiveError::Tag(tag.clone()));
            }
            let before = self.store.tag(&name, &image.id).map_err(ArchiveError::Index)?;
            let familiar = name.familiar();
            if let Some(before) = before.filter(|before| *before != image.id) {
                said.stream(&format!(
                    "The image {familiar} already exists, renaming the old one with ID {before} to empty string\n"
                ));
            }
            said.stream(&format!("Loaded image: {familiar}\n"));
        }
        Ok(!tags.is_empty())
    }

    /// Images of the archive that were made from others of it.
    fn link_parents(&self, loaded: &[(Arc<Stored>, Option<String>)]) -> Result<(), ArchiveError> {
        for (image, parent) in loaded {
            let parent = parent.as_ref().and_then(|parent| {
                loaded
                    .iter()
                    .map(|(other, _)| other)
                    .find(|other| other.id.to_string() == *parent && other.id != image.id)
            });
            let Some(parent) = parent else { continue };
            if !is_child(image, parent) {
                let (parent, image) = (parent.id.to_string(), image.id.to_string());
                return Err(ArchiveError::Parent { parent, image });
            }
            self.store.set_parent(&image.id, &parent.id).map_err(ArchiveError::Image)?;
        }
        Ok(())
    }

    /// Unpacks regular files, and the links between layers that old archives have.
    fn spread(&self, input: impl Read) -> Result<Spread, ArchiveError> {
        // Beside the store, so that layers become blobs without being copied.
        let folder = tempfile::tempdir_in(self.store.root().join("tmp")).map_err(ArchiveError::Room)?;
        let mut spread = Spread { folder, digests: BTreeMap::new() };
        let plain = drydock_builder::decompress(input).map_err(ArchiveError::Unpack)?;
        let mut archive = tar::Archive::new(plain);
        let mut buffer = vec![0; BUFFER];
        for entry in archive.entries().map_err(ArchiveError::Unpack)? {
            let mut entry = entry.map_err(ArchiveError::Unpack)?;
            let name = entry.path().map_err(ArchiveError::Unpack)?.to_string_lossy().into_owned();
            let path = spread.path(&name)?;
            match entry.header().entry_type() {
                EntryType::Regular | EntryType::Continuous => {
                    let digest = spread.file(&path, &mut entry, &mut buffer)?;
                    spread.digests.insert(path, digest);
                }
                kind @ (EntryType::Symlink | EntryType::Link) => {
                    let target = entry.link_name().map_err(ArchiveError::Unpack)?.unwrap_or_default();
                    let base = match kind {
                        EntryType::Symlink => Path::new(&name).parent().unwrap_or(Path::new("")).join(target),
                        _ => target.into_owned(),
                    };
                    let source = spread.path(&normal(&base))?;
                    fs::hard_link(&source, &path).map_err(ArchiveError::Unpack)?;
                    if let Some(digest) = spread.digests.get(&source).cloned() {
                        spread.digests.insert(path, digest);
                    }
                }
                _ => {}
            }
        }
        Ok(spread)
    }
}

impl Spread {
    /// A path of the archive, inside the folder, which holds regular files and folders only.
    fn path(&self, name: &str) -> Result<PathBuf, ArchiveError> {
        let mut path = self.folder.path().to_owned();
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

    fn has(&self, name: &str) -> bool {
        self.folder.path().join(name).exists()
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ArchiveError> {
        let path = self.path(name)?;
        fs::read(&path).map_err(|_| ArchiveError::Missing { path: path.display().to_string() })
    }

    fn digest(&self, name: &str) -> Result<Digest, ArchiveError> {
        let path = self.path(name)?;
        let missing = || ArchiveError::Missing { path: path.display().to_string() };
        self.digests.get(&path).cloned().ok_or_else(missing)
    }

    /// Writes a file under a name that nothing else has: a link to another file must not be written through, whose
    /// digest is known already.
    fn file(
        &self,
        path: &Path,
        entry: &mut tar::Entry<'_, impl Read>,
        buffer: &mut [u8],
    ) -> Result<Digest, ArchiveError> {
        let parent = path.parent().unwrap_or(self.folder.path());
        fs::create_dir_all(parent).map_err(ArchiveError::Unpack)?;
        let _ = fs::remove_file(path);
        let mut file = File::create_new(path).map_err(ArchiveError::Unpack)?;
        let (mut hasher, mut left) = (Hasher::default(), entry.size());
        loop {
            match entry.read(buffer).map_err(ArchiveError::Unpack)? {
                0 if left > 0 => return Err(ArchiveError::Unpack(std::io::ErrorKind::UnexpectedEof.into())),
                0 => return Ok(hasher.finish()),
                count => {
                    left = left.saturating_sub(count as u64);
                    hasher.update(&buffer[..count]);
                    file.write_all(&buffer[..count]).map_err(ArchiveError::Unpack)?;
                }
            }
        }
    }
}

fn is_other(config: &[u8], platform: &Platform) -> bool {
    let json: serde_json::Value = serde_json::from_slice(config).unwrap_or_default();
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let own = Platform {
        os: text("os"),
        architecture: text("architecture"),
        variant: Some(text("variant")).filter(|variant| !variant.is_empty()),
    };
    !platform.accepts(&own)
}

/// Whether one image's history is the other's and one step more.
fn is_child(image: &Stored, parent: &Stored) -> bool {
    let history = |image: &Stored| image.json()["history"].as_array().cloned().unwrap_or_default();
    let (own, parents) = (history(image), history(parent));
    (own.is_empty() && parents.is_empty()) || (own.len() == parents.len() + 1 && own.starts_with(&parents))
}

/// `a/../b` → `b`; what would leave keeps its dots and is refused.
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
