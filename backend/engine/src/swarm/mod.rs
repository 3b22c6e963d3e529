//! The engine's part in a swarm: which addresses it speaks by, what it says of itself, and how it runs tasks.
//!
//! What a swarm agrees on, and who decides it, is in `drydock-swarm`. A task here is a container with the labels that moby
//! gives it; the docker command line sees it as such.

mod addresses;
mod assets;
mod controller;
mod describe;
mod lines;
mod task;

pub use addresses::{AddressError, advertised, listening, towards};
pub use lines::{Details, line};
pub use task::TASK_LABEL;

use std::sync::{Arc, Weak};

use drydock_swarm::agent::{Assets, Executor};
use drydock_swarm::dispatcher::Landscape;
use drydock_swarm::manager::Cluster;
use drydock_swarm::objects::{EncryptionKey, Node, NodeDescription, Task};

use crate::engine::Engine;
use controller::TaskController;

/// This engine's swarm: none, one, or one that is locked.
pub type Swarm = Cluster<Runner>;

/// Runs the swarm's tasks as containers of this engine.
#[derive(Clone, Debug)]
pub struct Runner(Weak<Engine>);

impl Runner {
    pub fn of(engine: &Arc<Engine>) -> Self {
        Self(Arc::downgrade(engine))
    }
}

impl Executor for Runner {
    type Controller = TaskController;

    async fn describe(&self) -> NodeDescription {
        self.0.upgrade().map(|engine| describe::describe(&engine)).unwrap_or_default()
    }

    /// Labels and keys are the scheduler's and the overlay networks'; containers need neither.
    async fn configure(&self, _node: &Node, _keys: &[EncryptionKey]) {}

    /// Looked at when a task needs them.
    async fn assets_changed(&self, _assets: &Assets) {}

    async fn landscape_changed(&self, _landscape: &Landscape) {}

    fn controller(&self, task: &Arc<Task>, assets: Assets) -> TaskController {
        TaskController::new(self.0.clone(), task.clone(), assets)
    }
}
