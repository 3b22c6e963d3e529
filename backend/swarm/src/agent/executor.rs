//! What runs tasks: the engine's side of the agent.

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Assets;
use crate::dispatcher::Landscape;
use crate::dispatcher::calls::{LogLine, LogOptions};
use crate::objects::{ContainerStatus, EncryptionKey, EndpointPortConfig, Node, NodeDescription, Task};

/// Runs tasks on this node.
pub trait Executor: Send + Sync + 'static {
    type Controller: Controller;

    /// The node as it is: host name, platform, resources, engine, plugins.
    fn describe(&self) -> impl Future<Output = NodeDescription> + Send;

    /// Returns when [`Self::describe`] would answer otherwise than before. May wait for ever.
    fn description_changed(&self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }

    /// The node's own place in the cluster has changed: its attachments to networks, its labels, the keys of the overlay networks.
    /// `data_path` is the node's own address for tunnels.
    fn configure(
        &self,
        node: &Node,
        data_path: Option<IpAddr>,
        keys: &[EncryptionKey],
    ) -> impl Future<Output = ()> + Send;

    /// Networks, secrets or configs of the node came or went.
    fn assets_changed(&self, assets: &Assets) -> impl Future<Output = ()> + Send;

    /// Tasks and services of the node's networks came or went, here or on other nodes: names, virtual addresses and tunnels follow.
    fn landscape_changed(&self, landscape: &Landscape) -> impl Future<Output = ()> + Send;

    /// A controller for a task: a new one, or one that ran before the engine was restarted.
    fn controller(&self, task: &Arc<Task>, assets: Assets) -> Self::Controller;
}

/// One task on this node. Each verb may be called again after it was cut short or the engine was restarted, and then goes on from
/// what is there.
pub trait Controller: Send + Sync + 'static {
    /// The task is wished otherwise than before.
    fn update(&self, task: Arc<Task>) -> impl Future<Output = Result<(), TaskError>> + Send;

    /// Gets ready to start: image, networks, container. Dropped when the task is no longer wanted.
    fn prepare(&self) -> impl Future<Output = Result<(), TaskError>> + Send;

    /// Starts; returns when the task runs, and is healthy where it has a health check.
    fn start(&self) -> impl Future<Output = Result<(), TaskError>> + Send;

    /// Returns when the task has ended by itself. Dropped when it is no longer wanted.
    fn wait(&self) -> impl Future<Output = Result<Exit, TaskError>> + Send;

    /// Ends the task in order; its container and logs stay.
    fn shutdown(&self) -> impl Future<Output = Result<(), TaskError>> + Send;

    /// Ends the task at once.
    fn terminate(&self) -> impl Future<Output = Result<(), TaskError>> + Send;

    /// Takes away whatever is left of it, running or not.
    fn remove(&self) -> impl Future<Output = Result<(), TaskError>> + Send;

    /// The container of the task, when there is one, and the ports that it publishes on this node.
    fn observe(&self) -> impl Future<Output = Observed> + Send;

    /// Sends the task's lines; returns when there are no more, or will be none.
    fn logs(
        &self,
        options: LogOptions,
        lines: mpsc::Sender<LogLine>,
    ) -> impl Future<Output = Result<(), TaskError>> + Send;
}

/// What can be seen of a task from outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    pub container: Option<ContainerStatus>,
    pub ports: Vec<EndpointPortConfig>,
}

/// How a task ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    pub code: i64,
    /// Words beyond the code: `unhealthy container`. Empty as a rule.
    pub message: String,
}

/// Why a task cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It never will: the image does not exist, the command cannot be started.
    #[error("{0}")]
    Fatal(String),
    /// It may, a moment later: something is busy, or away.
    #[error("{0}")]
    Temporary(String),
}
