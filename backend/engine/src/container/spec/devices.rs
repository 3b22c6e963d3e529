//! `--device` and the nodes of a privileged container.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use bollard_stubs::models::HostConfig;
use oci_spec::runtime::{LinuxDevice, LinuxDeviceBuilder, LinuxDeviceType};

#[derive(Debug, thiserror::Error)]
#[error("error gathering device information while adding custom device \"{path}\": {why}")]
pub struct DeviceError {
    path: String,
    why: String,
}

/// Nodes beside the standard ones, which the runtime makes by itself.
pub fn devices(config: &HostConfig) -> Result<Vec<LinuxDevice>, DeviceError> {
    let mut devices = Vec::new();
    if config.privileged.unwrap_or(false) {
        host_nodes(Path::new("/dev"), &mut devices);
    }
    for mapping in config.devices.iter().flatten() {
        let on_host = mapping.path_on_host.clone().unwrap_or_default();
        let inside =
            mapping.path_in_container.clone().filter(|path| !path.is_empty()).unwrap_or(on_host.clone());
        for device in mapped(Path::new(&on_host), Path::new(&inside))? {
            devices.retain(|other: &LinuxDevice| other.path() != device.path());
            devices.push(device);
        }
    }
    Ok(devices)
}

/// The node that is meant, or all nodes of a folder, under the same names.
fn mapped(on_host: &Path, inside: &Path) -> Result<Vec<LinuxDevice>, DeviceError> {
    if let Some(device) = device(on_host, inside.to_owned()) {
        return Ok(vec![device]);
    }
    let mut found = Vec::new();
    host_nodes(on_host, &mut found);
    for device in &mut found {
        if let Ok(name) = device.path().strip_prefix(on_host).map(Path::to_owned) {
            device.set_path(inside.join(name));
        }
    }
    if found.is_empty() {
        let why = if on_host.exists() { "not a device node" } else { "no such file or directory" };
        return Err(DeviceError { path: on_host.display().to_string(), why: why.to_owned() });
    }
    Ok(found)
}

/// Type, major and minor of a node.
pub fn number(path: &str) -> Option<(LinuxDeviceType, i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    let kind = match meta.file_type() {
        kind if kind.is_char_device() => LinuxDeviceType::C,
        kind if kind.is_block_device() => LinuxDeviceType::B,
        _ => return None,
    };
    let device = meta.rdev();
    Some((kind, rustix::fs::major(device).into(), rustix::fs::minor(device).into()))
}

fn device(on_host: &Path, inside: PathBuf) -> Option<LinuxDevice> {
    let (kind, major, minor) = number(on_host.to_str()?)?;
    let meta = fs::metadata(on_host).ok()?;
    LinuxDeviceBuilder::default()
        .path(inside)
        .typ(kind)
        .major(major)
        .minor(minor)
        .file_mode(meta.mode() & 0o777)
        .uid(meta.uid())
        .gid(meta.gid())
        .build()
        .ok()
}

/// The container gets its own of these.
const OWN: [&str; 12] =
    ["pts", "shm", "mqueue", "console", "fd", "stdin", "stdout", "stderr", "ptmx", "log", "core", "initctl"];
/// The runtime makes these by itself.
const STANDARD: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

fn host_nodes(directory: &Path, devices: &mut Vec<LinuxDevice>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let own = OWN.iter().chain(&STANDARD).any(|own| name == *own);
        let Ok(kind) = entry.file_type() else { continue };
        if own || kind.is_symlink() {
            continue;
        }
        let path = entry.path();
        if kind.is_dir() {
            host_nodes(&path, devices);
        } else if let Some(device) = device(&path, path.clone()) {
            devices.push(device);
        }
    }
}
