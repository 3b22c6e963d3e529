//! Readers that hash, count and decompress what passes through.

use std::io::{self, BufRead, BufReader, Read};

use crate::digest::{Digest, Hasher};

/// Hashes what is read through it and tells how far it came.
pub(crate) struct Watched<'a, R> {
    source: R,
    hasher: Hasher,
    read: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<'a, R: Read> Watched<'a, R> {
    pub fn new(source: R, progress: &'a mut dyn FnMut(u64)) -> Self {
        Self { source, hasher: Hasher::default(), read: 0, progress }
    }

    /// Reads what is left, so that the digest is that of the whole.
    pub fn finish(mut self) -> io::Result<Digest> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.hasher.finish())
    }
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        self.read += count as u64;
        (self.progress)(self.read);
        Ok(count)
    }
}

/// The plain bytes of a gzip, zstd or plain stream, told apart by their first bytes as Docker does: media
/// types of old images are not to be trusted.
pub fn decompress<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(128 * 1024, source);
    let first = source.fill_buf()?;
    Ok(if first.starts_with(&[0x1f, 0x8b]) {
        Box::new(flate2::bufread::MultiGzDecoder::new(source))
    } else if first.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Box::new(zstd::Decoder::with_buffer(source)?)
    } else {
        Box::new(source)
    })
}
