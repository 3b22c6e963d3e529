//! From flags and `daemon.json` to a [`Config`], as dockerd's `loadDaemonCliConfig` does it; and again at SIGHUP.

use std::path::{Path, PathBuf};

use super::file::{File, FileError};
use super::hosts::{self, HostError};
use super::parse::Given;
use super::settings::Settings;
use super::unserved::{self, Unserved};
use super::validate::{self, Invalid};
use super::{Config, Live, LogFormat, Proxies, STOCK_RUNTIME, STOCK_RUNTIME_V2, Tls, absolute};
use crate::http::version::{ApiVersion, NEWEST, OLDEST};

const DEFAULT_FILE: &str = "/etc/docker/daemon.json";
const DEFAULT_SHARED_STORE: &str = "/var/lib/drydock/store";

/// What the engine reads of its environment.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    pub home: Option<String>,
    /// `DOCKER_CONFIG`
    pub config: Option<String>,
    /// `DOCKER_CERT_PATH`
    pub cert_path: Option<String>,
    /// `DOCKER_TLS_VERIFY`
    pub tls_verify: bool,
    /// `DOCKER_MIN_API_VERSION`
    pub min_api_version: Option<String>,
    /// `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`
    pub proxies: Proxies,
    /// Every container sees all of cgroup1, and its own part of cgroup2.
    pub cgroupns_mode: Option<&'static str>,
}

impl Environment {
    pub fn read() -> Self {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let either = |name: &str| get(name).or_else(|| get(&name.to_ascii_lowercase())).unwrap_or_default();
        Self {
            home: get("HOME"),
            config: get("DOCKER_CONFIG"),
            cert_path: get("DOCKER_CERT_PATH"),
            tls_verify: get("DOCKER_TLS_VERIFY").is_some(),
            min_api_version: get("DOCKER_MIN_API_VERSION"),
            proxies: Proxies {
                http: either("HTTP_PROXY"),
                https: either("HTTPS_PROXY"),
                none: either("NO_PROXY"),
            },
            cgroupns_mode: Some(if crate::host::has_cgroup_v2() { "private" } else { "host" }),
        }
    }

    fn certificates(&self) -> PathBuf {
        let folder = self.cert_path.clone().or_else(|| self.config.clone()).map(PathBuf::from);
        folder.unwrap_or_else(|| Path::new(self.home.as_deref().unwrap_or("/")).join(".docker"))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("invalid DOCKER_MIN_API_VERSION: {0}")]
    MinApi(#[source] VersionError),
    #[error("unable to configure the Docker daemon with file {path}: {source}")]
    File { path: String, source: Box<FileError> },
    #[error(
        "unable to configure the Docker daemon with file {path}: merged configuration validation from file and command \
         line flags failed: {source}"
    )]
    Merged { path: String, source: Invalid },
    #[error("file configuration validation failed: {0}")]
    Reloaded(#[source] Invalid),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(
        "invalid TLS configuration: Could not load X509 key pair (cert: \"\", key: \"\"): open : no such file or directory"
    )]
    NoCertificate,
    #[error(transparent)]
    Unserved(#[from] Unserved),
    #[error("find this program's own directory")]
    OwnPath(#[source] std::io::Error),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    #[error("API version must be provided without \"v\" prefix")]
    Prefix,
    #[error("minimum supported API version is {OLDEST}: {0}")]
    TooOld(String),
    #[error("maximum supported API version is {NEWEST}: {0}")]
    TooNew(String),
}

/// Where a configuration came from, to read it again.
#[derive(Clone, Debug)]
pub struct Sources {
    given: Given,
    path: PathBuf,
}

impl Sources {
    fn new(given: Given) -> Self {
        let path = match given.set.get("config-file") {
            Some(super::value::Value::Text(path)) => path.clone(),
            _ => DEFAULT_FILE.to_owned(),
        };
        Self { given, path: path.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Only the default file may be missing.
    fn read(&self) -> Result<Option<File>, LoadError> {
        if self.path.as_os_str().is_empty() {
            return Ok(None);
        }
        match File::read(&self.path, &self.given) {
            Ok(file) => Ok(Some(file)),
            Err(FileError::Read { is_missing: true, .. }) if !self.given.has("config-file") => Ok(None),
            Err(source) => {
                Err(LoadError::File { path: self.path.display().to_string(), source: source.into() })
            }
        }
    }

    /// Reads the file again. Answers `live` with what it says now; the rest is as it was.
    pub fn reload(&self, live: &Live) -> Result<Live, LoadError> {
        let file = self.read()?.unwrap_or_default();
        let said = Settings::new(Default::default(), &file.values);
        let labels = validate::conflict_free(said.list("label"))?;
        validate::settings(&said).map_err(LoadError::Reloaded)?;
        unserved::check(&said, &self.given)?;
        let mut fresh = live.clone();
        if file.says("debug") {
            fresh.debug = said.is_true("debug");
        }
        if file.says("labels") {
            fresh.labels = labels;
        }
        if file.says("registry-mirrors") {
            fresh.registry_mirrors = mirrors(&said);
        }
        if file.says("insecure-registries") {
            fresh.insecure_registries = said.list("insecure-registry").to_vec();
        }
        if file.says("live-restore") {
            fresh.live_restore = said.is_true("live-restore");
        }
        if file.says("shutdown-timeout") {
            fresh.shutdown_timeout_s = said.number("shutdown-timeout");
        }
        if file.says("default-shm-size") {
            fresh.default_shm_size = said.number("default-shm-size");
        }
        if file.says("default-runtime") {
            fresh.default_runtime = said.text("default-runtime").to_owned();
        }
        if file.says("runtimes") {
            fresh.runtimes = said.runtimes();
        }
        if file.says("default-ipc-mode") {
            fresh.default_ipc_mode = said.text("default-ipc-mode").to_owned();
        }
        if file.says("default-cgroupns-mode") {
            fresh.default_cgroupns_mode = said.text("default-cgroupns-mode").to_owned();
        }
        // These go back to their defaults when the file says nothing of them.
        fresh.max_concurrent_downloads = count(&said, "max-concurrent-downloads");
        fresh.max_concurrent_uploads = count(&said, "max-concurrent-uploads");
        fresh.max_download_attempts = count(&said, "max-download-attempts");
        fresh.features = said.features();
        Ok(fresh)
    }
}

/// Puts flags, `daemon.json` and defaults together.
pub fn load(given: Given, environment: &Environment) -> Result<(Config, Sources), LoadError> {
    let min_api_version = min_api_version(environment.min_api_version.as_deref())?;
    let sources = Sources::new(given);
    let file = sources.read()?;
    let values = file.clone().unwrap_or_default().values;
    let all = Settings::new(sources.given.set.clone(), &values);
    if file.is_some() {
        let path = || sources.path.display().to_string();
        validate::settings(&all).map_err(|source| LoadError::Merged { path: path(), source })?;
    }
    validate::settings(&all)?;
    let labels = validate::conflict_free(all.list("label"))?;
    let tls = tls(&all, &sources.given, environment)?;
    unserved::check(&all, &sources.given)?;
    if file.is_some_and(|file| file.says("builder")) {
        return Err(unserved::builder().into());
    }
    let exec_root = absolute(all.text("exec-root").into());
    let config = Config {
        hosts: hosts::all(all.list("host"), tls.is_some())?,
        group: all.some_text("group"),
        data_root: absolute(all.text("data-root").into()),
        pidfile: pidfile(&all, &sources.given, &exec_root),
        exec_root,
        log_level: all.text("log-level").to_lowercase(),
        log_format: if all.text("log-format") == "json" { LogFormat::Json } else { LogFormat::Text },
        tls,
        min_api_version,
        experimental: all.is_true("experimental"),
        metrics_addr: all.some_text("metrics-addr"),
        default_address_pools: all.pools(),
        bip: all.some_text("bip"),
        bip6: all.some_text("bip6"),
        bridge: all.some_text("bridge"),
        fixed_cidr: all.some_text("fixed-cidr"),
        fixed_cidr_v6: all.some_text("fixed-cidr-v6"),
        default_gateways: [all.addresses("default-gateway"), all.addresses("default-gateway-v6")].concat(),
        ip: all.addresses("ip").first().copied(),
        ipv6: all.is_true("ipv6"),
        icc: all.is_true("icc"),
        ip_forward: all.is_true("ip-forward"),
        ip_masq: all.is_true("ip-masq"),
        userland_proxy: all.is_true("userland-proxy"),
        default_network_options: all.network_options(),
        mtu: Some(u32::try_from(all.number("mtu")).unwrap_or(u32::MAX)).filter(|mtu| *mtu > 0),
        dns: all.addresses("dns").iter().map(ToString::to_string).collect(),
        dns_options: all.list("dns-opt").to_vec(),
        dns_search: all.list("dns-search").to_vec(),
        host_gateway_ips: all.list("host-gateway-ip").to_vec(),
        proxies: proxies(&all, environment),
        init: all.is_true("init"),
        cgroup_parent: all.some_text("cgroup-parent"),
        no_new_privileges: all.is_true("no-new-privileges"),
        seccomp_profile: all.text("seccomp-profile").to_owned(),
        default_ulimits: all.ulimits(),
        log_driver: all.text("log-driver").to_owned(),
        log_opts: all.map("log-opt"),
        storage_driver: all.some_text("storage-driver"),
        storage_options: all.list("storage-opt").to_vec(),
        shim: all.some_text("shim").map_or_else(shim_beside, |path| Ok(path.into()))?,
        shared_store: all.some_text("shared-store").map(PathBuf::from).or_else(default_shared_store),
        live: live(&all, environment, labels),
    };
    Ok((config, sources))
}

fn live(all: &Settings, environment: &Environment, labels: Vec<String>) -> Live {
    Live {
        debug: all.is_true("debug"),
        labels,
        registry_mirrors: mirrors(all),
        insecure_registries: all.list("insecure-registry").to_vec(),
        live_restore: all.is_true("live-restore"),
        shutdown_timeout_s: all.number("shutdown-timeout"),
        max_concurrent_downloads: count(all, "max-concurrent-downloads"),
        max_concurrent_uploads: count(all, "max-concurrent-uploads"),
        max_download_attempts: count(all, "max-download-attempts"),
        default_runtime: all.text("default-runtime").to_owned(),
        runtimes: all.runtimes(),
        default_shm_size: all.number("default-shm-size"),
        default_ipc_mode: all.text("default-ipc-mode").to_owned(),
        default_cgroupns_mode: all
            .some_text("default-cgroupns-mode")
            .unwrap_or_else(|| environment.cgroupns_mode.unwrap_or("private").to_owned()),
        features: all.features(),
    }
}

impl Live {
    /// Whether containers can be started with the runtime of this name.
    pub fn knows_runtime(&self, name: &str) -> bool {
        matches!(name, STOCK_RUNTIME | STOCK_RUNTIME_V2) || self.runtimes.contains_key(name)
    }
}

/// Checked before; a slash at its end is part of a mirror's name.
fn mirrors(all: &Settings) -> Vec<String> {
    all.list("registry-mirror").iter().filter_map(|text| validate::mirror(text).ok()).collect()
}

fn count(all: &Settings, flag: &str) -> usize {
    usize::try_from(all.number(flag)).unwrap_or(0).max(1)
}

/// Beside the exec root: two engines cannot share that.
fn pidfile(all: &Settings, given: &Given, exec_root: &Path) -> Option<PathBuf> {
    match all.text("pidfile") {
        "" if given.has("pidfile") => None,
        "" => Some(exec_root.with_extension("pid")),
        path => Some(absolute(path.into())),
    }
}

fn proxies(all: &Settings, environment: &Environment) -> Proxies {
    let or = |flag: &str, other: &String| all.some_text(flag).unwrap_or_else(|| other.clone());
    let outside = &environment.proxies;
    Proxies {
        http: or("http-proxy", &outside.http),
        https: or("https-proxy", &outside.https),
        none: or("no-proxy", &outside.none),
    }
}

fn min_api_version(text: Option<&str>) -> Result<ApiVersion, LoadError> {
    let Some(text) = text else { return Ok(OLDEST) };
    let own = || text.to_owned();
    if text.starts_with(['v', 'V']) {
        return Err(LoadError::MinApi(VersionError::Prefix));
    }
    match ApiVersion::parse(text) {
        Some(version) if version > NEWEST => Err(LoadError::MinApi(VersionError::TooNew(own()))),
        Some(version) if version >= OLDEST => Ok(version),
        _ => Err(LoadError::MinApi(VersionError::TooOld(own()))),
    }
}

/// `--tlsverify`, whatever it is set to, turns TLS on; and TLS verifies unless it is told not to.
fn tls(all: &Settings, given: &Given, environment: &Environment) -> Result<Option<Tls>, LoadError> {
    let verify = all.truth("tlsverify");
    if verify.is_none() && !all.is_true("tls") {
        return Ok(None);
    }
    let by_flags = given.has("tlsverify") || given.is_true("tls") || environment.tls_verify;
    // The user's own folder is looked into only when flags ask for TLS, and for what is there only.
    let pick = |flag: &str, name: &str, must_be_there: bool| {
        let own = all.some_text(flag).map(PathBuf::from);
        let default =
            || Some(environment.certificates().join(name)).filter(|path| !must_be_there || path.exists());
        own.or_else(|| default().filter(|_| by_flags))
    };
    let (Some(cert), Some(key)) = (pick("tlscert", "cert.pem", true), pick("tlskey", "key.pem", true)) else {
        return Err(LoadError::NoCertificate);
    };
    let verify = verify.unwrap_or(true);
    let ca = if verify { pick("tlscacert", "ca.pem", false) } else { None };
    Ok(Some(Tls { verify, ca, cert, key }))
}

fn default_shared_store() -> Option<PathBuf> {
    let path = Path::new(DEFAULT_SHARED_STORE);
    path.is_dir().then(|| path.to_owned())
}

fn shim_beside() -> Result<PathBuf, LoadError> {
    let own = std::env::current_exe().map_err(LoadError::OwnPath)?;
    Ok(own.with_file_name("drydock-shim"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(flags: &str, file: &str) -> Result<(Config, Sources), String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("daemon.json");
        std::fs::write(&path, file).expect("write");
        let own = ["--config-file".to_owned(), path.display().to_string()];
        let words = own.into_iter().chain(flags.split_whitespace().map(str::to_owned));
        let given = Given::parse(words).map_err(|error| error.to_string())?;
        let environment = Environment { home: Some("/nowhere".into()), ..Environment::default() };
        load(given, &environment)
            .map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    }

    fn said(flags: &str, file: &str) -> String {
        loaded(flags, file).map_or_else(|error| error, |_| "configuration OK".to_owned())
    }

    #[test]
    fn the_files_word_and_the_flags_word_and_the_defaults_make_one_configuration() {
        let file = r#"{"debug": false, "labels": ["a=1"], "icc": false, "bip": "", "runtimes": {"x": {"path": "/x"}}}"#;
        let (config, _) =
            loaded("--mtu 1400 --add-runtime y=/y --log-opt a=b --data-root rel", file).expect("it");
        assert!(!config.live.debug && !config.icc && config.ip_masq && config.live.live_restore);
        assert_eq!((config.mtu, config.live.labels), (Some(1400), vec!["a=1".to_owned()]));
        assert_eq!(config.live.runtimes.into_keys().collect::<Vec<_>>(), ["x", "y"]);
        assert!(config.data_root.is_absolute() && config.tls.is_none());
        assert_eq!(config.pidfile, Some("/var/run/docker.pid".into()));
        assert_eq!(config.hosts, [super::super::Host::Unix("/var/run/docker.sock".into())]);
        let (config, _) = loaded("--exec-root /x/exec --ip-masq=false", "").expect("it");
        assert_eq!((config.pidfile, config.ip_masq), (Some("/x/exec.pid".into()), false));
    }

    /// What dockerd 28.5.2 said.
    #[test]
    fn what_cannot_be_is_refused_in_dockerds_words() {
        let merged = "unable to configure the Docker daemon with file FILE: merged configuration validation from file \
                      and command line flags failed: ";
        let cases = [
            ("-l loud", "", format!("{merged}invalid logging level: loud")),
            ("--mtu=-1", "", format!("{merged}invalid default MTU: -1")),
            ("--max-concurrent-downloads -1", "", format!("{merged}invalid max concurrent downloads: -1")),
            ("--log-format x", "", format!("{merged}invalid log format: x")),
            (
                "--default-ipc-mode host",
                "",
                format!("{merged}IPC mode \"host\" is not supported as default value; use \"shareable\" or \"private\""),
            ),
            (
                "--default-ipc-mode foo",
                "",
                format!("{merged}default IPC mode setting (foo) is invalid; use \"shareable\" or \"private\""),
            ),
            (
                "--default-cgroupns-mode foo",
                "",
                format!("{merged}invalid default cgroup namespace (foo): use \"host\" or \"private\""),
            ),
            ("--exec-opt x", "", format!("{merged}invalid exec-opt (x): must be formatted 'opt=value'")),
            ("--exec-opt a=b", "", format!("{merged}invalid exec-opt (a=b): unknown option: 'a'")),
            ("--userland-proxy-path x", "", format!("{merged}invalid userland-proxy-path: must be an absolute path: x")),
            (
                "--fixed-cidr-v6 x",
                "",
                format!("{merged}invalid fixed-cidr-v6: invalid fixed-cidr-v6: netip.ParsePrefix(\"x\"): no '/'"),
            ),
            (
                "--host-gateway-ip 1.1.1.1 --host-gateway-ip 2.2.2.2",
                "",
                format!("{merged}only one IPv4 host gateway IP address can be specified"),
            ),
            (
                "",
                r#"{"registry-mirrors":["foo"]}"#,
                format!(
                    "{merged}invalid mirror: no scheme specified for \"foo\": must use either 'https://' or 'http://'"
                ),
            ),
            ("", r#"{"dns-search":["x y"]}"#, format!("{merged}x y is not a valid domain")),
            ("", r#"{"hosts":["foo://x"]}"#, format!("{merged}invalid bind address (foo://x): unsupported proto 'foo'")),
            ("--label a=1 --label a=2", "", "conflict labels for a=2 and a=1".to_owned()),
            (
                "--tls",
                "",
                "invalid TLS configuration: Could not load X509 key pair (cert: \"\", key: \"\"): open : no such file or \
                 directory"
                    .to_owned(),
            ),
            ("--tls=false", "", "configuration OK".to_owned()),
            ("--tlscert /x", "", "configuration OK".to_owned()),
            ("", r#"{"shutdown-timeout":-1}"#, "configuration OK".to_owned()),
        ];
        for (flags, file, expected) in cases {
            assert_eq!(said(flags, file), expected, "{flags} {file}");
        }
    }

    #[test]
    fn tls_verifies_unless_it_is_told_not_to() {
        let tls = |flags: &str| loaded(&format!("{flags} --tlscert /c --tlskey /k"), "").expect(flags).0.tls;
        let verified = tls("--tls").expect("TLS");
        assert!(verified.verify);
        assert_eq!(verified.ca, Some("/nowhere/.docker/ca.pem".into()));
        assert!(!tls("--tlsverify=false").expect("TLS").verify);
        assert_eq!(tls(""), None);
        let (config, _) = loaded("--tls --tlscert /c --tlskey /k", "").expect("it");
        assert_eq!(config.hosts, [super::super::Host::Tcp("localhost:2376".into())]);
    }

    #[test]
    fn a_reload_changes_what_the_file_names_and_resets_the_rest_that_it_may() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("daemon.json");
        std::fs::write(&path, r#"{"labels": ["a=1"], "max-concurrent-downloads": 7}"#).expect("write");
        let words = ["--config-file", &path.display().to_string(), "--debug"].map(str::to_owned);
        let given = Given::parse(words).expect("flags");
        let (config, sources) = load(given, &Environment::default()).expect("it");
        std::fs::write(&path, r#"{"registry-mirrors": ["http://m"], "shutdown-timeout": 3}"#).expect("write");
        let fresh = sources.reload(&config.live).expect("it");
        assert!(fresh.debug);
        assert_eq!((fresh.labels.as_slice(), fresh.max_concurrent_downloads), (&["a=1".to_owned()][..], 3));
        assert_eq!(
            (fresh.registry_mirrors.as_slice(), fresh.shutdown_timeout_s),
            (&["http://m/".to_owned()][..], 3)
        );
        std::fs::write(&path, r#"{"debug": true}"#).expect("write");
        let error = sources.reload(&config.live).expect_err("both").to_string();
        assert!(error.contains("specified both as a flag and in the configuration file: debug"), "{error}");
        std::fs::remove_file(&path).expect("remove");
        assert!(sources.reload(&config.live).is_err(), "a file that was named must be there");
    }

    #[test]
    fn the_oldest_api_version_may_be_raised() {
        assert_eq!(min_api_version(Some("1.44")).expect("a version").minor, 44);
        let said = |text| min_api_version(Some(text)).expect_err(text).to_string();
        assert_eq!(said("1.1"), "invalid DOCKER_MIN_API_VERSION: minimum supported API version is 1.24: 1.1");
        assert_eq!(said("9.9"), "invalid DOCKER_MIN_API_VERSION: maximum supported API version is 1.51: 9.9");
    }
}
