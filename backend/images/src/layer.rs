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

const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// A file that came from outside and was hashed on its way.
#[derive(Clone, Debug)]
pub struct Received<'a> {
    pub path: &'a Path,
    pub digest: Digest,
}

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
    #[error("find what the container wrote")]
    Snapshot(#[source] Box<crate::snapshot::SnapshotError>),
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
    /// Bytes of the tar archive.
    tar_size: u64,
    /// What it was unpacked from: only the blob has every byte of the archive, and a compressor's output cannot be
    /// made again bit for bit. So blobs stay beside the unpacked files, and a pushed or saved image keeps its digests.
    /// `None` for a layer made here, which
    /// packs to its own diffid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<Descriptor>,
}

/// `compressed.json`, beside `layer.json`: what a push made of a layer that has no blob. The bytes are not kept.
const COMPRESSED: &str = "compressed.json";

impl Store {
    /// Whether the layer is unpacked, here or in the shared store.
    pub fn has_layer(&self, diff_id: &DiffId) -> bool {
        self.layer_folder(diff_id).is_some()
    }

    /// Bytes of all files of a layer.
    pub fn layer_size(&self, diff_id: &DiffId) -> Option<u64> {
        Some(self.layer_record(diff_id)?.size)
    }

    /// Bytes that [`Store::write_layer`] will write.
    pub fn layer_tar_size(&self, diff_id: &DiffId) -> Option<u64> {
        Some(self.layer_record(diff_id)?.tar_size)
    }

    /// The blob that a layer was unpacked from.
    pub fn layer_blob(&self, diff_id: &DiffId) -> Option<Descriptor> {
        self.layer_record(diff_id)?.blob
    }

    /// What the layer was compressed to when it was pushed: a registry may still have it.
    pub fn compressed(&self, diff_id: &DiffId) -> Option<Descriptor> {
        let bytes = fs::read(self.layer_folder(diff_id)?.join(COMPRESSED)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Remembers what the layer was compressed to. Of a layer that another store owns nothing is remembered.
    pub fn remember_compressed(&self, diff_id: &DiffId, blob: &Descriptor) -> Result<(), LayerError> {
        let folder = self.root().join("layers").join(diff_id.0.hex());
        if !folder.is_dir() {
            return Ok(());
        }
        let write = |source| LayerError::Write { diff_id: diff_id.clone(), source };
        let bytes = serde_json::to_vec(blob).map_err(|error| write(error.into()))?;
        let durability = crate::snapshot::Durability::Volatile;
        crate::file::replace(&folder.join(COMPRESSED), &bytes, &self.tmp(), durability).map_err(write)
    }

    fn layer_record(&self, diff_id: &DiffId) -> Option<Record> {
        let bytes = fs::read(self.layer_folder(diff_id)?.join("layer.json")).ok()?;
        serde_json::from_slice(&bytes).ok()
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

    /// Unpacks a layer whose blob is in the store, and was verified when it came there. `progress` hears how many bytes
    /// of the blob were read.
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
        let folder = self.new_layer()?;
        let unpacked = unpack_known(source, &folder.path().join("diff"), &blob.digest, diff_id, progress)?;
        let record = Record { blob: Some(blob.clone()), ..unpacked };
        self.keep_layer(folder, diff_id, &record)
    }

    /// Unpacks a layer from any stream; verifies the blob's digest, where one is given, and the diffid. A layer
    /// that fails either leaves nothing. Answers the digest of the stream.
    pub fn unpack_reader(
        &self,
        source: impl Read,
        blob: Option<&Descriptor>,
        diff_id: &DiffId,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Digest, LayerError> {
        let named = blob.map_or(&diff_id.0, |blob| &blob.digest);
        let folder = self.new_layer()?;
        let mut unpacked = unpack_watched(source, &folder.path().join("diff"), named, progress)?;
        if unpacked.diff != diff_id.0 {
            return Err(LayerError::DiffMismatch { expected: diff_id.clone(), received: unpacked.diff });
        }
        if let Some(expected) = blob
            && unpacked.blob != expected.digest
        {
            return Err(LayerError::BlobMismatch {
                expected: expected.digest.clone(),
                received: unpacked.blob,
            });
        }
        unpacked.record.blob = blob.cloned();
        self.keep_layer(folder, diff_id, &unpacked.record)?;
        Ok(unpacked.blob)
    }

    /// Makes a layer of a file that holds its tar archive, compressed or not; the file becomes its blob.
    pub fn take_layer_file(
        &self,
        file: Received<'_>,
        diff_id: &DiffId,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Descriptor, LayerError> {
        let read = |source| LayerError::Read { digest: diff_id.0.clone(), source };
        let mut source = fs::File::open(file.path).map_err(read)?;
        let size = source.metadata().map_err(read)?.len();
        let media_type = media_type(&mut source).map_err(read)?.to_owned();
        let blob = Descriptor { media_type, digest: file.digest, size };
        if !self.has_layer(diff_id) {
            let folder = self.new_layer()?;
            let unpacked =
                unpack_known(source, &folder.path().join("diff"), &blob.digest, diff_id, progress)?;
            self.keep_layer(folder, diff_id, &Record { blob: Some(blob.clone()), ..unpacked })?;
        }
        self.adopt_blob(file.path, &blob.digest).map_err(LayerError::Blob)?;
        Ok(blob)
    }

    /// Makes a layer of what a container wrote; the container keeps it.
    pub fn commit_layer(&self, snapshot: &crate::snapshot::Snapshot) -> Result<(DiffId, u64), LayerError> {
        let mut file = tempfile::tempfile_in(self.tmp()).map_err(LayerError::Create)?;
        let mut sum = Sum::default();
        let mut both = Both(io::BufWriter::new(&mut file), &mut sum);
        let upper = snapshot.layer().map_err(|error| LayerError::Snapshot(Box::new(error)))?;
        let size = pack(upper, &mut both, Deleted::Whiteouts).map_err(LayerError::Pack)?;
        let flushed = io::Write::flush(&mut both);
        drop(both);
        let diff_id = DiffId(sum.hasher.finish());
        let write = |source| LayerError::Write { diff_id: diff_id.clone(), source };
        flushed.and_then(|()| io::Seek::rewind(&mut file)).map_err(write)?;
        if !self.has_layer(&diff_id) {
            self.unpack_reader(io::BufReader::new(file), None, &diff_id, &mut |_| {})?;
        }
        Ok((diff_id, size))
    }

    /// Makes a layer of any tar archive, whatever its digest: `docker import`. The archive, if it is a compressed one
    /// without its compression, stays as the layer's blob, so that the layer is what came and nothing like it.
    pub fn import_layer(&self, source: impl Read) -> Result<(DiffId, u64), LayerError> {
        let folder = self.new_layer()?;
        let named = Digest::of(b"");
        let failed = |source| LayerError::Read { digest: named.clone(), source };
        let plain = decompress(source).map_err(failed)?;
        let mut kept = Kept { source: plain, blob: self.begin_blob().map_err(LayerError::Blob)? };
        let size = unpack(&mut kept, &folder.path().join("diff"))
            .map_err(|source| LayerError::Unpack { digest: named.clone(), source })?;
        // What lies behind the archive's end belongs to it.
        io::copy(&mut kept, &mut io::sink()).map_err(failed)?;
        let tar_size = kept.blob.written();
        let digest = kept.blob.finish_any().map_err(LayerError::Blob)?;
        let blob = Descriptor { media_type: PLAIN.to_owned(), digest: digest.clone(), size: tar_size };
        let diff_id = DiffId(digest);
        if !self.has_layer(&diff_id) {
            self.keep_layer(folder, &diff_id, &Record { size, tar_size, blob: Some(blob) })?;
        }
        Ok((diff_id, size))
    }

    /// Makes a layer of a folder that holds one already in overlayfs's form, such as a snapshot's upper folder or
    /// a build step's: the folder is moved into the store (it must lie on the store's file system).
    pub fn adopt_layer(&self, diff: &Path) -> Result<(DiffId, u64), LayerError> {
        let mut sum = Sum::default();
        let size = pack(diff, &mut sum, Deleted::Whiteouts).map_err(LayerError::Pack)?;
        let (record, diff_id) =
            (Record { size, tar_size: sum.bytes, blob: None }, DiffId(sum.hasher.finish()));
        if !self.has_layer(&diff_id) {
            let folder = self.new_layer()?;
            let place = folder.path().join("diff");
            let moved = fs::remove_dir(&place).and_then(|()| fs::rename(diff, &place));
            moved.map_err(|source| LayerError::Write { diff_id: diff_id.clone(), source })?;
            self.keep_layer(folder, &diff_id, &record)?;
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

    fn keep_layer(
        &self,
        folder: tempfile::TempDir,
        diff_id: &DiffId,
        record: &Record,
    ) -> Result<(), LayerError> {
        let write = |source| LayerError::Write { diff_id: diff_id.clone(), source };
        let record = serde_json::to_vec(record).map_err(|error| write(error.into()))?;
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

struct Unpacked {
    diff: Digest,
    blob: Digest,
    record: Record,
}

/// What a layer's archive is compressed with, by its first bytes; reads from the beginning again.
fn media_type(source: &mut fs::File) -> io::Result<&'static str> {
    let mut first = [0; 4];
    let length = source.read(&mut first)?;
    io::Seek::rewind(source)?;
    Ok(match &first[..length] {
        [0x1f, 0x8b, ..] => GZIP,
        [0x28, 0xb5, 0x2f, 0xfd] => ZSTD,
        _ => PLAIN,
    })
}

/// Unpacks a stream whose digest is known. One that is the archive itself needs no hashing.
fn unpack_known(
    source: fs::File,
    diff: &Path,
    blob: &Digest,
    diff_id: &DiffId,
    progress: &mut dyn FnMut(u64),
) -> Result<Record, LayerError> {
    let read = |source| LayerError::Read { digest: blob.clone(), source };
    let failed = |source| LayerError::Unpack { digest: blob.clone(), source };
    if *blob == diff_id.0 {
        let tar_size = source.metadata().map_err(read)?.len();
        let counted = Counted { source: io::BufReader::with_capacity(BUFFER, source), read: 0, progress };
        let size = unpack(counted, diff).map_err(failed)?;
        return Ok(Record { size, tar_size, blob: None });
    }
    let counted = Counted { source, read: 0, progress };
    let plain = decompress(counted).map_err(read)?;
    let mut tar_size = 0;
    let mut count = |bytes| tar_size = bytes;
    let mut tar = Watched::new(plain, &mut count);
    let size = unpack(&mut tar, diff).map_err(failed)?;
    let received = tar.finish().map_err(read)?;
    if received != diff_id.0 {
        return Err(LayerError::DiffMismatch { expected: diff_id.clone(), received });
    }
    Ok(Record { size, tar_size, blob: None })
}

const BUFFER: usize = 128 << 10;

/// Writes what is read through it into a blob.
struct Kept<R> {
    source: R,
    blob: crate::blob::BlobWriter,
}

impl<R: Read> Read for Kept<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        io::Write::write_all(&mut self.blob, &buffer[..count])?;
        Ok(count)
    }
}

/// Tells how far a source was read.
struct Counted<'a, R> {
    source: R,
    read: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.read += count as u64;
        (self.progress)(self.read);
        Ok(count)
    }
}

/// Unpacks a stream while hashing it before and after decompression.
fn unpack_watched(
    source: impl Read,
    diff: &Path,
    named: &Digest,
    progress: &mut dyn FnMut(u64),
) -> Result<Unpacked, LayerError> {
    let read = |source| LayerError::Read { digest: named.clone(), source };
    let mut watched = Watched::new(source, progress);
    let plain = decompress(&mut watched).map_err(read)?;
    let mut tar_size = 0;
    let mut count = |bytes| tar_size = bytes;
    let mut tar = Watched::new(plain, &mut count);
    let size =
        unpack(&mut tar, diff).map_err(|source| LayerError::Unpack { digest: named.clone(), source })?;
    let diff = tar.finish().map_err(read)?;
    let blob = watched.finish().map_err(read)?;
    Ok(Unpacked { diff, blob, record: Record { size, tar_size, blob: None } })
}

/// Hashes and counts what is written.
#[derive(Default)]
struct Sum {
    hasher: crate::digest::Hasher,
    bytes: u64,
}

impl io::Write for Sum {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes to two places.
struct Both<A, B>(A, B);

impl<A: io::Write, B: io::Write> io::Write for Both<A, B> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        self.1.write_all(&bytes[..count])?;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.1.flush()
    }
}

fn mode(bits: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(bits)
}
