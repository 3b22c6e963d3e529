//! What dockerd refuses of a configuration that could be read, in its words and order.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::hosts::{self, HostError};
use super::settings::Settings;
use crate::golang::quote;
use crate::golang::url::{Url, UrlError};

/// A word that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    #[error("bad attribute format: {0}")]
    Label(String),
    #[error(
        "label {0} is not allowed: the namespaces com.docker.*, io.docker.*, and org.dockerproject.* are reserved for \
         internal use"
    )]
    Reserved(String),
    #[error("{0} is not a valid domain")]
    Domain(String),
    #[error("invalid mirror: no scheme specified for {}: must use either 'https://' or 'http://'", quote(.0))]
    NoScheme(String),
    #[error("invalid mirror: {} is not a valid URI: {source}", quote(.text))]
    Uri { text: String, source: UrlError },
    #[error(
        "invalid mirror: unsupported scheme {} in {}: must use either 'https://' or 'http://'", quote(.scheme), quote(.text)
    )]
    Scheme { scheme: String, text: String },
    #[error("invalid mirror: query or fragment at end of the URI {}", quote(.0))]
    Query(String),
    #[error("invalid mirror: username/password not allowed in URI {}", quote(.0))]
    User(String),
    #[error("invalid index name ({0}). Cannot begin or end with a hyphen")]
    Index(String),
    #[error("ParseAddr({}): unable to parse IP", quote(.0))]
    Address(String),
    #[error("netip.ParsePrefix({}): {why}", quote(.text))]
    Prefix { text: String, why: String },
    #[error("invalid node-generic-resource format `{0}` expected `name=value`")]
    Resource(String),
}

pub fn label(text: &str) -> Result<String, InvalidText> {
    if !text.contains('=') {
        return Err(InvalidText::Label(text.to_owned()));
    }
    let lowered = text.to_lowercase();
    if ["com.docker.", "io.docker.", "org.dockerproject."]
        .iter()
        .any(|reserved| lowered.starts_with(reserved))
    {
        return Err(InvalidText::Reserved(text.to_owned()));
    }
    Ok(text.to_owned())
}

pub fn domain(text: &str) -> Result<String, InvalidText> {
    let trimmed = text.trim_matches(' ');
    if trimmed == "." {
        return Ok(trimmed.to_owned());
    }
    let bare = trimmed.trim_end().strip_suffix('.').unwrap_or(trimmed.trim_end());
    let is_name = |name: &str| {
        let inner = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        !name.is_empty() && name.chars().all(inner) && !name.starts_with('-') && !name.ends_with('-')
    };
    let has_letter = bare.chars().any(|letter| letter.is_ascii_alphabetic());
    if has_letter && bare.len() < 255 && bare.split('.').all(is_name) {
        Ok(bare.to_owned())
    } else {
        Err(InvalidText::Domain(trimmed.to_owned()))
    }
}

pub fn mirror(text: &str) -> Result<String, InvalidText> {
    let own = || text.to_owned();
    if text.split_once("://").is_none_or(|(scheme, _)| scheme.is_empty()) {
        return Err(InvalidText::NoScheme(own()));
    }
    let url = Url::parse(text).map_err(|source| InvalidText::Uri { text: own(), source })?;
    if !matches!(url.scheme.as_str(), "http" | "https") {
        return Err(InvalidText::Scheme { scheme: url.scheme, text: own() });
    }
    if !url.query.is_empty() || !url.fragment.is_empty() {
        return Err(InvalidText::Query(own()));
    }
    if let Some(user) = &url.user {
        let name = user.split(':').next().unwrap_or_default();
        return Err(InvalidText::User(format!("{}://{name}:xxxxx@{}{}", url.scheme, url.host, url.path)));
    }
    Ok(format!("{}/", text.strip_suffix('/').unwrap_or(text)))
}

pub fn index_name(text: &str) -> Result<String, InvalidText> {
    let name = if text == "index.docker.io" { "docker.io" } else { text };
    if name.starts_with('-') || name.ends_with('-') {
        return Err(InvalidText::Index(name.to_owned()));
    }
    Ok(name.to_owned())
}

pub fn address(text: &str) -> Result<IpAddr, InvalidText> {
    text.parse().map_err(|_| InvalidText::Address(text.to_owned()))
}

/// `address/bits`.
pub fn prefix(text: &str) -> Result<String, InvalidText> {
    let wrong = |why: &str| InvalidText::Prefix { text: text.to_owned(), why: why.to_owned() };
    let (address, bits) = text.rsplit_once('/').ok_or_else(|| wrong("no '/'"))?;
    let address: IpAddr =
        address.parse().map_err(|_| wrong(&InvalidText::Address(address.to_owned()).to_string()))?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let digits = bits.bytes().all(|digit| digit.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits: u8 = match bits.parse() {
        Ok(bits) if digits => bits,
        _ => return Err(wrong(&format!("bad bits after slash: {}", quote(bits)))),
    };
    if bits > most {
        return Err(wrong("prefix length out of range"));
    }
    Ok(text.to_owned())
}

pub fn generic_resource(text: &str) -> Result<String, InvalidText> {
    if text.contains('=') { Ok(text.to_owned()) } else { Err(InvalidText::Resource(text.to_owned())) }
}

/// A configuration that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("invalid logging level: {0}")]
    Level(String),
    #[error("invalid log format: {0}")]
    Format(String),
    #[error(transparent)]
    Text(#[from] InvalidText),
    #[error("only one IPv4 host gateway IP address can be specified")]
    GatewayV4,
    #[error("only one IPv6 host gateway IP address can be specified")]
    GatewayV6,
    #[error("invalid default MTU: {0}")]
    Mtu(i64),
    #[error("invalid max concurrent downloads: {0}")]
    Downloads(i64),
    #[error("invalid max concurrent uploads: {0}")]
    Uploads(i64),
    #[error("invalid max download attempts: {0}")]
    Attempts(i64),
    #[error("invalid network-diagnostic-port ({0}): value must be between 0 and 65535")]
    DiagnosticPort(i64),
    #[error("could not parse GenericResource: incorrect term {0}, missing '=' or malformed expression")]
    GenericResource(String),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(
        "DEPRECATED: The \"api-cors-header\" config parameter and the dockerd \"--api-cors-header\" option have been \
         removed; use a reverse proxy if you need CORS headers"
    )]
    Cors,
    #[error("invalid exec-opt ({0}): must be formatted 'opt=value'")]
    ExecOpt(String),
    #[error("invalid exec-opt ({0}): option 'isolation' is only supported on windows")]
    Isolation(String),
    #[error("invalid exec-opt ({text}): unknown option: '{option}'")]
    UnknownExecOpt { text: String, option: String },
    #[error("invalid userland-proxy-path: must be an absolute path: {0}")]
    ProxyPath(String),
    #[error("default IPC mode setting ({0}) is invalid; use \"shareable\" or \"private\"")]
    Ipc(String),
    #[error("IPC mode \"{0}\" is not supported as default value; use \"shareable\" or \"private\"")]
    IpcDefault(String),
    #[error("invalid fixed-cidr-v6: invalid fixed-cidr-v6: {0}")]
    FixedCidrV6(#[source] InvalidText),
    #[error("invalid default cgroup namespace ({0}): use \"host\" or \"private\"")]
    Cgroupns(String),
    #[error("conflict labels for {key}={new} and {key}={old}")]
    Labels { key: String, old: String, new: String },
}

/// dockerd's `config.Validate`.
pub fn settings(all: &Settings) -> Result<(), Invalid> {
    let level = all.text("log-level").to_lowercase();
    if !matches!(level.as_str(), "" | "panic" | "fatal" | "error" | "warn" | "info" | "debug" | "trace") {
        return Err(Invalid::Level(all.text("log-level").to_owned()));
    }
    if !matches!(all.text("log-format"), "" | "text" | "json") {
        return Err(Invalid::Format(all.text("log-format").to_owned()));
    }
    all.list("dns-search").iter().try_for_each(|text| domain(text).map(drop))?;
    gateways(all.list("host-gateway-ip"))?;
    all.list("label").iter().try_for_each(|text| label(text).map(drop))?;
    numbers(all)?;
    if let Some(text) = all.list("node-generic-resource").iter().find(|text| !text.contains('=')) {
        return Err(Invalid::GenericResource(text.clone()));
    }
    all.list("host").iter().try_for_each(|text| hosts::check(text))?;
    all.list("registry-mirror").iter().try_for_each(|text| mirror(text).map(drop))?;
    if !all.text("api-cors-header").is_empty() {
        return Err(Invalid::Cors);
    }
    all.list("exec-opt").iter().try_for_each(|text| exec_opt(text))?;
    platform(all)
}

fn gateways(list: &[String]) -> Result<(), Invalid> {
    let addresses = list.iter().map(|text| address(text)).collect::<Result<Vec<_>, _>>()?;
    let count = |is_v4: bool| addresses.iter().filter(|address| address.is_ipv4() == is_v4).count();
    match (count(true), count(false)) {
        (2.., _) => Err(Invalid::GatewayV4),
        (_, 2..) => Err(Invalid::GatewayV6),
        _ => Ok(()),
    }
}

fn numbers(all: &Settings) -> Result<(), Invalid> {
    let negative = |name: &str| Some(all.number(name)).filter(|number| *number < 0);
    if let Some(number) = negative("mtu") {
        return Err(Invalid::Mtu(number));
    }
    if let Some(number) = negative("max-concurrent-downloads") {
        return Err(Invalid::Downloads(number));
    }
    if let Some(number) = negative("max-concurrent-uploads") {
        return Err(Invalid::Uploads(number));
    }
    if let Some(number) = negative("max-download-attempts") {
        return Err(Invalid::Attempts(number));
    }
    match all.number("network-diagnostic-port") {
        0..=65535 => Ok(()),
        other => Err(Invalid::DiagnosticPort(other)),
    }
}

fn exec_opt(text: &str) -> Result<(), Invalid> {
    let own = || text.to_owned();
    let (option, value) = text.split_once('=').ok_or_else(|| Invalid::ExecOpt(own()))?;
    let option = option.trim().to_lowercase();
    match (option.as_str(), value.trim()) {
        ("", _) | (_, "") => Err(Invalid::ExecOpt(own())),
        ("native.cgroupdriver", _) => Ok(()),
        ("isolation", _) => Err(Invalid::Isolation(own())),
        _ => Err(Invalid::UnknownExecOpt { text: own(), option }),
    }
}

fn platform(all: &Settings) -> Result<(), Invalid> {
    let proxy = all.text("userland-proxy-path");
    // No proxy is ever run; a path is still a path.
    if all.is_true("userland-proxy") && !proxy.is_empty() && !proxy.starts_with('/') {
        return Err(Invalid::ProxyPath(proxy.to_owned()));
    }
    let ipc = all.text("default-ipc-mode");
    match ipc {
        "" | "private" | "shareable" => {}
        "none" | "host" => return Err(Invalid::IpcDefault(ipc.to_owned())),
        other if other.starts_with("container:") => return Err(Invalid::IpcDefault(other.to_owned())),
        other => return Err(Invalid::Ipc(other.to_owned())),
    }
    let cidr = all.text("fixed-cidr-v6");
    if !cidr.is_empty() {
        prefix(cidr).map_err(Invalid::FixedCidrV6)?;
    }
    match all.text("default-cgroupns-mode") {
        "" | "host" | "private" => Ok(()),
        other => Err(Invalid::Cgroupns(other.to_owned())),
    }
}

/// Labels without those said twice; two values for one key cannot be.
pub fn conflict_free(labels: &[String]) -> Result<Vec<String>, Invalid> {
    let mut kept: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, new) in labels.iter().filter_map(|label| label.split_once('=')) {
        match kept.insert(key, new) {
            Some(old) if old != new => {
                let own = |text: &str| text.to_owned();
                return Err(Invalid::Labels { key: own(key), old: own(old), new: own(new) });
            }
            _ => {}
        }
    }
    Ok(kept.into_iter().map(|(key, value)| format!("{key}={value}")).collect())
}
