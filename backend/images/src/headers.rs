//! A tar archive that is looked at while it passes: headers that would fill the memory end it.
//!
//! Names, links and attributes that do not fit into a header come before it, as entries of their own, and whoever
//! reads the archive takes them whole into memory. A few compressed bytes can announce gigabytes of them. Go's reader
//! takes no more than a mebibyte of each, and so does this.

use std::io::{self, Read};

/// Go's `maxSpecialFileSize`.
const MOST: u64 = 1 << 20;
const BLOCK: usize = 512;

/// Where in the archive the next byte lies.
enum Place {
    /// In a header, of which this much has passed.
    Header,
    /// In what a header announced: bytes of it, with what fills up its last block.
    Content { left: u64 },
    /// In an extended header for the next entry, which may change that entry's size.
    Extended { left: u64, size: u64, text: Vec<u8> },
    /// In further blocks of a GNU header of a file with holes.
    Holes { size: u64 },
    /// In something that cannot be read; the reader behind says what.
    Lost,
}

/// Passes bytes on as they are.
pub(crate) struct Checked<R> {
    source: R,
    place: Place,
    block: Vec<u8>,
    /// What an extended header said of the size of the entry to come.
    size: Option<u64>,
}

impl<R: Read> Checked<R> {
    pub fn new(source: R) -> Self {
        Self { source, place: Place::Header, block: Vec::with_capacity(BLOCK), size: None }
    }

    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            bytes = match &mut self.place {
                Place::Lost => return Ok(()),
                Place::Content { left } => {
                    let taken = take(bytes, *left);
                    *left -= taken as u64;
                    if *left == 0 {
                        self.place = Place::Header;
                    }
                    &bytes[taken..]
                }
                Place::Extended { left, size, text } => {
                    let taken = take(bytes, *left);
                    *left -= taken as u64;
                    text.extend_from_slice(&bytes[..taken]);
                    if *left == 0 {
                        text.truncate(usize::try_from(*size).unwrap_or(usize::MAX));
                        self.size = announced_size(text).or(self.size);
                        self.place = Place::Header;
                    }
                    &bytes[taken..]
                }
                Place::Header | Place::Holes { .. } => {
                    let taken = bytes.len().min(BLOCK - self.block.len());
                    self.block.extend_from_slice(&bytes[..taken]);
                    if self.block.len() == BLOCK {
                        let block = std::mem::take(&mut self.block);
                        self.place = self.after(&block)?;
                    }
                    &bytes[taken..]
                }
            };
        }
        Ok(())
    }

    /// What comes after a whole block of a header.
    fn after(&mut self, block: &[u8]) -> io::Result<Place> {
        if let Place::Holes { size } = self.place {
            let goes_on = block[504] != 0;
            return Ok(if goes_on { Place::Holes { size } } else { content(size) });
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(Place::Header);
        }
        let Some(size) = number(&block[124..136]) else { return Ok(Place::Lost) };
        match block[156] {
            b'x' | b'g' | b'L' | b'K' if size > MOST => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "archive/tar: header field too long"))
            }
            b'x' => Ok(match padded(size) {
                0 => Place::Header,
                left => Place::Extended { left, size, text: Vec::new() },
            }),
            b'g' | b'L' | b'K' => Ok(content(size)),
            kind => {
                let size = self.size.take().unwrap_or(size);
                // Links, devices and folders have no content, whatever they announce.
                let size = if matches!(kind, b'1'..=b'6') { 0 } else { size };
                Ok(if kind == b'S' && block[482] != 0 { Place::Holes { size } } else { content(size) })
            }
        }
    }
}

fn content(size: u64) -> Place {
    match padded(size) {
        0 => Place::Header,
        left => Place::Content { left },
    }
}

fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK as u64).saturating_mul(BLOCK as u64)
}

fn take(bytes: &[u8], left: u64) -> usize {
    bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))
}

/// Octal digits, or, with the first bit set, a number of eight bytes.
fn number(field: &[u8]) -> Option<u64> {
    if field[0] & 0x80 != 0 {
        return Some(field[4..].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// `30 size=12345`
fn announced_size(records: &[u8]) -> Option<u64> {
    let records = String::from_utf8_lossy(records);
    let mut sizes =
        records.lines().filter_map(|line| line.split_once(' ')?.1.strip_prefix("size=")?.parse().ok());
    sizes.next_back()
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.look(&buffer[..count])?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u8, size: u64) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_entry_type(tar::EntryType::new(kind));
        header.set_path("name").unwrap();
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    fn passes(archive: &[u8]) -> Result<usize, String> {
        let mut out = Vec::new();
        let read = Checked::new(archive).read_to_end(&mut out);
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn long_headers_end_an_archive_and_long_files_do_not() {
        for kind in [b'x', b'g', b'L', b'K'] {
            assert_eq!(passes(&header(kind, MOST + 1)).unwrap_err(), "archive/tar: header field too long");
            assert!(passes(&header(kind, MOST)).is_ok());
        }
        assert!(passes(&header(b'0', 1 << 40)).is_ok());
    }

    #[test]
    fn headers_are_found_behind_contents_of_any_length() {
        for size in [0_u64, 1, 511, 512, 513, 5000] {
            let mut archive = header(b'0', size);
            archive.resize(archive.len() + padded(size) as usize, b'x');
            archive.extend(header(b'5', 0));
            archive.extend(header(b'x', MOST + 1));
            assert!(passes(&archive).is_err(), "{size}");
        }
        // The size in the header counts for nothing when an extended header names another.
        let mut archive = header(b'x', 13);
        archive.extend(b"13 size=1024\n");
        archive.resize(1024, 0);
        archive.extend(header(b'0', 0));
        archive.extend([b'L'; 1024]);
        archive.extend(header(b'x', MOST + 1));
        assert!(passes(&archive).is_err());
    }
}
