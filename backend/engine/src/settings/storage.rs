//! `--storage-driver` and `--storage-opt`.

use std::path::Path;

use drydock_images::{Driver, DriverError, backing};

use crate::config::Config;
use crate::golang::units::{SizeError, ram_in_bytes};

/// What dockerd says after `error initializing graphdriver: `.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    #[error(transparent)]
    Driver(#[from] DriverError),
    #[error("{source}")]
    Option { source: OptionError },
    /// dockerd puts the name of a driver that was asked for behind what that driver says.
    #[error("{source}: {driver}")]
    OptionOf { source: OptionError, driver: &'static str },
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error("unable to parse storage-opt key/value: {0}")]
    Form(String),
    #[error("overlay2: unknown option {0}")]
    NotOverlays(String),
    #[error("unknown option {0} for vfs")]
    NotVfs(String),
    #[error(transparent)]
    Size(#[from] SizeError),
    #[error("Storage Option overlay2.size only supported for backingFS XFS. Found {0}")]
    NotXfs(&'static str),
    /// dockerd would take it where the file system counts quotas.
    #[error("Storage option overlay2.size not supported: this store sets no quotas; remove it")]
    NoQuota,
    #[error("Filesystem does not support, or has not enabled quotas")]
    NoVfsQuota,
}

/// Whether the driver is known, and takes its options.
pub fn check(config: &Config) -> Result<(), StorageError> {
    let asked = config.storage_driver.as_deref().map(str::parse::<Driver>).transpose()?;
    let driver = asked.unwrap_or(Driver::Overlay2);
    let mut options = config.storage_options.iter();
    options.try_for_each(|text| option(driver, text, &config.data_root)).map_err(|source| match asked {
        None => StorageError::Option { source },
        Some(driver) => StorageError::OptionOf { source, driver: driver.name() },
    })
}

fn option(driver: Driver, text: &str, data_root: &Path) -> Result<(), OptionError> {
    let (option, value) = text.split_once('=').ok_or_else(|| OptionError::Form(text.to_owned()))?;
    let (option, value) = (option.trim().to_lowercase(), value.trim());
    match (driver, option.as_str()) {
        (Driver::Overlay2, "overlay2.size") | (Driver::Vfs, "size") if ram_in_bytes(value)? == 0 => Ok(()),
        (Driver::Overlay2, "overlay2.size") => match backing(nearest(data_root)) {
            "xfs" => Err(OptionError::NoQuota),
            other => Err(OptionError::NotXfs(other)),
        },
        (Driver::Vfs, "size") => Err(OptionError::NoVfsQuota),
        (Driver::Overlay2, _) => Err(OptionError::NotOverlays(option)),
        (Driver::Vfs, _) => Err(OptionError::NotVfs(option)),
    }
}

/// The folder, or where it will be made: nothing is made before the settings are found right.
fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Given};

    /// What dockerd 28.5.2 said.
    #[test]
    fn options_of_drivers_are_refused_in_dockerds_words() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("not/there/yet");
        let found = backing(folder.path());
        assert_ne!(found, "xfs", "this test is not for a machine with XFS");
        let not_xfs = format!("Storage Option overlay2.size only supported for backingFS XFS. Found {found}");
        let quota = "Filesystem does not support, or has not enabled quotas: vfs";
        for (line, expected) in [
            ("-s nope --storage-opt foo", "driver not supported: nope".to_owned()),
            ("--storage-opt foo", "unable to parse storage-opt key/value: foo".to_owned()),
            ("-s vfs --storage-opt foo", "unable to parse storage-opt key/value: foo: vfs".to_owned()),
            ("--storage-opt foo=bar", "overlay2: unknown option foo".to_owned()),
            ("-s overlay2 --storage-opt foo=bar", "overlay2: unknown option foo: overlay2".to_owned()),
            ("-s vfs --storage-opt foo=bar", "unknown option foo for vfs: vfs".to_owned()),
            ("-s overlay2 --storage-opt =1", "overlay2: unknown option : overlay2".to_owned()),
            ("--storage-opt overlay2.size=xx", "invalid size: 'xx'".to_owned()),
            ("-s overlay2 --storage-opt overlay2.size=", "invalid size: '': overlay2".to_owned()),
            ("--storage-opt overlay2.size=0", "right".to_owned()),
            ("--storage-opt overlay2.size=1G", not_xfs.clone()),
            ("-s overlay2 --storage-opt overlay2.size=1G", format!("{not_xfs}: overlay2")),
            ("-s vfs --storage-opt size=xx", "invalid size: 'xx': vfs".to_owned()),
            ("-s vfs --storage-opt size=1G", quota.to_owned()),
            ("-s vfs --storage-opt size=0", "right".to_owned()),
        ] {
            let words = ["--config-file=".to_owned(), format!("--data-root={}", root.display())];
            let words = words.into_iter().chain(line.split_whitespace().map(str::to_owned));
            let given = Given::parse(words).expect(line);
            let (config, _) = config::load(given, &Default::default()).expect(line);
            let said = check(&config).map_or_else(|error| error.to_string(), |()| "right".to_owned());
            assert_eq!(said, expected, "{line}");
        }
    }
}
