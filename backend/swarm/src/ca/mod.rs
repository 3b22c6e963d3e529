//! The cluster's certificate authority at work: who gets a certificate, and how the root is replaced.
//!
//! ```text
//!  newcomer ── GetRootCACertificate ─▶ any manager      checked against the token's digest
//!           ── IssueNodeCertificate ─▶ leader           the token says the role; a node is made
//!  member   ── IssueNodeCertificate ─▶ leader           its certificate says who it is; the role is the one it has now
//! ```
//!
//! The root's key is in the cluster object, hence in the encrypted log of managers and nowhere else. Begin with [`issue`].

pub mod calls;
pub mod issue;
pub mod join;
pub mod rotation;
