//! dockerd's flags, and `daemon.json` with the same names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde::Deserialize;

use super::{AddressPool, Config, Host, Tls};

const DEFAULT_CONFIG_FILE: &str = "/etc/docker/daemon.json";
const DEFAULT_SHARED_STORE: &str = "/var/lib/drydock/store";
const DEFAULT_SHM: i64 = 64 << 20;

/// A Docker engine.
#[derive(Clone, Debug, Default, Parser)]
#[command(name = "drydock-engine", version, disable_version_flag = true)]
pub struct Flags {
    /// Daemon socket(s) to connect to: unix://, tcp://, fd://
    #[arg(short = 'H', long = "host")]
    pub host: Vec<String>,
    #[arg(long)]
    pub data_root: Option<PathBuf>,
    #[arg(long)]
    pub exec_root: Option<PathBuf>,
    #[arg(short = 'p', long)]
    pub pidfile: Option<PathBuf>,
    #[arg(long)]
    pub config_file: Option<PathBuf>,
    #[arg(short = 'D', long)]
    pub debug: bool,
    #[arg(short = 'l', long)]
    pub log_level: Option<String>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub tls: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub tlsverify: Option<bool>,
    #[arg(long)]
    pub tlscacert: Option<PathBuf>,
    #[arg(long)]
    pub tlscert: Option<PathBuf>,
    #[arg(long)]
    pub tlskey: Option<PathBuf>,
    #[arg(long)]
    pub registry_mirror: Vec<String>,
    #[arg(long)]
    pub insecure_registry: Vec<String>,
    /// base=172.30.0.0/16,size=24
    #[arg(long)]
    pub default_address_pool: Vec<String>,
    #[arg(long)]
    pub bip: Option<String>,
    #[arg(short = 'b', long)]
    pub bridge: Option<String>,
    #[arg(long)]
    pub mtu: Option<u32>,
    #[arg(long)]
    pub dns: Vec<String>,
    #[arg(long)]
    pub dns_opt: Vec<String>,
    #[arg(long)]
    pub dns_search: Vec<String>,
    #[arg(long)]
    pub label: Vec<String>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub live_restore: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub init: Option<bool>,
    #[arg(long)]
    pub shutdown_timeout: Option<u64>,
    #[arg(long)]
    pub cgroup_parent: Option<String>,
    #[arg(long)]
    pub log_driver: Option<String>,
    #[arg(long)]
    pub log_opt: Vec<String>,
    /// Accepted: overlay2 is the only driver.
    #[arg(short = 's', long)]
    pub storage_driver: Option<String>,
    #[arg(long)]
    pub storage_opt: Vec<String>,
    /// Accepted: native.cgroupdriver=cgroupfs is the only one.
    #[arg(long)]
    pub exec_opt: Vec<String>,
    /// Accepted: published ports never pass a proxy.
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub userland_proxy: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub iptables: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub ip_forward: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub ip_masq: Option<bool>,
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub experimental: Option<bool>,
    #[arg(short = 'G', long)]
    pub group: Option<String>,
    #[arg(long)]
    pub containerd: Option<PathBuf>,
    /// The program that stays with each container
    #[arg(long)]
    pub shim: Option<PathBuf>,
    /// A read-only layer store shared by the host
    #[arg(long)]
    pub shared_store: Option<PathBuf>,
    /// Print version information and quit
    #[arg(short = 'v', long)]
    pub version: bool,
    /// Check the configuration and quit
    #[arg(long)]
    pub validate: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("unable to configure the Docker daemon with file {path}: {source}")]
    Open { path: PathBuf, source: std::io::Error },
    #[error("unable to configure the Docker daemon with file {path}: {source}")]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("the following directives are specified both as a flag and in the configuration file: {0}")]
    Both(String),
    #[error("invalid bind address format: {0}")]
    Host(String),
    #[error("invalid default address pool: {0}")]
    Pool(String),
    #[error("find this program's own directory")]
    OwnPath(#[source] std::io::Error),
    #[error("tls needs {0}")]
    TlsFile(&'static str),
}

/// `daemon.json`. Keys this engine has no use for are accepted and ignored.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct DaemonJson {
    hosts: Vec<String>,
    data_root: Option<PathBuf>,
    exec_root: Option<PathBuf>,
    pidfile: Option<PathBuf>,
    debug: Option<bool>,
    log_level: Option<String>,
    tls: Option<bool>,
    tlsverify: Option<bool>,
    tlscacert: Option<PathBuf>,
    tlscert: Option<PathBuf>,
    tlskey: Option<PathBuf>,
    registry_mirrors: Vec<String>,
    insecure_registries: Vec<String>,
    default_address_pools: Vec<AddressPool>,
    bip: Option<String>,
    bridge: Option<String>,
    mtu: Option<u32>,
    dns: Vec<String>,
    dns_opts: Vec<String>,
    dns_search: Vec<String>,
    labels: Vec<String>,
    live_restore: Option<bool>,
    init: Option<bool>,
    experimental: Option<bool>,
    shutdown_timeout: Option<u64>,
    cgroup_parent: Option<String>,
    default_shm_size: Option<String>,
    log_driver: Option<String>,
    log_opts: BTreeMap<String, String>,
}

impl Flags {
    /// Puts flags, `daemon.json` and defaults together.
    pub fn resolve(self) -> Result<Config, ReadError> {
        let file = self.read_file()?;
        self.refuse_both(&file)?;
        let tls = self.tls(&file)?;
        let hosts = if self.host.is_empty() { &file.hosts } else { &self.host };
        let hosts = hosts.iter().map(|host| parse_host(host)).collect::<Result<Vec<_>, _>>()?;
        let pools =
            self.default_address_pool.iter().map(|pool| parse_pool(pool)).collect::<Result<Vec<_>, _>>()?;
        let exec_root = self.exec_root.or(file.exec_root).unwrap_or_else(|| "/var/run/docker".into());
        let debug = self.debug || file.debug.unwrap_or(false);
        Ok(Config {
            hosts: if hosts.is_empty() { vec![Host::Unix("/var/run/docker.sock".into())] } else { hosts },
            data_root: absolute(
                self.data_root.or(file.data_root).unwrap_or_else(|| "/var/lib/docker".into()),
            ),
            exec_root: absolute(exec_root),
            pidfile: self.pidfile.or(file.pidfile),
            debug,
            log_level: self.log_level.or(file.log_level).unwrap_or_else(|| default_level(debug)),
            tls,
            registry_mirrors: either(self.registry_mirror, file.registry_mirrors),
            insecure_registries: either(self.insecure_registry, file.insecure_registries),
            default_address_pools: either(pools, file.default_address_pools),
            bip: self.bip.or(file.bip),
            bridge: self.bridge.or(file.bridge),
            mtu: self.mtu.or(file.mtu),
            dns: either(self.dns, file.dns),
            dns_options: either(self.dns_opt, file.dns_opts),
            dns_search: either(self.dns_search, file.dns_search),
            labels: either(self.label, file.labels),
            live_restore: self.live_restore.or(file.live_restore).unwrap_or(true),
            init: self.init.or(file.init).unwrap_or(false),
            experimental: self.experimental.or(file.experimental).unwrap_or(false),
            shutdown_timeout_s: self.shutdown_timeout.or(file.shutdown_timeout).unwrap_or(15),
            cgroup_parent: self.cgroup_parent.or(file.cgroup_parent),
            default_shm_size: file.default_shm_size.and_then(|text| parse_size(&text)).unwrap_or(DEFAULT_SHM),
            log_driver: self.log_driver.or(file.log_driver).unwrap_or_else(|| "json-file".into()),
            log_opts: either_map(&self.log_opt, file.log_opts),
            shim: self.shim.map_or_else(shim_beside, Ok)?,
            shared_store: self.shared_store.or_else(default_shared_store),
        })
    }

    fn read_file(&self) -> Result<DaemonJson, ReadError> {
        let path = self.config_file.clone().unwrap_or_else(|| DEFAULT_CONFIG_FILE.into());
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            // Only the default file may be missing.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.config_file.is_none() => {
                return Ok(DaemonJson::default());
            }
            Err(source) => return Err(ReadError::Open { path, source }),
        };
        if text.iter().all(u8::is_ascii_whitespace) {
            return Ok(DaemonJson::default());
        }
        serde_json::from_slice(&text).map_err(|source| ReadError::Parse { path, source })
    }

    /// dockerd refuses a directive given in both places rather than choose one.
    fn refuse_both(&self, file: &DaemonJson) -> Result<(), ReadError> {
        let pairs = [
            ("hosts", !self.host.is_empty() && !file.hosts.is_empty()),
            ("data-root", self.data_root.is_some() && file.data_root.is_some()),
            ("exec-root", self.exec_root.is_some() && file.exec_root.is_some()),
            ("pidfile", self.pidfile.is_some() && file.pidfile.is_some()),
            ("log-level", self.log_level.is_some() && file.log_level.is_some()),
            ("bip", self.bip.is_some() && file.bip.is_some()),
        ];
        match pairs.iter().find(|(_, both)| *both) {
            Some((name, _)) => Err(ReadError::Both((*name).to_owned())),
            None => Ok(()),
        }
    }

    fn tls(&self, file: &DaemonJson) -> Result<Option<Tls>, ReadError> {
        let verify = self.tlsverify.or(file.tlsverify).unwrap_or(false);
        if !verify && !self.tls.or(file.tls).unwrap_or(false) {
            return Ok(None);
        }
        let pick = |flag: &Option<PathBuf>, file: &Option<PathBuf>| flag.clone().or_else(|| file.clone());
        let cert = pick(&self.tlscert, &file.tlscert).ok_or(ReadError::TlsFile("--tlscert"))?;
        let key = pick(&self.tlskey, &file.tlskey).ok_or(ReadError::TlsFile("--tlskey"))?;
        let ca = pick(&self.tlscacert, &file.tlscacert);
        if verify && ca.is_none() {
            return Err(ReadError::TlsFile("--tlscacert"));
        }
        Ok(Some(Tls { verify, ca: ca.unwrap_or_default(), cert, key }))
    }
}

fn default_level(debug: bool) -> String {
    if debug { "debug" } else { "info" }.to_owned()
}

fn either<T>(flags: Vec<T>, file: Vec<T>) -> Vec<T> {
    if flags.is_empty() { file } else { flags }
}

fn either_map(flags: &[String], file: BTreeMap<String, String>) -> BTreeMap<String, String> {
    if flags.is_empty() {
        return file;
    }
    flags
        .iter()
        .filter_map(|flag| flag.split_once('='))
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn default_shared_store() -> Option<PathBuf> {
    let path = Path::new(DEFAULT_SHARED_STORE);
    path.is_dir().then(|| path.to_owned())
}

fn shim_beside() -> Result<PathBuf, ReadError> {
    let own = std::env::current_exe().map_err(ReadError::OwnPath)?;
    Ok(own.with_file_name("drydock-shim"))
}

fn parse_host(text: &str) -> Result<Host, ReadError> {
    if let Some(path) = text.strip_prefix("unix://") {
        let path = if path.is_empty() { "/var/run/docker.sock" } else { path };
        return Ok(Host::Unix(absolute(path.into())));
    }
    if let Some(name) = text.strip_prefix("fd://") {
        return Ok(Host::Inherited((!name.is_empty()).then(|| name.to_owned())));
    }
    let address = text.strip_prefix("tcp://").unwrap_or(text);
    if address.contains("://") || address.is_empty() {
        return Err(ReadError::Host(text.to_owned()));
    }
    let address = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    Ok(Host::Tcp(if address.contains(':') { address } else { format!("{address}:2375") }))
}

fn parse_pool(text: &str) -> Result<AddressPool, ReadError> {
    let bad = || ReadError::Pool(text.to_owned());
    let mut base = None;
    let mut size = None;
    for (key, value) in text.split(',').map(|part| part.split_once('=').unwrap_or((part, ""))) {
        match key.trim() {
            "base" => base = Some(value.to_owned()),
            "size" => size = value.parse().ok(),
            _ => return Err(bad()),
        }
    }
    Ok(AddressPool { base: base.ok_or_else(bad)?, size: size.ok_or_else(bad)? })
}

/// `64M`, `1g`, `1048576`: as `docker run --shm-size` reads sizes.
pub fn parse_size(text: &str) -> Option<i64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix("ib").or_else(|| text.strip_suffix('b')).unwrap_or(&text);
    let shift = match text.bytes().last()? {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    digits.trim().parse::<i64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_dockerd_reads_them() {
        let cases = [
            ("unix:///run/d.sock", Host::Unix("/run/d.sock".into())),
            ("unix://", Host::Unix("/var/run/docker.sock".into())),
            ("tcp://127.0.0.1:2376", Host::Tcp("127.0.0.1:2376".into())),
            ("tcp://:2375", Host::Tcp("0.0.0.0:2375".into())),
            ("fd://", Host::Inherited(None)),
            ("fd://docker", Host::Inherited(Some("docker".into()))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_host(text).expect(text), expected, "{text}");
        }
        assert!(parse_host("npipe:////./pipe").is_err());
    }

    #[test]
    fn sizes_carry_their_unit() {
        for (text, expected) in
            [("64M", 64 << 20), ("1g", 1 << 30), ("100", 100), ("2kb", 2048), ("3MiB", 3 << 20)]
        {
            assert_eq!(parse_size(text), Some(expected), "{text}");
        }
        assert_eq!(parse_size("many"), None);
    }
}
