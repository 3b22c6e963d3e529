//! Asking node after node, and saying at the end what kept them from passing.

use super::filter::{Filter, filters_of};
use super::inventory::NodeInfo;
use crate::objects::Task;
use crate::store::View;

/// The filters of one task with how many nodes failed each since a node last passed all.
#[derive(Debug)]
pub struct Pipeline {
    task: Task,
    filters: Vec<(Filter, usize)>,
}

impl Pipeline {
    pub fn of(view: &View, task: &Task) -> Self {
        let filters = filters_of(view, task).into_iter().map(|filter| (filter, 0)).collect();
        Self { task: task.clone(), filters }
    }

    /// A node fails at its first filter; a node that passes makes the failures before it forgotten.
    pub fn passes(&mut self, info: &NodeInfo) -> bool {
        for (filter, failures) in &mut self.filters {
            if !filter.passes(&self.task, info) {
                *failures += 1;
                return false;
            }
        }
        for (_, failures) in &mut self.filters {
            *failures = 0;
        }
        true
    }

    /// From the filter that most nodes failed to the one that fewest did.
    pub fn explain(&self) -> String {
        let mut failed: Vec<_> = self.filters.iter().filter(|(_, failures)| *failures > 0).collect();
        failed.sort_by_key(|(_, failures)| std::cmp::Reverse(*failures));
        let explained: Vec<_> = failed.iter().map(|(filter, failures)| filter.explain(*failures)).collect();
        explained.join("; ")
    }
}
