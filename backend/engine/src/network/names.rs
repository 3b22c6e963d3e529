//! What a container knows of names: its `resolv.conf`, the servers behind its name server, and
//! the containers it is linked to.

use std::net::IpAddr;

use bollard_stubs::models::EndpointSettings;
use drydock_networks::NetNs;
use drydock_networks::dns::{self, Upstream};
use drydock_networks::resolv::Resolv;

use super::state::State;
use super::{Join, Linked};
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

    /// The servers that a container's name server passes questions on to: the host's are asked from our own
    /// namespace, where a stub on loopback answers; those that somebody chose, from the container's.
    pub fn upstream(&self, asked: &[String], sandbox: &std::path::Path) -> Upstream {
        let chosen = if asked.is_empty() { &self.dns } else { asked };
        if chosen.is_empty() {
            return Upstream::new(read("/etc/resolv.conf").addresses());
        }
        let servers = Upstream::new(chosen.iter().filter_map(|server| server.parse().ok()));
        match NetNs::open(sandbox) {
            Ok(namespace) => servers.asked_in(namespace),
            Err(error) => {
                tracing::warn!(%error, "a container's name servers are asked from the host");
                servers
            }
        }
    }

    /// The text of a container's `resolv.conf`, with moby's notes on where it comes from.
    pub fn resolv_conf(&self, join: &Join, has_name_server: bool) -> String {
        let mut resolv = reachable();
        let mut overrides = Vec::new();
        let mut wished = |asked: &[String], own: &[String], what: &'static str| {
            let wish = if asked.is_empty() { own } else { asked };
            (!wish.is_empty()).then(|| {
                overrides.push(what);
                wish.to_vec()
            })
        };
        let has_ndots = |resolv: &Resolv| resolv.options.iter().any(|option| option.starts_with("ndots:"));
        let servers = wished(&join.dns, &self.dns, "nameservers");
        let external = match &servers {
            Some(servers) => servers.join(" "),
            // Asked from the engine's own namespace.
            None => resolv.servers.iter().map(|ip| format!("host({ip})")).collect::<Vec<_>>().join(" "),
        };
        if let Some(servers) = servers {
            resolv.servers = servers;
        }
        if let Some(search) = wished(&join.dns_search, &self.search, "search") {
            // `--dns-search .` means: none.
            resolv.search = search.into_iter().filter(|domain| domain != ".").collect();
        }
        let mut ndots = has_ndots(&resolv).then_some("host");
        if let Some(options) = wished(&join.dns_options, &self.options, "options") {
            resolv.options = options;
            ndots = has_ndots(&resolv).then_some("override");
        }
        if has_name_server {
            resolv.servers = vec![dns::ADDRESS.to_string()];
            if ndots.is_none() {
                resolv.options.push("ndots:0".into());
                ndots = Some("internal");
            }
        }
        let mut text = resolv.render();
        let kind = if has_name_server { "internal resolver" } else { "legacy" };
        text.push_str(&format!("\n# Based on host file: '/etc/resolv.conf' ({kind})\n"));
        if has_name_server {
            text.push_str(&format!("# ExtServers: [{external}]\n"));
        }
        text.push_str(&format!("# Overrides: [{}]\n", overrides.join(" ")));
        if let Some(from) = ndots {
            text.push_str(&format!("# Option ndots from: {from}\n"));
        }
        text
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

/// A link that cannot be read, in moby's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("empty string specified for links")]
    Empty,
    #[error("bad format for links: {0}")]
    Format(String),
}

/// Reads `name:alias`, a name alone, or what `inspect` shows: `/name:/parent/alias`. Answers alias and name.
pub fn link(text: &str) -> Result<(String, String), LinkError> {
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        [""] => Err(LinkError::Empty),
        [name] => Ok(((*name).to_owned(), (*name).to_owned())),
        [name, alias] if name.starts_with('/') => {
            let alias = alias.rsplit('/').next().unwrap_or(alias);
            Ok((alias.to_owned(), name[1..].to_owned()))
        }
        [name, alias] => Ok(((*alias).to_owned(), (*name).to_owned())),
        _ => Err(LinkError::Format(text.to_owned())),
    }
}

/// The links of an endpoint. Nobody needs to have the name yet.
pub fn links(settings: &EndpointSettings) -> Result<Vec<(String, String)>, LinkError> {
    settings.links.iter().flatten().map(|text| link(text)).collect()
}

/// Addresses on the default bridge of the containers that one is linked to, with what it calls them.
pub fn linked(state: &State, links: &[Linked]) -> Vec<(IpAddr, Vec<String>)> {
    let find = |link: &Linked| {
        let endpoint = state.sandboxes.get(&link.container)?.endpoints.get("bridge")?;
        let addresses = endpoint.addresses.iter().map(|address| (address.ip(), link.names.clone()));
        Some(addresses.collect::<Vec<_>>())
    };
    links.iter().filter_map(find).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_read_in_all_their_forms() {
        let cases =
            [("db:mysql", ("mysql", "db")), ("db", ("db", "db")), ("/db:/web/mysql", ("mysql", "db"))];
        for (text, (alias, name)) in cases {
            assert_eq!(link(text), Ok((alias.to_owned(), name.to_owned())), "{text}");
        }
        assert_eq!(link("a:b:c"), Err(LinkError::Format("a:b:c".into())));
        assert_eq!(link(""), Err(LinkError::Empty));
    }
}
