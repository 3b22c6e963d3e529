//! The container's root file system: assembled in its new mount namespace, then made `/`.
//!
//! Every mount is prepared detached and attached to a descriptor that was resolved inside the root, so that
//! no link in an image can lead it elsewhere.

mod cgroups;
mod copy_up;
pub mod devices;
pub mod mounts;
pub mod options;
pub mod protect;
pub mod staging;
pub mod target;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_sys::mount::{self, Attributes, Change, Propagation, Reach};

use crate::bundle::Bundle;
use mounts::{CgroupView, MountError, Planned};
use options::Spread;

#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    #[error("unknown rootfsPropagation {0:?}")]
    UnknownPropagation(String),
    #[error("set the propagation of /")]
    Propagation(#[source] io::Error),
    #[error("bind the root file system {path}")]
    Bind {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Mount(#[from] MountError),
    #[error(transparent)]
    Device(#[from] devices::DeviceError),
    #[error("change the root to {path}")]
    Pivot {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("detach the old root")]
    DetachOld(#[source] io::Error),
    #[error("detach the root file system {path}")]
    Detach {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("make the root read-only")]
    ReadOnly(#[source] io::Error),
}

/// How the old root is left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RootChange {
    #[default]
    Pivot,
    /// `--no-pivot`: for a host whose root is an initramfs. The old root stays mounted, below the new one.
    Chroot,
}

/// Where a root file system is assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a mount namespace of the container's own, or one it joined.
    Own,
    /// The same, by way of the working directory, see [`staging`].
    Staged,
    /// In the caller's mount namespace: the container has none. Its mounts show outside until [`detach`] is called.
    Shared,
}

/// A root that is attached but not yet `/`.
#[derive(Debug)]
pub struct Assembled {
    root: OwnedFd,
    place: Place,
    path: PathBuf,
    propagation: Option<(Propagation, Spread)>,
}

/// Binds the root file system and makes everything in it.
pub fn assemble(
    bundle: &Bundle,
    plan: &[Planned],
    view: CgroupView<'_>,
    place: Place,
) -> Result<Assembled, RootfsError> {
    let propagation = match bundle.linux.rootfs_propagation().as_deref() {
        None | Some("") => None,
        Some(word) => Some(
            options::root_propagation(word)
                .ok_or_else(|| RootfsError::UnknownPropagation(word.to_owned()))?,
        ),
    };
    if place != Place::Shared {
        isolate(propagation)?;
    }
    let path = if place == Place::Staged { Path::new(staging::ROOTFS) } else { &bundle.rootfs };
    let root =
        bind_onto_itself(path).map_err(|source| RootfsError::Bind { path: bundle.rootfs.clone(), source })?;
    for planned in plan {
        mounts::make(planned, root.as_fd(), view)?;
    }
    // A /dev bound from elsewhere is complete, or is as its owner wants it.
    let dev_is_bound =
        plan.iter().any(|planned| planned.options.bind.is_some() && planned.destination == Path::new("/dev"));
    if !dev_is_bound {
        let wanted = bundle.linux.devices().as_deref().unwrap_or_default();
        devices::make_all(root.as_fd(), wanted)?;
    }
    Ok(Assembled { root, place, path: bundle.rootfs.clone(), propagation })
}

/// The last component of `path` may be a link, which mounting at a path would not follow.
fn bind_onto_itself(path: &Path) -> io::Result<OwnedFd> {
    let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let point = rustix::fs::open(path, flags, rustix::fs::Mode::empty())?;
    let root = mount::clone_tree_at(&point, Path::new(""), Reach::Tree)?;
    mount::attach_at(&root, &point, Path::new(""))?;
    Ok(root)
}

/// Nothing mounted from here on shows outside; what is mounted outside may still show here, if asked.
fn isolate(propagation: Option<(Propagation, Spread)>) -> Result<(), RootfsError> {
    let first = match propagation {
        Some((Propagation::Private | Propagation::Unbindable, _)) => Propagation::Private,
        _ => Propagation::Slave,
    };
    let change = Change { propagation: Some(first), ..Change::default() };
    mount::change_at(rustix::fs::CWD, Path::new("/"), Reach::Tree, &change).map_err(RootfsError::Propagation)
}

impl Assembled {
    /// Makes the root `/` and the working directory, and leaves the old one.
    pub fn enter(&self, change: RootChange) -> Result<(), RootfsError> {
        let failed =
            |error: rustix::io::Errno| RootfsError::Pivot { path: self.path.clone(), source: error.into() };
        rustix::process::fchdir(&self.root).map_err(failed)?;
        match (self.place, change) {
            (Place::Shared, _) => rustix::process::chroot(".").map_err(failed)?,
            (_, RootChange::Chroot) => {
                // Moved over the old root, not only entered: who joins the namespace later lands in it.
                mount::attach(&self.root, Path::new("/"))
                    .map_err(|source| RootfsError::Pivot { path: self.path.clone(), source })?;
                rustix::process::chroot(".").map_err(failed)?;
            }
            (_, RootChange::Pivot) => {
                // pivot_root(".", "."): the old root lands on top of the new one, no folder is needed for it.
                rustix::process::pivot_root(".", ".").map_err(failed)?;
                rustix::mount::unmount(".", rustix::mount::UnmountFlags::DETACH)
                    .map_err(|error| RootfsError::DetachOld(error.into()))?;
            }
        }
        rustix::process::chdir("/").map_err(failed)?;
        let Some((propagation, spread)) = self.propagation else { return Ok(()) };
        let change = Change { propagation: Some(propagation), ..Change::default() };
        mount::change_at(rustix::fs::CWD, Path::new("/"), spread.reach(), &change)
            .map_err(RootfsError::Propagation)
    }
}

/// Takes away the root that a container without a mount namespace left in the caller's.
pub fn detach(rootfs: &Path) -> Result<(), RootfsError> {
    match rustix::mount::unmount(rootfs, rustix::mount::UnmountFlags::DETACH) {
        // Not mounted, or gone with its folder.
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(RootfsError::Detach { path: rootfs.to_owned(), source: error.into() }),
    }
}

/// Makes `/` read-only; mounts below it keep their own attributes.
pub fn make_read_only() -> Result<(), RootfsError> {
    let set = Some(Attributes::MOUNT_ATTR_RDONLY);
    mount::change_at(rustix::fs::CWD, Path::new("/"), Reach::One, &Change { set, ..Change::default() })
        .map_err(RootfsError::ReadOnly)
}
