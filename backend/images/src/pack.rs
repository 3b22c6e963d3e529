//! A folder → a tar archive, always the same bytes for the same folder.
//!
//! Entries come in the order of their names, times in whole seconds, and owners as numbers, so that a layer made
//! here needs no blob: packing its folder again gives the archive that its diffid was computed from.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

/// Large enough that the price of a call does not show.
const BUFFER: usize = 256 << 10;

/// What overlayfs's marks of deletion become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// `.wh.` entries: the folder is a layer.
    Whiteouts,
    /// Nothing: the folder is a whole tree, as `docker export` writes it.
    LeftOut,
}

/// A folder could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("read {path:?}")]
    Read { path: PathBuf, source: io::Error },
    #[error("write the archive, at {path:?}")]
    Write { path: PathBuf, source: io::Error },
}

/// Packs what is in `folder`; answers the bytes of all files, a symbolic link's being its target's name.
pub fn pack(folder: &Path, output: impl Write, deleted: Deleted) -> Result<u64, PackError> {
    let mut packing = Packing {
        root: folder,
        archive: tar::Builder::new(output),
        deleted,
        links: HashMap::new(),
        size: 0,
        buffer: vec![0; BUFFER],
    };
    packing.folder(Path::new(""))?;
    packing.archive.finish().map_err(|source| PackError::Write { path: folder.to_owned(), source })?;
    Ok(packing.size)
}

struct Packing<'a, W: Write> {
    root: &'a Path,
    archive: tar::Builder<W>,
    deleted: Deleted,
    /// The first name of every file that has several.
    links: HashMap<(u64, u64), PathBuf>,
    size: u64,
    /// Contents on their way.
    buffer: Vec<u8>,
}

impl<W: Write> Packing<'_, W> {
    fn folder(&mut self, folder: &Path) -> Result<(), PackError> {
        let read = |source| PackError::Read { path: folder.to_owned(), source };
        let entries = fs::read_dir(self.root.join(folder)).map_err(read)?;
        let mut names = entries
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<OsString>>>()
            .map_err(read)?;
        names.sort();
        for name in names {
            let path = folder.join(name);
            let meta = fs::symlink_metadata(self.root.join(&path))
                .map_err(|source| PackError::Read { path: path.clone(), source })?;
            self.entry(&path, &meta)?;
            if meta.is_dir() {
                self.folder(&path)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, meta: &Metadata) -> Result<(), PackError> {
        let source = self.root.join(path);
        let failed = |source| PackError::Write { path: path.to_owned(), source };
        if is_whiteout(meta) {
            return if self.deleted == Deleted::Whiteouts { self.mark(path).map_err(failed) } else { Ok(()) };
        }
        let kind = meta.file_type();
        if kind.is_socket() {
            return Ok(());
        }
        let mut header = header(meta);
        if let Some(first) = self.first_name(path, meta) {
            header.set_entry_type(EntryType::Link);
            header.set_size(0);
            return self.archive.append_link(&mut header, path, first).map_err(failed);
        }
        let attributes = extended_attributes(&source)
            .map_err(|source| PackError::Read { path: path.to_owned(), source })?;
        let records = attributes.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        self.archive.append_pax_extensions(records).map_err(failed)?;
        if kind.is_symlink() {
            self.size += meta.len();
            let target = fs::read_link(&source).map_err(failed)?;
            self.archive.append_link(&mut header, path, target).map_err(failed)
        } else if kind.is_file() {
            header.set_size(meta.len());
            self.size += meta.len();
            let file =
                File::open(&source).map_err(|source| PackError::Read { path: path.to_owned(), source })?;
            self.content(header, path, Exactly::new(file, meta.len())).map_err(failed)
        } else {
            let name = if kind.is_dir() { path.join("") } else { path.to_owned() };
            self.archive.append_data(&mut header, name, io::empty()).map_err(failed)?;
            let opaque = kind.is_dir() && is_opaque(&source);
            if opaque && self.deleted == Deleted::Whiteouts {
                self.empty(&path.join(".wh..wh..opq")).map_err(failed)
            } else {
                Ok(())
            }
        }
    }

    /// Writes a file as the `tar` crate does, with fewer calls.
    fn content(&mut self, mut header: Header, path: &Path, mut content: Exactly) -> io::Result<()> {
        let size = content.left;
        if header.set_path(path).is_err() {
            return self.archive.append_data(&mut header, path, content);
        }
        header.set_cksum();
        let output = self.archive.get_mut();
        output.write_all(header.as_bytes())?;
        loop {
            match content.read(&mut self.buffer)? {
                0 => break,
                count => output.write_all(&self.buffer[..count])?,
            }
        }
        let padding = size.next_multiple_of(512) - size;
        output.write_all(&[0; 512][..padding as usize])
    }

    fn first_name(&mut self, path: &Path, meta: &Metadata) -> Option<PathBuf> {
        if meta.nlink() < 2 || meta.is_dir() {
            return None;
        }
        let key = (meta.dev(), meta.ino());
        let first = self.links.get(&key).cloned();
        if first.is_none() {
            self.links.insert(key, path.to_owned());
        }
        first
    }

    fn mark(&mut self, path: &Path) -> io::Result<()> {
        let mut name = b".wh.".to_vec();
        name.extend_from_slice(path.file_name().unwrap_or_default().as_bytes());
        self.empty(&path.with_file_name(OsStr::from_bytes(&name)))
    }

    fn empty(&mut self, path: &Path) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(0);
        self.archive.append_data(&mut header, path, io::empty())
    }
}

/// A file may be written to while it is packed: the archive gets as many bytes as its header announced.
struct Exactly {
    file: io::Chain<io::Take<File>, io::Take<io::Repeat>>,
    left: u64,
}

impl Exactly {
    fn new(file: File, size: u64) -> Self {
        use io::Read;
        Self { file: file.take(size).chain(io::repeat(0).take(size)), left: size }
    }
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let limit = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..limit])?;
        self.left -= count as u64;
        Ok(count)
    }
}

fn header(meta: &Metadata) -> Header {
    let mut header = Header::new_gnu();
    let kind = meta.file_type();
    header.set_entry_type(if kind.is_dir() {
        EntryType::Directory
    } else if kind.is_symlink() {
        EntryType::Symlink
    } else if kind.is_char_device() {
        EntryType::Char
    } else if kind.is_block_device() {
        EntryType::Block
    } else if kind.is_fifo() {
        EntryType::Fifo
    } else {
        EntryType::Regular
    });
    header.set_mode(meta.mode() & 0o7777);
    header.set_uid(meta.uid().into());
    header.set_gid(meta.gid().into());
    header.set_mtime(meta.mtime().max(0) as u64);
    header.set_size(0);
    if kind.is_char_device() || kind.is_block_device() {
        // A GNU header always has room for device numbers.
        let _ = header.set_device_major(rustix::fs::major(meta.rdev()));
        let _ = header.set_device_minor(rustix::fs::minor(meta.rdev()));
    }
    header
}

/// overlayfs's mark of a deleted name.
pub(crate) fn is_whiteout(meta: &Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

/// overlayfs's mark of a folder that hides what is below it.
pub(crate) fn is_opaque(folder: &Path) -> bool {
    let mut value = [0_u8; 1];
    ["user.overlay.opaque", "trusted.overlay.opaque"].iter().any(|name| {
        rustix::fs::lgetxattr(folder, *name, &mut value).is_ok_and(|length| length == 1) && value == *b"y"
    })
}

/// Extended attributes as PAX records, overlayfs's own left out; sorted by name.
fn extended_attributes(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut list = vec![0; 4096];
    let length = match rustix::fs::llistxattr(path, &mut list[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::RANGE) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut records = Vec::new();
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let mut value = vec![0; 64 * 1024];
        if let Ok(length) = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]) {
            value.truncate(length);
            let name = OsString::from_vec(name.to_vec());
            records.push((format!("SCHILY.xattr.{}", name.to_string_lossy()), value));
        }
    }
    records.sort();
    Ok(records)
}
