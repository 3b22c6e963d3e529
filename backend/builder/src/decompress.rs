//! The archive inside a compressed stream, told by its first bytes as Docker does.

use std::io::{self, BufRead, BufReader, Read, Seek, Write};

const BZIP2: &[u8] = b"BZh";
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// The plain bytes of a gzip, bzip2, xz, zstd or plain stream.
pub fn decompress<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(128 * 1024, source);
    let first = source.fill_buf()?;
    if first.starts_with(BZIP2) {
        return Ok(Box::new(bzip2_rs::DecoderReader::new(source)));
    }
    if first.starts_with(XZ) {
        return xz(source);
    }
    drydock_images::decompress(source)
}

/// This decoder writes instead of being read from.
fn xz<'a>(mut source: impl BufRead) -> io::Result<Box<dyn Read + 'a>> {
    let mut plain = io::BufWriter::new(tempfile::tempfile()?);
    lzma_rs::xz_decompress(&mut source, &mut plain).map_err(|error| match error {
        lzma_rs::error::Error::IoError(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    })?;
    plain.flush()?;
    let mut plain = plain.into_inner().map_err(io::IntoInnerError::into_error)?;
    plain.rewind()?;
    Ok(Box::new(BufReader::new(plain)))
}

/// Whether a stream holds a tar archive with at least one entry: what `ADD` unpacks.
pub fn is_archive(source: impl Read) -> bool {
    let Ok(plain) = decompress(source) else { return false };
    let mut archive = tar::Archive::new(plain);
    archive.entries().is_ok_and(|mut entries| entries.next().is_some_and(|entry| entry.is_ok()))
}
