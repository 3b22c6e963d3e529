//! `--tls`, `--tlsverify`: the API over TCP with a certificate, and with clients that have one of the right authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::config::Tls;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("could not read certificate {path}")]
    Certificate { path: PathBuf, source: pem::Error },
    #[error("could not read key {path}")]
    Key { path: PathBuf, source: pem::Error },
    #[error("could not read CA certificate {path}")]
    Authority { path: PathBuf, source: pem::Error },
    #[error("use the CA certificates")]
    Roots(#[source] rustls::Error),
    #[error("verify clients")]
    Verifier(#[source] VerifierBuilderError),
    #[error("could not load X509 key pair")]
    Pair(#[source] rustls::Error),
}

/// What turns an accepted connection into an encrypted one.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let chain =
        certificates(&tls.cert).map_err(|source| TlsError::Certificate { path: tls.cert.clone(), source })?;
    let key = PrivateKeyDer::from_pem_file(&tls.key)
        .map_err(|source| TlsError::Key { path: tls.key.clone(), source })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?;
    let builder = if tls.verify {
        let roots = Arc::new(authorities(&tls.ca)?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
        builder.with_client_cert_verifier(verifier.build().map_err(TlsError::Verifier)?)
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}

fn authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let list = certificates(path).map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    for certificate in list {
        roots.add(certificate).map_err(TlsError::Roots)?;
    }
    Ok(roots)
}
