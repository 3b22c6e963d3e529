//! The calls between agents and the leader.

use serde::{Deserialize, Serialize};

use super::landscape::Landscape;
use crate::objects::{
    EncryptionKey, Kind, Node, NodeDescription, NodeId, Object, ServiceId, TaskId, TaskStatus,
};
use crate::wire::call::call;

/// An agent comes, or comes back.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionRequest {
    pub description: NodeDescription,
    /// What the node advertises, without a port; where the call came from counts when absent.
    pub address: Option<String>,
    /// Where the tunnels of overlay networks end, when that is another address.
    pub data_path: Option<String>,
}

/// What an agent is told of the cluster: first all of it, then again with each change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionMessage {
    pub session_id: String,
    pub node: Node,
    /// Where to go when this manager is lost.
    pub managers: Vec<ManagerAddress>,
    pub network_keys: Vec<EncryptionKey>,
    /// PEM of what the node shall trust.
    pub root_ca: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ManagerAddress {
    pub node_id: String,
    /// `host:port`.
    pub address: String,
}

/// A call within a session.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InSession {
    pub session_id: String,
}

/// When to say the next word.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HeartbeatResponse {
    pub period_ms: u64,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusRequest {
    pub session_id: String,
    pub updates: Vec<StatusUpdate>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusUpdate {
    pub task_id: TaskId,
    pub status: TaskStatus,
}

/// Nothing to say.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Nothing {}

/// What a node shall have.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AssignmentsMessage {
    /// Whether this is everything; else it is what changed.
    pub is_complete: bool,
    /// The message before this one in the stream; 0 for the first.
    pub applies_to: u64,
    pub results_in: u64,
    pub changes: Vec<Assignment>,
    /// What the node must know of the others' tasks, when that is new.
    pub landscape: Option<Landscape>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Assignment {
    Put(Object),
    Drop { kind: Kind, id: String },
}

call!(
    /// Opens a session and keeps it; a stream.
    Session, "Dispatcher/Session", Member, Leader, SessionRequest => SessionMessage
);
call!(
    /// Says that the agent lives.
    Heartbeat, "Dispatcher/Heartbeat", Member, Leader, InSession => HeartbeatResponse
);
call!(
    /// What the node shall have; a stream.
    Assignments, "Dispatcher/Assignments", Member, Leader, InSession => AssignmentsMessage
);
call!(
    /// What became of tasks.
    UpdateTaskStatus, "Dispatcher/UpdateTaskStatus", Member, Leader, StatusRequest => Nothing
);
call!(
    /// The node has changed: labels of its engine, plugins, resources.
    UpdateDescription, "Dispatcher/UpdateDescription", Member, Leader, DescriptionRequest => Nothing
);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DescriptionRequest {
    pub session_id: String,
    pub description: NodeDescription,
}

/// Whose logs are wanted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogSelector {
    pub services: Vec<ServiceId>,
    pub nodes: Vec<NodeId>,
    pub tasks: Vec<TaskId>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogOptions {
    pub stdout: bool,
    pub stderr: bool,
    pub follow: bool,
    /// The last lines of each task; absent: all of them.
    pub tail: Option<u64>,
    /// Nanoseconds since 1970.
    pub since: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogRequest {
    pub selector: LogSelector,
    pub options: LogOptions,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    #[default]
    Stdout,
    Stderr,
}

/// A line of a task, and where it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLine {
    pub service_id: Option<ServiceId>,
    pub node_id: NodeId,
    pub task_id: TaskId,
    /// Nanoseconds since 1970.
    pub timestamp: i64,
    pub stream: LogStream,
    /// Base64 of the line, with its line break.
    pub data: String,
}

/// Lines as they are gathered on their way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LogLines {
    pub lines: Vec<LogLine>,
}

/// What an agent is asked to send, or to stop sending.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subscription {
    pub id: String,
    pub request: LogRequest,
    pub is_over: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Publication {
    pub subscription_id: String,
    pub lines: Vec<LogLine>,
    /// The node has no more to say.
    pub is_over: bool,
    /// Why it could not say all.
    pub error: Option<String>,
}

call!(
    /// The logs of tasks, from all nodes; a stream.
    SubscribeLogs, "Logs/SubscribeLogs", Manager, Leader, LogRequest => LogLines
);
call!(
    /// What to send; a stream.
    ListenSubscriptions, "LogBroker/ListenSubscriptions", Member, Leader, Nothing => Subscription
);
call!(
    /// Lines of this node.
    PublishLogs, "LogBroker/PublishLogs", Member, Leader, Publication => Nothing
);
