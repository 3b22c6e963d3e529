//! The query of `POST /build`, read as moby reads it.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use bollard_stubs::models::{HostConfig, HostConfigLogConfig, ResourcesUlimits};
use drydock_builder::host::Options;
use drydock_images::{Named, ReferenceError};
use drydock_registry::Credentials;

/// Everything that `POST /build` asks, but the context.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub options: Options,
    pub tags: Vec<Named>,
    /// Only the id is wanted.
    pub quiet: bool,
    /// A URL in place of a body.
    pub remote: String,
    /// What the containers of `RUN` may use.
    pub host_config: HostConfig,
    /// By registry.
    pub credentials: HashMap<String, Credentials>,
}

/// The query cannot be understood, in moby's words.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("{problem}: {source}")]
    Json { problem: &'static str, source: serde_json::Error },
    #[error("strconv.ParseInt: parsing {0:?}: invalid syntax")]
    Number(String),
    #[error(transparent)]
    Tag(#[from] ReferenceError),
    #[error("refusing to create a tag with a digest reference")]
    DigestTag,
    #[error("security options are not supported on linux")]
    Security,
    #[error("unsupported isolation: {0:?}")]
    Isolation(String),
    #[error("invalid version {0:?}")]
    Version(String),
    #[error("BuildKit is not supported by this engine: use the classic builder (DOCKER_BUILDKIT=0)")]
    BuildKit,
    #[error(transparent)]
    Platform(#[from] drydock_images::PlatformError),
}

impl Request {
    pub fn read(
        pairs: impl Iterator<Item = (String, String)>,
        registry_config: Option<&str>,
    ) -> Result<Self, OptionsError> {
        let pairs: Vec<(String, String)> = pairs.collect();
        let query = Query { pairs: &pairs };
        query.refuse()?;
        let force_remove = query.flag("forcerm");
        let options = Options {
            dockerfile: query.text("dockerfile").unwrap_or("Dockerfile").to_owned(),
            arguments: query.json("buildargs", "error reading build args")?.unwrap_or_default(),
            labels: query.json("labels", "error reading labels")?.unwrap_or_default(),
            target: query.text("target").unwrap_or_default().to_owned(),
            no_cache: query.flag("nocache"),
            cache_from: query.json("cachefrom", "error reading cache-from")?.unwrap_or_default(),
            pull: query.flag("pull"),
            remove: force_remove || query.text("rm").is_none() || query.flag("rm"),
            force_remove,
            squash: query.flag("squash"),
            platform: query.text("platform").map(drydock_builder::parse_platform).transpose()?,
        };
        Ok(Self {
            options,
            tags: tags(query.all("t"))?,
            quiet: query.flag("q"),
            remote: query.text("remote").unwrap_or_default().to_owned(),
            host_config: host_config(&query)?,
            credentials: registry_config.map(credentials).unwrap_or_default(),
        })
    }
}

struct Query<'a> {
    pairs: &'a [(String, String)],
}

impl<'a> Query<'a> {
    fn all(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn text(&self, name: &'a str) -> Option<&'a str> {
        self.all(name).next().filter(|text| !text.is_empty())
    }

    /// Anything but the words for "no" is yes.
    fn flag(&self, name: &'a str) -> bool {
        let value = self.text(name).unwrap_or_default().trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// A number, or nothing: moby takes what is no number for 0.
    fn number(&self, name: &'a str) -> Option<i64> {
        self.text(name).and_then(|text| text.parse().ok())
    }

    fn json<T: serde::de::DeserializeOwned>(
        &self,
        name: &'a str,
        problem: &'static str,
    ) -> Result<Option<T>, OptionsError> {
        let read = |text| serde_json::from_str(text).map_err(|source| OptionsError::Json { problem, source });
        Ok(self.text(name).map(read).transpose()?.flatten())
    }

    fn refuse(&self) -> Result<(), OptionsError> {
        if self.text("securityopt").is_some() {
            return Err(OptionsError::Security);
        }
        match self.text("isolation") {
            None | Some("default") => {}
            Some(other) => return Err(OptionsError::Isolation(other.to_owned())),
        }
        match self.text("version") {
            None | Some("1") => Ok(()),
            Some("2") => Err(OptionsError::BuildKit),
            Some(other) => Err(OptionsError::Version(other.to_owned())),
        }
    }
}

/// Each name once, in order, with its tag.
fn tags<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<Named>, OptionsError> {
    let mut tags: Vec<Named> = Vec::new();
    for text in texts.filter(|text| !text.is_empty()) {
        let name = Named::parse(text)?;
        if name.digest().is_some() {
            return Err(OptionsError::DigestTag);
        }
        let name = name.or_latest();
        if !tags.iter().any(|tag| tag.familiar() == name.familiar()) {
            tags.push(name);
        }
    }
    Ok(tags)
}

fn host_config(query: &Query<'_>) -> Result<HostConfig, OptionsError> {
    let shm_size = query
        .text("shmsize")
        .map(|text| text.parse::<i64>().map_err(|_| OptionsError::Number(text.to_owned())));
    let ulimits: Option<Vec<ResourcesUlimits>> = query.json("ulimits", "error reading ulimit settings")?;
    let text = |name| query.text(name).map(str::to_owned);
    let network = text("networkmode").filter(|mode| mode != "default");
    Ok(HostConfig {
        memory: query.number("memory"),
        memory_swap: query.number("memswap"),
        cpu_shares: query.number("cpushares"),
        cpu_period: query.number("cpuperiod"),
        cpu_quota: query.number("cpuquota"),
        cpuset_cpus: text("cpusetcpus"),
        cpuset_mems: text("cpusetmems"),
        cgroup_parent: text("cgroupparent"),
        network_mode: network,
        extra_hosts: Some(query.all("extrahosts").map(str::to_owned).collect()),
        shm_size: shm_size.transpose()?,
        ulimits,
        log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
        ..HostConfig::default()
    })
}

/// `X-Registry-Config`; one that cannot be read is nobody's, as in moby.
fn credentials(header: &str) -> HashMap<String, Credentials> {
    let bytes = base64::engine::general_purpose::URL_SAFE.decode(header).unwrap_or_default();
    let read: BTreeMap<String, Credentials> = serde_json::from_slice(&bytes).unwrap_or_default();
    read.into_iter().collect()
}
