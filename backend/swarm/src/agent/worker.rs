//! The tasks of a node: begun, told what is wished, taken away.
//!
//! Task tree: one [`TaskManager`] for each task, in the worker's tracker. They end with the tasks they manage, not with a session.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::database::DatabaseError;
use super::executor::Executor;
use super::task::{TaskManager, Wish};
use super::{Assets, Database, Reporter};
use crate::dispatcher::calls::{Assignment, AssignmentsMessage};
use crate::objects::{Kind, Object, Task, TaskId, TaskStatus};

/// Runs what is assigned to the node.
pub struct Worker<E: Executor> {
    executor: Arc<E>,
    assets: Assets,
    database: Database,
    reporter: Reporter,
    tasks: Mutex<HashMap<TaskId, Running<E::Controller>>>,
    /// Told each time the set of tasks changes: who sends logs looks for new ones.
    changed: watch::Sender<()>,
    tracker: TaskTracker,
    end: CancellationToken,
}

struct Running<C> {
    task: Arc<Task>,
    controller: Arc<C>,
    wish: watch::Sender<Wish>,
}

impl<E: Executor> Worker<E> {
    /// Takes up the tasks that ran before a restart. The engine is asked for their containers at once, without waiting for a leader.
    pub fn start(
        executor: Arc<E>,
        database: Database,
        reporter: Reporter,
        end: CancellationToken,
    ) -> Result<Arc<Self>, DatabaseError> {
        let remembered = database.load()?;
        let worker = Arc::new(Self {
            executor,
            assets: Assets::default(),
            database,
            reporter,
            tasks: Mutex::default(),
            changed: watch::Sender::new(()),
            tracker: TaskTracker::new(),
            end,
        });
        for one in remembered {
            // What was written down may not have been told before the engine ended, and nothing more may become of the task.
            worker.reporter.report(&one.task.id, one.status.clone());
            worker.begin(Arc::new(one.task), one.status);
        }
        Ok(worker)
    }

    /// Does what the leader says.
    pub async fn apply(&self, message: AssignmentsMessage) {
        if message.is_complete {
            self.keep_only(&message.changes);
        }
        let (tasks, assets): (Vec<_>, Vec<_>) = message.changes.into_iter().partition(is_about_task);
        let (puts, drops): (Vec<_>, Vec<_>) =
            assets.into_iter().partition(|change| matches!(change, Assignment::Put(_)));
        if message.is_complete || !puts.is_empty() {
            puts.into_iter().for_each(|change| self.change_asset(change));
            self.executor.assets_changed(&self.assets).await;
        }
        if let Some(landscape) = &message.landscape {
            self.executor.landscape_changed(landscape).await;
        }
        tasks.into_iter().for_each(|change| self.change_task(change));
        if !drops.is_empty() {
            drops.into_iter().for_each(|change| self.change_asset(change));
            self.executor.assets_changed(&self.assets).await;
        }
        self.changed.send_replace(());
    }

    /// The tasks that the node has, with who runs them.
    pub fn controllers(&self) -> Vec<(Arc<Task>, Arc<E::Controller>)> {
        self.lock().values().map(|running| (running.task.clone(), running.controller.clone())).collect()
    }

    /// Told when tasks come or go.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub fn assets(&self) -> &Assets {
        &self.assets
    }

    /// Takes everything away and waits until it is gone: the node leaves. What a leader still assigns is not begun.
    pub async fn clear(&self) {
        {
            let mut running = self.lock();
            self.tracker.close();
            for (_, running) in running.drain() {
                running.wish.send_replace(None);
            }
        }
        self.tracker.wait().await;
    }

    fn keep_only(&self, wanted: &[Assignment]) {
        let wanted: HashSet<(Kind, String)> = wanted
            .iter()
            .filter_map(|change| match change {
                Assignment::Put(object) => Some((object.kind(), object.id().to_owned())),
                Assignment::Drop { .. } => None,
            })
            .collect();
        let gone: Vec<TaskId> = self
            .lock()
            .keys()
            .filter(|id| !wanted.contains(&(Kind::Task, id.to_string())))
            .cloned()
            .collect();
        gone.iter().for_each(|id| self.take_away(id));
        self.assets.retain(&wanted);
    }

    fn change_asset(&self, change: Assignment) {
        match change {
            Assignment::Put(object) => self.assets.put(object),
            Assignment::Drop { kind, id } => self.assets.drop(kind, &id),
        }
    }

    fn change_task(&self, change: Assignment) {
        match change {
            Assignment::Put(Object::Task(task)) => self.wish(task),
            Assignment::Drop { id, .. } => self.take_away(&TaskId::from(id)),
            Assignment::Put(_) => {}
        }
    }

    fn wish(&self, task: Arc<Task>) {
        let mut tasks = self.lock();
        match tasks.get_mut(&task.id) {
            Some(running) => {
                running.task = task.clone();
                running.wish.send_replace(Some(task));
            }
            None => {
                drop(tasks);
                let status = task.status.clone();
                self.begin(task, status);
            }
        }
    }

    fn begin(&self, task: Arc<Task>, status: TaskStatus) {
        let controller = Arc::new(self.executor.controller(&task, self.assets.clone()));
        let (wish, wishes) = watch::channel(Some(task.clone()));
        if let Err(error) = self.database.save(&task, &status) {
            tracing::warn!(%error, task.id = %task.id, "a task would not survive a restart");
        }
        let manager = TaskManager {
            id: task.id.clone(),
            controller: controller.clone(),
            status,
            wishes,
            reporter: self.reporter.clone(),
            database: self.database.clone(),
        };
        let mut tasks = self.lock();
        if self.tracker.is_closed() {
            return;
        }
        tasks.insert(task.id.clone(), Running { task, controller, wish });
        let end = self.end.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = manager.run() => {}
            }
        });
    }

    fn take_away(&self, id: &TaskId) {
        if let Some(running) = self.lock().remove(id) {
            running.wish.send_replace(None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Running<E::Controller>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E: Executor> std::fmt::Debug for Worker<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("tasks", &self.lock().len()).finish_non_exhaustive()
    }
}

fn is_about_task(change: &Assignment) -> bool {
    match change {
        Assignment::Put(object) => object.kind() == Kind::Task,
        Assignment::Drop { kind, .. } => *kind == Kind::Task,
    }
}
