//! Files into the new layer, through its merged root: the kernel's overlay does the rest.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, Timespec, Timestamps, XattrFlags};
use rustix::io::Errno;

use super::sources::base_name;
use super::{Item, Tree};
use crate::tree::{self, Last, Missing, Owner, Place};

/// A file could not be written to the layer.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("failed to create new directory {path}")]
    Folder { path: String, source: io::Error },
    #[error("failed to copy {path}")]
    Copy { path: String, source: io::Error },
    #[error("failed to extract {path}")]
    Unpack { path: String, source: drydock_images::unpack::UnpackError },
    #[error("open {path}")]
    Open { path: String, source: io::Error },
    #[error("cannot copy to non-directory: {0}")]
    NotFolder(String),
}

/// How things are copied.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Who owns everything; none: whoever owns the source.
    pub owner: Option<Owner>,
    pub mode: Option<u32>,
    /// `ADD`: archives are unpacked.
    pub unpack: bool,
    /// `--parents`: the folders of a source come with it.
    pub parents: bool,
}

/// Copies one item to an absolute path below `root`.
pub fn copy(root: BorrowedFd<'_>, item: &Item, destination: &str, manner: &Manner) -> Result<(), WriteError> {
    let with_parents;
    let destination = if manner.parents {
        with_parents = parents_of(destination, item);
        &with_parents
    } else {
        destination
    };
    let owner = manner.owner.unwrap_or_default();
    let source = tree::find(item.tree.root.as_fd(), &item.path, Missing::Stop, Last::Keep)
        .map_err(|error| WriteError::Open { path: item.name.clone(), source: error.into() })?;
    if item.is_folder {
        let target = folder_at(root, destination, owner)?;
        let source = opened(&source, &item.name)?;
        let mut copying = Copying { manner, item, links: HashMap::new() };
        return copying.folder(&source, &target, "");
    }
    if manner.unpack && !item.is_plain && is_archive(&source) {
        let target = folder_at(root, destination, owner)?;
        return unpack(&source, target, &item.name);
    }
    file_to(root, &source, item, destination, manner)
}

/// `--parents`: the source's folders below the destination.
fn parents_of(destination: &str, item: &Item) -> String {
    let clean = crate::patterns::clean(item.name.rsplit_once("/./").map_or(&item.name, |(_, rest)| rest));
    let parent =
        if item.is_folder { clean.as_str() } else { clean.rsplit_once('/').map_or("", |(up, _)| up) };
    format!("{}/{parent}/", destination.trim_end_matches('/'))
}

fn folder_at(root: BorrowedFd<'_>, path: &str, owner: Owner) -> Result<OwnedFd, WriteError> {
    let failed = |source: Errno| match source {
        Errno::NOTDIR => WriteError::NotFolder(path.to_owned()),
        source => WriteError::Folder { path: path.to_owned(), source: source.into() },
    };
    tree::make_folders(root, path, owner).map_err(failed)?;
    let place = tree::find(root, path, Missing::Stop, Last::Follow).map_err(failed)?;
    place.open_folder().map_err(failed)
}

fn opened(folder: &Place, name: &str) -> Result<OwnedFd, WriteError> {
    folder.open_folder().map_err(|error| WriteError::Open { path: name.to_owned(), source: error.into() })
}

fn is_archive(source: &Place) -> bool {
    source.kind() == Some(FileType::RegularFile)
        && source.open_file().is_ok_and(crate::decompress::is_archive)
}

fn unpack(source: &Place, target: OwnedFd, name: &str) -> Result<(), WriteError> {
    let open = |source| WriteError::Open { path: name.to_owned(), source };
    let file = source.open_file().map_err(|error| open(error.into()))?;
    let plain = crate::decompress::decompress(file).map_err(open)?;
    let unpacked = drydock_images::unpack::extract(plain, target);
    unpacked.map(drop).map_err(|source| WriteError::Unpack { path: name.to_owned(), source })
}

/// One file: into the destination when that is a folder or ends like one, else as the destination.
fn file_to(
    root: BorrowedFd<'_>,
    source: &Place,
    item: &Item,
    destination: &str,
    manner: &Manner,
) -> Result<(), WriteError> {
    let owner = manner.owner.unwrap_or_default();
    let failed = |source: Errno| WriteError::Folder { path: destination.to_owned(), source: source.into() };
    let place = tree::find(root, destination, Missing::Make(owner), Last::Follow).map_err(failed)?;
    let (folder, name) = if place.is_folder() || destination.ends_with('/') {
        (folder_at(root, destination, owner)?, base_name(&item.name).to_owned())
    } else {
        (place.folder, place.name.unwrap_or_else(|| OsString::from(".")))
    };
    let mut copying = Copying { manner, item, links: HashMap::new() };
    copying
        .entry(source, &folder, &name)
        .map_err(|source| WriteError::Copy { path: item.name.clone(), source })
}

/// One item on its way.
struct Copying<'a> {
    manner: &'a Manner,
    item: &'a Item,
    /// Where a file with several names was put first.
    links: HashMap<(u64, u64), (OwnedFd, OsString)>,
}

impl Copying<'_> {
    /// What is in one folder into another that is there.
    fn folder(&mut self, source: &OwnedFd, target: &OwnedFd, path: &str) -> Result<(), WriteError> {
        let failed = |path: &str, source: io::Error| WriteError::Copy { path: path.to_owned(), source };
        for name in tree::names(source).map_err(|error| failed(path, error))? {
            let below = if path.is_empty() {
                name.to_string_lossy().into_owned()
            } else {
                format!("{path}/{}", name.to_string_lossy())
            };
            let found = tree::stat(source, &name).map_err(|error| failed(&below, error.into()))?;
            let is_folder = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
            let is_out = self.item.exclude.leaves_out(&below);
            if is_out && !(is_folder && self.item.exclude.has_exceptions()) {
                continue;
            }
            let folder = source.try_clone().map_err(|error| failed(&below, error))?;
            let place = Place { folder, name: Some(name.clone()), path: below.clone(), found: Some(found) };
            if !is_folder {
                self.entry(&place, target, &name).map_err(|error| failed(&below, error))?;
                continue;
            }
            let inner = opened(&place, &below)?;
            let made = make_folder(target, &name).map_err(|error| failed(&below, error.into()))?;
            self.folder(&inner, &made, &below)?;
            self.settle_folder(&place, target, &name, &made).map_err(|error| failed(&below, error.into()))?;
        }
        Ok(())
    }

    /// Anything but a folder.
    fn entry(&mut self, source: &Place, target: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let Some(stat) = source.found else { return Err(io::ErrorKind::NotFound.into()) };
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Socket {
            return Ok(());
        }
        remove(target, name)?;
        let key = (stat.st_dev, stat.st_ino);
        if let Some((folder, first)) = self.links.get(&key) {
            rustix::fs::linkat(folder, first, target, name, AtFlags::empty())?;
            return Ok(());
        }
        match kind {
            FileType::RegularFile => self.file(source, &stat, target, name)?,
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(&source.folder, source.name(), Vec::new())?;
                rustix::fs::symlinkat(link.as_c_str(), target, name)?;
                self.own(target, name, &stat)?;
                rustix::fs::utimensat(target, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            kind => {
                let mode = Mode::from_raw_mode(self.mode(&stat));
                rustix::fs::mknodat(target, name, kind, mode, stat.st_rdev)?;
                self.own(target, name, &stat)?;
                rustix::fs::chmodat(target, name, mode, AtFlags::empty())?;
                rustix::fs::utimensat(target, name, &times(&stat), AtFlags::SYMLINK_NOFOLLOW)?;
            }
        }
        if stat.st_nlink > 1 {
            self.links.insert(key, (target.try_clone()?, name.to_owned()));
        }
        Ok(())
    }

    fn file(&self, source: &Place, stat: &Stat, target: &OwnedFd, name: &OsStr) -> io::Result<()> {
        let mut from = source.open_file()?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let to = rustix::fs::openat(target, name, flags, Mode::RUSR | Mode::WUSR)?;
        let mut to = File::from(to);
        // Stays in the kernel: the standard library asks for `copy_file_range`.
        io::copy(&mut from, &mut to)?;
        self.own(target, name, stat)?;
        // After the owner: changing it clears set-user-id bits and capabilities.
        rustix::fs::fchmod(&to, Mode::from_raw_mode(self.mode(stat)))?;
        copy_capability(&from, &to)?;
        Ok(rustix::fs::futimens(&to, &times(stat))?)
    }

    fn settle_folder(
        &self,
        source: &Place,
        target: &OwnedFd,
        name: &OsStr,
        made: &OwnedFd,
    ) -> Result<(), Errno> {
        let Some(stat) = source.found else { return Ok(()) };
        self.own(target, name, &stat)?;
        rustix::fs::fchmod(made, Mode::from_raw_mode(self.mode(&stat)))?;
        rustix::fs::futimens(made, &times(&stat))
    }

    fn own(&self, target: &OwnedFd, name: &OsStr, stat: &Stat) -> Result<(), Errno> {
        let owner = self.manner.owner.unwrap_or(Owner { uid: stat.st_uid, gid: stat.st_gid });
        tree::set_owner(target.as_fd(), name, owner)
    }

    /// A file that is given to somebody loses what would run it as its owner, as under moby, which copies before it
    /// changes the owner (`chown(2)`).
    fn mode(&self, stat: &Stat) -> u32 {
        let mode = stat.st_mode & 0o7777;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let lost = match mode & 0o010 {
            _ if !is_file || self.manner.owner.is_none() => 0,
            0 => 0o4000,
            _ => 0o6000,
        };
        self.manner.mode.unwrap_or(mode & !lost)
    }
}

/// A folder of that name; what else is there goes.
fn make_folder(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Err(Errno::NOENT) => {}
        Err(Errno::NOTDIR | Errno::LOOP) => rustix::fs::unlinkat(parent, name, AtFlags::empty())?,
        other => return other,
    }
    rustix::fs::mkdirat(parent, name, Mode::RWXU)?;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// Removes what is there, with all below it.
fn remove(parent: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let folder = rustix::fs::openat(parent, name, flags, Mode::empty())?;
            let names =
                tree::names(&folder).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
            for below in names {
                remove(&folder, &below)?;
            }
            rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
        }
        other => other,
    }
}

fn times(stat: &Stat) -> Timestamps {
    let modified = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    Timestamps { last_access: modified, last_modification: modified }
}

/// File capabilities go with a file; where they cannot be set they are left out, as Docker does.
fn copy_capability(from: &File, to: &File) -> Result<(), Errno> {
    const NAME: &str = "security.capability";
    let mut value = [0_u8; 64];
    let Ok(length) = rustix::fs::fgetxattr(from, NAME, &mut value) else { return Ok(()) };
    match rustix::fs::fsetxattr(to, NAME, &value[..length], XattrFlags::empty()) {
        Err(Errno::NOTSUP | Errno::PERM) => Ok(()),
        other => other,
    }
}

impl Tree {
    /// Writes a file of the Dockerfile's own into the tree.
    pub fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        use std::io::Write;
        let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.root, name, flags, Mode::from_raw_mode(0o644))?;
        let mut file = File::from(file);
        file.write_all(content)?;
        // The epoch: the content alone decides what the layer is.
        let epoch = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(rustix::fs::futimens(&file, &Timestamps { last_access: epoch, last_modification: epoch })?)
    }
}
