//! A node's identity on disk, where dockerd keeps it: `<data-root>/swarm/certificates/`.
//!
//! ```text
//! swarm-root-ca.crt   what the node trusts
//! swarm-node.crt      its certificate, followed by intermediates
//! swarm-node.key      its private key; PEM headers carry the key of the raft log (raft-dek), the one that is about to take its
//!                     place (raft-dek-pending), and the version of the unlock key
//! ```
//!
//! With autolock the private key and those of the log are sealed with the unlock key. A new key and certificate are two files, so the
//! key first lies beside the old one as `swarm-node.key.next`: whichever of the two fits the certificate is the key.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pem::Pem;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{AuthorityError, SealKey, TrustRoot, UnlockKey};

const PLAIN_LABEL: &str = "PRIVATE KEY";
const SEALED_LABEL: &str = "ENCRYPTED PRIVATE KEY";
const RAFT_KEY: &str = "raft-dek";
const NEXT_RAFT_KEY: &str = "raft-dek-pending";
const KEK_VERSION: &str = "kek-version";

/// The folder of a node's certificates.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    dir: PathBuf,
}

/// A node's private key and what travels with it.
#[derive(Debug, Clone)]
pub struct NodeKey {
    /// PKCS#8 PEM.
    pub pem: String,
    /// The key of the raft log: only managers have one.
    pub raft_key: Option<SealKey>,
    /// The key that log or snapshot may be sealed with already, while one is replaced by the other.
    pub next_raft_key: Option<SealKey>,
    /// Version of the cluster object whose unlock key sealed this file.
    pub kek_version: u64,
}

/// Why an identity cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("cannot write {path}")]
    Write {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{path} is not a PEM file of the expected kind")]
    Malformed { path: PathBuf },
    #[error("node is locked, and needs a valid unlock key")]
    Locked,
    #[error("the root certificate in {path} is not usable")]
    Root {
        path: PathBuf,
        #[source]
        cause: AuthorityError,
    },
}

impl CertificateFiles {
    /// The folder below an engine's data root.
    pub fn below(data_root: &Path) -> Self {
        Self { dir: data_root.join("swarm/certificates") }
    }

    pub fn root_path(&self) -> PathBuf {
        self.dir.join("swarm-root-ca.crt")
    }

    pub fn certificate_path(&self) -> PathBuf {
        self.dir.join("swarm-node.crt")
    }

    pub fn key_path(&self) -> PathBuf {
        self.dir.join("swarm-node.key")
    }

    fn next_key_path(&self) -> PathBuf {
        self.dir.join("swarm-node.key.next")
    }

    /// What the node trusts; nothing when it never joined.
    pub fn load_root(&self) -> Result<Option<TrustRoot>, FilesError> {
        let path = self.root_path();
        let Some(text) = read(&path)? else { return Ok(None) };
        TrustRoot::from_pem(&text).map(Some).map_err(|cause| FilesError::Root { path, cause })
    }

    pub fn save_root(&self, root: &TrustRoot) -> Result<(), FilesError> {
        self.write(&self.root_path(), root.pem(), 0o644)
    }

    /// PEM of the node's certificate and intermediates.
    pub fn load_certificate(&self) -> Result<Option<String>, FilesError> {
        read(&self.certificate_path())
    }

    /// The key that fits the certificate. [`FilesError::Locked`] when it is sealed and `unlock` does not open it.
    pub fn load_key(&self, unlock: Option<&UnlockKey>) -> Result<Option<NodeKey>, FilesError> {
        if let Some(next) = self.read_key(&self.next_key_path(), unlock)?
            && self.fits_certificate(&next.pem)?
        {
            self.rename(&self.next_key_path(), &self.key_path())?;
            return Ok(Some(next));
        }
        self.read_key(&self.key_path(), unlock)
    }

    /// Writes key and certificate so that a crash in between leaves a pair that fits.
    pub fn save_identity(
        &self,
        certificate: &str,
        key: &NodeKey,
        unlock: Option<&UnlockKey>,
    ) -> Result<(), FilesError> {
        self.write(&self.next_key_path(), &encode_key(key, unlock), 0o600)?;
        self.write(&self.certificate_path(), certificate, 0o644)?;
        self.rename(&self.next_key_path(), &self.key_path())
    }

    /// Writes the key alone: to lock, to unlock, or with another raft key.
    pub fn save_key(&self, key: &NodeKey, unlock: Option<&UnlockKey>) -> Result<(), FilesError> {
        self.write(&self.key_path(), &encode_key(key, unlock), 0o600)
    }

    /// Whether the key file is sealed, without opening it.
    pub fn is_locked(&self) -> Result<bool, FilesError> {
        let text = read(&self.key_path())?;
        Ok(text.is_some_and(|text| text.contains(SEALED_LABEL)))
    }

    fn read_key(&self, path: &Path, unlock: Option<&UnlockKey>) -> Result<Option<NodeKey>, FilesError> {
        let Some(text) = read(path)? else { return Ok(None) };
        let malformed = || FilesError::Malformed { path: path.to_owned() };
        let block = pem::parse(&text).map_err(|_| malformed())?;
        let sealed = match block.tag() {
            PLAIN_LABEL => None,
            SEALED_LABEL => Some(unlock.ok_or(FilesError::Locked)?.seal_key()),
            _ => return Err(malformed()),
        };
        let open = |purpose: &[u8], bytes: &[u8]| match sealed {
            None => Ok(bytes.to_vec()),
            Some(key) => key.open(purpose, bytes).map_err(|_| FilesError::Locked),
        };
        let der = open(PLAIN_LABEL.as_bytes(), block.contents())?;
        let raft_key = |header: &str| -> Result<Option<SealKey>, FilesError> {
            let Some(value) = block.headers().get(header) else { return Ok(None) };
            let bytes = open(header.as_bytes(), &STANDARD.decode(value).map_err(|_| malformed())?)?;
            Ok(Some(SealKey::from_bytes(bytes.try_into().map_err(|_| malformed())?)))
        };
        let kek_version = block.headers().get(KEK_VERSION).and_then(|value| value.parse().ok()).unwrap_or(0);
        Ok(Some(NodeKey {
            pem: pem::encode(&Pem::new(PLAIN_LABEL, der)),
            raft_key: raft_key(RAFT_KEY)?,
            next_raft_key: raft_key(NEXT_RAFT_KEY)?,
            kek_version,
        }))
    }

    fn fits_certificate(&self, key_pem: &str) -> Result<bool, FilesError> {
        let Some(certificate) = self.load_certificate()? else { return Ok(false) };
        let malformed = || FilesError::Malformed { path: self.certificate_path() };
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(|_| malformed())?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| malformed())?;
        let Ok(key) = KeyPair::from_pem(key_pem) else { return Ok(false) };
        Ok(parsed.public_key().raw == key.subject_public_key_info())
    }

    /// Written beside, flushed, renamed: a reader sees the old text or the new one, whole.
    fn write(&self, path: &Path, text: &str, mode: u32) -> Result<(), FilesError> {
        let failed = |cause| FilesError::Write { path: path.to_owned(), cause };
        fs::create_dir_all(&self.dir).map_err(failed)?;
        let draft = path.with_extension("draft");
        let write = || -> io::Result<()> {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&draft)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(failed)?;
        self.rename(&draft, path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), FilesError> {
        let rename = || fs::rename(from, to).and_then(|()| fs::File::open(&self.dir)?.sync_all());
        rename().map_err(|cause| FilesError::Write { path: to.to_owned(), cause })
    }
}

fn read(path: &Path) -> Result<Option<String>, FilesError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(FilesError::Read { path: path.to_owned(), cause }),
    }
}

fn encode_key(key: &NodeKey, unlock: Option<&UnlockKey>) -> String {
    let der = pem::parse(&key.pem).map(Pem::into_contents).unwrap_or_default();
    let seal = |purpose: &[u8], bytes: &[u8]| match unlock {
        None => bytes.to_vec(),
        Some(unlock) => unlock.seal_key().seal(purpose, bytes),
    };
    let label = if unlock.is_some() { SEALED_LABEL } else { PLAIN_LABEL };
    let mut block = Pem::new(label, seal(PLAIN_LABEL.as_bytes(), &der));
    let mut headers = vec![(KEK_VERSION, key.kek_version.to_string())];
    for (header, raft_key) in [(RAFT_KEY, &key.raft_key), (NEXT_RAFT_KEY, &key.next_raft_key)] {
        if let Some(raft_key) = raft_key {
            headers.push((header, STANDARD.encode(seal(header.as_bytes(), raft_key.as_bytes()))));
        }
    }
    for (name, value) in headers {
        // A header that cannot be written has a line break in its name: these have none.
        let _ = block.headers_mut().add(name, &value);
    }
    pem::encode(&block)
}
