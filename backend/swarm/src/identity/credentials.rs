//! A node's identity in memory, and the TLS settings that follow from it.
//!
//! Whoever serves or dials asks for the settings anew with each connection, so a renewed certificate or another trust root holds from
//! the next connection on and interrupts none that stands. Sessions are never resumed: resumption would carry an old identity over.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use time::OffsetDateTime;
use tokio::sync::watch;

use super::authority::public_key_of;
use super::subject::SubjectError;
use super::{AuthorityError, Role, Subject, TrustRoot};

/// HTTP/2, which the calls travel in.
const PROTOCOL: &[u8] = b"h2";

/// One state of a node's identity.
#[derive(Debug)]
pub struct Identity {
    pub subject: Subject,
    pub root: TrustRoot,
    /// PEM of the certificate and its intermediates.
    pub certificate: String,
    /// PKCS#8 PEM.
    pub key: String,
    /// DER of the public key of who signed the certificate.
    pub issuer_key: Vec<u8>,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// Why key, certificate and trust root are no identity together.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("the node's certificate is not usable")]
    Certificate(#[source] SubjectError),
    #[error("the node's certificate or key is no PEM")]
    Malformed,
    #[error("the trust root is not usable")]
    Root(#[source] AuthorityError),
    #[error("new root CA does not match existing TLS credentials")]
    NotOfRoot(#[source] rustls::Error),
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("clients cannot be verified against the trust root")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
}

impl Identity {
    /// Checks that the three fit: the certificate names a node, chains to the root (unless expired), and belongs to the key.
    pub fn new(root: TrustRoot, certificate: String, key: String) -> Result<Self, CredentialsError> {
        let chain = chain_of(&certificate)?;
        let subject = Subject::of_der(&chain[0]).map_err(CredentialsError::Certificate)?;
        let roots = Arc::new(store_of(&root)?);
        check_chain(&roots, &chain)?;
        let issuer_key = match chain.get(1) {
            Some(intermediate) => public_key_of(intermediate).map_err(CredentialsError::Root)?,
            None => root.public_key().map_err(CredentialsError::Root)?,
        };
        let private =
            || PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| CredentialsError::Malformed);
        let server = server_config(roots.clone(), chain.clone(), private()?)?;
        let client = client_config(roots, chain, private()?)?;
        Ok(Self {
            subject,
            root,
            certificate,
            key,
            issuer_key,
            server: Arc::new(server),
            client: Arc::new(client),
        })
    }

    /// How the node serves: it shows its certificate and asks for one. Who shows none gets in, and only the calls of the authority.
    pub fn server(&self) -> Arc<ServerConfig> {
        self.server.clone()
    }

    /// How the node dials a manager.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client.clone()
    }
}

/// The identity that a running node has now; clones share it.
#[derive(Debug, Clone)]
pub struct Credentials {
    current: watch::Sender<Arc<Identity>>,
}

impl Credentials {
    pub fn new(identity: Identity) -> Self {
        Self { current: watch::Sender::new(Arc::new(identity)) }
    }

    pub fn get(&self) -> Arc<Identity> {
        self.current.borrow().clone()
    }

    pub fn replace(&self, identity: Identity) {
        self.current.send_replace(Arc::new(identity));
    }

    /// Is told each time the identity changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Identity>> {
        self.current.subscribe()
    }

    pub fn node_id(&self) -> String {
        self.current.borrow().subject.node_id.clone()
    }

    pub fn role(&self) -> Role {
        self.current.borrow().subject.role
    }

    /// Why the certificate is of no use by this node's clock.
    pub fn complaint(&self) -> Option<String> {
        self.current.borrow().subject.complaint(OffsetDateTime::now_utc())
    }

    pub fn cluster_id(&self) -> String {
        self.current.borrow().subject.cluster_id.clone()
    }
}

/// How a newcomer with a known trust root dials a manager: it checks the manager, and shows nothing of its own.
pub fn newcomer_client(root: &TrustRoot) -> Result<ClientConfig, CredentialsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CredentialsError::Tls)?
        .with_root_certificates(store_of(root)?)
        .with_no_client_auth();
    Ok(for_calls(config))
}

/// How a newcomer asks for the root certificate before it can recognise anybody. What is fetched so must be checked against the
/// token's digest before it is used.
pub fn unverified_client() -> Result<ClientConfig, CredentialsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CredentialsError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(provider())))
        .with_no_client_auth();
    Ok(for_calls(config))
}

/// The name that every manager's certificate answers to.
pub fn manager_name() -> ServerName<'static> {
    ServerName::try_from(Role::Manager.unit()).expect("the unit of managers is a DNS name")
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn chain_of(certificate: &str) -> Result<Vec<CertificateDer<'static>>, CredentialsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|_| CredentialsError::Malformed)?;
    if chain.is_empty() { Err(CredentialsError::Malformed) } else { Ok(chain) }
}

fn store_of(root: &TrustRoot) -> Result<RootCertStore, CredentialsError> {
    let mut store = RootCertStore::empty();
    for certificate in root.certificates().map_err(CredentialsError::Root)? {
        store.add(certificate).map_err(CredentialsError::Tls)?;
    }
    Ok(store)
}

/// An expired certificate is still an identity: the node shows it to no avail, but can be told what is wrong.
fn check_chain(
    roots: &Arc<RootCertStore>,
    chain: &[CertificateDer<'static>],
) -> Result<(), CredentialsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
        .build()
        .map_err(CredentialsError::Verifier)?;
    match verifier.verify_client_cert(&chain[0], &chain[1..], UnixTime::now()) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InvalidCertificate(
            rustls::CertificateError::Expired
            | rustls::CertificateError::ExpiredContext { .. }
            | rustls::CertificateError::NotValidYet
            | rustls::CertificateError::NotValidYetContext { .. },
        )) => Ok(()),
        Err(error) => Err(CredentialsError::NotOfRoot(error)),
    }
}

fn server_config(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, CredentialsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()
        .map_err(CredentialsError::Verifier)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CredentialsError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(CredentialsError::Tls)?;
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_config(
    roots: Arc<RootCertStore>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, CredentialsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CredentialsError::Tls)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(CredentialsError::Tls)?;
    Ok(for_calls(config))
}

fn for_calls(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    config
}

/// Takes any server: only to fetch the root certificate, which the token's digest then proves.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
