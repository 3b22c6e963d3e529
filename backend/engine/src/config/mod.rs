//! The engine's one configuration: `daemon.json` and flags over defaults. Nobody else reads either, or the environment.
//!
//! ```text
//!   command line ─▶ parse ─┐
//!                          ├─▶ settings ─▶ validate ─▶ resolve ─▶ Config
//!   daemon.json ──▶ file ──┘                                        └ live: what SIGHUP may change
//! ```
//!
//! Options are a table ([`options`]); texts of complaints are dockerd's.

mod file;
mod hosts;
mod options;
mod parse;
mod resolve;
mod settings;
mod unserved;
mod usage;
mod validate;
mod value;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use drydock_registry::Proxies;

pub use hosts::Host;
pub use parse::{FlagError, Given};
pub use resolve::{Environment, LoadError, Sources, load};
pub use usage::usage;
pub use value::{Pool as AddressPool, Runtime, Ulimit};

use crate::http::version::ApiVersion;

/// The runtime that needs no registration.
pub const STOCK_RUNTIME: &str = "runc";
/// Another name for it.
pub const STOCK_RUNTIME_V2: &str = "io.containerd.runc.v2";

/// `--tls…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Clients must have a certificate of the authority.
    pub verify: bool,
    pub ca: Option<PathBuf>,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What the daemon's own log looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Everything the engine was told. Paths are absolute.
#[derive(Clone, Debug)]
pub struct Config {
    pub hosts: Vec<Host>,
    /// Who beside root may connect to a socket; none: the group `docker`, if there is one.
    pub group: Option<String>,
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub pidfile: Option<PathBuf>,
    pub log_level: String,
    pub log_format: LogFormat,
    pub tls: Option<Tls>,
    /// The oldest version of the API that clients may speak.
    pub min_api_version: ApiVersion,
    pub experimental: bool,
    /// `host:port` where figures are served for Prometheus.
    pub metrics_addr: Option<String>,
    pub default_address_pools: Vec<AddressPool>,
    /// `--bip`: address and prefix of the default bridge.
    pub bip: Option<String>,
    pub bip6: Option<String>,
    /// `--bridge`: an existing bridge instead of docker0; `none`: no default bridge.
    pub bridge: Option<String>,
    pub fixed_cidr: Option<String>,
    pub fixed_cidr_v6: Option<String>,
    pub default_gateways: Vec<IpAddr>,
    /// Where ports are published unless `-p` says so.
    pub ip: Option<IpAddr>,
    pub ipv6: bool,
    /// Containers on the default bridge may reach each other.
    pub icc: bool,
    pub ip_forward: bool,
    pub ip_masq: bool,
    /// What comes to a port and no packet rule leads on is passed on.
    pub userland_proxy: bool,
    /// By driver, options of new networks.
    pub default_network_options: BTreeMap<String, BTreeMap<String, String>>,
    pub mtu: Option<u32>,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    /// What `host-gateway` means in `--add-host`; none: the default bridge's address.
    pub host_gateway_ips: Vec<String>,
    pub proxies: Proxies,
    pub init: bool,
    pub cgroup_parent: Option<String>,
    pub no_new_privileges: bool,
    /// `builtin`, `unconfined` or a file.
    pub seccomp_profile: String,
    pub default_ulimits: BTreeMap<String, Ulimit>,
    pub log_driver: String,
    pub log_opts: BTreeMap<String, String>,
    /// `overlay2` or `vfs`; none: the best there is.
    pub storage_driver: Option<String>,
    pub storage_options: Vec<String>,
    /// `--shim`, else `drydock-shim` beside this program.
    pub shim: PathBuf,
    /// The host's read-only layer store, when there is one.
    pub shared_store: Option<PathBuf>,
    /// As of the start.
    pub live: Live,
}

/// What SIGHUP may change.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    pub debug: bool,
    pub labels: Vec<String>,
    pub registry_mirrors: Vec<String>,
    pub insecure_registries: Vec<String>,
    pub live_restore: bool,
    /// Negative: for ever.
    pub shutdown_timeout_s: i64,
    pub max_concurrent_downloads: usize,
    pub max_concurrent_uploads: usize,
    pub max_download_attempts: usize,
    pub default_runtime: String,
    pub runtimes: BTreeMap<String, Runtime>,
    pub default_shm_size: i64,
    pub default_ipc_mode: String,
    pub default_cgroupns_mode: String,
    pub features: BTreeMap<String, bool>,
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

/// A URL without the name and the password in it.
pub fn masked(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            match rest[..end].rsplit_once('@') {
                Some((_, host)) => format!("{scheme}://xxxxx:xxxxx@{host}{}", &rest[end..]),
                None => text.to_owned(),
            }
        }
        None => text.to_owned(),
    }
}
