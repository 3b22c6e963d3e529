//! The engine's part in a swarm: which addresses it speaks by, what it says of itself, and how it runs tasks.
//!
//! What a swarm agrees on, and who decides it, is in `drydock-swarm`. A task here is a container with the labels that moby
//! gives it; the docker command line sees it as such.

mod addresses;
mod assets;
mod attach;
mod controller;
mod describe;
mod fabric;
mod kinds;
mod lines;
mod task;
mod template;

pub use addresses::{AddressError, advertised, data_path, listening, towards};
pub use attach::{AttachError, attach, attach_all, detach};
pub use fabric::Fabric;
pub use lines::{Details, line};
pub use task::TASK_LABEL;

use std::net::IpAddr;
use std::sync::{Arc, Weak};

use drydock_swarm::agent::{Assets, Executor};
use drydock_swarm::dispatcher::Landscape;
use drydock_swarm::manager::Cluster;
use drydock_swarm::objects::{EncryptionKey, Node, NodeDescription, Task};

use crate::engine::Engine;
use kinds::Controllers;

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
    type Controller = Controllers;

    async fn describe(&self) -> NodeDescription {
        self.0.upgrade().map(|engine| describe::describe(&engine)).unwrap_or_default()
    }

    async fn configure(&self, node: &Node, data_path: Option<IpAddr>, keys: &[EncryptionKey]) {
        if let Some(engine) = self.0.upgrade() {
            engine.events.activity().noted();
            engine.fabric.hear_of_node(&engine, node, data_path, keys).await;
        }
    }

    /// Secrets and configs are looked at when a task needs them.
    async fn assets_changed(&self, assets: &Assets) {
        if let Some(engine) = self.0.upgrade() {
            engine.events.activity().noted();
            engine.fabric.hear_of_networks(&engine, assets.networks()).await;
        }
    }

    async fn landscape_changed(&self, landscape: &Landscape) {
        if let Some(engine) = self.0.upgrade() {
            engine.events.activity().noted();
            engine.fabric.hear_of_others(&engine, landscape.clone()).await;
        }
    }

    fn controller(&self, task: &Arc<Task>, assets: Assets) -> Controllers {
        Controllers::of(self.0.clone(), task.clone(), assets)
    }
}
