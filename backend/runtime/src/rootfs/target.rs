//! Paths inside a root file system that may be hostile: every lookup stays below the root.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

/// What a missing mount point is made as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    Directory,
    File,
}

/// Opens `path` as the container will see it: links are followed as if `root` were `/`.
pub fn open(root: impl AsFd, path: &Path) -> io::Result<OwnedFd> {
    open_with(root, path, OFlags::PATH)
}

pub fn open_with(root: impl AsFd, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let path = if path == Path::new("/") { Path::new(".") } else { path };
    loop {
        let opened = rustix::fs::openat2(
            &root,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        );
        match opened {
            // A rename somewhere on the way made the answer uncertain; the kernel asks to try again.
            Err(rustix::io::Errno::AGAIN) => {}
            other => return Ok(other?),
        }
    }
}

/// Whether the last component of `path` is a link. What does not exist is none.
pub fn is_link(root: impl AsFd, path: &Path) -> bool {
    let opened = open_with(root, path, OFlags::PATH | OFlags::NOFOLLOW);
    let stat = opened.and_then(|found| Ok(rustix::fs::fstat(&found)?));
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// Opens the mount point `path`, making it and its parents where they are missing.
pub fn open_or_make(root: impl AsFd, path: &Path, make: Make) -> io::Result<OwnedFd> {
    match open(&root, path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => return other,
    }
    let names: Vec<_> = path
        .components()
        .filter_map(|part| if let Component::Normal(name) = part { Some(name) } else { None })
        .collect();
    let mut sofar = PathBuf::from("/");
    for (index, name) in names.iter().enumerate() {
        let parent = open(&root, &sofar)?;
        sofar.push(name);
        if index + 1 == names.len() && make == Make::File {
            make_file(&parent, name)?;
        } else {
            make_directory(&parent, name)?;
        }
    }
    open(&root, path)
}

fn make_directory(parent: &OwnedFd, name: &std::ffi::OsStr) -> io::Result<()> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn make_file(parent: &OwnedFd, name: &std::ffi::OsStr) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
    match rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o644)) {
        Ok(_) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether an open path is a directory.
pub fn is_directory(fd: impl AsFd) -> io::Result<bool> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_points_out_of_the_root_stays_in_it() {
        let dir = std::env::temp_dir().join(format!("drydock-target-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("inside")).unwrap();
        std::os::unix::fs::symlink("/../../inside", dir.join("link")).unwrap();
        let root = std::fs::File::open(&dir).unwrap();
        open_or_make(&root, Path::new("/link/a/b"), Make::File).unwrap();
        assert!(dir.join("inside/a/b").is_file());
        open_or_make(&root, Path::new("/link/a/c/"), Make::Directory).unwrap();
        assert!(dir.join("inside/a/c").is_dir());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
