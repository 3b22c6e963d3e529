//! Network namespaces: make one pinned at a file, open one, step a thread into it and back.

use std::fs::{File, OpenOptions};
use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags};
use nix::sched::CloneFlags;

/// The calling thread's own namespace; `self` would be the whole process's first thread.
const OWN: &str = "/proc/thread-self/ns/net";

/// Makes a new network namespace and pins it at `path` by a bind mount. The new namespace
/// belongs to the user namespace of the calling process.
///
/// `path` is created when missing; its parent directory must exist. A thread of its own enters
/// the new namespace, so the caller's never changes.
pub fn create_pinned(path: &Path) -> io::Result<()> {
    create_all_pinned(std::slice::from_ref(&path))
}

/// Like [`create_pinned`] for several, on one thread. Those before a failing one stay.
pub fn create_all_pinned<P: AsRef<Path> + Sync>(paths: &[P]) -> io::Result<()> {
    std::thread::scope(|scope| {
        let maker = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, || {
            for path in paths {
                nix::sched::unshare(CloneFlags::CLONE_NEWNET)?;
                pin(path.as_ref())?;
            }
            Ok(())
        })?;
        maker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn pin(path: &Path) -> io::Result<()> {
    OpenOptions::new().create(true).append(true).open(path)?;
    nix::mount::mount(Some(OWN), path, None::<&str>, MsFlags::MS_BIND, None::<&str>).map_err(io::Error::from)
}

/// Unpins a namespace and removes its file. The namespace itself ends with its last process,
/// socket and descriptor, and the kernel takes it apart in the background.
pub fn remove_pinned(path: &Path) -> io::Result<()> {
    match nix::mount::umount2(path, MntFlags::MNT_DETACH) {
        // EINVAL: a leftover file with nothing mounted on it.
        Ok(()) | Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) => {}
        Err(error) => return Err(error.into()),
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Opens a pinned namespace, or a process's at `/proc/PID/ns/net`.
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    let file = File::open(path)?;
    // An unpinned file opens just as well; refuse it here rather than fail at the first use.
    let kind = rustix::fs::fstatfs(&file)?;
    if kind.f_type != NSFS_MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a network namespace"));
    }
    Ok(file.into())
}

/// `NSFS_MAGIC` of `linux/magic.h`.
const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;

/// Opens the calling thread's own namespace.
pub fn open_own() -> io::Result<OwnedFd> {
    open(Path::new(OWN))
}

/// While it lives, the thread that made it is in another network namespace. It cannot leave
/// the thread, and must not be held across an `await`.
#[derive(Debug)]
pub struct Inside {
    home: OwnedFd,
    stays_on_its_thread: PhantomData<*const ()>,
}

impl Inside {
    /// Moves the calling thread into `namespace`.
    pub fn enter(namespace: BorrowedFd<'_>) -> io::Result<Self> {
        let home = open_own()?;
        nix::sched::setns(namespace, CloneFlags::CLONE_NEWNET)?;
        Ok(Self { home, stays_on_its_thread: PhantomData })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        // A pool thread left in a container's namespace would open every later socket there:
        // ending is the only safe answer. It happens only if we lost CAP_SYS_ADMIN meanwhile.
        if let Err(error) = nix::sched::setns(self.home.as_fd(), CloneFlags::CLONE_NEWNET) {
            eprintln!("cannot return to the network namespace this thread came from: {error}");
            std::process::abort();
        }
    }
}
