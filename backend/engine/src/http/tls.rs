//! `--tls`, `--tlsverify`: the API over TCP with a certificate, and with clients that have one of the right authority.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};

use crate::config::Tls;
use crate::golang::{os_error, quote};

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("Could not load X509 key pair (cert: {}, key: {}): open {}: {}", quoted(cert), quoted(key), file.display(), os_error(source))]
    Missing { cert: PathBuf, key: PathBuf, file: PathBuf, source: std::io::Error },
    #[error(
        "Error reading X509 key pair (cert: {}, key: {}): {why}. Make sure the key is not encrypted.",
        quoted(cert),
        quoted(key)
    )]
    Pair { cert: PathBuf, key: PathBuf, why: String },
    #[error("could not read CA certificate {}: open {}: {}", quoted(path), path.display(), os_error(source))]
    Authority { path: PathBuf, source: std::io::Error },
    #[error("failed to append certificates from PEM file: {}", quoted(.0))]
    NoAuthority(PathBuf),
    #[error("verify clients: {0}")]
    Verifier(#[source] VerifierBuilderError),
    #[error("the TLS library refuses its own settings: {0}")]
    Provider(#[source] rustls::Error),
}

fn quoted(path: &Path) -> String {
    quote(&path.to_string_lossy())
}

/// What turns an accepted connection into an encrypted one.
pub fn acceptor(tls: &Tls) -> Result<TlsAcceptor, TlsError> {
    let (chain, key) = pair(tls)?;
    let provider = Arc::new(ring::default_provider());
    // Told before the authority is looked for, as Go does.
    CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => unfit(tls, &"tls: private key does not match public key"),
        other => unfit(tls, &other),
    })?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Provider)?;
    let builder = if tls.verify {
        let roots = Arc::new(authorities(tls.ca.as_deref())?);
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
        builder.with_client_cert_verifier(verifier.build().map_err(TlsError::Verifier)?)
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(chain, key).map_err(|error| unfit(tls, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn unfit(tls: &Tls, why: &dyn std::fmt::Display) -> TlsError {
    TlsError::Pair { cert: tls.cert.clone(), key: tls.key.clone(), why: why.to_string() }
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn pair(tls: &Tls) -> Result<Pair, TlsError> {
    let read = |file: &Path| {
        std::fs::read(file).map_err(|source| TlsError::Missing {
            cert: tls.cert.clone(),
            key: tls.key.clone(),
            file: file.to_owned(),
            source,
        })
    };
    let (cert, key) = (read(&tls.cert)?, read(&tls.key)?);
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert).filter_map(Result::ok).collect();
    if chain.is_empty() {
        return Err(unfit(tls, &"tls: failed to find any PEM data in certificate input"));
    }
    let key = PrivateKeyDer::from_pem_slice(&key);
    let key = key.map_err(|_| unfit(tls, &"tls: failed to find any PEM data in key input"))?;
    Ok((chain, key))
}

fn authorities(path: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let path = path.unwrap_or(Path::new(""));
    let text = std::fs::read(path).map_err(|source| TlsError::Authority { path: path.to_owned(), source })?;
    let mut roots = RootCertStore::empty();
    let list = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok);
    if roots.add_parsable_certificates(list).0 == 0 {
        return Err(TlsError::NoAuthority(path.to_owned()));
    }
    Ok(roots)
}
