//! The engine's one configuration: flags over `daemon.json` over defaults. Nobody else reads either.

mod flags;

use std::path::PathBuf;

pub use flags::{Flags, ReadError, parse_size};

/// Where one listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `unix:///path`.
    Unix(PathBuf),
    /// `tcp://address:port`.
    Tcp(String),
    /// `fd://` or `fd://NAME`: sockets inherited by `LISTEN_FDS`.
    Inherited(Option<String>),
}

/// `--tls…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub verify: bool,
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Networks are cut out of such a pool: `base` in CIDR, `size` the prefix length of each.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct AddressPool {
    pub base: String,
    pub size: u8,
}

/// Everything the engine was told. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Config {
    pub hosts: Vec<Host>,
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub pidfile: Option<PathBuf>,
    pub debug: bool,
    pub log_level: String,
    pub tls: Option<Tls>,
    pub registry_mirrors: Vec<String>,
    pub insecure_registries: Vec<String>,
    pub default_address_pools: Vec<AddressPool>,
    /// `--bip`: address and prefix of the default bridge.
    pub bip: Option<String>,
    /// `--bridge`: an existing bridge instead of docker0; `none`: no default bridge.
    pub bridge: Option<String>,
    pub mtu: Option<u32>,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    pub labels: Vec<String>,
    pub live_restore: bool,
    pub init: bool,
    /// `--experimental`: clients may ask for `docker build --squash`.
    pub experimental: bool,
    pub shutdown_timeout_s: u64,
    pub cgroup_parent: Option<String>,
    pub default_shm_size: i64,
    pub log_driver: String,
    pub log_opts: std::collections::BTreeMap<String, String>,
    /// `--shim`, else `drydock-shim` beside this program.
    pub shim: PathBuf,
    /// The host's read-only layer store, when there is one.
    pub shared_store: Option<PathBuf>,
}
