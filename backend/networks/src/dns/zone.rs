//! The names of one network, and of all networks of one container.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// The names of one network's endpoints, without regard to case.
#[derive(Debug)]
pub struct Zone {
    network: String,
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    addresses: HashMap<String, Vec<IpAddr>>,
    names: HashMap<IpAddr, String>,
}

impl Zone {
    /// The empty zone of the network called `network`.
    #[must_use]
    pub fn new(network: &str) -> Self {
        Self { network: network.to_lowercase(), table: RwLock::default() }
    }

    /// Adds an endpoint under several names; the first is what its address is called.
    pub fn insert(&self, ip: IpAddr, names: &[String]) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for name in names {
            let addresses = table.addresses.entry(name.to_lowercase()).or_default();
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        if let Some(name) = names.first() {
            table.names.insert(ip, name.clone());
        }
    }

    /// Forgets an endpoint.
    pub fn remove(&self, ip: IpAddr) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.names.remove(&ip);
        table.addresses.retain(|_, addresses| {
            addresses.retain(|address| *address != ip);
            !addresses.is_empty()
        });
    }

    fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.addresses.get(name).cloned().unwrap_or_default()
    }

    fn name(&self, ip: IpAddr) -> Option<String> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.names.get(&ip).map(|name| format!("{name}.{}", self.network))
    }
}

/// The zones of one container, in the order they are asked.
#[derive(Clone, Debug, Default)]
pub struct Zones(pub Vec<Arc<Zone>>);

impl Zones {
    /// The addresses of `name`, or of `name.network`; the first zone that knows it answers.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let name = name.trim_end_matches('.').to_lowercase();
        self.0
            .iter()
            .map(|zone| {
                let found = zone.addresses(&name);
                match name.rsplit_once('.') {
                    Some((host, network)) if found.is_empty() && network == zone.network => {
                        zone.addresses(host)
                    }
                    _ => found,
                }
            })
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    /// What an address is called: `name.network`.
    #[must_use]
    pub fn name(&self, ip: IpAddr) -> Option<String> {
        self.0.iter().find_map(|zone| zone.name(ip))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_case_and_forgotten() {
        let zone = Arc::new(Zone::new("Front"));
        let (one, two) = (IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3]));
        zone.insert(one, &["Web".into(), "www".into()]);
        zone.insert(two, &["web2".into(), "www".into()]);
        let zones = Zones(vec![Arc::new(Zone::new("other")), zone.clone()]);
        assert_eq!(zones.addresses("WEB."), [one]);
        assert_eq!(zones.addresses("web.front"), [one]);
        assert_eq!(zones.addresses("www"), [one, two]);
        assert!(zones.addresses("web.other").is_empty());
        assert_eq!(zones.name(one).as_deref(), Some("Web.front"));
        zone.remove(one);
        assert!(zones.addresses("web").is_empty());
        assert_eq!(zones.addresses("www"), [two]);
        assert_eq!(zones.name(one), None);
    }
}
