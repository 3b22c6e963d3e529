//! The store: opening it, and finding images in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::digest::ImageId;
use crate::image::Image;
use crate::reference::{Named, Reference, ReferenceError};
use crate::refs::{IndexError, State};

/// A store's root could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("create {path}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("empty {path}")]
    Temporary { path: PathBuf, source: io::Error },
    #[error("remove what was not finished when the machine went down")]
    Torn(#[source] crate::remove::RemoveError),
    #[error("read the index of the image store")]
    Index(#[source] IndexError),
}

/// No image, or not one image, is meant.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// The name in its familiar form, with the tag that was looked for.
    #[error("No such image: {0}")]
    NotFound(String),
    #[error("No such image: {0} matches several images")]
    Ambiguous(String),
    #[error("look into the image store")]
    Index(#[source] IndexError),
}

/// Images, layers and snapshots under one folder. Clones are the same store.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    shared: Option<PathBuf>,
    driver: crate::driver::Driver,
    state: Mutex<State>,
    holds: Arc<Mutex<crate::hold::Holds>>,
}

impl Store {
    /// Opens the store at `root` and makes it if it is not there. `shared` is a second store, whose layers
    /// and blobs are used in place and never written.
    pub fn open(root: impl Into<PathBuf>, shared: Option<PathBuf>) -> Result<Self, OpenError> {
        Self::open_with(root, shared, crate::driver::Driver::default())
    }

    /// [`open`](Self::open), for root file systems made by a driver.
    pub fn open_with(
        root: impl Into<PathBuf>,
        shared: Option<PathBuf>,
        driver: crate::driver::Driver,
    ) -> Result<Self, OpenError> {
        let root = root.into();
        for folder in ["blobs/sha256", "layers", "images", "snapshots", "tmp"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(|source| OpenError::Folder { path, source })?;
        }
        let shared = shared.filter(|path| path.join("layers").is_dir());
        let store = Self {
            inner: Arc::new(Inner { root, shared, driver, state: Mutex::default(), holds: Arc::default() }),
        };
        store.clear_leftovers()?;
        drop(store.state().map_err(OpenError::Index)?);
        store.forget_unsettled().map_err(OpenError::Index)?;
        // Layers and blobs are flushed with the image they belong to. One that no image came to hold before the machine
        // went down may be torn, and a later pull would take it for whole.
        store.collect(uptime()).map_err(OpenError::Torn)?;
        Ok(store)
    }

    /// What a process that was killed left half-written. Fresh files are left alone: another process may be
    /// writing them now.
    fn clear_leftovers(&self) -> Result<(), OpenError> {
        let path = self.tmp();
        let failed = |source| OpenError::Temporary { path: path.clone(), source };
        for entry in fs::read_dir(&path).map_err(failed)?.flatten() {
            let age =
                entry.metadata().and_then(|meta| meta.modified()).ok().and_then(|time| time.elapsed().ok());
            if age.is_none_or(|age| age.as_secs() > 3600) {
                let path = entry.path();
                let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
                removed
                    .or_else(
                        |error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) },
                    )
                    .map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Waits until all of the store's file system is on the disk.
    pub(crate) fn flush(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(fs::File::open(self.root())?)?)
    }

    pub fn root(&self) -> &Path {
        &self.inner.root
    }

    /// This store's root, then the shared one's.
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.inner.root.as_path()).chain(self.inner.shared.as_deref())
    }

    pub fn driver(&self) -> crate::driver::Driver {
        self.inner.driver
    }

    pub(crate) fn holds(&self) -> &Arc<Mutex<crate::hold::Holds>> {
        &self.inner.holds
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.inner.root.join("blobs/sha256")
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.inner.root.join("tmp")
    }

    pub(crate) fn state_lock(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// All images, named or not.
    pub fn images(&self) -> Result<Vec<Arc<Image>>, IndexError> {
        Ok(self.state()?.images.values().cloned().collect())
    }

    pub fn image(&self, id: &ImageId) -> Result<Option<Arc<Image>>, IndexError> {
        Ok(self.state()?.images.get(id).cloned())
    }

    /// The image that a whole name means.
    pub fn resolve(&self, name: &Named) -> Result<Option<Arc<Image>>, IndexError> {
        let state = self.state()?;
        Ok(state.lookup(&name.clone().or_latest()))
    }

    /// Finds what a person means: a name, a digest, an id, or a unique beginning of one.
    pub fn find(&self, text: &str) -> Result<Arc<Image>, FindError> {
        let state = self.state().map_err(FindError::Index)?;
        let named = match Reference::parse(text) {
            Ok(Reference::Id(digest)) => {
                let image = state.images.get(&ImageId(digest));
                return image.cloned().ok_or_else(|| FindError::NotFound(text.to_owned()));
            }
            Ok(Reference::Named(named)) => named.or_latest(),
            // `sha256:` with fewer digits is no reference, but may begin an id.
            Err(error) => return state.by_prefix(text)?.ok_or(FindError::Reference(error)),
        };
        if let Some(image) = state.lookup(&named) {
            return Ok(image);
        }
        state.by_prefix(text)?.ok_or_else(|| FindError::NotFound(named.familiar()))
    }
}

impl State {
    fn lookup(&self, name: &Named) -> Option<Arc<Image>> {
        let id = self.index.references.get(&name.to_string()).or_else(|| {
            // With both a tag and a digest, the digest alone decides.
            let digest = name.digest()?.clone();
            self.index.references.get(&name.with_digest(digest).to_string())
        })?;
        self.images.get(id).cloned()
    }

    fn by_prefix(&self, text: &str) -> Result<Option<Arc<Image>>, FindError> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut found = self.images.iter().filter(|(id, _)| id.0.hex().starts_with(digits));
        match (found.next(), found.next()) {
            (Some((_, image)), None) => Ok(Some(Arc::clone(image))),
            (Some(_), Some(_)) => Err(FindError::Ambiguous(text.to_owned())),
            (None, _) => Ok(None),
        }
    }
}

/// How long ago the machine was started.
fn uptime() -> std::time::Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    std::time::Duration::from_secs(now.tv_sec.try_into().unwrap_or_default())
}
