//! Snapshots on disk: the newest one, sealed, replaced as a whole.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::frames::{FrameError, sync_folder};
use super::types::SnapshotMeta;
use crate::identity::SealKey;
use crate::store;

const PURPOSE: &[u8] = b"raft-snapshot";

/// The newest snapshot. Clones are one.
#[derive(Debug, Clone)]
pub struct Snapshots {
    path: PathBuf,
    key: Arc<Mutex<SealKey>>,
}

/// A snapshot with what raft knows of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub meta: SnapshotMeta,
    pub store: store::Snapshot,
}

impl Snapshots {
    pub fn below(folder: &Path, key: SealKey) -> Self {
        Self { path: folder.join("snap-v1-encrypted"), key: Arc::new(Mutex::new(key)) }
    }

    pub(super) fn load(&self) -> Result<Option<Kept>, FrameError> {
        self.load_with(&self.key())
    }

    fn load_with(&self, key: &SealKey) -> Result<Option<Kept>, FrameError> {
        let sealed = match fs::read(&self.path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(self.failed("read", cause)),
        };
        let damaged = || FrameError::Damaged { path: self.path.clone(), offset: 0 };
        let plain = key.open(PURPOSE, &sealed).map_err(|_| damaged())?;
        serde_json::from_slice(&plain).map(Some).map_err(|_| damaged())
    }

    pub(super) fn save(&self, kept: &Kept) -> Result<(), FrameError> {
        self.save_with(&self.key(), kept)
    }

    fn save_with(&self, key: &SealKey, kept: &Kept) -> Result<(), FrameError> {
        let plain = serde_json::to_vec(kept).expect("a snapshot is JSON: its maps have text for keys");
        self.write(&key.seal(PURPOSE, &plain))
    }

    /// Seals the snapshot with another key from now on. What is sealed with that already stays.
    pub fn rekey(&self, next: SealKey) -> Result<(), FrameError> {
        let mut key = self.key();
        let kept = match self.load_with(&key) {
            Err(FrameError::Damaged { .. }) if self.load_with(&next).is_ok() => None,
            kept => kept?,
        };
        if let Some(kept) = kept {
            self.save_with(&next, &kept)?;
        }
        *key = next;
        Ok(())
    }

    /// Held while the file is read or written: no newer snapshot may be overwritten by an older one in another key.
    fn key(&self) -> MutexGuard<'_, SealKey> {
        self.key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, sealed: &[u8]) -> Result<(), FrameError> {
        let next = self.path.with_extension("next");
        let write = || -> io::Result<()> {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&next)?;
            file.write_all(sealed)?;
            file.sync_all()?;
            fs::rename(&next, &self.path)?;
            sync_folder(&self.path)
        };
        write().map_err(|cause| {
            // What is left of it only takes room.
            let _ = fs::remove_file(&next);
            self.failed("write", cause)
        })
    }

    fn failed(&self, step: &'static str, cause: io::Error) -> FrameError {
        FrameError::Io { step, path: self.path.clone(), cause }
    }
}
