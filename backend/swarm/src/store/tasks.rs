//! Where tasks are found without walking all of them: by service, slot, node and state.

use std::collections::{BTreeMap, BTreeSet};

use crate::objects::{NodeId, ServiceId, Task, TaskId, TaskState};

#[derive(Clone, Debug, Default)]
pub(super) struct TaskIndex {
    pub by_service: BTreeMap<ServiceId, BTreeSet<TaskId>>,
    pub by_slot: BTreeMap<(ServiceId, u64), BTreeSet<TaskId>>,
    pub by_node: BTreeMap<NodeId, BTreeSet<TaskId>>,
    pub by_state: BTreeMap<TaskState, BTreeSet<TaskId>>,
    pub by_desired_state: BTreeMap<TaskState, BTreeSet<TaskId>>,
}

impl TaskIndex {
    pub fn add(&mut self, task: &Task) {
        let id = || task.id.clone();
        if let Some(service) = &task.service_id {
            self.by_service.entry(service.clone()).or_default().insert(id());
            self.by_slot.entry((service.clone(), task.slot)).or_default().insert(id());
        }
        if let Some(node) = &task.node_id {
            self.by_node.entry(node.clone()).or_default().insert(id());
        }
        self.by_state.entry(task.status.state).or_default().insert(id());
        self.by_desired_state.entry(task.desired_state).or_default().insert(id());
    }

    pub fn drop(&mut self, task: &Task) {
        if let Some(service) = &task.service_id {
            forget(&mut self.by_service, service, &task.id);
            forget(&mut self.by_slot, &(service.clone(), task.slot), &task.id);
        }
        if let Some(node) = &task.node_id {
            forget(&mut self.by_node, node, &task.id);
        }
        forget(&mut self.by_state, &task.status.state, &task.id);
        forget(&mut self.by_desired_state, &task.desired_state, &task.id);
    }
}

fn forget<K: Ord>(index: &mut BTreeMap<K, BTreeSet<TaskId>>, key: &K, id: &TaskId) {
    if let Some(ids) = index.get_mut(key) {
        ids.remove(id);
        if ids.is_empty() {
            index.remove(key);
        }
    }
}
