//! `/etc/docker/certs.d/HOST:PORT`: authorities (`*.crt`) and a client's certificate with its key (`*.cert`, `*.key`).
//! Read again when a file in it changes, so that nobody restarts an engine for a certificate.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folder cannot be used; the texts are moby's.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error(
        "missing key {key} for client certificate {certificate}. CA certificates must use the extension .crt"
    )]
    MissingKey { key: String, certificate: String },
    #[error("missing client certificate {certificate} for key {key}")]
    MissingCertificate { key: String, certificate: String },
    #[error("open {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("tls: failed to find any PEM data in certificate input")]
    Identity(#[source] reqwest::Error),
    #[error("tls: {host} cannot be spoken to: {why}")]
    Client { host: String, why: String },
}

/// Tells one content of the folder from another.
pub(crate) type Stamp = Vec<(String, u64, i64, i64)>;

/// The names in the folder with what changes when they do; nothing where there is no folder.
pub(crate) fn stamp(folder: &Path) -> Stamp {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut stamp: Stamp = entries
        .filter_map(|entry| {
            // Followed: certificates are often links to where they are renewed.
            let meta = fs::metadata(entry.path()).ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some((name, meta.ino(), meta.mtime(), meta.mtime_nsec()))
        })
        .collect();
    stamp.sort();
    stamp
}

/// What a TLS client for one host needs.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    pub authorities: Vec<reqwest::Certificate>,
    pub identity: Option<reqwest::Identity>,
}

impl Certificates {
    /// Reads the folder of a host, and the system's authorities beside it.
    pub fn read(folder: &Path, stamp: &Stamp) -> Result<Self, CertificateError> {
        let mut found = Self::default();
        found.trust(Path::new("/etc/ssl/certs/ca-certificates.crt"))?;
        let has = |name: &str| stamp.iter().any(|(other, ..)| other == name);
        for (name, ..) in stamp {
            let Some((base, end)) = name.rsplit_once('.') else { continue };
            match end {
                "crt" => found.trust(&folder.join(name))?,
                "cert" => {
                    let key = format!("{base}.key");
                    if !has(&key) {
                        return Err(CertificateError::MissingKey { key, certificate: name.clone() });
                    }
                    let mut pem = read(&folder.join(name))?;
                    pem.push(b'\n');
                    pem.extend(read(&folder.join(key))?);
                    found.identity =
                        Some(reqwest::Identity::from_pem(&pem).map_err(CertificateError::Identity)?);
                }
                "key" => {
                    let certificate = format!("{base}.cert");
                    if !has(&certificate) {
                        return Err(CertificateError::MissingCertificate { key: name.clone(), certificate });
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// As Go's pool does, this takes what can be read of a file and says nothing of the rest.
    fn trust(&mut self, path: &Path) -> Result<(), CertificateError> {
        let bytes = match read(path) {
            Err(CertificateError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(());
            }
            other => other?,
        };
        self.authorities.extend(reqwest::Certificate::from_pem_bundle(&bytes).unwrap_or_default());
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_its_key_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let read = || Certificates::read(folder.path(), &stamp(folder.path())).map(drop);
        assert!(read().is_ok(), "an empty folder is none");
        fs::write(folder.path().join("client.cert"), "x").unwrap();
        assert_eq!(
            read().unwrap_err().to_string(),
            "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt"
        );
        fs::rename(folder.path().join("client.cert"), folder.path().join("client.key")).unwrap();
        assert_eq!(
            read().unwrap_err().to_string(),
            "missing client certificate client.cert for key client.key"
        );
    }

    #[test]
    fn a_changed_folder_has_another_stamp() {
        let folder = tempfile::tempdir().unwrap();
        let before = stamp(folder.path());
        fs::write(folder.path().join("ca.crt"), "x").unwrap();
        let after = stamp(folder.path());
        assert_ne!(before, after);
        assert_eq!(after, stamp(folder.path()));
        assert!(stamp(&folder.path().join("none")).is_empty());
    }
}
