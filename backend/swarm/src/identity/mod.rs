//! Who a node is, and how it proves it.
//!
//! A cluster is one root certificate authority ([`RootAuthority`]); a node is a certificate of that authority whose subject says
//! everything a peer has to know: CN is the node's id, OU its role, O the cluster's id ([`Subject`]). Whoever has no certificate yet
//! shows a [`JoinToken`], which also lets the newcomer recognise the right authority before it trusts anybody.
//!
//! Nothing here speaks to the network or knows of raft: keys, requests, signatures, files and TLS settings only. Time is an argument.
//! Facts of the forms (tokens, subjects, file names) are swarmkit's, `ca/config.go` and `ca/certificates.go`.
//!
//! Begin with [`authority`], then [`credentials`].

pub mod authority;
mod base36;
pub mod credentials;
pub mod files;
pub mod request;
pub mod seal;
pub mod subject;
pub mod token;
pub mod unlock;

pub use authority::{AuthorityError, Grant, RootAuthority, TrustRoot};
pub use credentials::{Credentials, Identity};
pub use files::{CertificateFiles, NodeKey};
pub use request::CertificateRequest;
pub use seal::SealKey;
pub use subject::{Role, Subject};
pub use token::JoinToken;
pub use unlock::UnlockKey;

/// A random id of 25 characters, in the form swarm gives nodes, services and tasks.
pub fn new_id() -> String {
    let mut bytes = [0u8; 16];
    random(&mut bytes);
    base36::encode(&bytes, 25)
}

/// Fills with random bytes of the kernel.
///
/// # Panics
/// When the kernel has no randomness to give: no key may be made then.
pub(crate) fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the kernel gives random bytes");
}
