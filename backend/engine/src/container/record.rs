//! A container's record: what is written to `DATA_ROOT/containers/<id>/container.json`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use bollard_stubs::models::{EndpointSettings, HostConfig};
use serde::{Deserialize, Serialize};

use crate::id::Id;
use crate::network::PortMap;
use crate::wire::ContainerConfig;

/// Everything about a container that outlives the engine's process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub id: Id,
    /// Without the leading slash.
    pub name: String,
    /// RFC 3339 with nanoseconds, as the API shows it.
    pub created: String,
    pub image_id: String,
    /// As the user named it.
    pub image: String,
    pub config: ContainerConfig,
    pub host_config: HostConfig,
    /// Network name → what was asked for and, while it runs, what it got.
    pub networks: BTreeMap<String, EndpointSettings>,
    /// Ports as they are really bound while it runs.
    pub ports: PortMap,
}

/// A container in memory: its record behind a lock that is never held across an await.
#[derive(Debug)]
pub struct Container {
    pub id: Id,
    record: Mutex<Record>,
}

impl Container {
    pub fn new(record: Record) -> Self {
        Self { id: record.id.clone(), record: Mutex::new(record) }
    }

    /// The record, to read or to change. Do not hold it across an await.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no holder of a record panics")
    }
}
