//! The calls of the authority.

use serde::{Deserialize, Serialize};

use crate::dispatcher::calls::Nothing;
use crate::objects::Availability;
use crate::wire::call::call;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RootAnswer {
    /// PEM of what the cluster trusts.
    pub certificate: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IssueRequest {
    /// PEM of the signing request.
    pub csr: String,
    /// Empty from who has a certificate already.
    pub token: String,
    pub availability: Option<Availability>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct IssueAnswer {
    pub node_id: String,
    /// PEM of the certificate and its intermediates.
    pub certificate: String,
}

call!(
    /// What does the cluster trust?
    GetRootCertificate, "CA/GetRootCACertificate", Anyone, Asked, Nothing => RootAnswer
);
call!(
    /// A certificate for this key, please.
    IssueCertificate, "NodeCA/IssueNodeCertificate", Anyone, Leader, IssueRequest => IssueAnswer
);
