//! Which storage driver the engine uses, and what `docker info` says of it.
//!
//! Each driver has a store of its own under the data root: after a change of driver the images and containers of the
//! other are not seen, and are there again after a change back. So it is in moby.

use std::path::{Path, PathBuf};

use drydock_images::{Driver, DriverError, backing};
use serde_json::{Value, json};

use crate::config::Config;
use crate::host::Host;
use crate::id::Id;

/// No driver can be used; the texts are dockerd's.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    #[error("error initializing graphdriver: {0}")]
    Unknown(#[from] DriverError),
    #[error("error initializing graphdriver: driver not supported: {name}")]
    Unsupported { name: &'static str, source: std::io::Error },
    #[error(
        "error initializing graphdriver: {} contains several valid graphdrivers: overlay2, vfs; cleanup or explicitly choose storage driver (-s <DRIVER>)",
        .0.display()
    )]
    Several(PathBuf),
}

/// Where a driver's images and containers are.
pub fn folder(data_root: &Path, driver: Driver) -> PathBuf {
    data_root.join(match driver {
        Driver::Overlay2 => "images",
        Driver::Vfs => "vfs",
    })
}

/// The driver that is asked for, or else the one that was used before, or else the first that works.
pub fn choose(config: &Config) -> Result<Driver, ChooseError> {
    let root = &config.data_root;
    if let Some(name) = &config.storage_driver {
        let driver: Driver = name.parse()?;
        let failed = |source| ChooseError::Unsupported { name: driver.name(), source };
        return driver.try_in(&folder(root, driver).join("tmp")).map(|()| driver).map_err(failed);
    }
    let was_used = |driver| {
        let folder = folder(root, driver);
        ["refs.json", "refs.new.json"].iter().any(|index| folder.join(index).exists())
    };
    match (was_used(Driver::Overlay2), was_used(Driver::Vfs)) {
        (true, true) => return Err(ChooseError::Several(root.clone())),
        (false, true) => return Ok(Driver::Vfs),
        _ => {}
    }
    match Driver::Overlay2.try_in(&folder(root, Driver::Overlay2).join("tmp")) {
        Ok(()) => Ok(Driver::Overlay2),
        Err(error) => {
            tracing::warn!(%error, "overlay2 does not work here: containers are copies of their images (vfs)");
            Ok(Driver::Vfs)
        }
    }
}

/// Whether a container belongs to another driver than the one in use: it is left alone.
pub fn is_of_another(config: &Config, driver: Driver, container: &Id) -> bool {
    let has = |driver| folder(&config.data_root, driver).join("snapshots").join(container.as_str()).is_dir();
    let other = if driver == Driver::Vfs { Driver::Overlay2 } else { Driver::Vfs };
    has(other) && !has(driver)
}

/// `DriverStatus`.
pub fn status(driver: Driver, root: &Path, host: &Host) -> Value {
    let word = |yes: bool| if yes { "true" } else { "false" };
    match driver {
        Driver::Vfs => Value::Null,
        Driver::Overlay2 => json!([
            ["Backing Filesystem", backing(root)],
            ["Supports d_type", "true"],
            ["Using metacopy", "false"],
            ["Native Overlay Diff", word(!host.in_user_namespace)],
            ["userxattr", word(host.in_user_namespace)],
        ]),
    }
}
