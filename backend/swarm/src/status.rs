//! A refusal with the code that swarm's managers answer each other with.
//!
//! Clients see both: the engine's HTTP status follows from the code, and the text of a refusal
//! begins with `rpc error: code = … desc = …`, as moby passes it on.

use std::fmt;

/// The codes of gRPC that swarm uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    Unimplemented,
    Internal,
    Unavailable,
    Unauthenticated,
    /// Not one of gRPC's: the engine itself refuses a request before any manager sees it.
    BadParameter,
    /// Not one of gRPC's: the engine itself finds no such object.
    Absent,
    /// Not one of gRPC's: an error of the engine that has no kind.
    Plain,
}

impl Code {
    /// The HTTP status that moby's engine gives for the code.
    pub fn http(self) -> u16 {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition | Self::BadParameter => 400,
            Self::Unauthenticated => 401,
            Self::PermissionDenied => 403,
            Self::NotFound | Self::Absent => 404,
            Self::AlreadyExists => 409,
            Self::Unimplemented => 501,
            Self::Unavailable => 503,
            Self::Unknown
            | Self::DeadlineExceeded
            | Self::ResourceExhausted
            | Self::Aborted
            | Self::Internal
            | Self::Plain => 500,
        }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub code: Code,
    pub message: String,
}

impl Status {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// The engine's own refusal, which clients see without a code.
    pub fn bad_parameter(message: impl Into<String>) -> Self {
        Self::new(Code::BadParameter, message)
    }

    /// The engine finds nothing by what the user typed; said without a code too.
    pub fn absent(message: impl Into<String>) -> Self {
        Self::new(Code::Absent, message)
    }

    /// An error of the engine of no kind that clients know.
    pub fn plain(message: impl Into<String>) -> Self {
        Self::new(Code::Plain, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Code::BadParameter | Code::Absent | Code::Plain => f.write_str(&self.message),
            code => write!(f, "rpc error: code = {code:?} desc = {}", self.message),
        }
    }
}

impl std::error::Error for Status {}
