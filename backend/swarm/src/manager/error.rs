//! Why a verb of the swarm was not carried out, in moby's words and with its statuses.

use super::settings::SettingsError;
use crate::Status;
use crate::agent::database::DatabaseError;
use crate::identity::credentials::CredentialsError;
use crate::identity::files::FilesError;

/// Why a verb was not carried out. The text is what a client sees.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    #[error(
        "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another one."
    )]
    Exists,
    #[error("This node is not part of a swarm")]
    NoSwarm,
    #[error(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."
    )]
    NotInSwarm,
    #[error(
        "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."
    )]
    NotManager,
    #[error(
        "Swarm is encrypted and needs to be unlocked before it can be used. Please use \"docker swarm unlock\" to unlock it."
    )]
    Locked,
    #[error("swarm is not locked")]
    NotLocked,
    #[error("swarm could not be unlocked: invalid key provided")]
    WrongKey,
    /// Leaving would do harm, and was not forced.
    #[error("{0}")]
    NotAllowed(String),
    #[error("{0}")]
    Invalid(String),
    #[error(
        "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the \"docker info\" command to see the current swarm status of your node."
    )]
    JoinTimeout,
    /// A manager's refusal.
    #[error("{0}")]
    Refused(Status),
    /// This machine's files or sockets.
    #[error("{0}")]
    Local(String),
}

impl From<Status> for ClusterError {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

impl ClusterError {
    /// The HTTP status that moby's engine gives.
    pub fn http(&self) -> u16 {
        match self {
            Self::Exists
            | Self::NoSwarm
            | Self::NotInSwarm
            | Self::NotManager
            | Self::Locked
            | Self::NotAllowed(_)
            | Self::JoinTimeout => 503,
            Self::NotLocked => 409,
            Self::WrongKey | Self::Invalid(_) => 400,
            Self::Refused(status) => status.code.http(),
            Self::Local(_) => 500,
        }
    }

    pub(super) fn local(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Local(crate::raft::chain(error))
    }
}

macro_rules! local_errors {
    ($($error:ty),*) => {$(
        impl From<$error> for ClusterError {
            fn from(error: $error) -> Self {
                Self::local(&error)
            }
        }
    )*};
}

local_errors!(
    FilesError,
    SettingsError,
    DatabaseError,
    CredentialsError,
    crate::identity::AuthorityError,
    crate::identity::request::RequestError
);
