//! What the store keeps of a session and of an instance.

use std::net::Ipv4Addr;

use time::OffsetDateTime;

use crate::id::{InstanceName, Label, SessionId};

#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    pub id: SessionId,
    pub label: Label,
    pub created: OffsetDateTime,
    pub expires: OffsetDateTime,
    /// Play-with-docker's compose file name; kept for its clients, read by nobody.
    pub stack: String,
    /// The template's name.
    pub stack_name: String,
    /// The node image that new instances take; empty for the default one.
    pub image: String,
    pub lab: Option<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    pub name: InstanceName,
    pub session: SessionId,
    pub hostname: String,
    pub image: String,
    pub kind: String,
    /// The host's id of the node.
    pub node: String,
    pub ip: Ipv4Addr,
    pub created: OffsetDateTime,
}
