//! Spreading alike tasks over nodes, and first over what placement preferences name.

use std::collections::BTreeMap;

use super::constraint;
use super::explain::Pipeline;
use super::inventory::Inventory;
use crate::objects::Task;

/// The nodes that share the values of the preferences so far. A leaf holds nodes that can take the
/// task, by their place in the inventory.
#[derive(Debug, Default)]
pub struct Branch {
    branches: BTreeMap<String, Branch>,
    nodes: Vec<usize>,
    /// Tasks of the service below, on all its nodes.
    tasks: usize,
    is_full: bool,
}

impl Branch {
    pub fn grow(inventory: &Inventory, task: &Task, pipeline: &mut Pipeline) -> Self {
        let descriptors = descriptors(task);
        let mut root = Self::default();
        for (place, info) in inventory.nodes.iter().enumerate() {
            let mut branch = &mut root;
            branch.tasks += info.of_service(task);
            // A descriptor that names no label splits nothing.
            for value in descriptors.iter().filter_map(|name| constraint::label(name, &info.node)) {
                branch = branch.branches.entry(value.to_owned()).or_default();
                branch.tasks += info.of_service(task);
            }
            if pipeline.passes(info) {
                branch.nodes.push(place);
            }
        }
        root
    }

    /// Places one task by a call of `assign`: in the branch with fewest of its service, and there on
    /// the best node that still passes. `false` when none does.
    pub fn place_one(
        &mut self,
        inventory: &mut Inventory,
        task: &Task,
        pipeline: &mut Pipeline,
        assign: &mut dyn FnMut(&mut Inventory, usize),
    ) -> bool {
        let placed = if self.branches.is_empty() {
            self.place_on_best(inventory, task, pipeline, assign)
        } else {
            loop {
                let open = self.branches.values_mut().filter(|branch| !branch.is_full);
                let Some(branch) = open.min_by_key(|branch| branch.tasks) else { break false };
                if branch.place_one(inventory, task, pipeline, assign) {
                    break true;
                }
            }
        };
        self.tasks += usize::from(placed);
        self.is_full = !placed;
        placed
    }

    fn place_on_best(
        &mut self,
        inventory: &mut Inventory,
        task: &Task,
        pipeline: &mut Pipeline,
        assign: &mut dyn FnMut(&mut Inventory, usize),
    ) -> bool {
        while let Some(best) =
            self.nodes.iter().copied().min_by_key(|place| inventory.nodes[*place].rank(task))
        {
            if pipeline.passes(&inventory.nodes[best]) {
                assign(inventory, best);
                return true;
            }
            self.nodes.retain(|place| *place != best);
        }
        false
    }
}

fn descriptors(task: &Task) -> Vec<String> {
    let preferences = task.spec.placement.as_ref().and_then(|placement| placement.preferences.as_deref());
    preferences
        .unwrap_or_default()
        .iter()
        .filter_map(|preference| preference.spread.as_ref()?.spread_descriptor.clone())
        .collect()
}
