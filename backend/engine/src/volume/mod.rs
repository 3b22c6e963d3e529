//! Named and anonymous volumes of the `local` driver.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::container::record::now;
use crate::error::ApiError;
use crate::events::Events;
use crate::id::Id;

pub mod device;
mod seed;

pub use seed::{SeedError, seed};

/// Docker marks volumes nobody named; `volume prune` removes only these unless told otherwise.
pub const ANONYMOUS: &str = "com.docker.volume.anonymous";
/// What makes a folder a volume.
const RECORD: &str = "volume.json";
/// The record of one that is being removed.
const GONE: &str = "volume.gone";

/// One volume; its record is `DATA_ROOT/volumes/<name>/volume.json`, its files are in `_data`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Volume {
    pub created_at: String,
    pub driver: String,
    pub labels: Option<BTreeMap<String, String>>,
    pub mountpoint: PathBuf,
    pub name: String,
    pub options: Option<BTreeMap<String, String>>,
    pub scope: String,
}

/// All volumes, below `DATA_ROOT/volumes`.
#[derive(Debug)]
pub struct Volumes {
    root: PathBuf,
    all: Mutex<HashMap<String, Volume>>,
    events: Events,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open {path}")]
    Directory { path: PathBuf, source: io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    #[error("get {0}: no such volume")]
    NotFound(String),
    #[error(
        "create {0}: \"{0}\" includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )]
    Name(String),
    #[error("create {0}: volume name is too short, names should be at least two alphanumeric characters")]
    ShortName(String),
    #[error("create {name}: missing required option: \"{option}\"")]
    MissingOption { name: String, option: &'static str },
    #[error("create {name}: invalid size: '{size}'")]
    Size { name: String, size: String },
    #[error("create {0}: quota size requested but no quota support")]
    NoQuota(String),
    #[error("create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found")]
    Driver { name: String, driver: String },
    #[error("create {name}: invalid option: \"{option}\"")]
    Option { name: String, option: String },
    #[error("create {name}")]
    Create { name: String, source: io::Error },
    #[error("remove {name}")]
    Remove { name: String, source: io::Error },
    #[error("remove {name}: volume is in use - [{users}]")]
    InUse { name: String, users: String },
    #[error(
        "error while mounting volume '{target}': failed to mount local volume: mount {device}:{target}{how}"
    )]
    Mount { device: String, target: PathBuf, how: String, source: io::Error },
}

impl From<VolumeError> for ApiError {
    fn from(error: VolumeError) -> Self {
        use http::StatusCode;
        let status = match &error {
            VolumeError::NotFound(_) | VolumeError::Driver { .. } => StatusCode::NOT_FOUND,
            VolumeError::Name(_)
            | VolumeError::ShortName(_)
            | VolumeError::Option { .. }
            | VolumeError::MissingOption { .. }
            | VolumeError::Size { .. }
            | VolumeError::NoQuota(_) => StatusCode::BAD_REQUEST,
            VolumeError::InUse { .. } => StatusCode::CONFLICT,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

/// What `docker volume create` asks.
#[derive(Clone, Debug, Default)]
pub struct NewVolume {
    pub name: Option<String>,
    pub driver: Option<String>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

impl Volumes {
    pub fn open(config: &Config, events: Events) -> Result<Self, OpenError> {
        let root = config.data_root.join("volumes");
        let at = |source| OpenError::Directory { path: root.clone(), source };
        std::fs::create_dir_all(&root).and_then(|()| shut(&root)).map_err(at)?;
        let mut all = HashMap::new();
        for entry in std::fs::read_dir(&root).map_err(at)? {
            let directory = entry.map_err(at)?.path();
            let file = directory.join(RECORD);
            let Ok(bytes) = std::fs::read(&file) else {
                if directory.is_dir() {
                    clear_half(&directory);
                }
                continue;
            };
            match serde_json::from_slice::<Volume>(&bytes) {
                Ok(volume) => drop(all.insert(volume.name.clone(), volume)),
                Err(error) => tracing::error!(path = %file.display(), %error, "volume record"),
            }
        }
        Ok(Self { root, all: Mutex::new(all), events })
    }

    pub fn get(&self, name: &str) -> Result<Volume, VolumeError> {
        self.lock().get(name).cloned().ok_or_else(|| VolumeError::NotFound(name.to_owned()))
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Volume> {
        let mut all: Vec<_> = self.lock().values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Makes a volume, or answers the one of that name.
    pub fn create(&self, wanted: NewVolume) -> Result<Volume, VolumeError> {
        let anonymous = wanted.name.as_deref().unwrap_or_default().is_empty();
        let name = wanted.name.filter(|name| !name.is_empty()).unwrap_or_else(|| Id::random().to_string());
        check_driver(&name, wanted.driver.as_deref())?;
        check_name(&name)?;
        let mut all = self.lock();
        // As in moby, what is asked of a volume that is there already is not looked at.
        if let Some(volume) = all.get(&name) {
            return Ok(volume.clone());
        }
        check_options(&name, &wanted.options)?;
        let mut labels = wanted.labels;
        if anonymous {
            labels.insert(ANONYMOUS.into(), String::new());
        }
        let directory = self.root.join(&name);
        let volume = Volume {
            created_at: now(),
            driver: "local".into(),
            labels: (!labels.is_empty()).then_some(labels),
            mountpoint: directory.join("_data"),
            name: name.clone(),
            options: (!wanted.options.is_empty()).then_some(wanted.options),
            scope: "local".into(),
        };
        write(&directory, &volume).map_err(|source| VolumeError::Create { name: name.clone(), source })?;
        all.insert(name.clone(), volume.clone());
        drop(all);
        self.publish("create", &volume);
        Ok(volume)
    }

    /// Removes a volume and its files. Whether someone uses it is the caller's to know.
    pub fn remove(&self, name: &str) -> Result<(), VolumeError> {
        let volume = self.get(name)?;
        // What is still mounted belongs to somebody else, and must not go with the volume.
        device::unmount(&volume.mountpoint)
            .map_err(|source| VolumeError::Remove { name: name.to_owned(), source })?;
        erase(&self.root.join(name))
            .map_err(|source| VolumeError::Remove { name: name.to_owned(), source })?;
        self.lock().remove(name);
        self.publish("destroy", &volume);
        Ok(())
    }

    /// Readies a volume for use: one with `--opt device=…` is mounted, unless it is already.
    pub fn mount(&self, name: &str) -> Result<PathBuf, VolumeError> {
        let volume = self.get(name)?;
        let options = volume.options.clone().unwrap_or_default();
        if let Some(device) = options.get("device").filter(|_| !device::is_mounted(&volume.mountpoint)) {
            device::mount(&volume.mountpoint, device, &options)?;
        }
        Ok(volume.mountpoint)
    }

    /// Takes a device away again when the last container that used it has ended.
    pub fn unmount(&self, name: &str) {
        let Ok(volume) = self.get(name) else { return };
        if volume.options.is_some_and(|options| options.contains_key("device"))
            && let Err(error) = device::unmount(&volume.mountpoint)
        {
            tracing::error!(volume.name = name, %error, "a volume's device stays mounted");
        }
    }

    pub fn note_use(&self, action: &str, name: &str, container: &Id, destination: &str) {
        let mut attributes = BTreeMap::from([("driver".to_owned(), "local".to_owned())]);
        attributes.insert("container".into(), container.to_string());
        if action == "mount" {
            attributes.insert("destination".into(), destination.to_owned());
            attributes.insert("propagation".into(), String::new());
            attributes.insert("read/write".into(), "true".into());
        }
        self.events.publish("volume", action, name, attributes);
    }

    fn publish(&self, action: &str, volume: &Volume) {
        let attributes = BTreeMap::from([("driver".to_owned(), volume.driver.clone())]);
        self.events.publish("volume", action, &volume.name, attributes);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Volume>> {
        self.all.lock().expect("no holder of the volumes panics")
    }
}

/// For the names in it one has to know: containers reach their own volume through mounts.
fn shut(directory: &Path) -> io::Result<()> {
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o701))
}

fn write(directory: &Path, volume: &Volume) -> io::Result<()> {
    std::fs::create_dir_all(directory.join("_data"))?;
    shut(directory)?;
    let fresh = directory.join("volume.tmp");
    std::fs::write(&fresh, serde_json::to_vec(volume)?)?;
    std::fs::rename(fresh, directory.join(RECORD))
}

/// Deletes a volume's files: from the first step on it is none, and an engine that starts then goes on.
fn erase(directory: &Path) -> io::Result<()> {
    let missing_is_fine = |result: io::Result<()>| match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    missing_is_fine(std::fs::rename(directory.join(RECORD), directory.join(GONE)))?;
    missing_is_fine(std::fs::remove_dir_all(directory.join("_data")))?;
    missing_is_fine(std::fs::remove_dir_all(directory))
}

/// A folder without a record is what an engine left that was killed while it made or removed a volume. What
/// somebody else put there stays: only files of removed volumes are deleted.
fn clear_half(directory: &Path) {
    let cleared = if directory.join(GONE).exists() {
        erase(directory)
    } else {
        let _ = std::fs::remove_file(directory.join("volume.tmp"));
        let _ = std::fs::remove_dir(directory.join("_data"));
        std::fs::remove_dir(directory)
    };
    if let Err(error) = cleared {
        tracing::warn!(path = %directory.display(), %error, "a folder among the volumes is none");
    }
}

fn check_name(name: &str) -> Result<(), VolumeError> {
    if name.len() == 1 {
        return Err(VolumeError::ShortName(name.to_owned()));
    }
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    if first && rest { Ok(()) } else { Err(VolumeError::Name(name.to_owned())) }
}

fn check_driver(name: &str, driver: Option<&str>) -> Result<(), VolumeError> {
    match driver.unwrap_or_default() {
        "" | "local" => Ok(()),
        driver => Err(VolumeError::Driver { name: name.to_owned(), driver: driver.to_owned() }),
    }
}

fn check_options(name: &str, options: &BTreeMap<String, String>) -> Result<(), VolumeError> {
    let name = || name.to_owned();
    if let Some(option) = options.keys().find(|key| !matches!(key.as_str(), "type" | "device" | "o" | "size"))
    {
        return Err(VolumeError::Option { name: name(), option: option.clone() });
    }
    if let Some(text) = options.get("size") {
        match crate::golang::units::ram_in_bytes(text) {
            Err(_) => return Err(VolumeError::Size { name: name(), size: text.clone() }),
            Ok(size) if size > 0 => return Err(VolumeError::NoQuota(name())),
            Ok(_) => {}
        }
    }
    let needs = [("o", "device"), ("o", "type"), ("type", "device"), ("device", "type")];
    match needs.iter().find(|(option, other)| options.contains_key(*option) && !options.contains_key(*other))
    {
        Some((_, option)) => Err(VolumeError::MissingOption { name: name(), option }),
        None => Ok(()),
    }
}

/// Bytes of all files below `path`; what cannot be read counts nothing.
pub fn size(path: &Path) -> u64 {
    let mut total = 0;
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        match entry.metadata() {
            Ok(meta) if meta.is_dir() => total += size(&entry.path()),
            Ok(meta) => total += meta.len(),
            Err(_) => {}
        }
    }
    total
}
