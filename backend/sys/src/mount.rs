//! The file-descriptor mount API: trees opened by descriptor, changed while detached, attached last.
//!
//! A tree that is changed before it is attached is never seen half-made, needs no path lookup in
//! somebody else's namespace, and vanishes by itself when its descriptor is closed.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

/// What a mount allows (`MOUNT_ATTR_*`).
pub use rustix::mount::MountAttrFlags as Attributes;

/// How mounts and unmounts travel between copies of a mount (`mount_namespaces(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Private,
    Shared,
    Slave,
    Unbindable,
}

impl Propagation {
    fn flag(self) -> u64 {
        match self {
            Propagation::Private => libc::MS_PRIVATE,
            Propagation::Shared => libc::MS_SHARED,
            Propagation::Slave => libc::MS_SLAVE,
            Propagation::Unbindable => libc::MS_UNBINDABLE,
        }
    }
}

/// Whether an operation takes the mount alone or with every mount below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    One,
    Tree,
}

/// One `mount_setattr(2)`: what to set, what to clear, and at most one id mapping.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change<'fd> {
    pub set: Option<MountAttrFlags>,
    pub clear: Option<MountAttrFlags>,
    pub propagation: Option<Propagation>,
    /// A user namespace whose maps become the mount's id mapping. Only for detached mounts that
    /// were never idmapped before, on file systems that support it.
    pub idmap: Option<BorrowedFd<'fd>>,
}

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
#[derive(Default)]
struct RawChange {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

/// Clones the mount at `path` (with those below it, if asked) into a detached tree.
pub fn clone_tree(path: &Path, reach: Reach) -> io::Result<OwnedFd> {
    clone_tree_at(CWD, path, reach)
}

/// [`clone_tree`] with `path` relative to `dir`; an empty path means `dir` itself.
pub fn clone_tree_at(dir: impl AsFd, path: &Path, reach: Reach) -> io::Result<OwnedFd> {
    let mut flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if reach == Reach::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    Ok(rustix::mount::open_tree(dir, path, flags)?)
}

/// Changes a mount, or a whole tree of mounts, in one step.
pub fn change(mount: impl AsFd, reach: Reach, change: &Change<'_>) -> io::Result<()> {
    change_at(mount, Path::new(""), reach, change)
}

/// [`change`] for the mount at `path`, relative to `dir`.
pub fn change_at(dir: impl AsFd, path: &Path, reach: Reach, change: &Change<'_>) -> io::Result<()> {
    let mut raw = RawChange {
        set: change.set.map_or(0, |flags| flags.bits().into()),
        clear: change.clear.map_or(0, |flags| flags.bits().into()),
        propagation: change.propagation.map_or(0, Propagation::flag),
        userns: 0,
    };
    if let Some(userns) = change.idmap {
        raw.set |= u64::from(MountAttrFlags::MOUNT_ATTR_IDMAP.bits());
        raw.userns = userns.as_raw_fd() as u64;
    }
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    let mut flags = libc::AT_EMPTY_PATH;
    if reach == Reach::Tree {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: `path` is NUL-terminated and `raw` a live mount_attr of the given size; the kernel
    // only reads both, and the descriptors are borrowed for the length of the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir.as_fd().as_raw_fd(),
            path.as_ptr(),
            flags,
            &raw const raw,
            size_of::<RawChange>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Attaches a detached tree at `target`.
pub fn attach(tree: impl AsFd, target: &Path) -> io::Result<()> {
    attach_at(tree, CWD, target)
}

/// [`attach`] with `target` relative to `dir`; an empty target means `dir` itself.
pub fn attach_at(tree: impl AsFd, dir: impl AsFd, target: &Path) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(rustix::mount::move_mount(tree, "", dir, target, flags)?)
}

/// Mounts a fresh, detached instance of a file system.
///
/// `options` are those of the file system itself (`mode=755`, `lowerdir=…`): an empty value sets
/// a flag. What `mount(8)` calls `nosuid` or `ro,bind` belongs into `attributes`.
pub fn new_filesystem(
    kind: &str,
    source: Option<&str>,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    if let Some(source) = source {
        rustix::mount::fsconfig_set_string(&context, "source", source)?;
    }
    for (key, value) in options {
        if value.is_empty() {
            rustix::mount::fsconfig_set_flag(&context, *key)?;
        } else {
            rustix::mount::fsconfig_set_string(&context, *key, *value)?;
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    Ok(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// Binds the directory or file `source` at `target`, seen through the id maps of `userns`.
///
/// The tree is idmapped (and made read-only, or whatever `attributes` say) while still detached.
pub fn bind_idmapped(
    source: &Path,
    target: &Path,
    userns: BorrowedFd<'_>,
    attributes: MountAttrFlags,
) -> io::Result<()> {
    let tree = clone_tree(source, Reach::One)?;
    change(
        &tree,
        Reach::One,
        &Change {
            set: Some(attributes),
            propagation: Some(Propagation::Private),
            idmap: Some(userns),
            ..Change::default()
        },
    )?;
    attach(&tree, target)
}
