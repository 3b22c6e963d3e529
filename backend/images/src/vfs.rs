//! The driver that always works: a container's root file system is a copy of its image.
//!
//! Layers stay as overlayfs wants them (the store is one for all drivers); they are copied one over the other, and what a
//! container wrote is found by comparing. `docker create` takes as long as the image is large, and `docker commit` as
//! long as the container is: that is the price of needing nothing of the kernel.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use crate::pack::{is_opaque, is_whiteout};
use crate::snapshot::{Snapshot, SnapshotError};
use crate::unpack::{in_user_namespace, mark_opaque};

/// Copies layers, topmost first, into an empty folder: what they hide of each other is gone.
pub(crate) fn flatten(layers: &[PathBuf], target: &Path) -> io::Result<()> {
    for layer in layers.iter().rev() {
        Copying { links: HashMap::new() }.folder(layer, target)?;
        dress(layer, &fs::symlink_metadata(layer)?, target)?;
    }
    Ok(())
}

/// One layer on its way. Names of one file stay names of one file.
struct Copying {
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copying {
    fn folder(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            let meta = entry.metadata()?;
            if is_whiteout(&meta) {
                remove(&target)?;
            } else if meta.is_dir() {
                let is_there = fs::symlink_metadata(&target).is_ok_and(|there| there.is_dir());
                if !is_there || is_opaque(&source) {
                    remove(&target)?;
                    fs::create_dir(&target)?;
                }
                self.folder(&source, &target)?;
                dress(&source, &meta, &target)?;
            } else {
                remove(&target)?;
                self.entry(&source, &meta, &target)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, source: &Path, meta: &Metadata, target: &Path) -> io::Result<()> {
        if meta.nlink() > 1 {
            let key = (meta.dev(), meta.ino());
            if let Some(first) = self.links.get(&key) {
                return fs::hard_link(first, target);
            }
            self.links.insert(key, target.to_owned());
        }
        copy(source, meta, target)
    }
}

/// Copies what is no folder, with all that belongs to it.
fn copy(source: &Path, meta: &Metadata, target: &Path) -> io::Result<()> {
    let kind = meta.file_type();
    if kind.is_symlink() {
        symlink(fs::read_link(source)?, target)?;
    } else if kind.is_file() {
        let (from, to) = (File::open(source)?, File::create_new(target)?);
        copy_content(&from, &to, meta.len())?;
    } else if kind.is_socket() {
        return Ok(());
    } else {
        let kind = if kind.is_fifo() {
            FileType::Fifo
        } else if kind.is_block_device() {
            FileType::BlockDevice
        } else {
            FileType::CharacterDevice
        };
        rustix::fs::mknodat(CWD, target, kind, Mode::from_raw_mode(0o600), meta.rdev())?;
    }
    dress(source, meta, target)
}

/// In the file system where it can share the bytes, hole by hole where it cannot.
fn copy_content(from: &File, to: &File, size: u64) -> io::Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    to.set_len(size)?;
    let mut place = 0;
    while place < size {
        let data = match rustix::fs::seek(from, rustix::fs::SeekFrom::Data(place)) {
            Ok(data) => data,
            // Nothing but a hole is left, or holes are not known here.
            Err(Errno::NXIO) => return Ok(()),
            Err(_) => place,
        };
        let hole = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(data)).unwrap_or(size);
        let mut left = hole.min(size) - data;
        from.seek_to(data)?;
        to.seek_to(data)?;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(1 << 30);
            let copied = match rustix::fs::copy_file_range(from, None, to, None, most) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(copied) => copied as u64,
                Err(Errno::XDEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
                    io::copy(&mut io::Read::take(from, left), &mut &*to)?
                }
                Err(error) => return Err(error.into()),
            };
            left = left.saturating_sub(copied.max(1));
        }
        place = hole;
    }
    Ok(())
}

trait SeekTo {
    fn seek_to(&self, place: u64) -> io::Result<()>;
}

impl SeekTo for File {
    fn seek_to(&self, place: u64) -> io::Result<()> {
        rustix::fs::seek(self, rustix::fs::SeekFrom::Start(place))?;
        Ok(())
    }
}

/// Gives a copy the owner, the mode, the attributes and the times of its original.
fn dress(source: &Path, meta: &Metadata, target: &Path) -> io::Result<()> {
    let (owner, group) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
    rustix::fs::chownat(CWD, target, Some(owner), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
    if !meta.file_type().is_symlink() {
        rustix::fs::chmodat(CWD, target, Mode::from_raw_mode(meta.mode() & 0o7777), AtFlags::empty())?;
    }
    for (name, value) in attributes(source)? {
        match rustix::fs::lsetxattr(target, OsStr::from_bytes(&name), &value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOTSUP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let times = Timestamps {
        last_access: Timespec { tv_sec: meta.atime(), tv_nsec: meta.atime_nsec() as _ },
        last_modification: Timespec { tv_sec: meta.mtime(), tv_nsec: meta.mtime_nsec() as _ },
    };
    rustix::fs::utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

/// Extended attributes but overlayfs's own, sorted.
fn attributes(path: &Path) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut list = vec![0; 64 << 10];
    let length = match rustix::fs::llistxattr(path, &mut list[..]) {
        Ok(length) => length,
        Err(Errno::NOTSUP) => 0,
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for name in list[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.") {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        if let Ok(length) = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value[..]) {
            value.truncate(length);
            found.push((name.to_vec(), value));
        }
    }
    found.sort();
    Ok(found)
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

impl Snapshot {
    /// Puts what the container wrote into `upper`, in overlayfs's form. Files are linked, not copied: who keeps them
    /// must be the last to write them.
    pub(crate) fn gather(&self) -> Result<(), SnapshotError> {
        let failed = |source| SnapshotError::Read { path: self.upper.clone(), source };
        remove(&self.upper).and_then(|()| fs::create_dir(&self.upper)).map_err(failed)?;
        self.compare(Path::new("")).map_err(failed)?;
        let root = fs::symlink_metadata(&self.merged).map_err(failed)?;
        dress(&self.merged, &root, &self.upper).map_err(failed)
    }

    /// Compares a folder with what lies below; whether anything in it differs.
    fn compare(&self, folder: &Path) -> io::Result<bool> {
        let mut differs = false;
        let mut names = std::collections::BTreeSet::new();
        for entry in fs::read_dir(self.merged.join(folder))? {
            let name = entry?.file_name();
            let path = folder.join(&name);
            differs |= self.compare_one(&path)?;
            names.insert(name);
        }
        for name in self.names_below(folder)? {
            if !names.contains(&name) {
                let place = self.place(&folder.join(&name))?;
                rustix::fs::mknodat(CWD, &place, FileType::CharacterDevice, Mode::empty(), 0)?;
                differs = true;
            }
        }
        Ok(differs)
    }

    fn compare_one(&self, path: &Path) -> io::Result<bool> {
        let own = self.merged.join(path);
        let meta = fs::symlink_metadata(&own)?;
        let below = self.below(path);
        let before = below.as_ref().map(fs::symlink_metadata).transpose()?;
        if !meta.is_dir() {
            let same = match (&below, &before) {
                (Some(below), Some(before)) => is_same(&own, &meta, below, before)?,
                _ => false,
            };
            if same || meta.file_type().is_socket() {
                return Ok(!same);
            }
            fs::hard_link(&own, self.place(path)?)?;
            return Ok(true);
        }
        let was_folder = before.as_ref().is_some_and(Metadata::is_dir);
        let mut differs = match (&below, &before) {
            (Some(below), Some(before)) if was_folder => !is_dressed_same(&own, &meta, below, before)?,
            _ => true,
        };
        let place = self.upper.join(path);
        if differs {
            self.place(path)?;
            fs::create_dir(&place)?;
            if before.is_some() && !was_folder {
                mark_opaque(File::open(&place)?, in_user_namespace())?;
            }
        }
        let inside = self.compare(path)?;
        differs |= inside;
        if differs {
            dress(&own, &meta, &place)?;
        }
        Ok(differs)
    }

    /// Where a path goes in `upper`, with the folders above it made.
    fn place(&self, path: &Path) -> io::Result<PathBuf> {
        let mut reached = PathBuf::new();
        for part in path.parent().into_iter().flat_map(Path::components) {
            reached.push(part);
            let place = self.upper.join(&reached);
            if !place.is_dir() {
                fs::create_dir(&place)?;
            }
        }
        Ok(self.upper.join(path))
    }

    /// The names that a folder has in the layers below.
    fn names_below(&self, folder: &Path) -> io::Result<std::collections::BTreeSet<std::ffi::OsString>> {
        let mut names = std::collections::BTreeSet::new();
        if self.below(folder).is_none_or(|place| !place.is_dir()) {
            return Ok(names);
        }
        for layer in &self.lower {
            let Ok(entries) = fs::read_dir(layer.join(folder)) else { continue };
            for entry in entries {
                names.insert(entry?.file_name());
            }
        }
        names.retain(|name| self.below(&folder.join(name)).is_some());
        Ok(names)
    }
}

/// Whether a file is what it was. One that was written to has another time or another size.
fn is_same(own: &Path, meta: &Metadata, below: &Path, before: &Metadata) -> io::Result<bool> {
    let alike = meta.file_type() == before.file_type()
        && meta.rdev() == before.rdev()
        && (meta.file_type().is_symlink() || meta.len() == before.len());
    if !alike {
        return Ok(false);
    }
    if meta.file_type().is_symlink() && fs::read_link(own)? != fs::read_link(below)? {
        return Ok(false);
    }
    let same_time = (meta.mtime(), meta.mtime_nsec()) == (before.mtime(), before.mtime_nsec());
    Ok(same_time && is_dressed_same(own, meta, below, before)?)
}

fn is_dressed_same(own: &Path, meta: &Metadata, below: &Path, before: &Metadata) -> io::Result<bool> {
    let same = (meta.uid(), meta.gid(), meta.mode()) == (before.uid(), before.gid(), before.mode());
    Ok(same && attributes(own)? == attributes(below)?)
}
