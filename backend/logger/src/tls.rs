//! Encryption towards a receiver: whom to believe, how to prove oneself, and what goes wrong in the words of moby's
//! `tlsconfig` and Go's `crypto/tls`.

use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use drydock_logger::settings::ClientTls;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use crate::net::said;

/// Where distributions keep the authorities they believe; the first that is there counts, as in Go.
const SYSTEM_ROOTS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub type Encrypted = StreamOwned<ClientConnection, TcpStream>;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("could not read CA certificate {path:?}: open {}: {}", .path.display(), said(.source))]
    ReadCa { path: PathBuf, source: io::Error },
    #[error("failed to append certificates from PEM file: {path:?}")]
    NoCa { path: PathBuf },
    #[error("Could not load X509 key pair: open {}: {}", .path.display(), said(.source))]
    ReadPair { path: PathBuf, source: io::Error },
    #[error("Could not load X509 key pair: tls: failed to find any PEM data in {0} input")]
    NoPem(&'static str),
    #[error("Could not load X509 key pair: {0}")]
    Pair(#[source] rustls::Error),
    #[error("the TLS library refuses its own settings: {0}")]
    Provider(#[source] rustls::Error),
    #[error("tls: {0} is not a name that a certificate can have")]
    Name(String),
    #[error("{}", go(.0))]
    Handshake(#[source] rustls::Error),
    #[error("{}", said(.0))]
    Io(#[source] io::Error),
}

/// A handshake's failure as Go words it.
fn go(error: &rustls::Error) -> String {
    let certificate = match error {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::UnknownIssuer => "x509: certificate signed by unknown authority",
            CertificateError::Expired
            | CertificateError::NotValidYet
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYetContext { .. } => {
                "x509: certificate has expired or is not yet valid"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "x509: certificate is not valid for the name asked for"
            }
            _ => return format!("tls: failed to verify certificate: {error}"),
        },
        rustls::Error::AlertReceived(alert) => return format!("remote error: tls: {alert:?}"),
        rustls::Error::InvalidMessage(_) => {
            return "tls: first record does not look like a TLS handshake".to_owned();
        }
        other => return format!("tls: {other}"),
    };
    format!("tls: failed to verify certificate: {certificate}")
}

/// Reads the files that `settings` names.
pub fn config(settings: &ClientTls) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?;
    let roots = roots(settings.ca.as_deref())?;
    let builder = if settings.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(BelieveAnybody(provider)))
    } else {
        builder.with_root_certificates(roots)
    };
    let config = match (&settings.cert, &settings.key) {
        (None, None) => builder.with_no_client_auth(),
        (cert, key) => {
            let (chain, key) = pair(cert.as_deref(), key.as_deref())?;
            builder.with_client_auth_cert(chain, key).map_err(TlsError::Pair)?
        }
    };
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    if let Some(system) = SYSTEM_ROOTS.iter().find(|path| Path::new(path).exists())
        && let Ok(certificates) = CertificateDer::pem_file_iter(system)
    {
        // One that cannot be read is believed by nobody.
        roots.add_parsable_certificates(certificates.filter_map(Result::ok));
    }
    if let Some(path) = ca {
        let text =
            std::fs::read(path).map_err(|source| TlsError::ReadCa { path: path.to_owned(), source })?;
        let own: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
        if roots.add_parsable_certificates(own).0 == 0 {
            return Err(TlsError::NoCa { path: path.to_owned() });
        }
    }
    Ok(roots)
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(cert: Option<&Path>, key: Option<&Path>) -> Result<Pair, TlsError> {
    let read = |path: Option<&Path>| {
        let path = path.unwrap_or(Path::new(""));
        std::fs::read(path).map_err(|source| TlsError::ReadPair { path: path.to_owned(), source })
    };
    let (cert, key) = (read(cert)?, read(key)?);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(TlsError::NoPem("certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| TlsError::NoPem("key"))?;
    Ok((chain, key))
}

/// Speaks TLS over a connection to `host`. The handshake is done when this returns.
pub fn wrap(config: &Arc<ClientConfig>, host: &str, mut stream: TcpStream) -> Result<Encrypted, TlsError> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
    let mut connection = ClientConnection::new(config.clone(), name).map_err(TlsError::Handshake)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream).map_err(|error| match unwrap(&error) {
            Some(tls) => TlsError::Handshake(tls.clone()),
            None => TlsError::Io(error),
        })?;
    }
    Ok(StreamOwned::new(connection, stream))
}

/// The TLS error inside one of input and output.
fn unwrap(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// `…-skip-verify`: the user said so.
#[derive(Debug)]
struct BelieveAnybody(Arc<CryptoProvider>);

impl ServerCertVerifier for BelieveAnybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
