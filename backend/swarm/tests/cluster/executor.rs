//! In the place of the engine's containers: what each task was last told, and a way to end it.
//!
//! It outlives a restart of its node, as containers do.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use bollard_stubs::models::ContainerStatus;
use drydock_swarm::agent::executor::Observed;
use drydock_swarm::agent::{Assets, Controller, Executor, Exit, TaskError};
use drydock_swarm::dispatcher::Landscape;
use drydock_swarm::dispatcher::calls::{LogLine, LogOptions};
use drydock_swarm::objects::{EncryptionKey, Node, NodeDescription, Task};
use tokio::sync::{mpsc, watch};

/// What became of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Prepared,
    Runs,
    Ended(i64),
    Removed,
}

type Places = Arc<Mutex<BTreeMap<String, watch::Sender<Place>>>>;

/// One machine's containers.
#[derive(Debug, Clone, Default)]
pub struct Containers {
    pub hostname: String,
    places: Places,
    pub assets: Arc<Mutex<Option<Assets>>>,
}

impl Containers {
    pub fn new(hostname: &str) -> Self {
        Self { hostname: hostname.to_owned(), ..Self::default() }
    }

    pub fn place(&self, task: &str) -> Option<Place> {
        self.places.lock().unwrap().get(task).map(|place| *place.borrow())
    }

    /// The container ends by itself.
    pub fn end(&self, task: &str, code: i64) {
        self.places.lock().unwrap().get(task).unwrap().send_replace(Place::Ended(code));
    }
}

impl Containers {
    pub fn running(&self) -> Vec<String> {
        let places = self.places.lock().unwrap();
        places.iter().filter(|(_, place)| *place.borrow() == Place::Runs).map(|(id, _)| id.clone()).collect()
    }
}

impl Executor for Containers {
    type Controller = Container;

    async fn describe(&self) -> NodeDescription {
        NodeDescription { hostname: Some(self.hostname.clone()), ..NodeDescription::default() }
    }

    async fn configure(&self, _node: &Node, _data_path: Option<IpAddr>, _keys: &[EncryptionKey]) {}

    async fn assets_changed(&self, assets: &Assets) {
        *self.assets.lock().unwrap() = Some(assets.clone());
    }

    async fn landscape_changed(&self, _landscape: &Landscape) {}

    fn controller(&self, task: &Arc<Task>, _assets: Assets) -> Container {
        Container { id: task.id.to_string(), places: self.places.clone() }
    }
}

pub struct Container {
    id: String,
    places: Places,
}

impl Container {
    fn set(&self, place: Place) -> watch::Receiver<Place> {
        let mut places = self.places.lock().unwrap();
        let sender = places.entry(self.id.clone()).or_insert_with(|| watch::Sender::new(place));
        sender.send_replace(place);
        sender.subscribe()
    }

    fn get(&self) -> Option<watch::Receiver<Place>> {
        self.places.lock().unwrap().get(&self.id).map(watch::Sender::subscribe)
    }
}

impl Controller for Container {
    async fn update(&self, _task: Arc<Task>) -> Result<(), TaskError> {
        Ok(())
    }

    async fn prepare(&self) -> Result<(), TaskError> {
        self.set(Place::Prepared);
        Ok(())
    }

    async fn start(&self) -> Result<(), TaskError> {
        self.set(Place::Runs);
        Ok(())
    }

    async fn wait(&self) -> Result<Exit, TaskError> {
        let mut place = self.get().ok_or_else(|| TaskError::Fatal("No such container".into()))?;
        let ended = place.wait_for(|place| matches!(place, Place::Ended(_))).await.map(|place| *place);
        match ended {
            Ok(Place::Ended(code)) => Ok(Exit { code, message: String::new() }),
            _ => Err(TaskError::Fatal("the container is gone".into())),
        }
    }

    async fn shutdown(&self) -> Result<(), TaskError> {
        self.set(Place::Ended(0));
        Ok(())
    }

    async fn terminate(&self) -> Result<(), TaskError> {
        self.set(Place::Ended(137));
        Ok(())
    }

    async fn remove(&self) -> Result<(), TaskError> {
        self.set(Place::Removed);
        Ok(())
    }

    async fn observe(&self) -> Observed {
        let container = ContainerStatus {
            container_id: Some(format!("container-of-{}", self.id)),
            ..ContainerStatus::default()
        };
        Observed { container: Some(container), ports: Vec::new() }
    }

    async fn logs(&self, options: LogOptions, lines: mpsc::Sender<LogLine>) -> Result<(), TaskError> {
        for number in 0..3 {
            let line = LogLine {
                task_id: self.id.as_str().into(),
                timestamp: number,
                data: format!("line {number}"),
                ..LogLine::default()
            };
            if lines.send(line).await.is_err() {
                return Ok(());
            }
        }
        if options.follow {
            lines.closed().await;
        }
        Ok(())
    }
}
