//! The objects a swarm agrees on, each with an id, the version it was last written at, and its
//! spec in the Docker API's own model.
//!
//! Stored as JSON. A field that a reader does not know is passed over and a missing one has its
//! default, so that managers of two versions can share a log.

mod cluster;
mod id;
mod meta;
mod network;
mod node;
mod object;
mod secret;
mod service;
mod task;

pub use bollard_stubs::models::{
    ConfigSpec, ContainerStatus, EndpointPortConfig, EndpointPortConfigProtocolEnum as Protocol,
    EndpointPortConfigPublishModeEnum as PublishMode, EndpointSpec, EndpointSpecModeEnum as ResolutionMode,
    GenericResourcesInner, Ipam, IpamConfig, JoinTokens, NetworkAttachmentConfig, NetworkCreateRequest,
    NodeDescription, NodeSpec, NodeSpecAvailabilityEnum as Availability, NodeSpecRoleEnum as Role, NodeState,
    Reachability, SecretSpec, ServiceSpec, ServiceUpdateStatusStateEnum as UpdateState, SwarmSpec,
    SwarmSpecCaConfig, SwarmSpecDispatcher, SwarmSpecOrchestration, SwarmSpecRaft, TaskSpec,
    TaskSpecContainerSpec, TaskSpecLogDriver, TaskSpecNetworkAttachmentSpec,
    TaskSpecRestartPolicy as RestartPolicy, TaskSpecRestartPolicyConditionEnum as RestartCondition,
    TaskState,
};

pub use cluster::{BlockedCertificate, Cluster, EncryptionKey, RootCa, RootRotation};
pub use id::{ClusterId, ConfigId, NetworkId, NodeId, SecretId, ServiceId, TaskId};
pub use meta::{Annotations, Duration, Meta, Moment, Timestamp, Version};
pub use network::{Network, NetworkAttachment};
pub use node::{Certificate, Issuance, ManagerStatus, Membership, Node, NodeStatus, ObservedRole};
pub use object::{Kind, Object, Stored};
pub use secret::{Config, Secret};
pub(crate) use service::networks_of;
pub use service::{Endpoint, JobStatus, Mode, Service, UpdateStatus, VirtualIp};
pub use task::{Failure, Hold, Task, TaskStatus};
