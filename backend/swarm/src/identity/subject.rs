//! What a node's certificate says: id, role, cluster, and from when until when.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The part a node plays, written in its certificate as OU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Worker,
    Manager,
}

impl Role {
    /// The organisational unit that swarm gives the role; also the DNS name that a peer of that role answers to.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Worker => "swarm-worker",
            Self::Manager => "swarm-manager",
        }
    }

    fn of_unit(unit: &str) -> Option<Self> {
        [Self::Worker, Self::Manager].into_iter().find(|role| role.unit() == unit)
    }
}

/// A node's certificate, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// CN: the node's id.
    pub node_id: String,
    /// OU.
    pub role: Role,
    /// O: the cluster's id.
    pub cluster_id: String,
    pub not_before: OffsetDateTime,
    pub not_after: OffsetDateTime,
    /// DER of the issuer's distinguished name; `docker node inspect` shows it as `CertIssuerSubject`.
    pub issuer: Vec<u8>,
    /// Hexadecimal serial number, by which a removed node's certificate is told apart.
    pub serial: String,
}

/// Why a certificate does not name a node.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SubjectError {
    #[error("the certificate cannot be parsed")]
    Malformed,
    #[error("no {0} found in certificate subject")]
    Missing(&'static str),
    #[error("the certificate's unit {0} is no role of a node")]
    UnknownRole(String),
    #[error("the certificate's dates are out of range")]
    Dates,
}

impl Subject {
    /// Reads a DER certificate. Says nothing of who signed it.
    pub fn of_der(der: &[u8]) -> Result<Self, SubjectError> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| SubjectError::Malformed)?;
        let name = certificate.subject();
        let node_id = first(name.iter_common_name()).ok_or(SubjectError::Missing("CN"))?;
        let unit = first(name.iter_organizational_unit()).ok_or(SubjectError::Missing("OU"))?;
        let cluster_id = first(name.iter_organization()).ok_or(SubjectError::Missing("organization"))?;
        let date = |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| SubjectError::Dates);
        Ok(Self {
            role: Role::of_unit(&unit).ok_or(SubjectError::UnknownRole(unit))?,
            node_id,
            cluster_id,
            not_before: date(certificate.validity().not_before.timestamp())?,
            not_after: date(certificate.validity().not_after.timestamp())?,
            issuer: certificate.issuer().as_raw().to_vec(),
            serial: certificate.raw_serial_as_string(),
        })
    }

    /// When to ask for the next certificate: after half of the validity, spread by `jitter` (0..=1) up to four fifths of it, so that
    /// a cluster made in one minute does not renew in one minute.
    pub fn renew_at(&self, jitter: f64) -> OffsetDateTime {
        let whole = self.not_after - self.not_before;
        self.not_before + whole * (0.5 + 0.3 * jitter.clamp(0.0, 1.0))
    }

    /// Whether the certificate is no longer valid at `now`.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        now > self.not_after
    }
}

fn first<'a>(
    mut attributes: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
) -> Option<String> {
    attributes.next().and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
}
