//! A layer on its way: a root file system that is written to without a container, and becomes a layer.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::digest::DiffId;
use crate::layer::LayerError;
use crate::snapshot::{Durability, Snapshot, SnapshotError};
use crate::store::Store;

/// What names of drafts begin with; a container's id has no dash.
const PREFIX: &str = "draft-";

/// A draft could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    #[error("look at what was written in {path}")]
    Read { path: std::path::PathBuf, source: io::Error },
    #[error(transparent)]
    Root(#[from] SnapshotError),
    #[error(transparent)]
    Layer(#[from] LayerError),
}

/// A mounted root file system. Dropped, it leaves nothing.
#[derive(Debug)]
pub struct Draft {
    store: Store,
    /// `None` once it is kept.
    snapshot: Option<Snapshot>,
    root: OwnedFd,
    path: std::path::PathBuf,
}

impl Store {
    /// A root file system over these layers, bottom first. It has nothing of a container's: no `/etc/hosts` of its own.
    pub fn draft(&self, layers: &[DiffId]) -> Result<Draft, SnapshotError> {
        self.mounted_draft(layers, None)
    }

    /// The same over a folder that is no layer, which stays as it is.
    pub fn draft_over(&self, folder: &Path) -> Result<Draft, SnapshotError> {
        self.mounted_draft(&[], Some(folder))
    }

    fn mounted_draft(&self, layers: &[DiffId], over: Option<&Path>) -> Result<Draft, SnapshotError> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(self.root().join("snapshots"));
        let failed = |source| SnapshotError::Create { path: self.root().join("snapshots"), source };
        // From here on the draft removes it.
        let folder = folder.map_err(failed)?.keep();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let made = self.prepare_bare(&name, layers, Durability::Volatile);
        let opened = made.and_then(|mut snapshot| {
            if let Some(over) = over {
                snapshot.lower = vec![over.to_owned()];
            }
            snapshot.fill()?;
            let path = snapshot.mount()?.to_owned();
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let root = rustix::fs::open(&path, flags, Mode::empty())
                .map_err(|error| SnapshotError::Read { path: path.clone(), source: error.into() })?;
            Ok(Draft { store: self.clone(), snapshot: Some(snapshot), root, path })
        });
        opened.inspect_err(|_| drop(fs::remove_dir_all(&folder)))
    }

    /// Removes drafts that a killed process left.
    pub fn clear_drafts(&self) -> Result<(), SnapshotError> {
        let path = self.root().join("snapshots");
        let names = self.snapshots().map_err(|source| SnapshotError::Read { path, source })?;
        for name in names.iter().filter(|name| name.starts_with(PREFIX)) {
            match self.snapshot(name) {
                Ok(snapshot) => snapshot.remove()?,
                Err(_) => drop(fs::remove_dir_all(self.root().join("snapshots").join(name))),
            }
        }
        Ok(())
    }

    /// Makes a layer of what a container wrote, which the container loses; `None` when it wrote nothing. It must not be
    /// mounted any more.
    pub fn move_layer(&self, snapshot: &Snapshot) -> Result<Option<DiffId>, DraftError> {
        let upper = snapshot.layer()?;
        if is_empty(upper)? {
            return Ok(None);
        }
        Ok(Some(self.adopt_layer(upper)?.0))
    }

    /// Removes the places that were made in a container for its mounts alone: empty, and not there in the image.
    pub fn remove_places(&self, snapshot: &Snapshot, places: &[String]) -> Result<(), DraftError> {
        let failed = |source: rustix::io::Errno| DraftError::Read {
            path: snapshot.written().to_owned(),
            source: source.into(),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper = rustix::fs::open(snapshot.written(), flags, Mode::empty()).map_err(failed)?;
        for place in places {
            let mut path = Path::new(place.trim_start_matches('/'));
            while let Some(name) = path.file_name()
                && snapshot.below(path).is_none()
                && remove_empty(&upper, path.parent().unwrap_or(Path::new("")), name)
            {
                path = path.parent().unwrap_or(Path::new(""));
            }
        }
        Ok(())
    }

    /// [`move_layer`](Self::move_layer), and the container keeps it.
    pub fn copy_layer(&self, snapshot: &Snapshot) -> Result<Option<DiffId>, DraftError> {
        if is_empty(snapshot.layer()?)? {
            return Ok(None);
        }
        Ok(Some(self.commit_layer(snapshot)?.0))
    }

    /// The layers above the first `base` in one. What they hide of each other is gone; what they delete below stays
    /// deleted.
    pub fn squash(&self, layers: &[DiffId], base: usize) -> Result<DiffId, DraftError> {
        let target = self.draft(&layers[..base.min(layers.len())])?;
        for diff_id in layers.iter().skip(base) {
            let mut archive = tempfile::tempfile_in(self.tmp()).map_err(LayerError::Create)?;
            let folder = self.layer_diff(diff_id).ok_or_else(|| {
                let missing = io::ErrorKind::NotFound.into();
                LayerError::Read { digest: diff_id.0.clone(), source: missing }
            })?;
            let written =
                crate::pack::pack(&folder, io::BufWriter::new(&mut archive), crate::pack::Deleted::Whiteouts);
            written.map_err(LayerError::Pack)?;
            io::Seek::rewind(&mut archive).map_err(LayerError::Create)?;
            let root = target.root.try_clone().map_err(LayerError::Create)?;
            crate::unpack::apply(io::BufReader::new(archive), root)
                .map_err(|source| LayerError::Unpack { digest: diff_id.0.clone(), source })?;
        }
        match target.keep()? {
            Some(diff_id) => Ok(diff_id),
            // An image wants a layer where there was one.
            None => {
                let mut empty = tar::Builder::new(Vec::new());
                let bytes = empty.finish().and_then(|()| empty.into_inner()).map_err(LayerError::Create)?;
                let (diff_id, _) = self.import_layer(bytes.as_slice())?;
                Ok(diff_id)
            }
        }
    }
}

impl Draft {
    /// Its root, merged with what lies below.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a layer of what was written; `None` when nothing was.
    pub fn keep(mut self) -> Result<Option<DiffId>, DraftError> {
        let Some(snapshot) = self.snapshot.take() else { return Ok(None) };
        let kept =
            snapshot.unmount().map_err(DraftError::Root).and_then(|()| self.store.move_layer(&snapshot));
        let removed = snapshot.remove();
        let kept = kept?;
        removed?;
        Ok(kept)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(snapshot) = self.snapshot.take()
            && let Err(error) = snapshot.remove()
        {
            tracing::warn!(%error, "a draft was left");
        }
    }
}

/// Removes an empty folder or file; what a process put in its way stays.
fn remove_empty(upper: &OwnedFd, folder: &Path, name: &std::ffi::OsStr) -> bool {
    use rustix::fs::{AtFlags, FileType, ResolveFlags};
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let Ok(parent) = rustix::fs::openat2(upper, folder, flags, Mode::empty(), resolve) else { return false };
    let Ok(stat) = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) else { return false };
    let how = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => AtFlags::REMOVEDIR,
        FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
        _ => return false,
    };
    rustix::fs::unlinkat(&parent, name, how).is_ok()
}

fn is_empty(folder: &Path) -> Result<bool, DraftError> {
    let failed = |source| DraftError::Read { path: folder.to_owned(), source };
    Ok(fs::read_dir(folder).map_err(failed)?.next().transpose().map_err(failed)?.is_none())
}
