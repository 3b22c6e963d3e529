//! Plain containers on attachable networks of the swarm.
//!
//! A container that is about to start asks a manager for its place ([`attach`]): the answer comes as a task of this node,
//! with addresses. The container's record says which tasks are its places; the task ends when it no longer does, which
//! is when the container has ended, and the manager has the address back.

use std::sync::Arc;
use std::time::Duration;

use bollard_stubs::models::{EndpointIpamConfig, EndpointSettings};
use drydock_swarm::Code;
use drydock_swarm::ask::AttachRequest;
use drydock_swarm::identity::new_id;
use drydock_swarm::manager::{ClusterError, LocalState};
use drydock_swarm::objects::{Task, TaskId};
use tokio::time::timeout;

use super::TASK_LABEL;
use crate::container::{Attachment, Container, Record, SaveError};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::network::Join;

/// How long a manager may take to give an address.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a container has no place on a network.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    #[error("Could not attach to network {network}: {source}")]
    Refused { network: String, source: ClusterError },
    #[error("Could not attach to network {0}: context deadline exceeded")]
    Late(String),
    #[error(transparent)]
    Save(#[from] SaveError),
}

impl From<AttachError> for ApiError {
    fn from(error: AttachError) -> Self {
        let status = match &error {
            AttachError::Refused { source, .. } => source.http(),
            AttachError::Late(_) | AttachError::Save(_) => 500,
        };
        let status = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
        Self::chain(status, &error)
    }
}

/// Gives a container that is about to start a place on each network of the swarm among those that it asks for.
pub async fn attach_all(engine: &Engine, container: &Container, join: &mut Join) -> Result<(), AttachError> {
    for network in join.networks.keys().cloned().collect::<Vec<_>>() {
        let asked = join.networks.get(&network).cloned().unwrap_or_default();
        if let Some((id, settings)) = attach(engine, container, &network, &asked).await? {
            join.networks.remove(&network);
            join.networks.insert(id, settings);
        }
    }
    Ok(())
}

/// The network's id, and the place on it; `None` for a network that is not the swarm's.
pub async fn attach(
    engine: &Engine,
    container: &Container,
    network: &str,
    asked: &EndpointSettings,
) -> Result<Option<(String, EndpointSettings)>, AttachError> {
    let Ok(swarm) = engine.swarm() else { return Ok(None) };
    let is_own = engine.networks.inspect(network).is_some_and(|known| known.scope == "local");
    if is_own || swarm.local_state() != LocalState::Active || is_task(&container.record()) {
        return Ok(None);
    }
    let chosen = asked.ipam_config.as_ref().and_then(|config| config.ipv4_address.clone());
    let own = Attachment { task: new_id(), is_given: chosen.is_none(), ..Attachment::default() };
    let task_id = TaskId::from(own.task.as_str());
    container.update(|record| record.attachments.push(own))?;
    let attached = ask(engine, container, &task_id, network, asked, chosen).await;
    match &attached {
        Ok(Some((id, _))) => container.update(|record| {
            let own = record.attachments.iter_mut().find(|own| own.task == task_id.as_str());
            own.into_iter().for_each(|own| id.clone_into(&mut own.network));
        })?,
        Ok(None) | Err(_) => {
            container.update(|record| record.attachments.retain(|own| own.task != task_id.as_str()))?;
            engine.fabric.note_detached();
        }
    }
    attached
}

async fn ask(
    engine: &Engine,
    container: &Container,
    task_id: &TaskId,
    network: &str,
    asked: &EndpointSettings,
    chosen: Option<String>,
) -> Result<Option<(String, EndpointSettings)>, AttachError> {
    let request = AttachRequest {
        task_id: task_id.clone(),
        network: network.to_owned(),
        container_id: container.id.to_string(),
        container_name: container.record().name.clone(),
        aliases: asked.aliases.clone().unwrap_or_default(),
        addresses: chosen.into_iter().collect(),
    };
    match engine.swarm().map_err(|source| refused(network, source))?.attach(request).await {
        Ok(_) => {}
        Err(ClusterError::Refused(status)) if matches!(status.code, Code::Absent | Code::NotFound) => {
            return Ok(None);
        }
        Err(source) => return Err(refused(network, source)),
    }
    match timeout(PATIENCE, arrival(engine, task_id)).await {
        Ok(Some(task)) => Ok(place(&task, asked)),
        Ok(None) | Err(_) => Err(AttachError::Late(network.to_owned())),
    }
}

fn refused(network: &str, source: ClusterError) -> AttachError {
    AttachError::Refused { network: network.to_owned(), source }
}

/// The container is no longer on the network with this id: its task ends.
pub fn detach(engine: &Engine, container: &Container, network: &str) {
    container.note(|record| record.attachments.retain(|own| own.network != network));
    engine.fabric.note_detached();
}

/// Whether a task is a container's place on a network still.
pub fn is_held(engine: &Engine, task: &Task) -> bool {
    let spec = task.spec.network_attachment_spec.as_ref();
    let id = spec.and_then(|spec| spec.container_id.as_deref()).unwrap_or_default();
    let Ok(container) = engine.containers.find(id) else { return false };
    let record = container.record();
    record.attachments.iter().any(|own| own.task == task.id.as_str())
}

/// Whether a container is a task of the swarm, which has its places already.
fn is_task(record: &Record) -> bool {
    record.config.labels.contains_key(TASK_LABEL)
}

/// The task, once this node has it with its addresses.
async fn arrival(engine: &Engine, id: &TaskId) -> Option<Arc<Task>> {
    let worker = engine.swarm().ok()?.worker()?;
    let mut news = worker.watch();
    loop {
        let arrived = worker.controllers().into_iter().find(|(task, _)| task.id == *id);
        if let Some((task, _)) = arrived {
            return Some(task);
        }
        news.changed().await.ok()?;
    }
}

fn place(task: &Task, asked: &EndpointSettings) -> Option<(String, EndpointSettings)> {
    let place = task.networks.first()?;
    let address = place.addresses.first()?.split('/').next()?.to_owned();
    let ipam = asked.ipam_config.clone().unwrap_or_default();
    let ipam_config = Some(EndpointIpamConfig { ipv4_address: Some(address), ..ipam });
    Some((place.network_id.to_string(), EndpointSettings { ipam_config, ..asked.clone() }))
}
