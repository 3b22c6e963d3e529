//! The cluster's certificate authority: a self-signed root, what it signs, and how another root takes its place.
//!
//! A rotation goes through a cross-signed intermediate: the new root's key, signed by the old root. Certificates issued during the
//! rotation carry it, so that nodes which trust only the old root accept them, and nodes which already trust only the new one do too.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest as _, Sha256};
use time::{Duration, OffsetDateTime};
use x509_parser::asn1_rs::Tag;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::{Role, random};

/// How long a root lives: swarm's twenty years of 365 days.
pub const ROOT_VALIDITY: Duration = Duration::seconds(630_720_000);
/// How long a node's certificate lives unless the cluster says otherwise: 90 days.
pub const NODE_VALIDITY: Duration = Duration::hours(2160);
/// The shortest life that a cluster may ask for; below it the default is used.
pub const MIN_NODE_VALIDITY: Duration = Duration::hours(1);
/// Certificates begin an hour early, for nodes whose clocks are behind.
const BACKDATE: Duration = Duration::hours(1);
/// Common name of swarm's roots; every manager also answers to it.
pub const ROOT_NAME: &str = "swarm-ca";

/// The certificates that a cluster trusts: one, or two while a rotation runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRoot {
    pem: String,
}

impl TrustRoot {
    /// Reads a bundle of CA certificates in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, AuthorityError> {
        let root = Self { pem: format!("{}\n", pem.trim()) };
        let certificates = root.certificates()?;
        if certificates.is_empty() {
            return Err(AuthorityError::NoRoots);
        }
        for der in &certificates {
            let (_, certificate) = X509Certificate::from_der(der).map_err(|_| AuthorityError::Parse)?;
            if !certificate.is_ca() {
                return Err(AuthorityError::NotAuthority);
            }
        }
        Ok(root)
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the PEM, as join tokens carry it.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.pem.as_bytes()).into()
    }

    /// DER of the first certificate's public key, as `docker node inspect` shows it.
    pub fn public_key(&self) -> Result<Vec<u8>, AuthorityError> {
        let first = self.certificates()?.into_iter().next().ok_or(AuthorityError::NoRoots)?;
        public_key_of(&first)
    }

    /// DER of the first certificate's name, as `docker swarm inspect` shows it.
    pub fn subject(&self) -> Result<Vec<u8>, AuthorityError> {
        let first = self.certificates()?.into_iter().next().ok_or(AuthorityError::NoRoots)?;
        let (_, certificate) = X509Certificate::from_der(&first).map_err(|_| AuthorityError::Parse)?;
        Ok(certificate.subject().as_raw().to_vec())
    }

    pub fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        CertificateDer::pem_slice_iter(self.pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| AuthorityError::Parse)
    }

    /// Both bundles: what nodes trust while one root takes the other's place.
    pub fn with(&self, other: &Self) -> Self {
        Self { pem: format!("{}{}", self.pem, other.pem) }
    }
}

/// A root certificate together with its key: only managers have one.
#[derive(Clone)]
pub struct RootAuthority {
    root: TrustRoot,
    key_pem: String,
}

/// Why the authority could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("no valid root CA certificates found")]
    NoRoots,
    #[error("could not parse new CA certificate")]
    Parse,
    #[error("certificate not a CA")]
    NotAuthority,
    #[error("certificate key mismatch")]
    KeyMismatch,
    #[error("the CA key cannot be read")]
    Key(#[source] rcgen::Error),
    #[error("the root certificate cannot be made")]
    Create(#[source] rcgen::Error),
    #[error("the certificate signing request cannot be read")]
    Request(#[source] rcgen::Error),
    #[error("failed to sign node certificate")]
    Sign(#[source] rcgen::Error),
    #[error("could not cross-sign new CA certificate using old CA material")]
    CrossSign(#[source] rcgen::Error),
}

/// Whom a certificate is for.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    pub node_id: &'a str,
    pub role: Role,
    pub cluster_id: &'a str,
    /// How long it lives, counted from now; below [`MIN_NODE_VALIDITY`] the default is used.
    pub validity: Duration,
}

impl RootAuthority {
    /// A new root, valid from `now`.
    pub fn create(now: OffsetDateTime) -> Result<Self, AuthorityError> {
        let key = KeyPair::generate().map_err(AuthorityError::Create)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, ROOT_NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.not_before = now - BACKDATE;
        params.not_after = now + ROOT_VALIDITY;
        params.serial_number = Some(serial());
        let certificate = params.self_signed(&key).map_err(AuthorityError::Create)?;
        Ok(Self { root: TrustRoot::from_pem(&certificate.pem())?, key_pem: key.serialize_pem() })
    }

    /// A root that somebody else made, with its key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let authority = Self { root: TrustRoot::from_pem(certificate)?, key_pem: key.to_owned() };
        let pair = authority.key()?;
        let first = authority.first_certificate()?;
        let (_, parsed) = X509Certificate::from_der(&first).map_err(|_| AuthorityError::Parse)?;
        if parsed.public_key().raw != rcgen::PublicKeyData::subject_public_key_info(&pair) {
            return Err(AuthorityError::KeyMismatch);
        }
        Ok(authority)
    }

    pub fn root(&self) -> &TrustRoot {
        &self.root
    }

    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// A certificate for the key in `csr_pem`; nothing else of the request is trusted.
    pub fn sign(
        &self,
        csr_pem: &str,
        grant: Grant<'_>,
        now: OffsetDateTime,
    ) -> Result<String, AuthorityError> {
        let mut request =
            CertificateSigningRequestParams::from_pem(csr_pem).map_err(AuthorityError::Request)?;
        request.params = node_params(grant, now)?;
        let certificate = request.signed_by(&self.issuer()?).map_err(AuthorityError::Sign)?;
        Ok(certificate.pem())
    }

    /// `other`'s root as an intermediate of this one.
    pub fn cross_sign(&self, other: &TrustRoot) -> Result<String, AuthorityError> {
        let der = other.certificates()?.into_iter().next().ok_or(AuthorityError::NoRoots)?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| AuthorityError::Parse)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = name_of(parsed.subject())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(SerialNumber::from_slice(parsed.raw_serial()));
        params.not_before = parsed.validity().not_before.to_datetime();
        params.not_after = parsed.validity().not_after.to_datetime();
        let key =
            SubjectPublicKeyInfo::from_der(parsed.public_key().raw).map_err(AuthorityError::CrossSign)?;
        let certificate = params.signed_by(&key, &self.issuer()?).map_err(AuthorityError::CrossSign)?;
        Ok(certificate.pem())
    }

    fn issuer(&self) -> Result<Issuer<'static, KeyPair>, AuthorityError> {
        Issuer::from_ca_cert_der(&self.first_certificate()?, self.key()?).map_err(AuthorityError::Key)
    }

    fn key(&self) -> Result<KeyPair, AuthorityError> {
        KeyPair::from_pem(&self.key_pem).map_err(AuthorityError::Key)
    }

    fn first_certificate(&self) -> Result<CertificateDer<'static>, AuthorityError> {
        self.root.certificates()?.into_iter().next().ok_or(AuthorityError::NoRoots)
    }
}

impl std::fmt::Debug for RootAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootAuthority").field("root", &self.root.pem).finish_non_exhaustive()
    }
}

/// DER of a certificate's public key.
pub(super) fn public_key_of(der: &[u8]) -> Result<Vec<u8>, AuthorityError> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| AuthorityError::Parse)?;
    Ok(certificate.public_key().raw.to_vec())
}

/// Names as swarm's: a certificate answers to its role and its id, a manager's also to the authority's name.
fn node_params(grant: Grant<'_>, now: OffsetDateTime) -> Result<CertificateParams, AuthorityError> {
    let mut names = vec![grant.role.unit().to_owned(), grant.node_id.to_owned()];
    if grant.role == Role::Manager {
        names.push(ROOT_NAME.to_owned());
    }
    let mut params = CertificateParams::new(names).map_err(AuthorityError::Sign)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, grant.cluster_id);
    params.distinguished_name.push(DnType::OrganizationalUnitName, grant.role.unit());
    params.distinguished_name.push(DnType::CommonName, grant.node_id);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(serial());
    params.not_before = now - BACKDATE;
    let validity = if grant.validity < MIN_NODE_VALIDITY { NODE_VALIDITY } else { grant.validity };
    params.not_after = now + validity;
    Ok(params)
}

/// A name such that it is written as it was: verifiers compare the bytes.
fn name_of(name: &X509Name<'_>) -> Result<DistinguishedName, AuthorityError> {
    let mut copy = DistinguishedName::new();
    for attribute in name.iter_attributes() {
        let oid: Vec<u64> = attribute.attr_type().iter().ok_or(AuthorityError::Parse)?.collect();
        let text = attribute.as_str().map_err(|_| AuthorityError::Parse)?;
        let value = match attribute.attr_value().tag() {
            Tag::PrintableString => {
                DnValue::PrintableString(text.try_into().map_err(|_| AuthorityError::Parse)?)
            }
            _ => DnValue::Utf8String(text.to_owned()),
        };
        copy.push(DnType::from_oid(&oid), value);
    }
    Ok(copy)
}

/// A random positive serial number of 20 bytes.
fn serial() -> SerialNumber {
    let mut bytes = [0u8; 20];
    random(&mut bytes);
    bytes[0] = (bytes[0] & 0x7f) | 0x01;
    SerialNumber::from_slice(&bytes)
}
