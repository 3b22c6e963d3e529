//! What a node shall have: its tasks, and only the secrets, configs and networks that these need.
//!
//! Pure. A task that has ended, or was never let begin, needs nothing but itself: its secrets are taken from the node with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calls::Assignment;
use crate::objects::{Kind, Node, Object, Task, TaskState};
use crate::store::View;

type Key = (Kind, String);

/// Everything that one node has been told to have.
#[derive(Debug, Clone, Default)]
pub struct Assigned(BTreeMap<Key, Object>);

impl Assigned {
    /// What the store says that the node shall have.
    pub fn of(view: &View, node: &Node) -> Self {
        let mut wanted = Self::default();
        for attachment in &node.attachments {
            wanted.network(view, attachment.network_id.as_str());
        }
        for task in view.node_tasks(&node.id).filter(|task| is_for_agent(task)) {
            wanted.put(Object::Task(task.clone()));
            if needs_anything(task) {
                wanted.needs_of(view, task);
            }
        }
        wanted
    }

    /// What to tell a node that has `self` and shall have `wanted`. The node's own words are not told back to it: a task whose status
    /// alone changed stays as it was.
    pub fn changes_to(&self, wanted: &Self) -> Vec<Assignment> {
        let puts =
            wanted.0.iter().filter(|(key, object)| self.0.get(*key).is_none_or(|had| !is_same(had, object)));
        let drops = self.0.keys().filter(|key| !wanted.0.contains_key(*key));
        // What a task needs comes before it, and goes after it.
        let mut changes: Vec<Assignment> = puts.map(|(_, object)| Assignment::Put(object.clone())).collect();
        changes.sort_by_key(|change| matches!(change, Assignment::Put(Object::Task(_))));
        let mut drops: Vec<Assignment> =
            drops.map(|(kind, id)| Assignment::Drop { kind: *kind, id: id.clone() }).collect();
        drops.sort_by_key(|change| !matches!(change, Assignment::Drop { kind: Kind::Task, .. }));
        changes.append(&mut drops);
        changes
    }

    fn put(&mut self, object: Object) {
        self.0.insert((object.kind(), object.id().to_owned()), object);
    }

    fn network(&mut self, view: &View, id: &str) {
        if let Some(network) = view.networks().get(id) {
            self.put(Object::Network(network.clone()));
        }
    }

    fn needs_of(&mut self, view: &View, task: &Task) {
        for attachment in &task.networks {
            self.network(view, attachment.network_id.as_str());
        }
        let Some(container) = &task.spec.container_spec else { return };
        for secret in
            container.secrets.iter().flatten().filter_map(|reference| reference.secret_id.as_deref())
        {
            if let Some(secret) = view.secrets().get(secret) {
                self.put(Object::Secret(secret.clone()));
            }
        }
        for config in
            container.configs.iter().flatten().filter_map(|reference| reference.config_id.as_deref())
        {
            if let Some(config) = view.configs().get(config) {
                self.put(Object::Config(config.clone()));
            }
        }
    }
}

/// Tasks become an agent's business when they are assigned; one that another manager gave up on is nobody's.
fn is_for_agent(task: &Task) -> bool {
    task.status.state >= TaskState::ASSIGNED && task.status.state != TaskState::ORPHANED
}

fn needs_anything(task: &Task) -> bool {
    task.status.state <= TaskState::RUNNING && task.desired_state <= TaskState::RUNNING
}

fn is_same(had: &Object, wanted: &Object) -> bool {
    match (had, wanted) {
        (Object::Task(had), Object::Task(wanted)) => Arc::ptr_eq(had, wanted) || is_same_task(had, wanted),
        _ => had.meta().version == wanted.meta().version,
    }
}

fn is_same_task(had: &Task, wanted: &Task) -> bool {
    let as_told = Task { status: had.status.clone(), meta: had.meta, ..wanted.clone() };
    as_told == *had
}

#[cfg(test)]
mod tests {
    use bollard_stubs::models::{
        TaskSpecContainerSpec, TaskSpecContainerSpecConfigs, TaskSpecContainerSpecSecrets,
    };

    use super::*;
    use crate::Store;
    use crate::objects::{Config, Network, NetworkAttachment, Secret, TaskSpec, Timestamp};

    fn node() -> Node {
        Node { id: "node".into(), ..Node::default() }
    }

    fn task(id: &str, state: TaskState) -> Task {
        let container = TaskSpecContainerSpec {
            secrets: Some(vec![TaskSpecContainerSpecSecrets {
                secret_id: Some("secret".into()),
                ..Default::default()
            }]),
            configs: Some(vec![TaskSpecContainerSpecConfigs {
                config_id: Some("config".into()),
                ..Default::default()
            }]),
            ..Default::default()
        };
        let mut task = Task {
            id: id.into(),
            node_id: Some("node".into()),
            spec: TaskSpec { container_spec: Some(container), ..TaskSpec::default() },
            desired_state: TaskState::RUNNING,
            networks: vec![NetworkAttachment { network_id: "network".into(), ..Default::default() }],
            ..Task::default()
        };
        task.status.state = state;
        task
    }

    fn store(tasks: impl IntoIterator<Item = Task>) -> Store {
        let mut store = Store::new();
        let made = store.commit(Timestamp(1), |tx| {
            let mut secret = Secret { id: "secret".into(), ..Secret::default() };
            secret.spec.name = Some("secret".into());
            tx.create(secret).unwrap();
            let mut other = Secret { id: "other".into(), ..Secret::default() };
            other.spec.name = Some("other".into());
            tx.create(other).unwrap();
            let mut config = Config { id: "config".into(), ..Config::default() };
            config.spec.name = Some("config".into());
            tx.create(config).unwrap();
            let mut network = Network { id: "network".into(), ..Network::default() };
            network.spec.name = "network".into();
            tx.create(network).unwrap();
            tasks.into_iter().for_each(|task| tx.create(task).unwrap());
        });
        made.unwrap();
        store
    }

    fn told(changes: &[Assignment]) -> Vec<String> {
        let words = changes.iter().map(|change| match change {
            Assignment::Put(object) => format!("+{}", object.id()),
            Assignment::Drop { id, .. } => format!("-{id}"),
        });
        words.collect()
    }

    fn wanted(store: &Store) -> Assigned {
        Assigned::of(store, &node())
    }

    #[test]
    fn a_node_gets_its_tasks_after_what_they_need_and_nothing_else() {
        let mut elsewhere = task("elsewhere", TaskState::ASSIGNED);
        elsewhere.node_id = Some("other".into());
        let store =
            store([task("task", TaskState::ASSIGNED), task("unscheduled", TaskState::PENDING), elsewhere]);
        let mut first = told(&Assigned::default().changes_to(&wanted(&store)));
        assert_eq!(first.pop().unwrap(), "+task");
        first.sort();
        assert_eq!(first, ["+config", "+network", "+secret"]);
    }

    #[test]
    fn a_status_is_not_told_back_but_a_wish_is() {
        let mut store = store([task("task", TaskState::ASSIGNED)]);
        let before = wanted(&store);
        let set = |store: &mut Store, change: fn(&mut Task)| {
            let mut task = store.tasks().get("task").unwrap().as_ref().clone();
            change(&mut task);
            store.commit(Timestamp(2), |tx| tx.update(task).unwrap()).unwrap();
        };
        set(&mut store, |task| task.status.state = TaskState::RUNNING);
        assert!(before.changes_to(&wanted(&store)).is_empty());
        set(&mut store, |task| task.desired_state = TaskState::SHUTDOWN);
        assert_eq!(told(&before.changes_to(&wanted(&store))), ["+task", "-network", "-secret", "-config"]);
    }

    #[test]
    fn what_a_node_no_longer_needs_goes_after_the_task_that_used_it() {
        let mut store = store([task("task", TaskState::RUNNING)]);
        let before = wanted(&store);
        store.commit(Timestamp(2), |tx| tx.delete::<Task>(&"task".into()).unwrap()).unwrap();
        let told = told(&before.changes_to(&wanted(&store)));
        assert_eq!(told.first().unwrap(), "-task");
        assert_eq!(told.len(), 4);
    }
}
