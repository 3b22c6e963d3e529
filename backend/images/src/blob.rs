//! Blobs: bytes under their own digest, hashed while they are written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher};
use crate::store::Store;

/// A blob could not be taken or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("create a temporary file for a blob")]
    Create(#[source] io::Error),
    #[error("write what is received")]
    Receive { source: io::Error },
    #[error("write blob {digest}")]
    Write { digest: Digest, source: io::Error },
    #[error("{expected} does not match what was received ({received})")]
    Mismatch { expected: Digest, received: Digest },
    #[error("no blob {0}")]
    Missing(Digest),
    #[error("read blob {digest}")]
    Read { digest: Digest, source: io::Error },
}

/// A blob on its way in. Dropped before [`BlobWriter::finish`], it leaves nothing.
#[derive(Debug)]
pub struct BlobWriter {
    file: tempfile::NamedTempFile,
    hasher: HasherBox,
    folder: PathBuf,
    written: u64,
}

/// Keeps `Debug` of the writer short.
struct HasherBox(Hasher);

impl std::fmt::Debug for HasherBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha256")
    }
}

impl BlobWriter {
    /// Gives the blob its name, if its bytes have the digest they were announced with.
    pub fn finish(self, expected: &Digest) -> Result<(), BlobError> {
        let received = self.hasher.0.finish();
        if received != *expected {
            return Err(BlobError::Mismatch { expected: expected.clone(), received });
        }
        self.file
            .persist(self.folder.join(expected.hex()))
            .map(drop)
            .map_err(|error| BlobError::Write { digest: expected.clone(), source: error.error })
    }

    /// Gives the blob the name that its bytes have.
    pub fn finish_any(self) -> Result<Digest, BlobError> {
        let digest = self.hasher.0.clone().finish();
        self.finish(&digest)?;
        Ok(digest)
    }

    /// The digest of the bytes so far.
    pub fn digest(&self) -> Digest {
        self.hasher.0.clone().finish()
    }

    /// Forgets the bytes so far.
    pub fn restart(&mut self) -> io::Result<()> {
        use std::io::Seek;
        self.file.as_file_mut().set_len(0)?;
        self.file.as_file_mut().rewind()?;
        self.hasher = HasherBox(Hasher::default());
        self.written = 0;
        Ok(())
    }

    /// Bytes so far.
    pub fn written(&self) -> u64 {
        self.written
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.0.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Store {
    pub fn begin_blob(&self) -> Result<BlobWriter, BlobError> {
        let file = tempfile::NamedTempFile::new_in(self.tmp()).map_err(BlobError::Create)?;
        Ok(BlobWriter { file, hasher: HasherBox(Hasher::default()), folder: self.blobs(), written: 0 })
    }

    /// Takes a small blob whole; answers its digest.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest, BlobError> {
        let digest = Digest::of(bytes);
        if self.blobs().join(digest.hex()).exists() {
            return Ok(digest);
        }
        let mut writer = self.begin_blob()?;
        writer.write_all(bytes).map_err(|source| BlobError::Write { digest: digest.clone(), source })?;
        writer.finish(&digest)?;
        Ok(digest)
    }

    /// Where a blob lies, in this store or the shared one.
    pub fn blob_path(&self, digest: &Digest) -> Option<PathBuf> {
        self.roots().map(|root| root.join("blobs/sha256").join(digest.hex())).find(|path| path.exists())
    }

    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_some()
    }

    pub fn open_blob(&self, digest: &Digest) -> Result<File, BlobError> {
        let path = self.blob_path(digest).ok_or_else(|| BlobError::Missing(digest.clone()))?;
        File::open(path).map_err(|source| BlobError::Read { digest: digest.clone(), source })
    }

    /// Reads a small blob whole: a manifest or a configuration.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, BlobError> {
        let path = self.blob_path(digest).ok_or_else(|| BlobError::Missing(digest.clone()))?;
        fs::read(path).map_err(|source| BlobError::Read { digest: digest.clone(), source })
    }

    /// Gives a file that was verified already the name of a blob: a hard link, or a copy across file systems.
    pub(crate) fn adopt_blob(&self, file: &Path, digest: &Digest) -> Result<(), BlobError> {
        let write = |source| BlobError::Write { digest: digest.clone(), source };
        let place = self.blobs().join(digest.hex());
        if place.exists() || fs::hard_link(file, &place).is_ok() {
            return Ok(());
        }
        let mut copy = tempfile::NamedTempFile::new_in(self.tmp()).map_err(BlobError::Create)?;
        let mut source = File::open(file).map_err(write)?;
        io::copy(&mut source, copy.as_file_mut()).map_err(write)?;
        copy.persist(place).map(drop).map_err(|error| write(error.error))
    }
}
