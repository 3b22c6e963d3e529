//! Device nodes, and the links every program expects in `/dev`.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use drydock_sys::mount::{self, Reach};
use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{FileType, Mode};

use super::target::{self, Make};

#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    #[error("make the folder of {path}")]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("make device {path}")]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("bind device {path} from the host")]
    Bind {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("link {path}")]
    Link {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("device {0} has no type b, c, u or p")]
    Type(PathBuf),
}

/// Those the specification demands: name, major, minor.
const DEFAULTS: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 4] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];

/// A node as `mknod(2)` takes it.
struct Node<'a> {
    path: &'a Path,
    kind: FileType,
    mode: u32,
    device: u64,
    owner: (u32, u32),
}

/// Fills `/dev` of the root.
pub fn make_all(root: BorrowedFd<'_>, wanted: &[LinuxDevice]) -> Result<(), DeviceError> {
    for (name, major, minor) in DEFAULTS {
        let path = Path::new("/dev").join(name);
        if wanted.iter().any(|device| *device.path() == path) {
            continue;
        }
        let device = rustix::fs::makedev(major, minor);
        let kind = FileType::CharacterDevice;
        make(root, &Node { path: &path, kind, mode: 0o666, device, owner: (0, 0) })?;
    }
    for device in wanted {
        make_wanted(root, device)?;
    }
    let dev = target::open(root, Path::new("/dev"))
        .map_err(|source| DeviceError::Folder { path: "/dev".into(), source })?;
    for (to, name) in LINKS {
        link(&dev, to, name)?;
    }
    // A devpts instance of the container's own has its multiplexer inside.
    if target::open(root, Path::new("/dev/pts/ptmx")).is_ok() {
        let _ = rustix::fs::unlinkat(&dev, "ptmx", rustix::fs::AtFlags::empty());
        link(&dev, "pts/ptmx", "ptmx")?;
    }
    Ok(())
}

fn link(dev: &std::os::fd::OwnedFd, to: &str, name: &str) -> Result<(), DeviceError> {
    match rustix::fs::symlinkat(to, dev, name) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(DeviceError::Link { path: Path::new("/dev").join(name), source: error.into() }),
    }
}

fn make_wanted(root: BorrowedFd<'_>, device: &LinuxDevice) -> Result<(), DeviceError> {
    let kind = match device.typ() {
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => return Err(DeviceError::Type(device.path().clone())),
    };
    let number = |number: i64| u32::try_from(number).unwrap_or_default();
    let node = Node {
        path: device.path(),
        kind,
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        device: rustix::fs::makedev(number(device.major()), number(device.minor())),
        owner: (device.uid().unwrap_or_default(), device.gid().unwrap_or_default()),
    };
    make(root, &node)
}

fn make(root: BorrowedFd<'_>, node: &Node<'_>) -> Result<(), DeviceError> {
    let failed =
        |error: rustix::io::Errno| DeviceError::Make { path: node.path.to_owned(), source: error.into() };
    let (Some(folder), Some(name)) = (node.path.parent(), node.path.file_name()) else {
        return Err(failed(rustix::io::Errno::INVAL));
    };
    let folder = target::open_or_make(root, folder, Make::Directory)
        .map_err(|source| DeviceError::Folder { path: node.path.to_owned(), source })?;
    let mode = Mode::from_raw_mode(node.mode);
    match rustix::fs::mknodat(&folder, name, node.kind, mode, node.device) {
        Ok(()) => {}
        // Part of the image, or bound there by the list of mounts.
        Err(rustix::io::Errno::EXIST) => return Ok(()),
        // Not in a user namespace other than the first; but the host's node can be bound.
        Err(rustix::io::Errno::PERM) => return bind(root, node),
        Err(error) => return Err(failed(error)),
    }
    // The umask was applied to the mode.
    rustix::fs::chmodat(&folder, name, mode, rustix::fs::AtFlags::empty()).map_err(failed)?;
    if node.owner == (0, 0) {
        return Ok(());
    }
    let (uid, gid) = node.owner;
    let owner = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    rustix::fs::chownat(&folder, name, Some(owner.0), Some(owner.1), flags).map_err(failed)
}

/// Binds the node of the same number that is there outside, whatever its name.
fn bind(root: BorrowedFd<'_>, node: &Node<'_>) -> Result<(), DeviceError> {
    let source = if is(node.path, node) { Some(node.path.to_owned()) } else { find(Path::new("/dev"), node) };
    let source = source.ok_or_else(|| io::Error::from(rustix::io::Errno::NOENT));
    let bound = source.and_then(|source| mount::clone_tree(&source, Reach::One)).and_then(|tree| {
        let point = target::open_or_make(root, node.path, Make::File)?;
        mount::attach_at(&tree, &point, Path::new(""))
    });
    bound.map_err(|source| DeviceError::Bind { path: node.path.to_owned(), source })
}

fn is(path: &Path, node: &Node<'_>) -> bool {
    rustix::fs::stat(path)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == node.kind && stat.st_rdev == node.device)
}

/// Looks through a folder and the folders in it.
fn find(folder: &Path, node: &Node<'_>) -> Option<PathBuf> {
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => folders.push(entry.path()),
            Ok(kind) if !kind.is_symlink() && is(&entry.path(), node) => return Some(entry.path()),
            _ => {}
        }
    }
    folders.iter().find_map(|folder| find(folder, node))
}
