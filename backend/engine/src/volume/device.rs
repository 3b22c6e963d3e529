//! Volumes that are something else: `--opt type= device= o=`, mounted where the volume's files would be.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::VolumeError;

/// Whether something is mounted at `path`. A bind of the same file system has its parent's device number: only the
/// kernel's table tells.
pub fn is_mounted(path: &Path) -> bool {
    // Without the table it may be: nothing is mounted over it, and nothing is removed.
    std::fs::read("/proc/self/mountinfo").map_or(true, |table| has(&table, path))
}

fn has(table: &[u8], path: &Path) -> bool {
    let place = |line: &[u8]| Some(unescaped(line.split(|byte| *byte == b' ').nth(4)?));
    table.split(|byte| *byte == b'\n').filter_map(place).any(|mounted| mounted == path)
}

/// The kernel writes spaces and their like as `\040`.
fn unescaped(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// Takes away everything that is mounted at `path`. An error when something stays.
pub fn unmount(path: &Path) -> io::Result<()> {
    // The table has whole names.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    while is_mounted(&path) {
        nix::mount::umount2(&path, nix::mount::MntFlags::MNT_DETACH)?;
    }
    Ok(())
}

pub fn mount(target: &Path, device: &str, options: &BTreeMap<String, String>) -> Result<(), VolumeError> {
    use nix::mount::MsFlags;
    let kind = options.get("type").map(String::as_str).unwrap_or_default();
    let data = options.get("o").cloned().unwrap_or_default();
    let words: Vec<&str> = data.split(',').filter(|word| !word.is_empty()).collect();
    let mut flags = MsFlags::empty();
    for word in &words {
        match *word {
            "bind" => flags |= MsFlags::MS_BIND,
            "rbind" => flags |= MsFlags::MS_BIND | MsFlags::MS_REC,
            _ => {}
        }
    }
    let mut rest = Vec::new();
    for word in words {
        match word {
            "ro" => flags |= MsFlags::MS_RDONLY,
            "nosuid" => flags |= MsFlags::MS_NOSUID,
            "nodev" => flags |= MsFlags::MS_NODEV,
            "noexec" => flags |= MsFlags::MS_NOEXEC,
            "bind" | "rbind" | "rw" | "defaults" => {}
            other => rest.push(other),
        }
    }
    let rest = rest.join(",");
    nix::mount::mount(Some(device), target, Some(kind), flags, Some(rest.as_str())).map_err(|errno| {
        let mut how = String::new();
        if !flags.is_empty() {
            how.push_str(&format!(", flags: {:#x}", flags.bits()));
        }
        if !rest.is_empty() {
            how.push_str(&format!(", data: {rest}"));
        }
        VolumeError::Mount { device: device.to_owned(), target: target.to_owned(), how, source: errno.into() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read_with_its_escapes() {
        let table = b"36 35 98:0 /mnt1 /data/volumes/a/_data rw,noatime - ext4 /dev/root rw\n\
                      37 35 98:0 / /with\\040space/_data rw - tmpfs tmpfs rw\n";
        assert!(has(table, Path::new("/data/volumes/a/_data")));
        assert!(has(table, Path::new("/with space/_data")));
        assert!(!has(table, Path::new("/data/volumes/a")));
    }
}
