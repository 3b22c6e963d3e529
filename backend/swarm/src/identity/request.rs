//! A key pair that never leaves its node, and the request for a certificate over it.

use rcgen::{CertificateParams, KeyPair};

/// A fresh ECDSA P-256 key with its signing request.
///
/// The request carries no subject: whoever signs it decides id, role and cluster (swarmkit's signing policy trusts nothing but the key).
#[derive(Debug)]
pub struct CertificateRequest {
    /// PKCS#8 PEM of the private key.
    pub key_pem: String,
    /// PEM of the PKCS#10 request.
    pub csr_pem: String,
}

/// No key or request could be made.
#[derive(Debug, thiserror::Error)]
#[error("error when generating new node certs")]
pub struct RequestError(#[source] rcgen::Error);

impl CertificateRequest {
    pub fn generate() -> Result<Self, RequestError> {
        let key = KeyPair::generate().map_err(RequestError)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let csr = params.serialize_request(&key).map_err(RequestError)?;
        Ok(Self { key_pem: key.serialize_pem(), csr_pem: csr.pem().map_err(RequestError)? })
    }
}
