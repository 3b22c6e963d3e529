//! The specification's list of mounts, made one by one below the new root.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_sys::mount::{self, Attributes, Change, Reach};
use drydock_sys::namespaces::{self, IdRange};
use oci_spec::runtime::Mount;

use super::options::{Options, Spread};
use super::target::{self, Make};
use super::{cgroups, copy_up};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::namespaces::mount_ranges;

/// One mount of the list, parsed before the clone.
#[derive(Debug)]
pub struct Planned {
    pub destination: PathBuf,
    pub kind: String,
    /// Absolute for binds; relative to the working directory once `staged`.
    pub source: PathBuf,
    pub options: Options,
    /// The user namespace of an id-mapped mount.
    pub userns: Option<OwnedFd>,
    /// Attributes and id maps are on the source already, see [`super::staging`].
    pub staged: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Which of them failed, in runc's words.
    #[error("error mounting {from:?} to rootfs at {destination:?}")]
    One {
        from: PathBuf,
        destination: PathBuf,
        #[source]
        step: Box<MountError>,
    },
    #[error("mount {destination}: find {source_path}")]
    Source {
        destination: PathBuf,
        source_path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("mount {destination}: make the mount point")]
    Point {
        destination: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("mount {destination}: make the id map")]
    IdMap {
        destination: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("mount {destination}: new {kind} file system")]
    Filesystem {
        destination: PathBuf,
        kind: String,
        #[source]
        source: io::Error,
    },
    #[error("mount {destination}: set its options")]
    Change {
        destination: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("mount {destination}: copy what it hides")]
    CopyUp {
        destination: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("mount {destination}: attach")]
    Attach {
        destination: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("filesystem {kind:?} must be mounted on ordinary directory: {destination} is a link")]
    OnLink { destination: PathBuf, kind: String },
    #[error("mount {destination}: mappings need an idmap option and a bind mount")]
    IdMapWithoutBind { destination: PathBuf },
}

/// Parses the list and makes the user namespaces its id-mapped mounts need.
pub fn plan(
    mounts: &[Mount],
    bundle: &Path,
    uids: &[IdRange],
    gids: &[IdRange],
) -> Result<Vec<Planned>, MountError> {
    mounts.iter().map(|mount| plan_one(mount, bundle, uids, gids)).collect()
}

fn plan_one(mount: &Mount, bundle: &Path, uids: &[IdRange], gids: &[IdRange]) -> Result<Planned, MountError> {
    let mut options = Options::parse(mount.options().as_deref().unwrap_or_default());
    let kind = mount.typ().clone().unwrap_or_else(|| "bind".to_owned());
    if kind == "bind" && options.bind.is_none() {
        options.bind = Some(Spread::One);
    }
    let destination = mount.destination().clone();
    let given = mount.source().clone().unwrap_or_default();
    let source = if options.bind.is_some() { bundle.join(given) } else { given };
    let mapped = mount.uid_mappings().is_some() || mount.gid_mappings().is_some();
    if mapped && options.idmap.is_none() {
        options.idmap = Some(Spread::One);
    }
    if options.idmap.is_some() && options.bind.is_none() {
        return Err(MountError::IdMapWithoutBind { destination });
    }
    let userns = match options.idmap {
        None => None,
        Some(_) => Some(
            namespaces::user_namespace(
                &mount_ranges(mount.uid_mappings(), uids),
                &mount_ranges(mount.gid_mappings(), gids),
            )
            .map_err(|source| MountError::IdMap { destination: destination.clone(), source })?,
        ),
    };
    Ok(Planned { destination, kind, source, options, userns, staged: false })
}

/// What a mount of the container's own cgroups needs to know.
#[derive(Clone, Copy, Debug)]
pub struct CgroupView<'a> {
    pub hierarchies: &'a Hierarchies,
    pub cgroup: &'a Cgroup,
    /// The container has a cgroup namespace, in which each of its groups is the root.
    pub namespaced: bool,
}

/// Makes one mount below `root`.
pub fn make(planned: &Planned, root: BorrowedFd<'_>, view: CgroupView<'_>) -> Result<(), MountError> {
    make_one(planned, root, view).map_err(|step| MountError::One {
        from: planned.source.clone(),
        destination: planned.destination.clone(),
        step: Box::new(step),
    })
}

fn make_one(planned: &Planned, root: BorrowedFd<'_>, view: CgroupView<'_>) -> Result<(), MountError> {
    let destination = &planned.destination;
    if planned.kind == "cgroup" || planned.kind == "cgroup2" {
        return cgroups::make(planned, root, view);
    }
    if planned.kind == "proc" || planned.kind == "sysfs" {
        refuse_link(planned, root)?;
    }
    let tree = match planned.options.bind {
        Some(_) => clone_source(planned)?,
        None => new_filesystem(planned)?,
    };
    let make = match target::is_directory(&tree) {
        Ok(false) => Make::File,
        _ => Make::Directory,
    };
    let point = target::open_or_make(root, destination, make)
        .map_err(|source| MountError::Point { destination: destination.clone(), source })?;
    if planned.options.copy_up && planned.options.bind.is_none() {
        copy_up::copy(&point, &tree)
            .map_err(|source| MountError::CopyUp { destination: destination.clone(), source })?;
    }
    if planned.options.bind.is_none() {
        change(&tree, planned)?;
    }
    attach(&tree, &point, destination)?;
    propagate(&tree, planned)
}

/// Everybody trusts what lies in these: an image must not move them by a link.
fn refuse_link(planned: &Planned, root: BorrowedFd<'_>) -> Result<(), MountError> {
    match target::is_link(root, &planned.destination) {
        true => {
            let (destination, kind) = (planned.destination.clone(), planned.kind.clone());
            Err(MountError::OnLink { destination, kind })
        }
        false => Ok(()),
    }
}

pub(super) fn attach(tree: &OwnedFd, point: &OwnedFd, destination: &Path) -> Result<(), MountError> {
    // The new mount interface says EINVAL where mount(2) says ENOTDIR.
    let mismatch = || target::is_directory(tree).ok() != target::is_directory(point).ok();
    mount::attach_at(tree, point, Path::new("")).map_err(|source| {
        let source = if mismatch() { rustix::io::Errno::NOTDIR.into() } else { source };
        MountError::Attach { destination: destination.to_owned(), source }
    })
}

/// Clones the source of a bind mount, with all its attributes set while nobody can see it.
pub(super) fn clone_source(planned: &Planned) -> Result<OwnedFd, MountError> {
    let reach = match planned.options.bind {
        // A part of a staged, locked tree cannot be taken without the rest.
        Some(Spread::One) if !planned.staged => Reach::One,
        _ => Reach::Tree,
    };
    let tree = mount::clone_tree(&planned.source, reach).map_err(|source| MountError::Source {
        destination: planned.destination.clone(),
        source_path: planned.source.clone(),
        source,
    })?;
    if !planned.staged {
        change(&tree, planned)?;
    }
    Ok(tree)
}

fn new_filesystem(planned: &Planned) -> Result<OwnedFd, MountError> {
    let source = planned.source.to_str().filter(|source| !source.is_empty());
    let options: Vec<(&str, &str)> =
        planned.options.data.iter().map(|word| word.split_once('=').unwrap_or((word.as_str(), ""))).collect();
    mount::new_filesystem(&planned.kind, source, &options, Attributes::empty()).map_err(|source| {
        MountError::Filesystem {
            destination: planned.destination.clone(),
            kind: planned.kind.clone(),
            source,
        }
    })
}

/// Applies attributes and id maps to a detached tree.
fn change(tree: &OwnedFd, planned: &Planned) -> Result<(), MountError> {
    let options = &planned.options;
    let failed = |source| MountError::Change { destination: planned.destination.clone(), source };
    if let (Some(spread), Some(userns)) = (options.idmap, &planned.userns) {
        let idmap = Change { idmap: Some(userns.as_fd()), ..Change::default() };
        mount::change(tree, spread.reach(), &idmap).map_err(failed)?;
    }
    for (set, clear, reach) in
        [(options.set_all, options.clear_all, Reach::Tree), (options.set, options.clear, Reach::One)]
    {
        let (mut set, mut clear) = (set.0, clear.0);
        // The ways to keep access times exclude each other: setting one clears the field first.
        let atime = Attributes::MOUNT_ATTR_NOATIME | Attributes::MOUNT_ATTR_STRICTATIME;
        if set.intersects(atime) || clear.intersects(atime) {
            clear |= Attributes::MOUNT_ATTR__ATIME;
        }
        set -= Attributes::MOUNT_ATTR_RELATIME;
        if set.is_empty() && clear.is_empty() {
            continue;
        }
        let both = Change { set: Some(set), clear: Some(clear), ..Change::default() };
        match mount::change(tree, reach, &both) {
            // A flag locked by a more privileged namespace cannot be cleared; `rw` and the like are
            // mere defaults in most lists, so what stays stricter than asked is left so.
            Err(error) if error.raw_os_error() == Some(1) && !clear.is_empty() => {
                let only = Change { set: Some(set), ..Change::default() };
                mount::change(tree, reach, &only).map_err(failed)?;
            }
            other => other.map_err(failed)?,
        }
    }
    Ok(())
}

fn propagate(tree: &OwnedFd, planned: &Planned) -> Result<(), MountError> {
    let Some((propagation, spread)) = planned.options.propagation else { return Ok(()) };
    let change = Change { propagation: Some(propagation), ..Change::default() };
    mount::change(tree, spread.reach(), &change)
        .map_err(|source| MountError::Change { destination: planned.destination.clone(), source })
}
