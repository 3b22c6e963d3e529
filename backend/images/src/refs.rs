//! `refs.json`: which names mean which image, and which images there are.
//!
//! What need not outlive a power cut is written without waiting for the disk, and a power cut may leave such a file empty:
//! it goes to `refs.new.json`, which counts while the machine runs that wrote it, and while it is the newer one.
//!
//! Every change is made under the store's lock on a freshly read file, so that the gateway and `drydock image`
//! may work on one root; every look notices, by the file's stamp, that another process changed it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, MutexGuard};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::digest::ImageId;
use crate::image::{Image, ImageError};
use crate::reference::Named;
use crate::snapshot::Durability;
use crate::store::Store;

/// The index could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("lock the store")]
    Lock(#[source] io::Error),
    #[error("read refs.json")]
    Read(#[source] io::Error),
    #[error("refs.json is not valid")]
    Parse(#[source] serde_json::Error),
    #[error("write refs.json")]
    Write(#[source] io::Error),
    #[error("read an image that refs.json names")]
    Image(#[source] Box<ImageError>),
    #[error("no such image: {0}")]
    NoImage(ImageId),
}

/// The content of `refs.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Index {
    /// Whole names with a tag or a digest.
    pub references: BTreeMap<String, ImageId>,
    pub images: BTreeSet<ImageId>,
    /// Images that may not be on the disk yet, with the boot of the machine that knows them in memory.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unsettled: BTreeMap<ImageId, String>,
    /// Every change makes it larger.
    #[serde(default)]
    version: u64,
    /// In `refs.new.json`: the boot of the machine that wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    boot: String,
}

/// The index in memory, with the images it names.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub index: Index,
    pub images: BTreeMap<ImageId, Arc<Image>>,
    stamp: [Option<Stamp>; 2],
}

/// Tells one version of the file from another: every change makes a new inode.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stamp {
    inode: u64,
    modified: (i64, i64),
}

impl Store {
    /// The index as it is on disk now.
    pub(crate) fn state(&self) -> Result<MutexGuard<'_, State>, IndexError> {
        let mut state = self.state_lock();
        self.reload(&mut state)?;
        Ok(state)
    }

    /// Changes the index: nobody else changes it meanwhile, and a failed change leaves it as it was.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Index, &BTreeMap<ImageId, Arc<Image>>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        self.change_as(Durability::Flushed, change)
    }

    fn change_as<T>(
        &self,
        durability: Durability,
        change: impl FnOnce(&mut Index, &BTreeMap<ImageId, Arc<Image>>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let lock = File::create(self.root().join("lock")).map_err(IndexError::Lock)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)
            .map_err(|error| IndexError::Lock(error.into()))?;
        let mut state = self.state()?;
        let mut index = state.index.clone();
        let answer = change(&mut index, &state.images)?;
        index.version += 1;
        self.write(index, durability).map_err(IndexError::Write)?;
        self.reload(&mut state)?;
        Ok(answer)
    }

    fn write(&self, mut index: Index, durability: Durability) -> io::Result<()> {
        let [kept, newer] = self.index_files();
        let path = match durability {
            Durability::Flushed => {
                index.boot.clear();
                &kept
            }
            Durability::Volatile => {
                index.boot = boot();
                &newer
            }
        };
        crate::file::replace(path, &serde_json::to_vec_pretty(&index)?, &self.tmp(), durability)?;
        if durability == Durability::Flushed {
            // It is the older one now, and counts no more even if it stays.
            let _ = fs::remove_file(newer);
        }
        Ok(())
    }

    /// What is kept, and what may be newer.
    fn index_files(&self) -> [std::path::PathBuf; 2] {
        ["refs.json", "refs.new.json"].map(|name| self.root().join(name))
    }

    fn read_index(&self) -> Result<Index, IndexError> {
        let [kept, newer] = self.index_files();
        let index: Index = match fs::read(kept) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(IndexError::Parse)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Index::default(),
            Err(error) => return Err(IndexError::Read(error)),
        };
        let newer = fs::read(newer).ok().and_then(|bytes| serde_json::from_slice::<Index>(&bytes).ok());
        let newer = newer.filter(|newer| newer.version > index.version && newer.boot == boot());
        Ok(newer.unwrap_or(index))
    }

    fn reload(&self, state: &mut State) -> Result<(), IndexError> {
        let [kept, newer] = self.index_files();
        let stamp = [stamp(&kept)?, stamp(&newer)?];
        if stamp == state.stamp {
            return Ok(());
        }
        let index = self.read_index()?;
        let mut images = BTreeMap::new();
        for id in &index.images {
            let image = match state.images.get(id) {
                Some(image) => Arc::clone(image),
                None => match self.read_image(id) {
                    Ok(image) => Arc::new(image),
                    // The step of a build that a power cut tore: nobody was promised that it stays.
                    Err(error) if error.is_torn() => {
                        tracing::warn!(image = %id, %error, "an image was lost");
                        continue;
                    }
                    Err(error) => return Err(IndexError::Image(Box::new(error))),
                },
            };
            images.insert(id.clone(), image);
        }
        *state = State { index, images, stamp };
        Ok(())
    }

    pub(crate) fn add_image(&self, image: Image, durability: Durability) -> Result<Arc<Image>, IndexError> {
        let id = image.id.clone();
        self.change_as(durability, |index, _| {
            let is_new = index.images.insert(id.clone());
            if is_new && durability == Durability::Volatile {
                index.unsettled.insert(id.clone(), boot());
            }
            Ok(())
        })?;
        let image = Arc::new(image);
        self.state()?.images.insert(id, Arc::clone(&image));
        Ok(image)
    }

    /// Brings images that were recorded without waiting to the disk. It may take as long as the disk does.
    pub fn settle(&self) -> Result<(), IndexError> {
        let unsettled: Vec<ImageId> = self.state()?.index.unsettled.keys().cloned().collect();
        if unsettled.is_empty() {
            return Ok(());
        }
        self.flush().map_err(IndexError::Write)?;
        self.change(|index, _| {
            index.unsettled.retain(|id, _| !unsettled.contains(id));
            Ok(())
        })
    }

    /// Forgets what was not on the disk when the machine went down, for it may be torn.
    pub(crate) fn forget_unsettled(&self) -> Result<(), IndexError> {
        let boot = boot();
        let is_lost = |known: &String| *known != boot;
        if !self.state()?.index.unsettled.values().any(is_lost) {
            return Ok(());
        }
        self.change(|index, _| {
            let unsettled = std::mem::take(&mut index.unsettled);
            let (lost, kept) = unsettled.into_iter().partition(|(_, known)| is_lost(known));
            index.unsettled = kept;
            let lost: BTreeMap<ImageId, String> = lost;
            index.images.retain(|id| !lost.contains_key(id));
            index.references.retain(|_, id| !lost.contains_key(id));
            Ok(())
        })
    }

    /// What is remembered of an image whose record was written again.
    pub(crate) fn replace_image(&self, image: Image) -> Result<(), IndexError> {
        let mut state = self.state()?;
        if let Some(known) = state.images.get_mut(&image.id.clone()) {
            *known = Arc::new(image);
        }
        Ok(())
    }

    /// Makes `name` mean the image; answers the image that it meant before.
    pub fn tag(&self, name: &Named, id: &ImageId) -> Result<Option<ImageId>, IndexError> {
        let name = name.clone().or_latest();
        self.change(|index, images| {
            if !images.contains_key(id) {
                return Err(IndexError::NoImage(id.clone()));
            }
            Ok(index.references.insert(name.to_string(), id.clone()))
        })
    }

    /// The names of an image: those with a tag, then those with a digest.
    pub fn names(&self, id: &ImageId) -> Result<(Vec<Named>, Vec<Named>), IndexError> {
        let state = self.state()?;
        let names = state.index.references.iter().filter(|(_, named)| *named == id);
        let names = names.filter_map(|(name, _)| Named::parse(name).ok());
        Ok(names.partition(|name| name.digest().is_none()))
    }

    /// Every name, with the image it means.
    pub fn references(&self) -> Result<Vec<(Named, ImageId)>, IndexError> {
        let state = self.state()?;
        let references = state.index.references.iter();
        Ok(references.filter_map(|(name, id)| Some((Named::parse(name).ok()?, id.clone()))).collect())
    }
}

fn stamp(path: &std::path::Path) -> Result<Option<Stamp>, IndexError> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(Stamp { inode: meta.ino(), modified: (meta.mtime(), meta.mtime_nsec()) })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IndexError::Read(error)),
    }
}

/// Tells one run of the machine from another.
fn boot() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}
