//! Paths inside a container's root file system, resolved as the container would: no link leads out.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Uid};

/// Opens `path` inside `root` for its place only (`O_PATH`).
pub fn open_inside(root: &Path, path: &str) -> rustix::io::Result<OwnedFd> {
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let path = path.trim_start_matches('/');
    let path = if path.is_empty() { "." } else { path };
    rustix::fs::openat2(&root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT)
}

/// Where `path` inside `root` really is on the host, when something is there.
pub fn place_inside(root: &Path, path: &str) -> Option<PathBuf> {
    let place = open_inside(root, path).ok()?;
    std::fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd())).ok()
}

/// Makes the working directory of the container, with all its parents, owned by its root.
pub fn make_directory(root: &Path, path: &str) -> rustix::io::Result<()> {
    let mut done = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let parent = open_inside(root, &done)?;
        done.push('/');
        done.push_str(part);
        if open_inside(root, &done).is_ok() {
            continue;
        }
        match rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                rustix::fs::chownat(
                    &parent,
                    part,
                    Some(Uid::ROOT),
                    Some(Gid::ROOT),
                    AtFlags::SYMLINK_NOFOLLOW,
                )?;
            }
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
