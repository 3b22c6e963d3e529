//! What `-v`, `--mount`, `--tmpfs`, `--volumes-from` and the image's `VOLUME` mean together: one list of mount points.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{HostConfig, Mount, MountTypeEnum};
use serde::{Deserialize, Serialize};

use crate::wire::ContainerConfig;

/// One place in the container's file system where something else is mounted. Stored in its record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountPoint {
    pub kind: Kind,
    /// Volume name; empty for binds.
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
    /// Path inside the volume.
    #[serde(default)]
    pub subpath: String,
    /// tmpfs options.
    #[serde(default)]
    pub options: Vec<String>,
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
}

impl Kind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountsError {
    #[error("invalid volume specification: '{0}'")]
    Spec(String),
    #[error("invalid volume specification: '{spec}': invalid mount config for type \"{kind}\": {why}")]
    BadSpec { spec: String, kind: &'static str, why: String },
    #[error("invalid mount config for type \"{kind}\": {why}")]
    Mount { kind: &'static str, why: String },
    #[error("Duplicate mount point: {0}")]
    Duplicate(String),
    #[error("mount type unknown: {0}")]
    Type(String),
}

/// Everything but `--volumes-from`, which comes first and is given as `inherited`.
pub fn resolve(
    config: &ContainerConfig,
    host: &HostConfig,
    inherited: Vec<MountPoint>,
) -> Result<Vec<MountPoint>, MountsError> {
    let mut points: Vec<MountPoint> = Vec::new();
    for spec in host.binds.iter().flatten() {
        add_unique(&mut points, parse_bind(spec)?)?;
    }
    for mount in host.mounts.iter().flatten() {
        add_unique(&mut points, from_mount(mount)?)?;
    }
    for (destination, options) in sorted(host.tmpfs.as_ref()) {
        add_unique(&mut points, tmpfs(destination, options)?)?;
    }
    for point in inherited {
        if points.iter().all(|own| own.destination != point.destination) {
            points.push(point);
        }
    }
    for destination in config.volumes.iter().flatten().map(|(destination, _)| destination) {
        if !destination.starts_with('/') {
            return Err(MountsError::Spec(destination.clone()));
        }
        let destination = clean(destination);
        if points.iter().all(|own| own.destination != destination) {
            points.push(anonymous(&destination));
        }
    }
    // A mount below another comes after it.
    points.sort_by_key(|point| point.destination.matches('/').count());
    Ok(points)
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

/// `/host:/container[:options]`, `name:/container[:options]` or `/container`.
pub fn parse_bind(spec: &str) -> Result<MountPoint, MountsError> {
    let bad = || MountsError::Spec(spec.to_owned());
    let parts: Vec<&str> = spec.split(':').collect();
    let (source, destination, mode) = match parts.as_slice() {
        [destination] => ("", *destination, ""),
        [source, destination] => (*source, *destination, ""),
        [source, destination, mode] => (*source, *destination, *mode),
        _ => return Err(bad()),
    };
    if destination.is_empty() || (parts.len() > 1 && source.is_empty()) {
        return Err(bad());
    }
    let kind = if source.starts_with('/') { Kind::Bind } else { Kind::Volume };
    let why =
        |why: &str| MountsError::BadSpec { spec: spec.to_owned(), kind: kind.as_str(), why: why.to_owned() };
    if !destination.starts_with('/') {
        return Err(why(&format!("invalid mount path: '{destination}' mount path must be absolute")));
    }
    let destination = clean(destination);
    if destination == "/" {
        return Err(MountsError::BadSpec {
            spec: spec.to_owned(),
            kind: kind.as_str(),
            why: "destination can't be '/'".into(),
        });
    }
    let mut point =
        MountPoint { kind, destination, writable: true, mode: mode.to_owned(), ..MountPoint::default() };
    match kind {
        Kind::Bind => {
            point.source = clean(source);
            point.create_source = true;
            point.propagation = "rprivate".into();
        }
        _ => {
            point.name = source.to_owned();
            point.anonymous = source.is_empty();
            point.driver = "local".into();
            if mode.is_empty() && !point.anonymous {
                // What moby writes for a named volume without options.
                point.mode = "z".into();
            }
        }
    }
    for word in mode.split(',').filter(|word| !word.is_empty()) {
        match word {
            "ro" => point.writable = false,
            "rw" | "z" | "Z" | "cached" | "delegated" | "consistent" | "default" => {}
            "nocopy" if kind == Kind::Volume => point.no_copy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" if kind == Kind::Bind => {
                point.propagation = word.to_owned();
            }
            _ => return Err(MountsError::Spec(format!("{spec}': invalid mode: {mode}").replace("''", "'"))),
        }
    }
    Ok(point)
}

fn from_mount(mount: &Mount) -> Result<MountPoint, MountsError> {
    let kind = match mount.typ {
        Some(MountTypeEnum::BIND) => Kind::Bind,
        Some(MountTypeEnum::VOLUME) => Kind::Volume,
        Some(MountTypeEnum::TMPFS) => Kind::Tmpfs,
        other => return Err(MountsError::Type(other.map(|kind| kind.to_string()).unwrap_or_default())),
    };
    let bad = |why: String| MountsError::Mount { kind: kind.as_str(), why };
    let target = mount.target.as_deref().unwrap_or_default();
    if target.is_empty() {
        return Err(bad("field Target must not be empty".into()));
    }
    if !target.starts_with('/') {
        return Err(bad(format!("invalid mount path: '{target}' mount path must be absolute")));
    }
    let source = mount.source.clone().unwrap_or_default();
    let mut point = MountPoint {
        kind,
        destination: clean(target),
        writable: !mount.read_only.unwrap_or(false),
        ..MountPoint::default()
    };
    match kind {
        Kind::Bind => bind_options(&mut point, mount, &source)?,
        Kind::Volume => volume_options(&mut point, mount, source),
        Kind::Tmpfs => tmpfs_options(&mut point, mount),
    }
    Ok(point)
}

fn bind_options(point: &mut MountPoint, mount: &Mount, source: &str) -> Result<(), MountsError> {
    let bad = |why: &str| MountsError::Mount { kind: "bind", why: why.to_owned() };
    if source.is_empty() {
        return Err(bad("field Source must not be empty"));
    }
    if !source.starts_with('/') {
        return Err(bad(&format!("invalid mount path: '{source}' mount path must be absolute")));
    }
    point.source = clean(source);
    let options = mount.bind_options.clone().unwrap_or_default();
    point.create_source = options.create_mountpoint.unwrap_or(false);
    point.non_recursive = options.non_recursive.unwrap_or(false);
    point.propagation = options
        .propagation
        .map(|word| word.to_string())
        .filter(|word| !word.is_empty())
        .unwrap_or("rprivate".into());
    if !point.create_source && std::fs::symlink_metadata(&point.source).is_err() {
        return Err(bad(&format!("bind source path does not exist: {}", point.source)));
    }
    Ok(())
}

fn volume_options(point: &mut MountPoint, mount: &Mount, source: String) {
    point.anonymous = source.is_empty();
    point.name = source;
    point.mode = if point.anonymous { String::new() } else { "z".into() };
    let options = mount.volume_options.clone().unwrap_or_default();
    point.no_copy = options.no_copy.unwrap_or(false);
    point.subpath = options.subpath.unwrap_or_default();
    point.labels = options.labels.into_iter().flatten().collect();
    let driver = options.driver_config.unwrap_or_default();
    point.driver = driver.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "local".into());
    point.driver_options = driver.options.into_iter().flatten().collect();
}

fn tmpfs_options(point: &mut MountPoint, mount: &Mount) {
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    if let Some(size) = options.size_bytes.filter(|size| *size > 0) {
        point.options.push(format!("size={size}"));
    }
    if let Some(mode) = options.mode {
        point.options.push(format!("mode={mode:o}"));
    }
}

fn tmpfs(destination: &str, options: &str) -> Result<MountPoint, MountsError> {
    if !destination.starts_with('/') {
        return Err(MountsError::Mount {
            kind: "tmpfs",
            why: format!("invalid mount path: '{destination}' mount path must be absolute"),
        });
    }
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
        let bind = parse_bind("/a/b:/c:ro").expect("a bind");
        assert_eq!((bind.kind, bind.writable, bind.source.as_str()), (Kind::Bind, false, "/a/b"));
        let named = parse_bind("data:/var//lib/").expect("a volume");
        assert_eq!(
            (named.kind, named.name.as_str(), named.destination.as_str()),
            (Kind::Volume, "data", "/var/lib")
        );
        let nobody = parse_bind("/data").expect("an anonymous volume");
        assert!(nobody.anonymous && nobody.name.is_empty());
        for bad in ["a:b:c:d", ":/x", "a:relative", "/x:/y:sideways", "/x:/"] {
            assert!(parse_bind(bad).is_err(), "{bad}");
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
