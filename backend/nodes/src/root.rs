//! A node's file system, put together in a mount namespace of its own.
//!
//! ```text
//! STAGE/            tmpfs, seen by this thread and the runtime it starts
//!   disk/           the node's ext4 (loop device): upper/, work/, docker/, log
//!   l0, l1, …       the node image's layers, read-only, idmapped into the node's block
//!   root/           overlay of upper over the layers, and mounted into it:
//!     usr/local/bin/drydock-{agent,engine,shim,runtime}
//!     var/lib/docker            disk/docker: overlayfs cannot lie on overlayfs
//!     var/lib/drydock/store     the host's image store, read-only, idmapped
//! ```
//!
//! The namespace belongs to a thread that ends with the boot; the node's own copy of it is then the only one.
//! So the mounts and the loop device end with the node, even if the gateway is not there to see it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use drydock_sys::loops::LoopDevice;
use drydock_sys::mount::{self, Attributes, Change, Propagation, Reach};
use drydock_sys::namespaces::{CloneFlags, unshare};

/// Programs of ours that a node has.
pub const PROGRAMS: [&str; 5] =
    ["drydock-agent", "drydock-engine", "drydock-shim", "drydock-logger", "drydock-runtime"];

/// Where the engine looks for the host's image store.
const STORE: &str = "var/lib/drydock/store";

/// Where the stage may be set up: directories of every system, one of which hides nothing we need.
const STAGES: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];

#[derive(Debug, thiserror::Error)]
pub enum RootError {
    #[error("cannot make a mount namespace")]
    Namespace { source: io::Error },
    #[error("none of {} can be mounted over", STAGES.join(", "))]
    NoStage,
    #[error("cannot set up {what}")]
    Stage { what: &'static str, source: io::Error },
    #[error("cannot attach the node's disk to a loop device")]
    Loop { source: io::Error },
    #[error("cannot mount the node's disk")]
    Disk { source: io::Error },
    #[error("cannot write {path} into the node")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot mount the image layer {path}")]
    Layer { path: PathBuf, source: io::Error },
    #[error("cannot mount the node's root file system")]
    Overlay { source: io::Error },
    #[error("cannot bind {path} into the node")]
    Bind { path: PathBuf, source: io::Error },
}

/// Device nodes that a node may open besides the usual ones: name on the stage, path in the node, minor number of major
/// 10. Made here rather than bound from the host's /dev, where they may belong to the host's root alone.
pub const DEVICES: [(&str, &str, u32); 2] = [("tun", "/dev/net/tun", 200), ("fuse", "/dev/fuse", 229)];

/// What a node's file system is made of.
#[derive(Debug)]
pub struct Plan<'a> {
    pub disk: &'a Path,
    /// Topmost first.
    pub layers: &'a [PathBuf],
    pub bin_dir: &'a Path,
    pub store: Option<&'a Path>,
    /// Maps the node's ids; layers are seen through it.
    pub users: BorrowedFd<'a>,
    /// The node's root, as the host calls it.
    pub owner: u32,
    /// Written before the node begins.
    pub files: &'a [OwnFile],
}

/// A file that a node has besides its image's.
#[derive(Debug)]
pub struct OwnFile {
    /// Below the node's root.
    pub path: &'static str,
    pub mode: u32,
    pub contents: String,
}

/// A finished file system. The loop device is held open until the runtime holds the mount.
#[derive(Debug)]
pub struct Staged {
    pub root: PathBuf,
    /// Holds [`DEVICES`].
    pub stage: PathBuf,
    /// On the node's own disk, so that even it is within the quota.
    pub log: fs::File,
    log_path: PathBuf,
    _device: LoopDevice,
}

impl Staged {
    /// What the node's first process has said so far.
    pub fn read_log(&self) -> String {
        fs::read_to_string(&self.log_path).unwrap_or_default()
    }
}

impl Plan<'_> {
    /// Leaves the calling thread in a mount namespace of its own, for good.
    pub fn stage(&self) -> Result<Staged, RootError> {
        unshare(CloneFlags::CLONE_NEWNS).map_err(|source| RootError::Namespace { source })?;
        let private = Change { propagation: Some(Propagation::Private), ..Change::default() };
        let root = fs::File::open("/").map_err(|source| RootError::Namespace { source })?;
        mount::change(&root, Reach::Tree, &private).map_err(|source| RootError::Namespace { source })?;
        let stage = self.set_up_stage()?;
        let device = self.mount_disk(&stage.join("disk"))?;
        let (log, upper) = self.fill_disk(&stage.join("disk"))?;
        let lower = self.mount_layers(&stage)?;
        let root = stage.join("root");
        let options = [
            ("lowerdir", lower.as_str()),
            ("upperdir", &upper),
            ("workdir", &text(&stage.join("disk/work"))),
        ];
        mount::new_filesystem("overlay", None, &options, Attributes::MOUNT_ATTR_NODEV)
            .and_then(|overlay| mount::attach(overlay, &root))
            .map_err(|source| RootError::Overlay { source })?;
        self.bind_into(&root, &stage)?;
        Ok(Staged { root, log, log_path: stage.join("disk/log"), stage, _device: device })
    }

    fn set_up_stage(&self) -> Result<PathBuf, RootError> {
        let needed =
            self.layers.iter().map(PathBuf::as_path).chain([self.disk, self.bin_dir]).chain(self.store);
        let needed: Vec<&Path> = needed.collect();
        let free = |stage: &&Path| stage.is_dir() && !needed.iter().any(|path| path.starts_with(stage));
        let stage = STAGES.iter().map(Path::new).find(free).ok_or(RootError::NoStage)?;
        let failed = |source| RootError::Stage { what: "the node's mount points", source };
        mount::new_filesystem("tmpfs", None, &[("mode", "0755")], Attributes::empty())
            .and_then(|tmpfs| mount::attach(tmpfs, stage))
            .map_err(failed)?;
        for name in ["disk", "root"] {
            fs::create_dir(stage.join(name)).map_err(failed)?;
        }
        for (name, _, minor) in DEVICES {
            let failed = |source| RootError::Stage { what: "the node's devices", source };
            self.make_device(&stage.join(name), minor).map_err(failed)?;
        }
        Ok(stage.to_owned())
    }

    fn make_device(&self, path: &Path, minor: u32) -> io::Result<()> {
        const MISCELLANEOUS: u32 = 10;
        let device = rustix::fs::makedev(MISCELLANEOUS, minor);
        let kind = rustix::fs::FileType::CharacterDevice;
        rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::empty(), device)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        self.give(path)
    }

    fn mount_disk(&self, at: &Path) -> Result<LoopDevice, RootError> {
        let backing = fs::OpenOptions::new().read(true).write(true).open(self.disk);
        let backing = backing.map_err(|source| RootError::Loop { source })?;
        let device = LoopDevice::attach(backing.as_fd()).map_err(|source| RootError::Loop { source })?;
        // What is deleted inside is given back to the host; inode tables stay holes until they are used.
        let options = [("noinit_itable", ""), ("discard", "")];
        mount::new_filesystem("ext4", Some(&text(device.path())), &options, Attributes::MOUNT_ATTR_NODEV)
            .and_then(|disk| mount::attach(disk, at))
            .map_err(|source| RootError::Disk { source })?;
        Ok(device)
    }

    /// Returns the node's log and the overlay's upper directory.
    fn fill_disk(&self, disk: &Path) -> Result<(fs::File, String), RootError> {
        let failed = |source| RootError::Stage { what: "the node's disk", source };
        fs::create_dir(disk.join("work")).map_err(failed)?;
        for own in ["upper", "docker"] {
            self.make_dir(&disk.join(own)).map_err(failed)?;
        }
        let log = fs::File::create(disk.join("log")).map_err(failed)?;
        let upper = disk.join("upper");
        for OwnFile { path, mode, contents } in self.files {
            self.write(&upper, path, *mode, contents)?;
        }
        for program in PROGRAMS {
            self.write(&upper, &format!("usr/local/bin/{program}"), 0o755, "")?;
        }
        // The engine takes the shared store to be there when its directory is.
        for point in ["var/lib/docker"].into_iter().chain(self.store.map(|_| STORE)) {
            let path = upper.join(point);
            self.make_dirs(&upper, &path).map_err(|source| RootError::Write { path, source })?;
        }
        Ok((log, text(&upper)))
    }

    /// Written into the upper directory, which has no links yet that could lead elsewhere.
    fn write(&self, upper: &Path, path: &str, mode: u32, contents: &str) -> Result<(), RootError> {
        let path = upper.join(path);
        let write = || {
            self.make_dirs(upper, path.parent().unwrap_or(upper))?;
            fs::write(&path, contents)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            self.give(&path)
        };
        write().map_err(|source| RootError::Write { path: path.clone(), source })
    }

    fn make_dirs(&self, upper: &Path, path: &Path) -> io::Result<()> {
        if path == upper || path.is_dir() {
            return Ok(());
        }
        self.make_dirs(upper, path.parent().unwrap_or(upper))?;
        self.make_dir(path)
    }

    /// Whatever the umask: the node's other users pass through these.
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
        self.give(path)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.owner), Some(self.owner))
    }

    /// Returns overlayfs's `lowerdir`.
    fn mount_layers(&self, stage: &Path) -> Result<String, RootError> {
        let mut lower = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let failed = |source| RootError::Layer { path: layer.clone(), source };
            let point = stage.join(format!("l{number}"));
            fs::create_dir(&point).map_err(failed)?;
            let attributes = Attributes::MOUNT_ATTR_RDONLY | Attributes::MOUNT_ATTR_NODEV;
            mount::bind_idmapped(layer, &point, self.users, attributes).map_err(failed)?;
            lower.push(text(&point));
        }
        Ok(lower.join(":"))
    }

    fn bind_into(&self, root: &Path, stage: &Path) -> Result<(), RootError> {
        let fixed = Attributes::MOUNT_ATTR_RDONLY | Attributes::MOUNT_ATTR_NODEV;
        for program in PROGRAMS {
            let path = self.bin_dir.join(program);
            let target = root.join("usr/local/bin").join(program);
            bind(&path, &target, fixed | Attributes::MOUNT_ATTR_NOSUID)?;
        }
        bind(&stage.join("disk/docker"), &root.join("var/lib/docker"), Attributes::MOUNT_ATTR_NODEV)?;
        if let Some(store) = self.store {
            let target = root.join(STORE);
            mount::bind_idmapped(store, &target, self.users, fixed)
                .map_err(|source| RootError::Bind { path: store.to_owned(), source })?;
        }
        Ok(())
    }
}

fn bind(path: &Path, target: &Path, attributes: Attributes) -> Result<(), RootError> {
    let bind = || {
        let tree = mount::clone_tree(path, Reach::One)?;
        let change =
            Change { set: Some(attributes), propagation: Some(Propagation::Private), ..Change::default() };
        mount::change(&tree, Reach::One, &change)?;
        mount::attach(tree, target)
    };
    bind().map_err(|source| RootError::Bind { path: path.to_owned(), source })
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
