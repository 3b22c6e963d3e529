//! What the caller hands in: an id, and a folder with `config.json`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, Process, Spec};

use crate::capabilities;

/// A container's name. It is one path component and safe to print.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

#[derive(Debug, thiserror::Error)]
#[error("invalid container id {0:?}: use letters, digits and _ + - .")]
pub struct InvalidId(String);

impl ContainerId {
    pub fn parse(id: &str) -> Result<Self, InvalidId> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
        if id.is_empty() || id.len() > 1024 || id == "." || id == ".." || !id.chars().all(allowed) {
            return Err(InvalidId(id.to_owned()));
        }
        Ok(Self(id.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ContainerId {
    type Error = InvalidId;
    fn try_from(id: String) -> Result<Self, InvalidId> {
        Self::parse(&id)
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> Self {
        id.0
    }
}

/// A bundle that was read and found complete enough to try.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// Absolute path of the folder.
    pub dir: PathBuf,
    /// Absolute path of the root file system.
    pub rootfs: PathBuf,
    pub rootfs_readonly: bool,
    pub process: Process,
    pub linux: Linux,
    pub spec: Spec,
    /// `config.json` as it was read; kept beside the state so that a later exec does not depend on the bundle.
    pub text: Vec<u8>,
    /// Capabilities it names that nobody knows: worth a warning, and no error.
    pub ignored: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error("find the bundle {dir}")]
    Find {
        dir: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("read {file}")]
    Read {
        file: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("parse {file}")]
    Parse {
        file: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("config.json has no {0}")]
    Missing(&'static str),
    #[error("process.args is empty")]
    NoProgram,
    #[error("process.cwd {0:?} is not an absolute path")]
    RelativeCwd(PathBuf),
}

impl Bundle {
    /// Reads `dir/config.json`.
    pub fn load(dir: &Path) -> Result<Self, BundleError> {
        let dir = std::path::absolute(dir)
            .and_then(|dir| dir.canonicalize())
            .map_err(|source| BundleError::Find { dir: dir.to_owned(), source })?;
        let file = dir.join("config.json");
        let text = std::fs::read(&file).map_err(|source| BundleError::Read { file: file.clone(), source })?;
        Self::parse(dir, text)
    }

    /// Takes the text of a `config.json` that belongs to the folder `dir`.
    pub fn parse(dir: PathBuf, text: Vec<u8>) -> Result<Self, BundleError> {
        let (mut spec, ignored): (Spec, _) = capabilities::parse(&text)
            .map_err(|source| BundleError::Parse { file: dir.join("config.json"), source })?;
        let root = spec.root().as_ref().ok_or(BundleError::Missing("root"))?;
        let (rootfs, rootfs_readonly) = (dir.join(root.path()), root.readonly().unwrap_or(false));
        let process = spec.process().clone().ok_or(BundleError::Missing("process"))?;
        if process.args().as_ref().is_none_or(Vec::is_empty) {
            return Err(BundleError::NoProgram);
        }
        if !process.cwd().is_absolute() {
            return Err(BundleError::RelativeCwd(process.cwd().clone()));
        }
        let linux = spec.linux_mut().take().unwrap_or_else(no_linux);
        Ok(Self { dir, rootfs, rootfs_readonly, process, linux, spec, text, ignored })
    }
}

/// `Linux::default()` would be the types' example; an absent section means that nothing is asked for.
fn no_linux() -> Linux {
    let mut linux = Linux::default();
    linux
        .set_namespaces(None)
        .set_resources(None)
        .set_masked_paths(None)
        .set_readonly_paths(None)
        .set_seccomp(None)
        .set_devices(None);
    linux
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_one_path_component() {
        for good in ["a", "A.b_c+d-e", "0123"] {
            assert!(ContainerId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "ä", "a\n"] {
            assert!(ContainerId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_config_without_a_linux_section_asks_for_nothing() {
        let text = br#"{"ociVersion":"1.0.2","root":{"path":"r"},"process":{"user":{"uid":0,"gid":0},"args":["x"],"cwd":"/"}}"#;
        let bundle = Bundle::parse("/b".into(), text.to_vec()).unwrap();
        assert_eq!(bundle.rootfs, Path::new("/b/r"));
        assert!(bundle.linux.namespaces().is_none() && bundle.linux.masked_paths().is_none());
    }
}
