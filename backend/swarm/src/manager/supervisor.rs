//! Has a manager on this node while its certificate says so.
//!
//! A manager that fails, because its disk is full or its port taken, is started again from disk until it runs; the agent goes on
//! meanwhile, by other managers.

use std::fs;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use super::lead::Seed;
use super::node::Shared;
use super::office::{Manager, ManagerError, ManagerSettings};
use crate::ca::issue;
use crate::dispatcher::service::wait_for;
use crate::identity::files::FilesError;
use crate::identity::{Identity, Role, SealKey, UnlockKey, random};
use crate::objects::Object;
use crate::raft::node::Return;
use crate::raft::{FrameError, RaftId};

/// How long to wait before a manager is started again.
const RETRY: Duration = Duration::from_millis(500);

/// Why there is no manager where one should be.
#[derive(Debug, thiserror::Error)]
enum SuperviseError {
    #[error("failed to listen on remote API address")]
    Listen(#[source] io::Error),
    #[error("the manager's key file cannot be written")]
    Key(#[source] FilesError),
    #[error("the manager's settings cannot be written")]
    Settings(#[source] super::settings::SettingsError),
    #[error("the raft log cannot be sealed with another key")]
    Seal(#[source] FrameError),
    #[error("{0}")]
    Manager(#[source] Box<ManagerError>),
}

pub(super) async fn supervise(shared: Arc<Shared>, seed: Option<Seed>, force_new_cluster: bool) {
    let mut identity = shared.credentials.watch();
    let mut is_forced = force_new_cluster;
    let mut return_from = Return::Away;
    while !shared.end.is_cancelled() {
        if identity.borrow_and_update().subject.role == Role::Worker {
            wipe(&shared);
            tokio::select! {
                () = shared.end.cancelled() => return,
                changed = identity.changed() => if changed.is_err() { return },
            }
            continue;
        }
        match start(&shared, seed.clone(), is_forced, return_from).await {
            Ok(manager) => {
                is_forced = false;
                return_from = Return::Away;
                shared.trouble.send_replace(None);
                shared.manager.send_replace(Some(manager.clone()));
                while_manager(&shared, &manager, &mut identity).await;
                shared.manager.send_replace(None);
                if *manager.raft().failed().borrow() {
                    return_from = Return::BrokenDisk;
                }
                manager.stop().await;
            }
            Err(error) => {
                let words = crate::raft::chain(&error);
                // It may be so for hours: what is said once need not be said twice a second.
                let is_new = shared.trouble.send_replace(Some(words.clone())).as_ref() != Some(&words);
                if is_new {
                    tracing::warn!(error = words, "the manager did not start, and will be started again");
                }
                tokio::select! {
                    () = shared.end.cancelled() => return,
                    () = tokio::time::sleep(RETRY) => {}
                }
            }
        }
    }
}

/// Returns when there should be no manager any more, or another one.
async fn while_manager(shared: &Shared, manager: &Manager, identity: &mut watch::Receiver<Arc<Identity>>) {
    let mut failed = manager.raft().failed();
    tokio::select! {
        () = shared.end.cancelled() => {}
        () = async { _ = identity.wait_for(|identity| identity.subject.role == Role::Worker).await } => {}
        () = async { _ = failed.wait_for(|failed| *failed).await } => {
            shared.trouble.send_replace(Some("the raft log cannot be written".to_owned()));
            tracing::error!("the raft log cannot be written: the manager steps out until it can");
        }
        () = follow_lock(shared, manager) => {}
    }
}

async fn start(
    shared: &Shared,
    seed: Option<Seed>,
    force_new_cluster: bool,
    return_from: Return,
) -> Result<Arc<Manager>, SuperviseError> {
    let listen = shared.settings().listen_addr.clone();
    let listener = TcpListener::bind(&listen).await.map_err(SuperviseError::Listen)?;
    let port = listener.local_addr().map_err(SuperviseError::Listen)?.port();
    let raft_key = raft_key(shared)?;
    let next_raft_key = shared.keys().key.next_raft_key.clone();
    let folder = shared.data_root.join("swarm/raft");
    let raft_id = raft_id(shared, &folder)?;
    let settings = ManagerSettings {
        folder,
        raft_key,
        next_raft_key: next_raft_key.clone(),
        raft_id,
        listener,
        advertise: advertised(shared, port),
        pool: shared.pool.clone(),
        remotes: shared.remotes.clone(),
        seed,
        force_new_cluster,
        return_from,
    };
    let manager = Manager::start(settings).await.map_err(|error| SuperviseError::Manager(Box::new(error)))?;
    if let Some(key) = next_raft_key {
        settle_raft_key(shared, key).map_err(SuperviseError::Key)?;
    }
    Ok(manager)
}

/// Everything is sealed with `key`: the one before it is forgotten.
fn settle_raft_key(shared: &Shared, key: SealKey) -> Result<(), FilesError> {
    shared.rewrite_key(|keys| {
        keys.key.raft_key = Some(key);
        keys.key.next_raft_key = None;
    })
}

/// Port 0 is for the kernel to choose: what it chose is advertised.
fn advertised(shared: &Shared, port: u16) -> String {
    let settings = shared.settings();
    match settings.advertise_addr.rsplit_once(':') {
        Some((host, "0")) => format!("{host}:{port}"),
        _ => settings.advertise_addr.clone(),
    }
}

/// The key of the raft log; made with the first manager on this node.
fn raft_key(shared: &Shared) -> Result<SealKey, SuperviseError> {
    if let Some(key) = shared.keys().key.raft_key.clone() {
        return Ok(key);
    }
    let key = SealKey::generate();
    shared.rewrite_key(|keys| keys.key.raft_key = Some(key.clone())).map_err(SuperviseError::Key)?;
    Ok(key)
}

/// The number of this member: the one it has on disk, or a new one for who begins or comes back without a log.
fn raft_id(shared: &Shared, folder: &std::path::Path) -> Result<RaftId, SuperviseError> {
    let mut settings = shared.settings();
    if settings.raft_id == 0 || !folder.join("log-v1-encrypted").exists() {
        let mut bytes = [0; 8];
        random(&mut bytes);
        settings.raft_id = u64::from_le_bytes(bytes) | 1;
        settings.save(&shared.data_root).map_err(SuperviseError::Settings)?;
    }
    Ok(settings.raft_id)
}

/// A worker keeps nothing of the cluster's log.
fn wipe(shared: &Shared) {
    match fs::remove_dir_all(shared.data_root.join("swarm/raft")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, "a former manager still has the raft log");
        }
        _ => {}
    }
    if shared.keys().key.raft_key.is_some() {
        let unlocked = shared.rewrite_key(|keys| {
            keys.key.raft_key = None;
            keys.key.next_raft_key = None;
            keys.unlock = None;
        });
        if let Err(error) = unlocked {
            tracing::warn!(%error, "a former manager still has the key of the raft log");
        }
    }
}

/// Keeps the key file locked with the key that the cluster has, each time that changes.
async fn follow_lock(shared: &Shared, manager: &Manager) {
    let mut watch = manager.raft().replica().watch();
    loop {
        if let Ok(wanted) = manager.raft().replica().view(issue::unlock_key) {
            let unlock: Option<UnlockKey> = wanted.key.as_deref().and_then(|key| key.parse().ok());
            if !is_locked_with(shared, unlock.as_ref()) {
                match lock(shared, manager, unlock, wanted.version) {
                    Ok(()) => tracing::info!("the manager's key file is locked as the cluster wants it"),
                    Err(error) => {
                        let error = crate::raft::chain(&error);
                        tracing::warn!(error, "the manager's keys are not locked as the cluster wants it");
                    }
                }
            }
        }
        wait_for(&mut watch, |object| matches!(object, Object::Cluster(_))).await;
    }
}

fn is_locked_with(shared: &Shared, unlock: Option<&UnlockKey>) -> bool {
    match (&shared.keys().unlock, unlock) {
        (None, None) => true,
        (Some(had), Some(wanted)) => had.matches(wanted),
        _ => false,
    }
}

/// Writes the key file anew. A raft key that lay open until now is worth nothing once there is a lock: somebody may have a copy
/// of it. What is sealed with it is sealed with another one; after a crash in between, the next start goes on from the file.
///
/// Waits for the disk without awaiting: a manager that is stopped in the middle must not leave its log being rewritten under the next.
fn lock(
    shared: &Shared,
    manager: &Manager,
    unlock: Option<UnlockKey>,
    version: u64,
) -> Result<(), SuperviseError> {
    let (lay_open, unfinished) = {
        let keys = shared.keys();
        (keys.unlock.is_none(), keys.key.next_raft_key.clone())
    };
    if let Some(key) = unfinished {
        reseal(shared, manager, key)?;
    }
    let next = (lay_open && unlock.is_some()).then(SealKey::generate);
    shared
        .rewrite_key(|keys| {
            keys.unlock = unlock;
            keys.key.kek_version = version;
            keys.key.next_raft_key = next.clone();
        })
        .map_err(SuperviseError::Key)?;
    match next {
        Some(key) => reseal(shared, manager, key),
        None => Ok(()),
    }
}

/// Seals log and snapshot with a key that the key file names as the next one.
fn reseal(shared: &Shared, manager: &Manager, key: SealKey) -> Result<(), SuperviseError> {
    manager.raft().rekey(key.clone()).map_err(SuperviseError::Seal)?;
    settle_raft_key(shared, key).map_err(SuperviseError::Key)
}
