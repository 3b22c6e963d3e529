//! How layers become a root file system.

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use drydock_sys::mount::{Attributes, new_filesystem};
use serde::{Deserialize, Serialize};

use crate::unpack::in_user_namespace;

/// `storage-driver`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// Layers mounted one over the other: nothing is copied until it is written.
    #[default]
    Overlay2,
    /// A copy of the image for every container, on any file system.
    Vfs,
}

/// No such driver, in dockerd's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("driver not supported: {0}")]
pub struct DriverError(String);

impl FromStr for Driver {
    type Err = DriverError;

    fn from_str(text: &str) -> Result<Self, DriverError> {
        match text {
            "overlay2" => Ok(Self::Overlay2),
            "vfs" => Ok(Self::Vfs),
            other => Err(DriverError(other.to_owned())),
        }
    }
}

impl Driver {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Overlay2 => "overlay2",
            Self::Vfs => "vfs",
        }
    }

    /// Whether it works in a folder, which is tried.
    pub fn try_in(self, folder: &Path) -> io::Result<()> {
        if self == Self::Vfs {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let trial = tempfile::Builder::new().prefix("trial-").tempdir_in(folder)?;
        let mut options = Vec::new();
        for (key, name) in [("lowerdir", "lower"), ("upperdir", "upper"), ("workdir", "work")] {
            let path = trial.path().join(name);
            fs::create_dir(&path)?;
            options.push((key, path.to_str().ok_or(io::ErrorKind::InvalidInput)?.to_owned()));
        }
        if in_user_namespace() {
            options.push(("userxattr", String::new()));
        }
        let options: Vec<(&str, &str)> = options.iter().map(|(key, value)| (*key, value.as_str())).collect();
        // Never attached anywhere: it goes with its descriptor.
        new_filesystem("overlay", Some("overlay"), &options, Attributes::empty()).map(drop)
    }
}

/// The name that moby has for the file system of a folder.
pub fn backing(folder: &Path) -> &'static str {
    let Ok(found) = rustix::fs::statfs(folder) else { return "<unknown>" };
    match found.f_type as u64 & 0xffff_ffff {
        0x0000_ef53 => "extfs",
        0x5846_5342 => "xfs",
        0x9123_683e => "btrfs",
        0x0102_1994 => "tmpfs",
        0x794c_7630 => "overlayfs",
        0x2fc1_2fc1 => "zfs",
        0x0000_6969 => "nfs",
        0xf2f5_2010 => "f2fs",
        0x6573_5546 => "fuse",
        _ => "<unknown>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_are_named_as_dockerd_names_them() {
        for driver in [Driver::Overlay2, Driver::Vfs] {
            assert_eq!(driver.name().parse(), Ok(driver));
        }
        assert_eq!("btrfs".parse::<Driver>().unwrap_err().to_string(), "driver not supported: btrfs");
    }
}
