//! Reading the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::table::Table;
use super::tasks::TaskIndex;
use crate::objects::{
    Cluster, Config, Kind, Network, Node, NodeId, Object, Secret, Service, ServiceId, Stored, Task, TaskId,
    TaskState,
};

/// All objects, as one batch left them.
#[derive(Clone, Debug, Default)]
pub struct View {
    clusters: Table<Cluster>,
    nodes: Table<Node>,
    networks: Table<Network>,
    services: Table<Service>,
    tasks: Table<Task>,
    secrets: Table<Secret>,
    configs: Table<Config>,
    index: TaskIndex,
}

/// More than one object's id begins with what a user typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ambiguous {
    pub matches: usize,
}

impl View {
    pub fn clusters(&self) -> &Table<Cluster> {
        &self.clusters
    }

    pub fn nodes(&self) -> &Table<Node> {
        &self.nodes
    }

    pub fn networks(&self) -> &Table<Network> {
        &self.networks
    }

    pub fn services(&self) -> &Table<Service> {
        &self.services
    }

    pub fn tasks(&self) -> &Table<Task> {
        &self.tasks
    }

    pub fn secrets(&self) -> &Table<Secret> {
        &self.secrets
    }

    pub fn configs(&self) -> &Table<Config> {
        &self.configs
    }

    /// The swarm itself. `None` until it was made.
    pub fn cluster(&self) -> Option<&Arc<Cluster>> {
        self.clusters.named(Cluster::NAME).or_else(|| self.clusters.iter().next())
    }

    /// The network that carries the routing mesh.
    pub fn ingress_network(&self) -> Option<&Arc<Network>> {
        self.networks.iter().find(|network| network.is_ingress())
    }

    pub fn service_tasks(&self, service: &ServiceId) -> impl Iterator<Item = &Arc<Task>> {
        self.found(self.index.by_service.get(service))
    }

    /// The services that have tasks, whether or not they exist themselves.
    pub fn services_with_tasks(&self) -> impl Iterator<Item = &ServiceId> {
        self.index.by_service.keys()
    }

    /// The nodes that have tasks, whether or not they exist themselves.
    pub fn nodes_with_tasks(&self) -> impl Iterator<Item = &NodeId> {
        self.index.by_node.keys()
    }

    pub fn slot_tasks(&self, service: &ServiceId, slot: u64) -> impl Iterator<Item = &Arc<Task>> {
        self.found(self.index.by_slot.get(&(service.clone(), slot)))
    }

    pub fn node_tasks(&self, node: &NodeId) -> impl Iterator<Item = &Arc<Task>> {
        self.found(self.index.by_node.get(node))
    }

    /// Tasks that were last observed in the state.
    pub fn tasks_in_state(&self, state: TaskState) -> impl Iterator<Item = &Arc<Task>> {
        self.found(self.index.by_state.get(&state))
    }

    pub fn tasks_desired(&self, state: TaskState) -> impl Iterator<Item = &Arc<Task>> {
        self.found(self.index.by_desired_state.get(&state))
    }

    fn found<'a>(&'a self, ids: Option<&'a BTreeSet<TaskId>>) -> impl Iterator<Item = &'a Arc<Task>> {
        ids.into_iter().flatten().filter_map(|id| self.tasks.get(id.as_str()))
    }

    /// What a user means by a full id, a name, or the beginning of an id, in moby's order. `None`
    /// is for no such object.
    pub fn resolve<'a, T: Stored>(
        &self,
        table: &'a Table<T>,
        reference: &str,
    ) -> Result<Option<&'a Arc<T>>, Ambiguous> {
        if let Some(found) = table.get(reference) {
            return Ok(Some(found));
        }
        let mut named = table.iter().filter(|object| object.name() == reference && !reference.is_empty());
        match (named.next(), named.count()) {
            (Some(found), 0) => return Ok(Some(found)),
            (Some(_), more) => return Err(Ambiguous { matches: more + 1 }),
            (None, _) => {}
        }
        let mut begun = table.iter().filter(|object| object.id().to_string().starts_with(reference));
        match (begun.next(), begun.count()) {
            (found, 0) => Ok(found),
            (_, more) => Err(Ambiguous { matches: more + 1 }),
        }
    }

    pub fn object(&self, kind: Kind, id: &str) -> Option<Object> {
        fn erased<T: Stored>(table: &Table<T>, id: &str) -> Option<Object> {
            table.get(id).map(|object| object.clone().into_object())
        }
        match kind {
            Kind::Cluster => erased(&self.clusters, id),
            Kind::Node => erased(&self.nodes, id),
            Kind::Network => erased(&self.networks, id),
            Kind::Service => erased(&self.services, id),
            Kind::Task => erased(&self.tasks, id),
            Kind::Secret => erased(&self.secrets, id),
            Kind::Config => erased(&self.configs, id),
        }
    }

    /// Every object, kind by kind, such that what is referred to comes before who refers.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        fn erased<T: Stored>(table: &Table<T>) -> impl Iterator<Item = Object> {
            table.iter().map(|object| object.clone().into_object())
        }
        erased(&self.clusters)
            .chain(erased(&self.nodes))
            .chain(erased(&self.networks))
            .chain(erased(&self.secrets))
            .chain(erased(&self.configs))
            .chain(erased(&self.services))
            .chain(erased(&self.tasks))
    }

    /// The id of the object that has the name, for kinds whose names are unique.
    pub(super) fn holder_of_name(&self, kind: Kind, name: &str) -> Option<String> {
        fn holder<T: Stored>(table: &Table<T>, name: &str) -> Option<String> {
            table.named(name).map(|object| object.id().to_string())
        }
        match kind {
            Kind::Cluster => holder(&self.clusters, name),
            Kind::Network => holder(&self.networks, name),
            Kind::Service => holder(&self.services, name),
            Kind::Secret => holder(&self.secrets, name),
            Kind::Config => holder(&self.configs, name),
            Kind::Node | Kind::Task => None,
        }
    }

    /// Puts the object in and answers the one that was there.
    pub(super) fn put(&mut self, object: Object) -> Option<Object> {
        match object {
            Object::Cluster(cluster) => self.clusters.put(cluster).map(Object::Cluster),
            Object::Node(node) => self.nodes.put(node).map(Object::Node),
            Object::Network(network) => self.networks.put(network).map(Object::Network),
            Object::Service(service) => self.services.put(service).map(Object::Service),
            Object::Secret(secret) => self.secrets.put(secret).map(Object::Secret),
            Object::Config(config) => self.configs.put(config).map(Object::Config),
            Object::Task(task) => {
                let before = self.tasks.put(task.clone());
                if let Some(before) = &before {
                    self.index.drop(before);
                }
                self.index.add(&task);
                before.map(Object::Task)
            }
        }
    }

    pub(super) fn remove(&mut self, kind: Kind, id: &str) -> Option<Object> {
        match kind {
            Kind::Cluster => self.clusters.remove(id).map(Object::Cluster),
            Kind::Node => self.nodes.remove(id).map(Object::Node),
            Kind::Network => self.networks.remove(id).map(Object::Network),
            Kind::Service => self.services.remove(id).map(Object::Service),
            Kind::Secret => self.secrets.remove(id).map(Object::Secret),
            Kind::Config => self.configs.remove(id).map(Object::Config),
            Kind::Task => {
                let before = self.tasks.remove(id)?;
                self.index.drop(&before);
                Some(Object::Task(before))
            }
        }
    }
}
