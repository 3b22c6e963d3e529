//! The two kinds of task: a container of its own, and a plain container's place on a network, which has none.

use std::sync::{Arc, Weak};

use drydock_swarm::agent::Assets;
use drydock_swarm::agent::executor::{Controller, Exit, Observed, TaskError};
use drydock_swarm::dispatcher::calls::{LogLine, LogOptions};
use drydock_swarm::objects::Task;
use tokio::sync::mpsc;

use super::attach;
use super::controller::TaskController;
use crate::engine::Engine;

/// Runs a task, whichever kind it is.
#[derive(Debug)]
pub enum Controllers {
    Container(TaskController),
    Place(Place),
}

/// A plain container's place on a network: there is nothing to do but to say when it is no longer held.
#[derive(Debug)]
pub struct Place {
    engine: Weak<Engine>,
    task: Arc<Task>,
}

impl Controllers {
    pub fn of(engine: Weak<Engine>, task: Arc<Task>, assets: Assets) -> Self {
        if task.spec.network_attachment_spec.is_some() {
            Self::Place(Place { engine, task })
        } else {
            Self::Container(TaskController::new(engine, task, assets))
        }
    }

    fn container(&self) -> Option<&TaskController> {
        match self {
            Self::Container(controller) => Some(controller),
            Self::Place(_) => None,
        }
    }
}

impl Place {
    async fn until_given_back(&self) {
        let Some(mut news) = self.engine.upgrade().map(|engine| engine.fabric.detached()) else {
            return std::future::pending().await;
        };
        while self.engine.upgrade().is_none_or(|engine| attach::is_held(&engine, &self.task)) {
            // The engine holds the sender: that it is gone is the engine's end, not the container's.
            if news.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

impl Controller for Controllers {
    async fn update(&self, task: Arc<Task>) -> Result<(), TaskError> {
        match self.container() {
            Some(controller) => controller.update(task).await,
            None => Ok(()),
        }
    }

    async fn prepare(&self) -> Result<(), TaskError> {
        match self.container() {
            Some(controller) => controller.prepare().await,
            None => Ok(()),
        }
    }

    async fn start(&self) -> Result<(), TaskError> {
        match self.container() {
            Some(controller) => controller.start().await,
            None => Ok(()),
        }
    }

    async fn wait(&self) -> Result<Exit, TaskError> {
        match self {
            Self::Container(controller) => controller.wait().await,
            Self::Place(place) => {
                place.until_given_back().await;
                Ok(Exit { code: 0, message: String::new() })
            }
        }
    }

    async fn shutdown(&self) -> Result<(), TaskError> {
        match self.container() {
            Some(controller) => controller.shutdown().await,
            None => Ok(()),
        }
    }

    async fn terminate(&self) -> Result<(), TaskError> {
        match self.container() {
            Some(controller) => controller.terminate().await,
            None => Ok(()),
        }
    }

    async fn remove(&self) -> Result<(), TaskError> {
        match self.container() {
            Some(controller) => controller.remove().await,
            None => Ok(()),
        }
    }

    async fn observe(&self) -> Observed {
        match self.container() {
            Some(controller) => controller.observe().await,
            None => Observed::default(),
        }
    }

    async fn logs(&self, options: LogOptions, to: mpsc::Sender<LogLine>) -> Result<(), TaskError> {
        match self.container() {
            Some(controller) => controller.logs(options, to).await,
            None => Ok(()),
        }
    }
}
