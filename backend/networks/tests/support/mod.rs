//! Fresh network namespaces for a test, gone when it ends.

use std::path::PathBuf;

use drydock_networks::NetNs;

/// A folder of namespaces.
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// Panics unless root: nothing here can be tried otherwise.
    pub fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "network tests make namespaces: run them as root (cargo xtask test)"
        );
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn namespace(&self, name: &str) -> NetNs {
        NetNs::create(&self.path(name)).expect("a network namespace")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            NetNs::remove(&entry.path()).expect("remove a namespace");
        }
    }
}
