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

#[cfg(test)]
mod tests {
    use super::*;

    /// What `bzip2` and `xz` make of `hello`.
    const BZ: &[u8] = &[
        0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0xc1, 0xc0, 0x80, 0xe2, 0x00, 0x00, 0x01,
        0x41, 0x00, 0x00, 0x10, 0x02, 0x44, 0xa0, 0x00, 0x30, 0xcd, 0x00, 0xc3, 0x46, 0x29, 0x97, 0x17, 0x72,
        0x45, 0x38, 0x50, 0x90, 0xc1, 0xc0, 0x80, 0xe2,
    ];
    const X: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01, 0x16,
        0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x0a, 0x00,
        0x00, 0x00, 0xa5, 0x60, 0x97, 0xf1, 0x94, 0xf6, 0xfd, 0xe0, 0x00, 0x01, 0x1e, 0x06, 0xc1, 0x2f, 0xa4,
        0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
    ];

    #[test]
    fn streams_are_told_by_their_first_bytes() {
        for (name, bytes) in [("bzip2", BZ), ("xz", X), ("plain", b"hello\n".as_slice())] {
            let mut plain = String::new();
            decompress(bytes).and_then(|mut stream| stream.read_to_string(&mut plain)).expect(name);
            assert_eq!(plain, "hello\n", "{name}");
        }
    }

    #[test]
    fn a_cut_stream_is_an_error_and_no_archive() {
        for bytes in [&BZ[..BZ.len() / 2], &X[..X.len() / 2], &X[..8]] {
            let read = decompress(bytes).and_then(|mut stream| stream.read_to_end(&mut Vec::new()));
            assert!(read.is_err());
            assert!(!is_archive(bytes));
        }
        assert!(!is_archive(b"hello".as_slice()) && !is_archive(b"".as_slice()));
    }
}
