//! `--tmpfs /place[:options]`.

use super::{Kind, MountPoint, MountsError, absolute, clean, not_root};

/// Words of `mount(8)` that mean something for memory, and keys that take a value.
const WORDS: [&str; 34] = [
    "defaults",
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "remount",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "bind",
    "rbind",
    "unbindable",
    "runbindable",
    "private",
    "rprivate",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
    "nosymfollow",
];
const KEYS: [&str; 7] = ["mode", "uid", "gid", "size", "nr_blocks", "nr_inodes", "mpol"];

pub fn check_destination(destination: &str) -> Result<(), MountsError> {
    not_root(destination).and_then(|()| absolute(destination)).map_err(MountsError::Tmpfs)
}

pub fn parse(destination: &str, options: &str) -> Result<MountPoint, MountsError> {
    check_destination(destination)?;
    let options: Vec<String> =
        options.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    Ok(MountPoint {
        kind: Kind::Tmpfs,
        destination: clean(destination),
        writable: !options.iter().any(|option| option == "ro"),
        options,
        ..MountPoint::default()
    })
}

/// The first option the kernel would not know. moby looks only when the container starts.
pub fn unknown_option(point: &MountPoint) -> Option<&str> {
    let known = |option: &str| match option.split_once('=') {
        Some((key, _)) => KEYS.contains(&key),
        None => WORDS.contains(&option),
    };
    point.options.iter().map(String::as_str).find(|option| !known(option))
}
