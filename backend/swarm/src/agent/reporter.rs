//! Statuses on their way to the leader: the newest of each task, told until a leader has taken it, and again to the next leader.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::dispatcher::calls::StatusUpdate;
use crate::objects::{TaskId, TaskStatus};

/// Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Reporter {
    state: Arc<Mutex<State>>,
    arrived: Arc<Notify>,
}

#[derive(Debug, Default)]
struct State {
    newest: HashMap<TaskId, TaskStatus>,
    untold: HashSet<TaskId>,
}

impl Reporter {
    /// Something became of a task.
    pub fn report(&self, task_id: &TaskId, status: TaskStatus) {
        let mut state = self.lock();
        state.newest.insert(task_id.clone(), status);
        state.untold.insert(task_id.clone());
        self.arrived.notify_one();
    }

    /// The task is not the node's any more.
    pub fn forget(&self, task_id: &TaskId) {
        let mut state = self.lock();
        state.newest.remove(task_id);
        state.untold.remove(task_id);
    }

    /// Everything has to be told: to a leader that may have missed some.
    pub fn again(&self) {
        let mut state = self.lock();
        state.untold = state.newest.keys().cloned().collect();
        self.arrived.notify_one();
    }

    /// Returns when something has to be told.
    pub async fn arrived(&self) {
        while self.lock().untold.is_empty() {
            self.arrived.notified().await;
        }
    }

    /// Takes all that has to be told.
    pub fn take(&self) -> Vec<StatusUpdate> {
        let state = &mut *self.lock();
        let told = state.untold.drain().filter_map(|task_id| {
            let status = state.newest.get(&task_id)?.clone();
            Some(StatusUpdate { task_id, status })
        });
        told.collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::TaskState;

    fn status(state: TaskState) -> TaskStatus {
        TaskStatus { state, ..TaskStatus::default() }
    }

    #[test]
    fn only_the_newest_status_is_told_and_all_are_told_to_the_next_leader() {
        let (reporter, id) = (Reporter::default(), TaskId::from("task"));
        reporter.report(&id, status(TaskState::PREPARING));
        reporter.report(&id, status(TaskState::RUNNING));
        let states = |reporter: &Reporter| {
            reporter.take().iter().map(|update| update.status.state).collect::<Vec<_>>()
        };
        assert_eq!(states(&reporter), [TaskState::RUNNING]);
        assert!(states(&reporter).is_empty());
        reporter.again();
        assert_eq!(states(&reporter), [TaskState::RUNNING]);
        reporter.forget(&id);
        reporter.again();
        assert!(states(&reporter).is_empty());
    }
}
