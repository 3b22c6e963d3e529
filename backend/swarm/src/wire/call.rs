//! What a call is.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Also who has no certificate yet: the calls of the authority.
    Anyone,
    /// Every node of the cluster.
    Member,
    Manager,
}

/// Where a call is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// By the manager that was asked.
    Asked,
    /// By the leader; others pass it on.
    Leader,
}

/// One call: a question with one answer, or with a stream of answers.
pub trait Call: Send + Sync + 'static {
    /// `/docker.swarmkit.v1.Service/Method`.
    const PATH: &'static str;
    const CALLER: Caller;
    const AT: At;
    type Request: Serialize + DeserializeOwned + Send + Sync + 'static;
    type Response: Serialize + DeserializeOwned + Send + Sync + 'static;
}

/// Declares calls: `call!(Name, "Service/Method", Caller, At, Request => Response)`.
macro_rules! call {
    ($(#[$doc:meta])* $name:ident, $path:literal, $caller:ident, $at:ident, $request:ty => $response:ty) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name;

        impl $crate::wire::Call for $name {
            const PATH: &'static str = concat!("/docker.swarmkit.v1.", $path);
            const CALLER: $crate::wire::Caller = $crate::wire::Caller::$caller;
            const AT: $crate::wire::At = $crate::wire::At::$at;
            type Request = $request;
            type Response = $response;
        }
    };
}

pub(crate) use call;
