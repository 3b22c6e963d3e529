//! Where a node listens and what it advertises, kept in `<data-root>/swarm/docker-state.json`; and the managers it knows, in
//! `state.json`. Both as dockerd keeps them, so that a copied folder is understood.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::dispatcher::calls::ManagerAddress;
use crate::raft::RaftId;

/// The port of swarm's calls.
pub const PORT: u16 = 2377;

/// What a node must know before it speaks to anybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    /// `host:port` on which managers listen.
    pub listen_addr: String,
    /// `host:port` where the others reach this node.
    pub advertise_addr: String,
    pub data_path_addr: String,
    /// This node's number in raft, once it was a manager.
    #[serde(rename = "RaftID")]
    pub raft_id: RaftId,
}

/// A file of settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {path}")]
pub struct SettingsError {
    step: &'static str,
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl Settings {
    pub fn load(data_root: &Path) -> Result<Self, SettingsError> {
        read(&data_root.join("swarm/docker-state.json"))
    }

    pub fn save(&self, data_root: &Path) -> Result<(), SettingsError> {
        write(&data_root.join("swarm/docker-state.json"), self)
    }

    /// Where the tunnels of overlay networks end.
    pub fn data_path_ip(&self) -> Option<IpAddr> {
        self.data_path_addr.parse().ok().or_else(|| self.advertised_ip())
    }

    /// The address alone, without its port; nothing for a name.
    pub fn advertised_ip(&self) -> Option<IpAddr> {
        self.advertise_addr
            .parse::<SocketAddr>()
            .ok()
            .map(|address| address.ip())
            .filter(|ip| !ip.is_unspecified())
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Remote {
    node_id: String,
    addr: String,
}

/// The managers that were last known.
pub fn load_remotes(data_root: &Path) -> Result<Vec<ManagerAddress>, SettingsError> {
    let remotes: Vec<Remote> = read(&data_root.join("swarm/state.json"))?;
    Ok(remotes
        .into_iter()
        .map(|remote| ManagerAddress { node_id: remote.node_id, address: remote.addr })
        .collect())
}

pub fn save_remotes(data_root: &Path, managers: &[ManagerAddress]) -> Result<(), SettingsError> {
    let remotes: Vec<Remote> = managers
        .iter()
        .map(|manager| Remote { node_id: manager.node_id.clone(), addr: manager.address.clone() })
        .collect();
    write(&data_root.join("swarm/state.json"), &remotes)
}

fn read<T: Default + for<'de> Deserialize<'de>>(path: &Path) -> Result<T, SettingsError> {
    let failed = |step| move |cause| SettingsError { step, path: path.to_owned(), cause };
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other).map_err(failed("understand")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(cause) => Err(failed("read")(cause)),
    }
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), SettingsError> {
    let failed = |cause| SettingsError { step: "write", path: path.to_owned(), cause };
    let bytes = serde_json::to_vec_pretty(value).map_err(io::Error::other).map_err(failed)?;
    let draft = path.with_extension("draft");
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&draft, bytes)?;
        fs::rename(&draft, path)
    };
    write().map_err(failed)
}

/// `address` with swarm's port when it has none.
pub fn with_port(address: &str) -> String {
    if address.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
        return format!("[{address}]:{PORT}");
    }
    match address.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => address.to_owned(),
        _ => format!("{address}:{PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_gets_swarms() {
        for (given, wanted) in [
            ("10.0.0.1", "10.0.0.1:2377"),
            ("10.0.0.1:1234", "10.0.0.1:1234"),
            ("manager", "manager:2377"),
            ("fe80::1", "[fe80::1]:2377"),
            ("[fe80::1]:99", "[fe80::1]:99"),
        ] {
            assert_eq!(with_port(given), wanted);
        }
    }

    #[test]
    fn settings_and_managers_come_back_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { listen_addr: "0.0.0.0:2377".into(), raft_id: u64::MAX, ..Settings::default() };
        assert_eq!(Settings::load(folder.path()).unwrap(), Settings::default());
        settings.save(folder.path()).unwrap();
        assert_eq!(Settings::load(folder.path()).unwrap(), settings);
        let managers = [ManagerAddress { node_id: "n".into(), address: "a:1".into() }];
        save_remotes(folder.path(), &managers).unwrap();
        assert_eq!(load_remotes(folder.path()).unwrap(), managers);
    }
}
