//! Secrets and configs of a task, as files on a tmpfs of its own: nothing of them reaches a disk, and all of it goes with the task.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use drydock_swarm::agent::Assets;
use drydock_swarm::objects::{Task, TaskSpecContainerSpec};
use nix::mount::{MsFlags, mount};

use crate::volume::device::{is_mounted, unmount};

/// Where secrets without a path of their own are.
const SECRETS: &str = "/run/secrets";

/// A file, and where the container sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    pub source: PathBuf,
    pub target: String,
}

#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    #[error("{kind} reference {name} not found")]
    Missing { kind: &'static str, name: String },
    #[error("{kind} {name} has no readable data")]
    Data { kind: &'static str, name: String },
    #[error("keep the secrets of a task in {path}")]
    Keep { path: PathBuf, source: io::Error },
}

struct Wanted {
    kind: &'static str,
    id: String,
    name: String,
    target: String,
    owner: (u32, u32),
    mode: u32,
}

/// The folder of a task's files.
pub fn folder(exec_root: &Path, task: &Task) -> PathBuf {
    exec_root.join("swarm").join(task.id.as_str())
}

/// Puts the task's files where they are to be; those that are there stay.
pub fn place(folder: &Path, task: &Task, assets: &Assets) -> Result<Vec<Placed>, AssetError> {
    let Some(spec) = &task.spec.container_spec else { return Ok(Vec::new()) };
    let wanted = wanted(spec);
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let kept = |source| AssetError::Keep { path: folder.to_owned(), source };
    // A folder alone may be what a failure or a restart of the machine left: it is on a disk.
    if !is_mounted(folder) {
        fs::create_dir_all(folder).map_err(kept)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some("mode=0700"))
            .map_err(|errno| kept(errno.into()))?;
    }
    wanted
        .into_iter()
        .map(|one| {
            let source = folder.join(&one.id);
            let data = data(&one, assets)?;
            write(&source, &data, &one).map_err(kept)?;
            Ok(Placed { source, target: one.target })
        })
        .collect()
}

/// Takes the task's files away.
pub fn clear(folder: &Path) {
    if !folder.exists() {
        return;
    }
    if let Err(error) = unmount(folder).and_then(|()| fs::remove_dir_all(folder)) {
        tracing::error!(path = %folder.display(), %error, "a task's secrets stay");
    }
}

fn write(path: &Path, data: &[u8], one: &Wanted) -> io::Result<()> {
    fs::write(path, data)?;
    std::os::unix::fs::chown(path, Some(one.owner.0), Some(one.owner.1))?;
    fs::set_permissions(path, fs::Permissions::from_mode(one.mode))
}

fn data(one: &Wanted, assets: &Assets) -> Result<Vec<u8>, AssetError> {
    let missing = || AssetError::Missing { kind: one.kind, name: one.name.clone() };
    let text = match one.kind {
        "secret" => assets.secret(&one.id).ok_or_else(missing)?.spec.data.clone(),
        _ => assets.config(&one.id).ok_or_else(missing)?.spec.data.clone(),
    };
    let text = text.unwrap_or_default();
    let engines = [base64::engine::general_purpose::STANDARD, base64::engine::general_purpose::URL_SAFE];
    let read = engines.iter().find_map(|engine| engine.decode(&text).ok());
    read.ok_or_else(|| AssetError::Data { kind: one.kind, name: one.name.clone() })
}

fn wanted(spec: &TaskSpecContainerSpec) -> Vec<Wanted> {
    let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0);
    let secrets = spec.secrets.iter().flatten().filter_map(|secret| {
        let file = secret.file.as_ref()?;
        let name = secret.secret_name.clone().unwrap_or_default();
        let target = file.name.clone().unwrap_or_else(|| name.clone());
        let target = if target.starts_with('/') { target } else { format!("{SECRETS}/{target}") };
        Some(Wanted {
            kind: "secret",
            id: secret.secret_id.clone()?,
            name,
            target,
            owner: (number(&file.uid), number(&file.gid)),
            mode: file.mode.unwrap_or(0o444),
        })
    });
    let configs = spec.configs.iter().flatten().filter_map(|config| {
        let file = config.file.as_ref()?;
        let name = config.config_name.clone().unwrap_or_default();
        let target = file.name.clone().unwrap_or_else(|| name.clone());
        let target = if target.starts_with('/') { target } else { format!("/{target}") };
        Some(Wanted {
            kind: "config",
            id: config.config_id.clone()?,
            name,
            target,
            owner: (number(&file.uid), number(&file.gid)),
            mode: file.mode.unwrap_or(0o444),
        })
    });
    secrets.chain(configs).collect()
}
