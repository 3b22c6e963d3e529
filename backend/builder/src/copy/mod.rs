//! `COPY` and `ADD`: [`sources`] finds and hashes what is meant, [`write`] puts it into the new layer.

pub mod sources;
pub mod write;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use crate::patterns::Ignore;

/// A tree that files are copied from.
#[derive(Clone, Debug)]
pub struct Tree {
    pub root: Arc<OwnedFd>,
    /// Where it is on the host.
    pub path: PathBuf,
}

/// One thing to copy.
#[derive(Clone, Debug)]
pub struct Item {
    pub tree: Tree,
    /// As the user named it, relative: its last part is the name it gets.
    pub name: String,
    /// Where it really is in its tree, links resolved.
    pub path: String,
    /// What the cache compares: `file:…` or `dir:…`.
    pub hash: String,
    pub is_folder: bool,
    /// It came from a URL or from the Dockerfile itself: no archive to unpack.
    pub is_plain: bool,
    /// What is left out of a folder.
    pub exclude: Arc<Ignore>,
}

/// Moby's hash of several: one stands for itself.
pub fn hash_of(items: &[Item]) -> String {
    match items {
        [one] => one.hash.clone(),
        several => {
            let hashes: Vec<&str> = several.iter().map(|item| item.hash.as_str()).collect();
            format!("multi:{}", sources::digest(hashes.join(",").as_bytes()))
        }
    }
}
