//! Which namespaces a container has of its own, shares with the host, or with another container.

use std::path::PathBuf;

use bollard_stubs::models::HostConfig;
use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType};

/// How one namespace is chosen by `--pid`, `--ipc`, `--uts`, `--network`, `--cgroupns`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    Own,
    Host,
    /// An existing one, by path.
    Join(PathBuf),
}

/// All choices of a container. The mount namespace is always its own.
#[derive(Clone, Debug)]
pub struct Namespaces {
    pub network: Choice,
    pub pid: Choice,
    pub ipc: Choice,
    pub uts: Choice,
    pub cgroup: Choice,
}

impl Namespaces {
    pub fn to_oci(&self) -> Vec<LinuxNamespace> {
        let mut list = vec![namespace(LinuxNamespaceType::Mount, None)];
        let choices = [
            (LinuxNamespaceType::Network, &self.network),
            (LinuxNamespaceType::Pid, &self.pid),
            (LinuxNamespaceType::Ipc, &self.ipc),
            (LinuxNamespaceType::Uts, &self.uts),
            (LinuxNamespaceType::Cgroup, &self.cgroup),
        ];
        for (kind, choice) in choices {
            match choice {
                Choice::Own => list.push(namespace(kind, None)),
                Choice::Join(path) => list.push(namespace(kind, Some(path.clone()))),
                Choice::Host => {}
            }
        }
        list
    }
}

fn namespace(kind: LinuxNamespaceType, path: Option<PathBuf>) -> LinuxNamespace {
    let mut namespace = LinuxNamespace::default();
    namespace.set_typ(kind);
    namespace.set_path(path);
    namespace
}

/// The other container a mode like `container:NAME` names.
pub fn container_of(mode: Option<&str>) -> Option<&str> {
    mode?.strip_prefix("container:")
}

/// All containers whose namespaces this one shares.
pub fn shared_with(host: &HostConfig) -> impl Iterator<Item = &str> {
    [&host.network_mode, &host.pid_mode, &host.ipc_mode]
        .into_iter()
        .filter_map(|mode| container_of(mode.as_deref()))
}
