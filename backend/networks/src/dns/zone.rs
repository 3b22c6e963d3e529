//! The names of one network, and of all networks of one container.

use std::collections::{BTreeMap, HashMap};
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
    own: Names,
    /// What a cluster's managers say; replaced as a whole.
    announced: Names,
}

#[derive(Debug, Default)]
struct Names {
    addresses: HashMap<String, Vec<IpAddr>>,
    names: HashMap<IpAddr, String>,
}

impl Names {
    fn insert(&mut self, ip: IpAddr, names: &[String]) {
        for name in names {
            let addresses = self.addresses.entry(name.to_lowercase()).or_default();
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        if let Some(name) = names.first() {
            self.names.insert(ip, name.clone());
        }
    }
}

impl Zone {
    /// The empty zone of the network called `network`.
    #[must_use]
    pub fn new(network: &str) -> Self {
        Self { network: network.to_lowercase(), table: RwLock::default() }
    }

    /// Adds an endpoint under several names; the first is what its address is called.
    pub fn insert(&self, ip: IpAddr, names: &[String]) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).own.insert(ip, names);
    }

    /// From now on these are the names of endpoints and services on other hosts; one that an endpoint of this host
    /// has as well stands for both.
    pub fn announce(&self, all: &[(IpAddr, Vec<String>)]) {
        let mut announced = Names::default();
        all.iter().for_each(|(ip, names)| announced.insert(*ip, names));
        self.table.write().unwrap_or_else(PoisonError::into_inner).announced = announced;
    }

    /// Forgets an endpoint.
    pub fn remove(&self, ip: IpAddr) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let own = &mut table.own;
        own.names.remove(&ip);
        own.addresses.retain(|_, addresses| {
            addresses.retain(|address| *address != ip);
            !addresses.is_empty()
        });
    }

    fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let [own, announced] = [&table.own, &table.announced].map(|names| names.addresses.get(name));
        let mut all = own.cloned().unwrap_or_default();
        all.extend(announced.into_iter().flatten().filter(|ip| !own.is_some_and(|own| own.contains(ip))));
        all
    }

    fn name(&self, ip: IpAddr) -> Option<String> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        let name = table.own.names.get(&ip).or_else(|| table.announced.names.get(&ip))?;
        Some(format!("{name}.{}", self.network))
    }
}

/// One network as a container on it sees it: the names of all, and those it alone has for others (`--link`).
#[derive(Clone, Debug)]
pub struct View {
    zone: Arc<Zone>,
    /// Own name in lower case → the other's name, which may come and go.
    aliases: BTreeMap<String, String>,
}

impl From<Arc<Zone>> for View {
    fn from(zone: Arc<Zone>) -> Self {
        Self { zone, aliases: BTreeMap::new() }
    }
}

impl View {
    /// The same network with further names: pairs of an own name and the other's.
    #[must_use]
    pub fn with_aliases(mut self, aliases: impl IntoIterator<Item = (String, String)>) -> Self {
        self.aliases
            .extend(aliases.into_iter().map(|(alias, name)| (alias.to_lowercase(), name.to_lowercase())));
        self
    }
}

/// The networks of one container, in the order they are asked.
#[derive(Clone, Debug, Default)]
pub struct Zones(pub Vec<View>);

impl Zones {
    /// The addresses of `name`, or of `name.network`, either of which may have dots of its own. What the container
    /// itself calls so comes first; the first network that knows it answers.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let name = name.trim_end_matches('.').to_lowercase();
        let dotted = name.rmatch_indices('.').map(|(at, _)| (&name[..at], Some(&name[at + 1..])));
        std::iter::once((name.as_str(), None))
            .chain(dotted)
            .flat_map(|(host, network)| [self.aliased(host, network), self.known(host, network)])
            .find(|found| !found.is_empty())
            .unwrap_or_default()
    }

    fn on<'a>(&'a self, network: Option<&'a str>) -> impl Iterator<Item = &'a View> {
        self.0.iter().filter(move |view| network.is_none_or(|network| network == view.zone.network))
    }

    fn aliased(&self, host: &str, network: Option<&str>) -> Vec<IpAddr> {
        let found = self.on(network).filter_map(|view| Some(view.zone.addresses(view.aliases.get(host)?)));
        found.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
    }

    fn known(&self, host: &str, network: Option<&str>) -> Vec<IpAddr> {
        let plain = self.on(network).filter(|view| !view.aliases.contains_key(host));
        plain.map(|view| view.zone.addresses(host)).find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// What an address is called: `name.network`.
    #[must_use]
    pub fn name(&self, ip: IpAddr) -> Option<String> {
        self.0.iter().find_map(|view| view.zone.name(ip))
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
        let zones = Zones(vec![Arc::new(Zone::new("other")).into(), zone.clone().into()]);
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

    #[test]
    fn tasks_of_a_service_have_a_name_with_a_dot() {
        let zone = Arc::new(Zone::new("front"));
        let [vip, one, two] = [10, 11, 12].map(|last| IpAddr::from([10, 0, 0, last]));
        zone.insert(vip, &["web".into()]);
        for task in [one, two] {
            zone.insert(task, &["web.1".into(), "tasks.web".into()]);
        }
        let zones = Zones(vec![zone.into()]);
        assert_eq!(zones.addresses("web"), [vip]);
        assert_eq!(zones.addresses("tasks.web"), [one, two]);
        assert_eq!(zones.addresses("tasks.web.front"), [one, two]);
    }

    #[test]
    fn what_is_announced_stands_beside_own_names_until_something_else_is() {
        let zone = Arc::new(Zone::new("front"));
        let [own, other, service] = [3, 4, 2].map(|last| IpAddr::from([10, 0, 0, last]));
        zone.insert(own, &["web.1.x".into()]);
        let tasks = |ip| (ip, vec!["web.n.x".to_owned(), "tasks.web".to_owned()]);
        zone.announce(&[(service, vec!["Web".into()]), tasks(own), tasks(other)]);
        let zones = Zones(vec![zone.clone().into()]);
        assert_eq!(zones.addresses("web"), [service]);
        assert_eq!(zones.addresses("tasks.web"), [own, other]);
        assert_eq!(zones.name(own).as_deref(), Some("web.1.x.front"));
        assert_eq!(zones.name(service).as_deref(), Some("Web.front"));
        zone.announce(&[tasks(other)]);
        assert!(zones.addresses("web").is_empty());
        assert_eq!(zones.addresses("tasks.web"), [other]);
        assert_eq!(zones.addresses("web.1.x"), [own]);
    }

    #[test]
    fn a_link_names_whoever_has_the_other_name_now() {
        let zone = Arc::new(Zone::new("front.end"));
        let zones = Zones(vec![View::from(zone.clone()).with_aliases([("DB".into(), "mysql".into())])]);
        assert!(zones.addresses("db").is_empty());
        let (one, two) = (IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3]));
        zone.insert(one, &["mysql".into()]);
        zone.insert(two, &["db".into()]);
        assert_eq!(zones.addresses("db"), [one]);
        assert_eq!(zones.addresses("mysql.front.end"), [one]);
        assert_eq!(zones.addresses("db.front.end"), [one]);
    }
}
