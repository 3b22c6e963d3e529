//! For a container in a new user namespace: the mounts it gets from outside, laid out where it can reach them.
//!
//! Two things are wrong with binding a host path from inside the new namespace. The path may lie below folders
//! its root cannot enter. And a mount attribute set from inside (`ro`) can be cleared again from inside: only what
//! the mount had *when it crossed* into the less privileged namespace is locked (`mount_namespaces(7)`).
//!
//! So the parent steps into a mount namespace of its own, attaches every such mount there with all its attributes,
//! below an empty tmpfs, and stands in that tmpfs while it clones. The child's copy is locked, and the child's working
//! directory is its own copy of that tmpfs: no path leads there and none is needed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_sys::mount::{self, Attributes, Change, Propagation, Reach};
use drydock_sys::namespaces::{self, CloneFlags};

use super::mounts::{self, MountError, Planned};
use super::target;

#[derive(Debug, thiserror::Error)]
pub enum StagingError {
    #[error("remember the caller's mount namespace")]
    Home(#[source] io::Error),
    #[error("make a mount namespace to stage mounts in")]
    Unshare(#[source] io::Error),
    #[error("make the staging file system")]
    Filesystem(#[source] io::Error),
    #[error("stage the root file system {path}")]
    Rootfs {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("stage {source_path}")]
    Bind {
        source_path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error("return to the caller's mount namespace")]
    Return(#[source] io::Error),
}

/// While it lives the process is in the staging namespace, in the staging directory.
#[derive(Debug)]
pub struct Staging {
    home: OwnedFd,
    cwd: OwnedFd,
}

pub const ROOTFS: &str = "rootfs";

impl Staging {
    /// Stages the root file system and every bind mount of `plan`, whose sources then read as names
    /// relative to the working directory. `over` is any existing directory; it is hidden in the staging
    /// namespace only.
    pub fn enter(rootfs: &Path, plan: &mut [Planned], over: &Path) -> Result<Self, StagingError> {
        let open = |path| std::fs::File::open(path).map(OwnedFd::from).map_err(StagingError::Home);
        let staging = Self { home: open("/proc/self/ns/mnt")?, cwd: open(".")? };
        namespaces::unshare(CloneFlags::CLONE_NEWNS).map_err(StagingError::Unshare)?;
        let propagation = Some(Propagation::Slave);
        mount::change_at(
            rustix::fs::CWD,
            Path::new("/"),
            Reach::Tree,
            &Change { propagation, ..Change::default() },
        )
        .map_err(StagingError::Unshare)?;
        match staging.fill(rootfs, plan, over) {
            Ok(()) => Ok(staging),
            Err(error) => {
                // The error that led here is the one to report.
                let _ = staging.leave();
                Err(error)
            }
        }
    }

    fn fill(&self, rootfs: &Path, plan: &mut [Planned], over: &Path) -> Result<(), StagingError> {
        let root = mount::clone_tree(rootfs, Reach::Tree)
            .map_err(|source| StagingError::Rootfs { path: rootfs.to_owned(), source })?;
        let mut trees = Vec::new();
        for planned in plan.iter_mut().filter(|planned| planned.options.bind.is_some()) {
            trees.push((mounts::clone_source(planned)?, planned));
        }
        let floor = mount::new_filesystem("tmpfs", None, &[("mode", "755")], Attributes::empty())
            .and_then(|floor| mount::attach(&floor, over).map(|()| floor))
            .map_err(StagingError::Filesystem)?;
        rustix::process::fchdir(&floor).map_err(|error| StagingError::Filesystem(error.into()))?;
        place(&floor, Path::new(ROOTFS), &root)
            .map_err(|source| StagingError::Rootfs { path: rootfs.to_owned(), source })?;
        for (index, (tree, planned)) in trees.into_iter().enumerate() {
            let name = PathBuf::from(index.to_string());
            let staged = std::mem::replace(&mut planned.source, name.clone());
            place(&floor, &name, &tree)
                .map_err(|source| StagingError::Bind { source_path: staged, source })?;
            planned.staged = true;
        }
        Ok(())
    }

    /// Goes back to where the caller was.
    pub fn leave(self) -> Result<(), StagingError> {
        namespaces::enter(&self.home, CloneFlags::CLONE_NEWNS).map_err(StagingError::Return)?;
        rustix::process::fchdir(&self.cwd).map_err(|error| StagingError::Return(error.into()))
    }
}

fn place(floor: impl AsFd, name: &Path, tree: &OwnedFd) -> io::Result<()> {
    let make = if target::is_directory(tree)? { target::Make::Directory } else { target::Make::File };
    let point = target::open_or_make(floor, name, make)?;
    mount::attach_at(tree, point, Path::new(""))
}
