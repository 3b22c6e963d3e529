//! One task on its node, from assigned to its end.
//!
//! ```text
//!  ASSIGNED ▶ ACCEPTED ▶ PREPARING ─prepare▶ READY ┄wished▶ STARTING ─start▶ RUNNING ─wait▶ COMPLETE, FAILED
//!      └──────────┴──────────┴───────────────┴────────────────┴────────────────┴─ shutdown ▶ SHUTDOWN
//!  prepare fails ▶ REJECTED      start fails ▶ FAILED
//! ```
//!
//! [`step`] decides, the loop does. One tokio task for each; it ends when the task is taken from the node, after it has removed what
//! was left of it.

use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::watch;

use super::executor::{Controller, Exit, TaskError};
use super::{Database, Reporter};
use crate::objects::{Task, TaskId, TaskState, TaskStatus, Timestamp};

/// How long to leave a step alone that failed for the moment.
const RETRY: Duration = Duration::from_millis(500);

/// What to do next with a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing but to say that the task is here: no work in between.
    Become(TaskState),
    Prepare,
    Start,
    Wait,
    Shutdown,
    /// Until something else is wished.
    Rest,
}

/// Decides from what a task is and what it shall be.
pub fn step(observed: TaskState, desired: TaskState) -> Step {
    if observed > TaskState::RUNNING {
        return Step::Rest;
    }
    // A job's task is wished to complete, which is no wish to end it.
    if desired >= TaskState::SHUTDOWN {
        return Step::Shutdown;
    }
    match observed {
        TaskState::ASSIGNED => Step::Become(TaskState::ACCEPTED),
        TaskState::ACCEPTED => Step::Become(TaskState::PREPARING),
        TaskState::PREPARING => Step::Prepare,
        TaskState::READY if desired >= TaskState::RUNNING => Step::Become(TaskState::STARTING),
        TaskState::STARTING => Step::Start,
        TaskState::RUNNING => Step::Wait,
        _ => Step::Rest,
    }
}

/// What a task is wished to be; `None` when it is no longer the node's.
pub type Wish = Option<Arc<Task>>;

/// The loop of one task.
pub struct TaskManager<C> {
    pub id: TaskId,
    pub controller: Arc<C>,
    pub status: TaskStatus,
    pub wishes: watch::Receiver<Wish>,
    pub reporter: Reporter,
    pub database: Database,
}

impl<C: Controller> TaskManager<C> {
    /// Runs until the task is taken from the node.
    pub async fn run(mut self) {
        let mut known: Option<Arc<Task>> = None;
        loop {
            let Some(task) = self.wishes.borrow_and_update().clone() else { break };
            if known.as_ref().is_some_and(|known| !Arc::ptr_eq(known, &task)) {
                self.update(&task).await;
            }
            known = Some(task.clone());
            match step(self.status.state, task.desired_state) {
                Step::Become(state) => self.become_state(&task, state).await,
                Step::Prepare => self.prepare(&task).await,
                Step::Start => self.start(&task).await,
                Step::Wait => self.wait(&task).await,
                Step::Shutdown => self.shutdown(&task).await,
                Step::Rest => self.changed().await,
            }
        }
        self.take_away().await;
    }

    async fn update(&self, task: &Arc<Task>) {
        if let Err(error) = self.controller.update(task.clone()).await {
            tracing::debug!(%error, task.id = %task.id, "a task was not updated");
        }
        self.remember(task);
    }

    async fn prepare(&mut self, task: &Task) {
        let controller = self.controller.clone();
        match self.unless_changed(controller.prepare()).await {
            None => {}
            Some(Ok(())) => self.become_state(task, TaskState::READY).await,
            Some(Err(error)) => self.failed(task, error, TaskState::REJECTED).await,
        }
    }

    async fn start(&mut self, task: &Task) {
        match self.controller.start().await {
            Ok(()) => self.become_state(task, TaskState::RUNNING).await,
            Err(error) => self.failed(task, error, TaskState::FAILED).await,
        }
    }

    async fn wait(&mut self, task: &Task) {
        let controller = self.controller.clone();
        match self.unless_changed(controller.wait()).await {
            None => {}
            Some(Ok(Exit { code: 0, message })) if message.is_empty() => {
                self.become_state(task, TaskState::COMPLETE).await
            }
            Some(Ok(exit)) => self.end(task, TaskState::FAILED, exit_text(&exit)).await,
            Some(Err(error)) => self.failed(task, error, TaskState::FAILED).await,
        }
    }

    async fn shutdown(&mut self, task: &Task) {
        let stopped = tokio::select! {
            stopped = self.controller.shutdown() => stopped,
            // However long its grace: what is removed is killed.
            () = taken_away(&mut self.wishes) => return,
        };
        match stopped {
            Ok(()) => self.become_state(task, TaskState::SHUTDOWN).await,
            Err(TaskError::Temporary(words)) => {
                tracing::warn!(error = words, task.id = %task.id, "a task was not shut down, and will be again");
                self.pause().await;
            }
            Err(TaskError::Fatal(words)) => self.end(task, TaskState::FAILED, words).await,
        }
    }

    /// The task is not the node's any more: nothing of it may stay.
    async fn take_away(&self) {
        while let Err(TaskError::Temporary(words)) = self.controller.remove().await {
            tracing::warn!(error = words, "what is left of a task was not removed, and will be again");
            tokio::time::sleep(RETRY).await;
        }
        self.reporter.forget(&self.id);
        if let Err(error) = self.database.remove(self.id.as_str()) {
            tracing::warn!(%error, task.id = %self.id, "a task that is gone is still remembered");
        }
    }

    async fn failed(&mut self, task: &Task, error: TaskError, state: TaskState) {
        match error {
            TaskError::Fatal(words) => self.end(task, state, words).await,
            TaskError::Temporary(words) => {
                if self.status.err != words {
                    self.status.err = words;
                    self.said(task).await;
                }
                self.pause().await;
            }
        }
    }

    async fn become_state(&mut self, task: &Task, state: TaskState) {
        self.status.state = state;
        words_of(state).clone_into(&mut self.status.message);
        self.status.err.clear();
        self.said(task).await;
    }

    async fn end(&mut self, task: &Task, state: TaskState, words: String) {
        self.status.state = state;
        self.status.err = words;
        self.said(task).await;
    }

    /// Takes the status down and tells it, with what can be seen of the container.
    async fn said(&mut self, task: &Task) {
        self.status.timestamp =
            Timestamp(i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX));
        if self.status.state >= TaskState::READY {
            let observed = self.controller.observe().await;
            self.status.container = observed.container.or(self.status.container.take());
            self.status.ports = observed.ports;
        }
        self.remember(task);
        self.reporter.report(&task.id, self.status.clone());
    }

    fn remember(&self, task: &Task) {
        if let Err(error) = self.database.save(task, &self.status) {
            tracing::warn!(%error, cause = ?std::error::Error::source(&error), task.id = %task.id, "a task would not survive a restart");
        }
    }

    /// Does `work` to its end, unless something else is wished first.
    async fn unless_changed<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = changed(&mut self.wishes) => None,
        }
    }

    async fn changed(&mut self) {
        changed(&mut self.wishes).await;
    }

    async fn pause(&mut self) {
        tokio::select! {
            () = tokio::time::sleep(RETRY) => {}
            () = changed(&mut self.wishes) => {}
        }
    }
}

/// The worker lives as long as its tasks: that it is gone is no change.
async fn changed(wishes: &mut watch::Receiver<Wish>) {
    if wishes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Until the task is no longer the node's.
async fn taken_away(wishes: &mut watch::Receiver<Wish>) {
    if wishes.wait_for(Option::is_none).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Swarmkit's words for a state that was reached.
fn words_of(state: TaskState) -> &'static str {
    match state {
        TaskState::ACCEPTED => "accepted",
        TaskState::PREPARING => "preparing",
        TaskState::READY => "prepared",
        TaskState::STARTING => "starting",
        TaskState::RUNNING => "started",
        TaskState::COMPLETE => "finished",
        TaskState::SHUTDOWN => "shutdown",
        _ => "",
    }
}

fn exit_text(exit: &Exit) -> String {
    if exit.message.is_empty() {
        return format!("task: non-zero exit ({})", exit.code);
    }
    format!("task: non-zero exit ({}): {}", exit.code, exit.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_goes_no_further_than_it_is_wished() {
        assert_eq!(step(TaskState::READY, TaskState::READY), Step::Rest);
        assert_eq!(step(TaskState::READY, TaskState::RUNNING), Step::Become(TaskState::STARTING));
        assert_eq!(step(TaskState::PREPARING, TaskState::READY), Step::Prepare);
        assert_eq!(step(TaskState::READY, TaskState::COMPLETE), Step::Become(TaskState::STARTING));
        assert_eq!(step(TaskState::RUNNING, TaskState::COMPLETE), Step::Wait);
    }

    #[test]
    fn whatever_is_alive_is_shut_down_and_whatever_has_ended_rests() {
        for state in [
            TaskState::ASSIGNED,
            TaskState::PREPARING,
            TaskState::READY,
            TaskState::STARTING,
            TaskState::RUNNING,
        ] {
            assert_eq!(step(state, TaskState::SHUTDOWN), Step::Shutdown);
            assert_eq!(step(state, TaskState::REMOVE), Step::Shutdown);
        }
        for state in [TaskState::COMPLETE, TaskState::SHUTDOWN, TaskState::FAILED, TaskState::REJECTED] {
            assert_eq!(step(state, TaskState::RUNNING), Step::Rest);
            assert_eq!(step(state, TaskState::SHUTDOWN), Step::Rest);
        }
    }
}
