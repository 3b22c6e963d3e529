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

    /// Why the certificate is of no use at `now`, in swarmkit's words: it may as well be the clock that is wrong.
    pub fn complaint(&self, now: OffsetDateTime) -> Option<String> {
        let (side, bound) = if now > self.not_after {
            ("after", self.not_after)
        } else if now < self.not_before {
            ("before", self.not_before)
        } else {
            return None;
        };
        Some(format!(
            "certificate (1 - {}) not valid {side} {}, and it is currently {}: x509: certificate has expired or is not yet valid",
            self.node_id,
            rfc1123(bound),
            rfc1123(now)
        ))
    }

    /// Whether the certificate is no longer valid at `now`.
    pub fn is_expired(&self, now: OffsetDateTime) -> bool {
        now > self.not_after
    }
}

/// As Go's `time.RFC1123` has it: `Fri, 27 Nov 2026 13:00:00 UTC`.
fn rfc1123(time: OffsetDateTime) -> String {
    let (weekday, month) = (time.weekday().to_string(), time.month().to_string());
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} UTC",
        &weekday[..3],
        time.day(),
        &month[..3],
        time.year(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

fn first<'a>(
    mut attributes: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
) -> Option<String> {
    attributes.next().and_then(|attribute| attribute.as_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    #[test]
    fn a_certificate_says_what_is_wrong_with_it_or_with_the_clock() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_784_400).unwrap();
        let subject = Subject {
            node_id: "n1".into(),
            role: Role::Worker,
            cluster_id: "c1".into(),
            not_before: now - Duration::hours(1),
            not_after: now + Duration::days(90),
            issuer: Vec::new(),
            serial: String::new(),
        };
        assert_eq!(subject.complaint(now), None);
        let early = "certificate (1 - n1) not valid before Fri, 27 Nov 2026 12:00:00 UTC, and it is currently \
                     Thu, 26 Nov 2026 13:00:00 UTC: x509: certificate has expired or is not yet valid";
        assert_eq!(subject.complaint(now - Duration::days(1)).as_deref(), Some(early));
        let late = "certificate (1 - n1) not valid after Thu, 25 Feb 2027 13:00:00 UTC, and it is currently \
                    Fri, 26 Feb 2027 13:00:00 UTC: x509: certificate has expired or is not yet valid";
        assert_eq!(subject.complaint(now + Duration::days(91)).as_deref(), Some(late));
    }
}
