//! `docker cp` out of a container: a file, or a folder with all that is in it, as an archive.
//!
//! Everything is opened beneath a descriptor and without following links, so that a container that exchanges a folder for a
//! link meanwhile leads nowhere.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::container::view::path_of;

/// Magic numbers of file systems whose files do not know their length.
const UNMEASURED: [u64; 4] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270];

/// Packs what `place` is under `name`. The children of `.` and `/` lie directly below it.
pub fn pack(archive: &mut tar::Builder<impl Write>, place: &OwnedFd, name: &str) -> io::Result<()> {
    let meta = std::fs::metadata(path_of(place))?;
    if meta.file_type().is_symlink() {
        return link(archive, &meta, &target(place)?, name);
    }
    if !meta.is_dir() {
        return file(archive, place, &meta, name);
    }
    append(archive, &mut header(&meta, 0), &folder_name(name), io::empty())?;
    let folder = reopen(place, OFlags::DIRECTORY)?;
    let mut names: Vec<_> = rustix::fs::Dir::read_from(&folder)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_owned()))
        .collect();
    names.sort();
    for child in names.iter().filter(|name| !matches!(name.to_bytes(), b"." | b"..")) {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = folder_name(name) + &child.to_string_lossy();
        match rustix::fs::openat(&folder, child.as_c_str(), flags, Mode::empty()) {
            Ok(place) => pack(archive, &place, &path)?,
            // It went meanwhile.
            Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn folder_name(name: &str) -> String {
    if name.ends_with('/') { name.to_owned() } else { format!("{name}/") }
}

fn reopen(place: impl AsFd, flags: OFlags) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", place.as_fd().as_raw_fd());
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

fn header(meta: &Metadata, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_metadata(meta);
    header.set_size(size);
    header
}

/// The name stands as it is given: a leading `/` or `./` means something to clients.
fn append(
    archive: &mut tar::Builder<impl Write>,
    header: &mut tar::Header,
    name: &str,
    data: impl Read,
) -> io::Result<()> {
    if !set_name(header, name) {
        return archive.append_data(header, name.trim_start_matches('/'), data);
    }
    header.set_cksum();
    archive.append(header, data)
}

/// False when it is too long for the header.
fn set_name(header: &mut tar::Header, name: &str) -> bool {
    let field = &mut header.as_old_mut().name;
    if name.len() >= field.len() {
        return false;
    }
    field.fill(0);
    field[..name.len()].copy_from_slice(name.as_bytes());
    true
}

fn link(
    archive: &mut tar::Builder<impl Write>,
    meta: &Metadata,
    target: &Path,
    name: &str,
) -> io::Result<()> {
    let mut header = header(meta, 0);
    if !set_name(&mut header, name) || header.set_link_name_literal(target.as_os_str().as_bytes()).is_err() {
        return archive.append_link(&mut header, name.trim_start_matches('/'), target);
    }
    header.set_cksum();
    archive.append(&header, io::empty())
}

fn target(place: &OwnedFd) -> io::Result<std::path::PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let bytes = rustix::fs::readlinkat(place, "", Vec::new())?.into_bytes();
    Ok(std::ffi::OsString::from_vec(bytes).into())
}

fn file(
    archive: &mut tar::Builder<impl Write>,
    place: &OwnedFd,
    meta: &Metadata,
    name: &str,
) -> io::Result<()> {
    if !meta.is_file() {
        return append(archive, &mut header(meta, 0), name, io::empty());
    }
    let mut file = File::from(reopen(place, OFlags::empty())?);
    let unmeasured = rustix::fs::fstatfs(&file).is_ok_and(|stat| UNMEASURED.contains(&(stat.f_type as u64)));
    if unmeasured {
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        return append(archive, &mut header(meta, text.len() as u64), name, text.as_slice());
    }
    // One that grows is cut, one that shrinks is filled: the length has been said.
    let filled = file.take(meta.size()).chain(io::repeat(0)).take(meta.size());
    append(archive, &mut header(meta, meta.size()), name, filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_packed_in_order_and_its_links_stay_links() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("sub")).expect("mkdir");
        std::fs::write(folder.path().join("sub/b"), "x").expect("write");
        std::fs::write(folder.path().join("a"), "xy").expect("write");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).expect("symlink");
        let place = rustix::fs::open(folder.path(), OFlags::PATH, Mode::empty()).expect("open");
        for (name, expected) in [
            ("top", ["top/", "top/a", "top/link", "top/sub/", "top/sub/b"]),
            (".", ["./", "./a", "./link", "./sub/", "./sub/b"]),
        ] {
            let mut archive = tar::Builder::new(Vec::new());
            pack(&mut archive, &place, name).expect("pack");
            let bytes = archive.into_inner().expect("bytes");
            let mut archive = tar::Archive::new(bytes.as_slice());
            let names: Vec<String> = archive
                .entries()
                .expect("entries")
                .map(|entry| String::from_utf8_lossy(&entry.expect("entry").path_bytes()).into_owned())
                .collect();
            assert_eq!(names, expected);
        }
    }
}
