//! The newcomer's side: recognise the cluster, then ask for a certificate.

use std::sync::Arc;
use std::time::Duration;

use super::calls::{GetRootCertificate, IssueAnswer, IssueCertificate, IssueRequest};
use crate::dispatcher::calls::Nothing;
use crate::identity::credentials::{CredentialsError, newcomer_client, unverified_client};
use crate::identity::request::RequestError;
use crate::identity::{AuthorityError, CertificateRequest, Identity, JoinToken, TrustRoot};
use crate::objects::Availability;
use crate::wire::{Channel, Pool, Source};
use crate::{Code, Status};

/// How long a manager may take to answer. Signing waits for the log.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Fetches what the cluster at `address` trusts, and checks it against the token.
pub async fn fetch_root(address: &str, token: &JoinToken, source: Source) -> Result<TrustRoot, Status> {
    let tls = unverified_client().map_err(|error| broken(&error))?;
    let channel = Channel::connect(address, Arc::new(tls), source).await?;
    let answer = channel.call::<GetRootCertificate>(Nothing {}, ANSWER_LIMIT).await?;
    let root = TrustRoot::from_pem(&answer.certificate)
        .map_err(|error| Status::new(Code::Unknown, error.to_string()))?;
    if root.digest() != *token.digest() {
        let expected: String = token.digest().iter().map(|byte| format!("{byte:02x}")).collect();
        return Err(Status::plain(format!("remote CA does not match fingerprint. Expected: {expected}")));
    }
    Ok(root)
}

/// Asks for a first certificate with a token.
pub async fn first_identity(
    address: &str,
    root: &TrustRoot,
    token: &JoinToken,
    availability: Option<Availability>,
    source: Source,
) -> Result<Identity, Status> {
    let tls = newcomer_client(root).map_err(|error| broken(&error))?;
    let channel = Channel::connect(address, Arc::new(tls), source).await?;
    let request = CertificateRequest::generate()
        .map_err(|error: RequestError| Status::new(Code::Internal, error.to_string()))?;
    let asked = IssueRequest { csr: request.csr_pem.clone(), token: token.to_string(), availability };
    let answer = channel.call::<IssueCertificate>(asked, ANSWER_LIMIT).await?;
    identity_of(root.clone(), answer, request)
}

/// Asks for the next certificate with the one the node has. The trust root stays the node's own: what signed the answer must chain to it.
pub async fn next_identity(pool: &Pool, address: &str) -> Result<Identity, Status> {
    let request =
        CertificateRequest::generate().map_err(|error| Status::new(Code::Internal, error.to_string()))?;
    let asked = IssueRequest { csr: request.csr_pem.clone(), ..IssueRequest::default() };
    let answer = pool.call::<IssueCertificate>(address, asked, ANSWER_LIMIT).await?;
    identity_of(pool.credentials().get().root.clone(), answer, request)
}

fn identity_of(
    root: TrustRoot,
    answer: IssueAnswer,
    request: CertificateRequest,
) -> Result<Identity, Status> {
    Identity::new(root, answer.certificate, request.key_pem).map_err(|error| broken(&error))
}

fn broken(error: &CredentialsError) -> Status {
    Status::new(Code::Unknown, error.to_string())
}

/// The words for a root that does not parse.
impl From<AuthorityError> for Status {
    fn from(error: AuthorityError) -> Self {
        Self::invalid(error.to_string())
    }
}
