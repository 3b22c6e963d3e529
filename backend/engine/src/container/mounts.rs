//! What `-v`, `--mount`, `--tmpfs`, `--volumes-from` and the image's `VOLUME` mean together: one list of mount points.

mod bind;
pub mod modes;
mod spec;
mod tmpfs;

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{HostConfig, MountTypeEnum};
use serde::{Deserialize, Serialize};

use crate::wire::ContainerConfig;

pub use tmpfs::{check_destination as tmpfs_destination, unknown_option as unknown_tmpfs_option};

/// One place in the container's file system where something else is mounted. Stored in its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    pub kind: Kind,
    /// Volume's name or image's; empty for binds.
    #[serde(default)]
    pub name: String,
    /// Host path; filled in for volumes when they are made.
    #[serde(default)]
    pub source: String,
    pub destination: String,
    /// What the user wrote after the second colon.
    #[serde(default)]
    pub mode: String,
    pub writable: bool,
    #[serde(default)]
    pub propagation: String,
    /// Do not copy what the image has there.
    #[serde(default)]
    pub no_copy: bool,
    /// Came from `-v`: a missing host directory is made.
    #[serde(default)]
    pub create_source: bool,
    /// Bind without submounts.
    #[serde(default)]
    pub non_recursive: bool,
    /// Read-only for its own file system alone, or for every one below it or not at all.
    #[serde(default)]
    pub read_only_non_recursive: bool,
    #[serde(default)]
    pub read_only_force_recursive: bool,
    /// Path inside the volume or image.
    #[serde(default)]
    pub subpath: String,
    /// tmpfs options.
    #[serde(default)]
    pub options: Vec<String>,
    /// Came with `--volumes-from`.
    #[serde(default)]
    pub inherited: bool,
    /// Nobody named it: it goes with its container.
    #[serde(default)]
    pub anonymous: bool,
    #[serde(default)]
    pub driver: String,
    #[serde(default)]
    pub driver_options: BTreeMap<String, String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Bind,
    Volume,
    Tmpfs,
    Image,
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
            Self::Image => "image",
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountsError {
    #[error("invalid volume specification: '{0}'")]
    Spec(String),
    #[error("invalid volume specification: '{spec}': invalid mount config for type \"{kind}\": {why}")]
    BadSpec { spec: String, kind: &'static str, why: String },
    #[error("invalid mode: {0}")]
    Mode(String),
    #[error("invalid mount config for type \"{kind}\": {why}")]
    Mount { kind: String, why: String },
    #[error("{0}")]
    Tmpfs(String),
    #[error("Duplicate mount point: {0}")]
    Duplicate(String),
    #[error("volumes-from specification cannot be an empty string")]
    NoVolumesFrom,
}

/// Nobody could ever put anything there.
const READ_ONLY_NOBODY: &str = "must not set ReadOnly mode when using anonymous volumes";

fn not_root(destination: &str) -> Result<(), String> {
    if clean(destination) == "/" && !destination.is_empty() {
        return Err("invalid specification: destination can't be '/'".into());
    }
    Ok(())
}

fn absolute(path: &str) -> Result<(), String> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(format!("invalid mount path: '{path}' mount path must be absolute"))
}

/// What moby warns of before it looks at the mounts.
pub fn warnings(host: &HostConfig) -> Vec<String> {
    let images = host.mounts.iter().flatten().filter(|mount| mount.typ == Some(MountTypeEnum::IMAGE));
    images.map(|_| "Image mount is an experimental feature".to_owned()).collect()
}

/// Checks `--mount` alone.
pub fn check(host: &HostConfig) -> Result<(), MountsError> {
    host.mounts.iter().flatten().try_for_each(|mount| spec::parse(mount).map(drop))
}

/// Everything but `--volumes-from`, which comes first and is given as `inherited`.
pub fn resolve(
    config: &ContainerConfig,
    host: &HostConfig,
    inherited: Vec<MountPoint>,
) -> Result<Vec<MountPoint>, MountsError> {
    let mut points: Vec<MountPoint> = Vec::new();
    for spec in host.binds.iter().flatten() {
        let mut point = bind::parse(spec)?;
        if point.kind == Kind::Volume
            && let Some(driver) = given(host.volume_driver.as_ref())
        {
            point.driver = driver;
        }
        if host.tmpfs.as_ref().is_some_and(|tmpfs| tmpfs.contains_key(&point.destination)) {
            return Err(MountsError::Duplicate(point.destination));
        }
        add_unique(&mut points, point)?;
    }
    for mount in host.mounts.iter().flatten() {
        add_unique(&mut points, spec::parse(mount)?)?;
    }
    for (destination, options) in sorted(host.tmpfs.as_ref()) {
        let point = tmpfs::parse(destination, options)?;
        points.retain(|own| own.destination != point.destination);
        points.push(point);
    }
    for point in inherited {
        if points.iter().all(|own| own.destination != point.destination) {
            points.push(point);
        }
    }
    for destination in config.volumes.iter().flatten().map(|(destination, _)| destination) {
        let destination = cleaned(destination);
        if points.iter().all(|own| own.destination != destination) {
            let mut point = anonymous(&destination);
            if let Some(driver) = given(host.volume_driver.as_ref()) {
                point.driver = driver;
            }
            points.push(point);
        }
    }
    // A mount below another comes after it.
    points.sort_by_key(|point| point.destination.matches('/').count());
    Ok(points)
}

fn given(text: Option<&String>) -> Option<String> {
    text.filter(|text| !text.is_empty()).cloned()
}

fn add_unique(points: &mut Vec<MountPoint>, point: MountPoint) -> Result<(), MountsError> {
    if points.iter().any(|own| own.destination == point.destination) {
        return Err(MountsError::Duplicate(point.destination));
    }
    points.push(point);
    Ok(())
}

fn sorted(map: Option<&HashMap<String, String>>) -> BTreeMap<&str, &str> {
    map.into_iter().flatten().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

pub fn anonymous(destination: &str) -> MountPoint {
    MountPoint {
        kind: Kind::Volume,
        destination: destination.to_owned(),
        writable: true,
        anonymous: true,
        driver: "local".into(),
        ..MountPoint::default()
    }
}

/// A place that may be relative: the CLI takes `-v m` for one.
fn cleaned(path: &str) -> String {
    let whole = clean(path);
    if path.starts_with('/') { whole } else { whole.trim_start_matches('/').to_owned() }
}

/// The path without `.`, `..` and doubled slashes, as Go's `filepath.Clean` makes it.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_read_as_docker_reads_them() {
        let bind = bind::parse("/a/b:/c:ro").expect("a bind");
        assert_eq!((bind.kind, bind.writable, bind.source.as_str()), (Kind::Bind, false, "/a/b"));
        let named = bind::parse("data:/var//lib/").expect("a volume");
        assert_eq!(
            (named.kind, named.name.as_str(), named.destination.as_str()),
            (Kind::Volume, "data", "/var/lib")
        );
        let nobody = bind::parse("/data").expect("an anonymous volume");
        assert!(nobody.anonymous && nobody.name.is_empty());
        for bad in ["a:b:c:d", ":/x", "a:relative", "/x:/y:sideways", "/x:/", "/x:rw"] {
            assert!(bind::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn image_volumes_yield_to_what_the_user_mounts() {
        let config = ContainerConfig {
            volumes: Some(BTreeMap::from([
                ("/data".into(), Default::default()),
                ("/logs".into(), Default::default()),
            ])),
            ..ContainerConfig::default()
        };
        let host = HostConfig { binds: Some(vec!["/host:/data".into()]), ..HostConfig::default() };
        let points = resolve(&config, &host, Vec::new()).expect("mount points");
        let kinds: Vec<_> = points.iter().map(|point| (point.destination.as_str(), point.kind)).collect();
        assert_eq!(kinds, [("/data", Kind::Bind), ("/logs", Kind::Volume)]);
    }
}
