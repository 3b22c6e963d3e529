//! Layers: each is unpacked once, into a folder named by its diffid.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::{DiffId, Digest};
use crate::image::{Descriptor, Image};
use crate::pack::{Deleted, pack};
use crate::store::Store;
use crate::stream::{Watched, decompress};
use crate::unpack::{UnpackError, unpack};

/// A layer could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("open the layer's blob")]
    Blob(#[source] crate::blob::BlobError),
    #[error("create a folder for the layer")]
    Create(#[source] io::Error),
    #[error("read layer {digest}")]
    Read { digest: Digest, source: io::Error },
    #[error("unpack layer {digest}")]
    Unpack { digest: Digest, source: UnpackError },
    #[error("layer {expected} does not match what was received ({received})")]
    BlobMismatch { expected: Digest, received: Digest },
    #[error("layer {expected} holds other content than the image's configuration says ({received})")]
    DiffMismatch { expected: DiffId, received: Digest },
    #[error("pack the layer")]
    Pack(#[source] crate::pack::PackError),
    #[error("write layer {diff_id}")]
    Write { diff_id: DiffId, source: io::Error },
}

/// `layer.json`.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Bytes of all files.
    size: u64,
}

impl Store {
    /// Whether the layer is unpacked, here or in the shared store.
    pub fn has_layer(&self, diff_id: &DiffId) -> bool {
        self.layer_folder(diff_id).is_some()
    }

    /// Bytes of all files of a layer.
    pub fn layer_size(&self, diff_id: &DiffId) -> Option<u64> {
        let bytes = fs::read(self.layer_folder(diff_id)?.join("layer.json")).ok()?;
        serde_json::from_slice::<Record>(&bytes).ok().map(|record| record.size)
    }

    /// The unpacked layers of an image, topmost first as overlayfs wants them.
    pub fn layer_paths(&self, image: &Image) -> Vec<PathBuf> {
        let paths = image.layers.iter().rev();
        paths.filter_map(|layer| self.layer_diff(&layer.diff_id)).collect()
    }

    /// Where a layer is unpacked.
    pub(crate) fn layer_diff(&self, diff_id: &DiffId) -> Option<PathBuf> {
        Some(self.layer_folder(diff_id)?.join("diff"))
    }

    fn layer_folder(&self, diff_id: &DiffId) -> Option<PathBuf> {
        self.roots().map(|root| root.join("layers").join(diff_id.0.hex())).find(|path| path.is_dir())
    }

    /// Unpacks a layer whose blob is in the store. `progress` hears how many bytes of the blob were read.
    pub fn unpack_blob(
        &self,
        blob: &Descriptor,
        diff_id: &DiffId,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), LayerError> {
        if self.has_layer(diff_id) {
            return Ok(());
        }
        let source = self.open_blob(&blob.digest).map_err(LayerError::Blob)?;
        self.unpack_reader(source, Some(&blob.digest), diff_id, progress)
    }

    /// Unpacks a layer from any stream; verifies the blob's digest, where one is given, and the diffid. A layer
    /// that fails either leaves nothing.
    pub fn unpack_reader(
        &self,
        source: impl Read,
        blob: Option<&Digest>,
        diff_id: &DiffId,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), LayerError> {
        let named = blob.unwrap_or(&diff_id.0).clone();
        let read = |source| LayerError::Read { digest: named.clone(), source };
        let folder = self.new_layer()?;
        let mut watched = Watched::new(source, progress);
        let plain = decompress(&mut watched).map_err(read)?;
        let mut ignore = |_| {};
        let mut tar = Watched::new(plain, &mut ignore);
        let size = unpack(&mut tar, &folder.path().join("diff"))
            .map_err(|source| LayerError::Unpack { digest: named.clone(), source })?;
        let received = tar.finish().map_err(read)?;
        if received != diff_id.0 {
            return Err(LayerError::DiffMismatch { expected: diff_id.clone(), received });
        }
        let received = watched.finish().map_err(read)?;
        if let Some(expected) = blob
            && received != *expected
        {
            return Err(LayerError::BlobMismatch { expected: expected.clone(), received });
        }
        self.keep_layer(folder, diff_id, size)
    }

    /// Makes a layer of a folder that holds one already in overlayfs's form, such as a snapshot's upper folder or
    /// a build step's: the folder is moved into the store (it must lie on the store's file system).
    pub fn adopt_layer(&self, diff: &Path) -> Result<(DiffId, u64), LayerError> {
        let mut hasher = crate::digest::Hasher::default();
        let size = pack(diff, &mut hasher, Deleted::Whiteouts).map_err(LayerError::Pack)?;
        let diff_id = DiffId(hasher.finish());
        if !self.has_layer(&diff_id) {
            let folder = self.new_layer()?;
            let place = folder.path().join("diff");
            let moved = fs::remove_dir(&place).and_then(|()| fs::rename(diff, &place));
            moved.map_err(|source| LayerError::Write { diff_id: diff_id.clone(), source })?;
            self.keep_layer(folder, &diff_id, size)?;
        }
        Ok((diff_id, size))
    }

    /// Writes a layer's tar archive; its digest is the diffid again. Needs no blob.
    pub fn write_layer(
        &self,
        layer: &crate::image::Layer,
        output: &mut dyn io::Write,
    ) -> Result<(), LayerError> {
        let read = |source| LayerError::Read { digest: layer.diff_id.0.clone(), source };
        // What was received is not what packing its files again would give: the blob remembers every byte.
        if let Some(blob) = &layer.blob {
            let source = self.open_blob(&blob.digest).map_err(LayerError::Blob)?;
            io::copy(&mut decompress(source).map_err(read)?, output).map_err(read)?;
            return Ok(());
        }
        let folder = self.layer_folder(&layer.diff_id).ok_or_else(|| read(io::ErrorKind::NotFound.into()))?;
        pack(&folder.join("diff"), output, Deleted::Whiteouts).map(drop).map_err(LayerError::Pack)
    }

    fn new_layer(&self) -> Result<tempfile::TempDir, LayerError> {
        let folder =
            tempfile::Builder::new().prefix("layer-").tempdir_in(self.tmp()).map_err(LayerError::Create)?;
        let diff = folder.path().join("diff");
        let made = fs::create_dir(&diff).and_then(|()| fs::set_permissions(&diff, mode(0o755)));
        made.and_then(|()| fs::set_permissions(folder.path(), mode(0o755))).map_err(LayerError::Create)?;
        Ok(folder)
    }

    fn keep_layer(&self, folder: tempfile::TempDir, diff_id: &DiffId, size: u64) -> Result<(), LayerError> {
        let write = |source| LayerError::Write { diff_id: diff_id.clone(), source };
        let record = serde_json::to_vec(&Record { size }).map_err(|error| write(error.into()))?;
        fs::write(folder.path().join("layer.json"), record).map_err(write)?;
        let place = self.root().join("layers").join(diff_id.0.hex());
        match fs::rename(folder.path(), &place) {
            Ok(()) => {
                let _ = folder.keep();
                Ok(())
            }
            // Somebody else unpacked the same layer meanwhile; ours is dropped.
            Err(_) if place.is_dir() => Ok(()),
            Err(error) => Err(write(error)),
        }
    }
}

fn mode(bits: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(bits)
}
