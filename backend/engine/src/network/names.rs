//! What a container knows of names: its `resolv.conf`, the servers behind its name server, and
//! the containers it is linked to.

use std::net::IpAddr;

use drydock_networks::dns::{self, Upstream};
use drydock_networks::resolv::Resolv;

use super::Join;
use super::state::State;
use crate::config::Config;

/// Where systemd keeps the real servers when `/etc/resolv.conf` only says 127.0.0.53.
const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";

/// The engine's own settings (`--dns` of the daemon).
#[derive(Clone, Debug)]
pub struct Names {
    dns: Vec<String>,
    options: Vec<String>,
    search: Vec<String>,
}

impl Names {
    pub fn new(config: &Config) -> Self {
        Self {
            dns: config.dns.clone(),
            options: config.dns_options.clone(),
            search: config.dns_search.clone(),
        }
    }

    /// The servers that a container's name server passes questions on to.
    pub fn upstream(&self, asked: &[String]) -> Upstream {
        let chosen = if asked.is_empty() { &self.dns } else { asked };
        if chosen.is_empty() {
            // Asked from our own namespace, where a stub on loopback answers.
            return Upstream::new(read("/etc/resolv.conf").addresses());
        }
        Upstream::new(chosen.iter().filter_map(|server| server.parse().ok()))
    }

    /// The text of a container's `resolv.conf`.
    pub fn resolv_conf(&self, join: &Join, has_name_server: bool) -> String {
        let mut resolv = reachable();
        let wished = |asked: &[String], own: &[String]| {
            let wish = if asked.is_empty() { own } else { asked };
            (!wish.is_empty()).then(|| wish.to_vec())
        };
        if let Some(servers) = wished(&join.dns, &self.dns) {
            resolv.servers = servers;
        }
        if let Some(search) = wished(&join.dns_search, &self.search) {
            // `--dns-search .` means: none.
            resolv.search = search.into_iter().filter(|domain| domain != ".").collect();
        }
        if let Some(options) = wished(&join.dns_options, &self.options) {
            resolv.options = options;
        }
        if has_name_server {
            resolv.servers = vec![dns::ADDRESS.to_string()];
            if !resolv.options.iter().any(|option| option.starts_with("ndots:")) {
                resolv.options.push("ndots:0".into());
            }
        }
        resolv.render()
    }
}

fn read(path: &str) -> Resolv {
    Resolv::parse(&std::fs::read_to_string(path).unwrap_or_default())
}

/// The host's settings with servers that a container can reach; Google's when it has none, as moby.
fn reachable() -> Resolv {
    let host = read("/etc/resolv.conf");
    let host = if host.is_only_loopback() {
        let behind = read(BEHIND_STUB);
        if behind.servers.is_empty() { host } else { behind }
    } else {
        host
    };
    let mut host = host.without_loopback();
    if host.servers.is_empty() {
        host.servers = vec!["8.8.8.8".into(), "8.8.4.4".into()];
    }
    host
}

/// Addresses of the containers in `other:alias`, with the names they are known by.
pub fn linked(state: &State, links: &[String]) -> Vec<(IpAddr, Vec<String>)> {
    let find = |link: &String| {
        let (other, alias) = link.split_once(':').unwrap_or((link, link));
        let other = other.trim_start_matches('/');
        let (container, sandbox) = state.sandboxes.iter().find(|(container, sandbox)| {
            container.as_str().starts_with(other)
                || sandbox.endpoints.values().any(|endpoint| endpoint.container_name == other)
        })?;
        let endpoint = sandbox.endpoints.get("bridge").or_else(|| sandbox.endpoints.values().next())?;
        let mut names = vec![alias.trim_start_matches('/').to_owned(), container.short().to_owned()];
        if endpoint.container_name != names[0] {
            names.push(endpoint.container_name.clone());
        }
        Some((endpoint.addresses.first()?.ip(), names))
    };
    links.iter().filter_map(find).collect()
}
