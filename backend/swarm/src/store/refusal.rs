//! Why a batch was refused, in swarmkit's words.

use crate::objects::Kind;
use crate::status::{Code, Status};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("object already exists")]
    Exists { kind: Kind, id: String },
    #[error("object does not exist")]
    NotExist { kind: Kind, id: String },
    #[error("name conflicts with an existing object")]
    NameConflict { kind: Kind, name: String },
    #[error("update out of sequence")]
    OutOfSequence { kind: Kind, id: String },
}

impl From<Refusal> for Status {
    /// As the managers' API answers when it has no better words. A late update has no code there:
    /// clients see `rpc error: code = Unknown desc = update out of sequence`, and status 500.
    fn from(refusal: Refusal) -> Self {
        let code = match &refusal {
            Refusal::Exists { .. } | Refusal::NameConflict { .. } => Code::AlreadyExists,
            Refusal::NotExist { .. } => Code::NotFound,
            Refusal::OutOfSequence { .. } => Code::Unknown,
        };
        Self::new(code, refusal.to_string())
    }
}
