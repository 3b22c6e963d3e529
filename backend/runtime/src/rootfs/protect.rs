//! Paths the container shall not see, or not change. Done after the root was changed: paths are the container's.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use drydock_sys::mount::{self, Attributes, Change, Reach};

use super::target;

#[derive(Debug, thiserror::Error)]
pub enum ProtectError {
    #[error("mask {path}")]
    Mask {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("make {path} read-only")]
    ReadOnly {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("open the root")]
    Root(#[source] io::Error),
}

pub fn apply(masked: &[String], read_only: &[String]) -> Result<(), ProtectError> {
    if masked.is_empty() && read_only.is_empty() {
        return Ok(());
    }
    let root = OwnedFd::from(std::fs::File::open("/").map_err(ProtectError::Root)?);
    for path in read_only.iter().map(Path::new) {
        make_read_only(&root, path)
            .map_err(|source| ProtectError::ReadOnly { path: path.to_owned(), source })?;
    }
    let mut empty = None;
    for path in masked.iter().map(Path::new) {
        mask(&root, path, &mut empty)
            .map_err(|source| ProtectError::Mask { path: path.to_owned(), source })?;
    }
    Ok(())
}

/// What is not there needs no protection.
fn existing(root: &OwnedFd, path: &Path) -> io::Result<Option<OwnedFd>> {
    match target::open(root, path) {
        Ok(point) => Ok(Some(point)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn make_read_only(root: &OwnedFd, path: &Path) -> io::Result<()> {
    let Some(point) = existing(root, path)? else { return Ok(()) };
    let tree = mount::clone_tree_at(&point, Path::new(""), Reach::Tree)?;
    let set = Some(Attributes::MOUNT_ATTR_RDONLY);
    mount::change(&tree, Reach::Tree, &Change { set, ..Change::default() })?;
    mount::attach_at(&tree, &point, Path::new(""))
}

/// A file reads as empty, a directory as an empty one; all directories share one empty file system.
fn mask(root: &OwnedFd, path: &Path, empty: &mut Option<OwnedFd>) -> io::Result<()> {
    let Some(point) = existing(root, path)? else { return Ok(()) };
    if !target::is_directory(&point)? {
        let null = mount::clone_tree(Path::new("/dev/null"), Reach::One)?;
        return mount::attach_at(&null, &point, Path::new(""));
    }
    match empty {
        Some(first) => {
            let copy = mount::clone_tree_at(first, Path::new(""), Reach::One)?;
            mount::attach_at(&copy, &point, Path::new(""))
        }
        None => {
            let attributes = Attributes::MOUNT_ATTR_RDONLY;
            let options = [("size", "0"), ("nr_inodes", "1")];
            let made = mount::new_filesystem("tmpfs", Some("tmpfs"), &options, attributes)?;
            mount::attach_at(&made, &point, Path::new(""))?;
            *empty = Some(made);
            Ok(())
        }
    }
}
