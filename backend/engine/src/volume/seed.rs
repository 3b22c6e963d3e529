//! A fresh volume takes over what the image has at its place: files, owners, modes, times.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid};

#[derive(Debug, thiserror::Error)]
#[error("copy {path} into the volume")]
pub struct SeedError {
    path: PathBuf,
    source: io::Error,
}

/// Copies the directory `from` into the volume's directory `to`, unless something is there already.
/// Special files are made anew where the kernel permits, and left out where it does not.
pub fn seed(from: &Path, to: &Path) -> Result<(), SeedError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| SeedError { path, source }
    };
    if fs::read_dir(to).map_err(at(to))?.next().is_some() {
        return Ok(());
    }
    copy_children(from, to)?;
    copy_attributes(from, to).map_err(at(from))
}

fn copy_children(from: &Path, to: &Path) -> Result<(), SeedError> {
    let at = |source| SeedError { path: from.to_owned(), source };
    for entry in fs::read_dir(from).map_err(at)? {
        let entry = entry.map_err(at)?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().map_err(at)?;
        if kind.is_dir() {
            fs::create_dir(&target).map_err(at)?;
            copy_children(&source, &target)?;
        } else {
            let copied = copy_one(&source, &target, kind);
            copied.map_err(|error| SeedError { path: source.clone(), source: error })?;
        }
        match copy_attributes(&source, &target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SeedError { path: source, source: error });
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy_one(source: &Path, target: &Path, kind: fs::FileType) -> io::Result<()> {
    if kind.is_symlink() {
        return std::os::unix::fs::symlink(fs::read_link(source)?, target);
    }
    if kind.is_file() {
        return fs::copy(source, target).map(drop);
    }
    if kind.is_fifo() {
        return Ok(nix::unistd::mkfifo(target, nix::sys::stat::Mode::from_bits_truncate(0o644))?);
    }
    Ok(())
}

fn copy_attributes(source: &Path, target: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(source)?;
    let (owner, group) = (Uid::from_raw(meta.uid()), Gid::from_raw(meta.gid()));
    nix::unistd::fchownat(
        nix::fcntl::AT_FDCWD,
        target,
        Some(owner),
        Some(group),
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )?;
    if !meta.file_type().is_symlink() {
        fs::set_permissions(target, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
    }
    let accessed = TimeSpec::new(meta.atime(), meta.atime_nsec());
    let modified = TimeSpec::new(meta.mtime(), meta.mtime_nsec());
    utimensat(nix::fcntl::AT_FDCWD, target, &accessed, &modified, UtimensatFlags::NoFollowSymlink)?;
    Ok(())
}
