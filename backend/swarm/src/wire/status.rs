//! Refusals on the wire: the code and the words survive the way.

use crate::{Code, Status};

/// For the wire.
pub(crate) fn to_wire(status: Status) -> tonic::Status {
    tonic::Status::new(code_to_wire(status.code), status.message)
}

/// From the wire.
pub(crate) fn from_wire(status: &tonic::Status) -> Status {
    Status::new(code_from_wire(status.code()), status.message())
}

fn code_to_wire(code: Code) -> tonic::Code {
    match code {
        Code::Unknown | Code::Plain => tonic::Code::Unknown,
        Code::InvalidArgument | Code::BadParameter => tonic::Code::InvalidArgument,
        Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
        Code::NotFound | Code::Absent => tonic::Code::NotFound,
        Code::AlreadyExists => tonic::Code::AlreadyExists,
        Code::PermissionDenied => tonic::Code::PermissionDenied,
        Code::ResourceExhausted => tonic::Code::ResourceExhausted,
        Code::FailedPrecondition => tonic::Code::FailedPrecondition,
        Code::Aborted => tonic::Code::Aborted,
        Code::Unimplemented => tonic::Code::Unimplemented,
        Code::Internal => tonic::Code::Internal,
        Code::Unavailable => tonic::Code::Unavailable,
        Code::Unauthenticated => tonic::Code::Unauthenticated,
    }
}

fn code_from_wire(code: tonic::Code) -> Code {
    match code {
        tonic::Code::InvalidArgument => Code::InvalidArgument,
        tonic::Code::DeadlineExceeded => Code::DeadlineExceeded,
        tonic::Code::NotFound => Code::NotFound,
        tonic::Code::AlreadyExists => Code::AlreadyExists,
        tonic::Code::PermissionDenied => Code::PermissionDenied,
        tonic::Code::ResourceExhausted => Code::ResourceExhausted,
        tonic::Code::FailedPrecondition => Code::FailedPrecondition,
        tonic::Code::Aborted => Code::Aborted,
        tonic::Code::Unimplemented => Code::Unimplemented,
        tonic::Code::Internal => Code::Internal,
        tonic::Code::Unavailable | tonic::Code::Cancelled => Code::Unavailable,
        tonic::Code::Unauthenticated => Code::Unauthenticated,
        _ => Code::Unknown,
    }
}
