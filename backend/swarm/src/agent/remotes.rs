//! The managers that an agent knows, and which to try next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dispatcher::calls::ManagerAddress;

/// Weights stay within this, so that no manager is lost for ever.
const LIMIT: i32 = 8;

/// Clones are one list.
#[derive(Debug, Clone, Default)]
pub struct Remotes(Arc<Mutex<BTreeMap<String, Remote>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Remote {
    node_id: String,
    weight: i32,
}

impl Remotes {
    pub fn new(managers: impl IntoIterator<Item = ManagerAddress>) -> Self {
        let remotes = Self::default();
        remotes.replace(managers);
        remotes
    }

    /// The cluster's managers are these now; what is known of those that stay is kept. An empty list is passed over: a cluster has a
    /// manager.
    pub fn replace(&self, managers: impl IntoIterator<Item = ManagerAddress>) {
        let mut remotes = self.lock();
        let next: BTreeMap<String, Remote> = managers
            .into_iter()
            .filter(|manager| !manager.address.is_empty())
            .map(|manager| {
                let weight = remotes.get(&manager.address).map_or(0, |remote| remote.weight);
                (manager.address, Remote { node_id: manager.node_id, weight })
            })
            .collect();
        if !next.is_empty() {
            *remotes = next;
        }
    }

    /// One more manager: this node's own, as a rule, before anybody told of any.
    pub fn add(&self, manager: ManagerAddress) {
        self.lock().entry(manager.address).or_insert(Remote { node_id: manager.node_id, weight: 0 });
    }

    /// The most promising address; among equals the `dice`-th.
    pub fn pick(&self, dice: u64) -> Option<String> {
        let remotes = self.lock();
        let best = remotes.values().map(|remote| remote.weight).max()?;
        let equals: Vec<&String> =
            remotes.iter().filter(|(_, remote)| remote.weight == best).map(|(address, _)| address).collect();
        let place = usize::try_from(dice % equals.len() as u64).unwrap_or(0);
        equals.get(place).map(|address| (*address).clone())
    }

    /// The manager answered.
    pub fn succeeded(&self, address: &str) {
        self.weigh(address, 2);
    }

    /// It did not.
    pub fn failed(&self, address: &str) {
        self.weigh(address, -4);
    }

    pub fn list(&self) -> Vec<ManagerAddress> {
        let remotes = self.lock();
        remotes
            .iter()
            .map(|(address, remote)| ManagerAddress {
                node_id: remote.node_id.clone(),
                address: address.clone(),
            })
            .collect()
    }

    fn weigh(&self, address: &str, by: i32) {
        if let Some(remote) = self.lock().get_mut(address) {
            remote.weight = (remote.weight + by).clamp(-LIMIT, LIMIT);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Remote>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(address: &str) -> ManagerAddress {
        ManagerAddress { node_id: String::new(), address: address.to_owned() }
    }

    #[test]
    fn a_manager_that_fails_is_tried_after_the_others() {
        let remotes = Remotes::new([manager("a:1"), manager("b:1")]);
        remotes.failed("a:1");
        assert!((0..4).all(|dice| remotes.pick(dice).as_deref() == Some("b:1")));
        remotes.failed("b:1");
        remotes.failed("b:1");
        assert_eq!(remotes.pick(0).as_deref(), Some("a:1"));
    }

    #[test]
    fn the_last_known_managers_are_not_forgotten_for_none() {
        let remotes = Remotes::new([manager("a:1")]);
        remotes.replace([]);
        assert_eq!(remotes.pick(3).as_deref(), Some("a:1"));
    }
}
