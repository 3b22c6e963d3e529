//! `--link` on the default bridge: a *parent* knows a *child* by an alias. The parent has the child's address in
//! `/etc/hosts` and its ports and environment in variables; the child is also called `parent/alias`.
//!
//! On networks that users make, links are the name service's (`network::names`), and none of this applies.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bollard_stubs::models::HostConfig;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::container::record::Status;
use crate::container::spec::namespaces::container_of;
use crate::container::{Container, FindError, Record};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::id::Id;
use crate::network::{self, Joined, Linked};

/// The network that links are for.
const DEFAULT: &str = "bridge";

/// Whom an alias means. Kept in the parent's record, by alias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub child: Id,
    /// The child's name when it was linked, for the time after it is gone.
    pub name: String,
}

pub type Links = BTreeMap<String, Link>;

#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Text(#[from] network::LinkError),
    #[error("could not get container for {name}: {source}")]
    NoChild { name: String, source: FindError },
    #[error(
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
    )]
    HostNetwork,
    #[error(
        "conflicting options: container type network can't be used with links. This would result in undefined behavior"
    )]
    ContainerNetwork,
    #[error("Cannot link to a non running container: /{child} AS /{parent}/{alias}")]
    NotRunning { child: String, parent: String, alias: String },
    #[error("Cannot link to /{0}, as it does not belong to the default network")]
    Elsewhere(String),
    #[error("Conflict, cannot remove the default link name of the container")]
    DefaultName,
    #[error("Cannot get parent /{parent} for link name /{name}")]
    NoParent { parent: String, name: String },
}

impl From<LinkError> for ApiError {
    fn from(error: LinkError) -> Self {
        let status = match error {
            LinkError::NoChild { .. } | LinkError::HostNetwork | LinkError::ContainerNetwork => {
                StatusCode::BAD_REQUEST
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

/// Finds the children that a new container asks for.
pub fn resolve(engine: &Engine, host: &HostConfig) -> Result<Links, LinkError> {
    let asked = host.links.as_deref().unwrap_or_default();
    let mode = host.network_mode.as_deref();
    if asked.is_empty() {
        return Ok(Links::new());
    }
    if mode == Some("host") {
        return Err(LinkError::HostNetwork);
    }
    if container_of(mode).is_some() {
        return Err(LinkError::ContainerNetwork);
    }
    let is_private = matches!(mode, None | Some("" | "default" | "none" | DEFAULT));
    let mut links = Links::new();
    for text in asked.iter().filter(|_| is_private) {
        let (alias, name) = network::link(text)?;
        let child = child(engine, &name)?;
        let name = child.record().name.clone();
        links.insert(alias, Link { child: child.id.clone(), name });
    }
    Ok(links)
}

/// The container that has the network `name` is in.
fn child(engine: &Engine, name: &str) -> Result<Arc<Container>, LinkError> {
    let find = |name: &str| {
        let found = engine.containers.find(name);
        found.map_err(|source| LinkError::NoChild { name: name.to_owned(), source })
    };
    let mut child = find(name)?;
    loop {
        let mode = child.record().network_mode().to_owned();
        match container_of(Some(&mode)) {
            Some(other) => child = find(other)?,
            None if mode == "host" => return Err(LinkError::HostNetwork),
            None => return Ok(child),
        }
    }
}

/// The children of a container that is about to run, which must run themselves.
fn children(engine: &Engine, record: &Record) -> Result<Vec<(String, Record)>, LinkError> {
    if !record.networks.contains_key(DEFAULT) {
        return Ok(Vec::new());
    }
    let running = |(alias, link): (&String, &Link)| {
        let child = engine.containers.find(link.child.as_str()).ok().map(|child| child.record().clone());
        match child {
            Some(child) if child.state.status.is_live() && child.networks.contains_key(DEFAULT) => {
                Ok((alias.clone(), child))
            }
            Some(child) if child.state.status.is_live() => Err(LinkError::Elsewhere(child.name)),
            gone => Err(LinkError::NotRunning {
                child: gone.map_or_else(|| link.name.clone(), |child| child.name),
                parent: record.name.clone(),
                alias: alias.clone(),
            }),
        }
    };
    record.links.iter().map(running).collect()
}

/// What the network service needs to know of the children.
pub fn linked(engine: &Engine, record: &Record) -> Result<Vec<Linked>, LinkError> {
    let one = |(alias, child): (String, Record)| {
        let mut names = vec![alias.clone(), child.hostname().to_owned()];
        names.extend((alias != child.name).then_some(child.name));
        Linked { container: child.id, names }
    };
    Ok(children(engine, record)?.into_iter().map(one).collect())
}

/// The variables that tell a process of the children.
pub fn environment(engine: &Engine, record: &Record) -> Result<Vec<String>, LinkError> {
    let children = children(engine, record)?;
    Ok(children.iter().flat_map(|(alias, child)| variables(&record.name, alias, child)).collect())
}

fn variables(parent: &str, alias: &str, child: &Record) -> Vec<String> {
    let prefix = alias.to_uppercase().replace('-', "_");
    let endpoint = child.networks.get(DEFAULT).cloned().unwrap_or_default();
    let ip = endpoint.ip_address.unwrap_or_default();
    let mut ports: Vec<Port> =
        child.config.exposed_ports.keys().filter_map(|text| Port::parse(text)).collect();
    ports.sort();
    let mut env = Vec::new();
    if let Some(first) = ports.first() {
        env.push(format!("{prefix}_PORT={}", first.at(&ip)));
    }
    for run in runs(&ports) {
        for port in run {
            let name = port.variable(&prefix);
            env.push(format!("{name}={}", port.at(&ip)));
            env.push(format!("{name}_ADDR={ip}"));
            env.push(format!("{name}_PORT={}", port.number));
            env.push(format!("{name}_PROTO={}", port.protocol));
        }
        if let [first, .., last] = run {
            let name = first.variable(&prefix);
            env.push(format!("{name}_START={}", first.at(&ip)));
            env.push(format!("{name}_PORT_START={}", first.number));
            env.push(format!("{name}_END={}", last.at(&ip)));
            env.push(format!("{name}_PORT_END={}", last.number));
        }
    }
    env.push(format!("{prefix}_NAME=/{parent}/{alias}"));
    // Set while an image is built, and of no interest to others.
    let own = child.config.env.iter().filter(|variable| {
        variable.split_once('=').is_some_and(|(name, _)| !matches!(name, "HOME" | "PATH"))
    });
    env.extend(own.map(|variable| format!("{prefix}_ENV_{variable}")));
    env
}

/// An exposed port. TCP goes before the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Port {
    is_not_tcp: bool,
    protocol: String,
    number: u16,
}

impl Port {
    fn parse(text: &str) -> Option<Self> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        Some(Self { is_not_tcp: protocol != "tcp", protocol, number: number.parse().ok()? })
    }

    fn at(&self, ip: &str) -> String {
        format!("{}://{ip}:{}", self.protocol, self.number)
    }

    fn variable(&self, prefix: &str) -> String {
        format!("{prefix}_PORT_{}_{}", self.number, self.protocol.to_ascii_uppercase())
    }
}

/// Neighbouring ports of one protocol.
fn runs(ports: &[Port]) -> impl Iterator<Item = &[Port]> {
    ports
        .chunk_by(|one, next| one.protocol == next.protocol && one.number.checked_add(1) == Some(next.number))
}

/// `HostConfig.Links` as `inspect` shows it.
pub fn shown(engine: &Engine, record: &Record) -> Option<Vec<String>> {
    let one = |(alias, link): (&String, &Link)| {
        let child = engine.containers.find(link.child.as_str()).ok();
        let name = child.map_or_else(|| link.name.clone(), |child| child.record().name.clone());
        format!("/{name}:/{}/{alias}", record.name)
    };
    (!record.links.is_empty()).then(|| record.links.iter().map(one).collect())
}

/// The name that a child has by a link.
pub fn full_name(parent: &str, alias: &str) -> String {
    format!("{parent}/{alias}")
}

/// A child that comes up again has another address: its running parents are told.
pub fn tell_parents(engine: &Engine, child: &Id, joined: &Joined) {
    let Some(endpoint) = joined.endpoints.get(DEFAULT) else { return };
    let addresses = [&endpoint.ip_address, &endpoint.global_ipv6_address];
    for (parent, alias) in engine.containers.parents(child) {
        let Ok(parent) = engine.containers.find(&parent) else { continue };
        if !matches!(parent.status(), Status::Running | Status::Paused) {
            continue;
        }
        for address in addresses.into_iter().flatten().filter(|address| !address.is_empty()) {
            if let Err(error) = change_address(&parent.dir.join("hosts"), &alias, address) {
                tracing::warn!(container.id = %parent.id, %error, "cannot tell a linked container's new address");
            }
        }
    }
}

/// Written in place: the container has this very file mounted.
fn change_address(hosts: &Path, alias: &str, address: &str) -> std::io::Result<()> {
    std::fs::write(hosts, with_address(&std::fs::read_to_string(hosts)?, alias, address))
}

fn with_address(hosts: &str, alias: &str, address: &str) -> String {
    let is_v6 = |address: &str| address.contains(':');
    let line = |line: &str| match line.split_once('\t') {
        Some((old, names)) if names.split(' ').next() == Some(alias) && is_v6(old) == is_v6(address) => {
            format!("{address}\t{names}\n")
        }
        _ => format!("{line}\n"),
    };
    hosts.lines().map(line).collect()
}

/// `docker rm --link parent/alias`: the alias goes, both containers stay.
pub fn unlink(engine: &Engine, name: &str) -> Result<(), LinkError> {
    let name = name.trim_start_matches('/');
    let (parent, alias) = name.rsplit_once('/').ok_or(LinkError::DefaultName)?;
    let no_parent = || LinkError::NoParent { parent: parent.to_owned(), name: name.to_owned() };
    let parent = engine.containers.find(parent).map_err(|_| no_parent())?;
    parent.note(|record| record.links.remove(alias));
    engine.containers.release_link(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ports_make_a_run_and_tcp_comes_first() {
        let mut ports: Vec<Port> =
            ["53/udp", "81", "80/tcp", "443/tcp"].into_iter().filter_map(Port::parse).collect();
        ports.sort();
        let numbers: Vec<Vec<u16>> =
            runs(&ports).map(|run| run.iter().map(|port| port.number).collect()).collect();
        assert_eq!(numbers, [vec![80, 81], vec![443], vec![53]]);
    }

    #[test]
    fn a_new_address_replaces_the_old_one_of_that_alias_alone() {
        let hosts = "127.0.0.1\tlocalhost\n172.17.0.2\tdb child\n172.17.0.2\tdb2 child\n";
        let told = "127.0.0.1\tlocalhost\n172.17.0.9\tdb child\n172.17.0.2\tdb2 child\n";
        assert_eq!(with_address(hosts, "db", "172.17.0.9"), told);
    }
}
