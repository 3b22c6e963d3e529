//! `tmpcopyup`: a fresh tmpfs begins with a copy of the directory it hides.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

/// Copies everything in the directory `from` (an `O_PATH` descriptor) into the root of the detached mount `to`.
pub fn copy(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let from = open_directory(from, c".")?;
    let to = open_directory(to, c".")?;
    copy_directory(&from, &to)?;
    copy_owner_and_mode(&from, &to)
}

fn open_directory(at: &impl AsFd, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    Ok(rustix::fs::openat(at, name, flags, Mode::empty())?)
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                let (source, copy) = (open_directory(from, name)?, open_directory(to, name)?);
                copy_directory(&source, &copy)?;
                copy_owner_and_mode(&source, &copy)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target, to, name)?;
            }
            FileType::RegularFile => copy_file(from, to, name)?,
            kind => rustix::fs::mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode), stat.st_rdev)?,
        }
    }
    Ok(())
}

fn copy_file(from: &OwnedFd, to: &OwnedFd, name: &std::ffi::CStr) -> io::Result<()> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, name, read, Mode::empty())?;
    let copy = rustix::fs::openat(to, name, write, Mode::from_raw_mode(0o600))?;
    let (mut reader, mut writer) = (std::fs::File::from(source), std::fs::File::from(copy));
    io::copy(&mut reader, &mut writer)?;
    copy_owner_and_mode(&OwnedFd::from(reader), &OwnedFd::from(writer))
}

fn copy_owner_and_mode(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let stat = rustix::fs::fstat(from)?;
    let (uid, gid) = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
    rustix::fs::fchown(to, Some(uid), Some(gid))?;
    Ok(rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?)
}
