//! One task of the swarm on this node: a container that is made, started, waited for, ended and removed.
//!
//! Each verb begins with what is there: the engine may have been restarted between any two.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use drydock_images::Named;
use drydock_swarm::agent::Assets;
use drydock_swarm::agent::executor::{Controller, Exit, Observed, TaskError};
use drydock_swarm::dispatcher::calls::{LogLine, LogOptions};
use drydock_swarm::objects::{ContainerStatus, EndpointPortConfig, Task};
use tokio::sync::mpsc;

use super::{assets, lines, task};
use crate::container::remove::{self, RemoveError};
use crate::container::stop::{self, How, StopError};
use crate::container::{Container, FindError, create, start};
use crate::engine::Engine;
use crate::error::chain;
use crate::image::progress::Progress;
use crate::image::{LookupError, PullRequest};

/// How often a health check is looked at.
const LOOK: Duration = Duration::from_millis(50);
const UNHEALTHY: &str = "unhealthy container";

#[derive(Debug)]
pub struct TaskController {
    engine: Weak<Engine>,
    task: Mutex<Arc<Task>>,
    assets: Assets,
}

fn fatal(error: &dyn std::error::Error) -> TaskError {
    TaskError::Fatal(chain(error))
}

impl TaskController {
    pub fn new(engine: Weak<Engine>, task: Arc<Task>, assets: Assets) -> Self {
        Self { engine, task: Mutex::new(task), assets }
    }

    fn task(&self) -> Arc<Task> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn engine(&self) -> Result<Arc<Engine>, TaskError> {
        self.engine.upgrade().ok_or_else(|| TaskError::Temporary("the engine is stopping".to_owned()))
    }

    fn find(&self, engine: &Engine) -> Result<Option<Arc<Container>>, TaskError> {
        match engine.containers.find(&self.task().full_name()) {
            Ok(container) => Ok(Some(container)),
            Err(FindError::NotFound(_)) => Ok(None),
            Err(error) => Err(fatal(&error)),
        }
    }

    fn there(&self, engine: &Engine) -> Result<Arc<Container>, TaskError> {
        let name = self.task().full_name();
        self.find(engine)?.ok_or_else(|| TaskError::Fatal(format!("No such container: {name}")))
    }

    /// An image that is here is used; a registry is asked only for one that is not.
    async fn image(&self, engine: &Arc<Engine>, reference: &str) -> Result<(), TaskError> {
        match engine.images.lookup(reference) {
            Ok(_) => return Ok(()),
            Err(LookupError::NotFound(_)) => {}
            Err(error) => return Err(fatal(&error)),
        }
        let name = Named::parse(reference).map_err(|error| fatal(&error))?.or_latest();
        let (lines, mut said) = mpsc::unbounded_channel();
        let progress = Progress::new(lines);
        let drained = tokio::spawn(async move { while said.recv().await.is_some() {} });
        let request = PullRequest { name, platform: None, credentials: None };
        let pulled = engine.images.pull(&request, &progress).await;
        drop(progress);
        let _ = drained.await;
        match pulled {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::warn!(image = reference, "{}", chain(&error));
                Err(TaskError::Fatal(format!("No such image: {reference}")))
            }
        }
    }

    fn files(&self, engine: &Engine) -> Result<Vec<assets::Placed>, TaskError> {
        let task = self.task();
        assets::place(&assets::folder(&engine.config.exec_root, &task), &task, &self.assets)
            .map_err(|error| fatal(&error))
    }

    /// Waits while a health check has not decided.
    async fn healthy(&self, container: &Container) -> Result<(), TaskError> {
        loop {
            let (is_live, status) = {
                let record = container.record();
                let health = record.state.health.as_ref().map(|health| health.status.clone());
                (record.state.status.is_live(), health)
            };
            match status.as_deref() {
                Some("unhealthy") => return Err(TaskError::Fatal(UNHEALTHY.to_owned())),
                Some("starting") if is_live => tokio::time::sleep(LOOK).await,
                // One that ended is waited for, and tells its code.
                _ => return Ok(()),
            }
        }
    }

    async fn ill(container: &Container) {
        loop {
            let is_ill =
                container.record().state.health.as_ref().is_some_and(|health| health.status == "unhealthy");
            if is_ill && container.status().is_live() {
                return;
            }
            // Without a check there is nothing to look at.
            if container.record().state.health.is_none() {
                return std::future::pending().await;
            }
            tokio::time::sleep(LOOK * 4).await;
        }
    }
}

impl Controller for TaskController {
    async fn update(&self, task: Arc<Task>) -> Result<(), TaskError> {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = task;
        Ok(())
    }

    async fn prepare(&self) -> Result<(), TaskError> {
        let engine = self.engine()?;
        if self.find(&engine)?.is_some() {
            return Ok(());
        }
        let task = self.task();
        let image = task.spec.container_spec.as_ref().and_then(|spec| spec.image.clone()).unwrap_or_default();
        self.image(&engine, &image).await?;
        let files = self.files(&engine)?;
        let wanted = task::container(&task, &files).map_err(|error| fatal(&error))?;
        let made = create::create(&engine, Some(&task.full_name()), wanted).await;
        made.map(|_| ()).map_err(|error| fatal(&error))
    }

    async fn start(&self) -> Result<(), TaskError> {
        let engine = self.engine()?;
        let container = self.there(&engine)?;
        if !container.status().is_live() {
            self.files(&engine)?;
            match start::start(&engine, &container).await {
                Ok(()) | Err(start::StartError::AlreadyRunning) => {}
                Err(error) => return Err(TaskError::Fatal(crate::error::ApiError::from(error).message)),
            }
        }
        self.healthy(&container).await
    }

    async fn wait(&self) -> Result<Exit, TaskError> {
        let engine = self.engine()?;
        let container = self.there(&engine)?;
        drop(engine);
        let mut phase = container.phase();
        let ended = async {
            let ended = phase.wait_for(|phase| !phase.running || phase.removed).await;
            ended.map_or(-1, |phase| i64::from(phase.exit_code))
        };
        tokio::select! {
            code = ended => Ok(Exit { code, message: String::new() }),
            () = Self::ill(&container) => {
                self.shutdown().await?;
                let code = i64::from(container.record().state.exit_code);
                Ok(Exit { code, message: UNHEALTHY.to_owned() })
            }
        }
    }

    async fn shutdown(&self) -> Result<(), TaskError> {
        let engine = self.engine()?;
        let Some(container) = self.find(&engine)? else { return Ok(()) };
        match stop::stop(&engine, &container, &How::default()).await {
            Ok(()) | Err(StopError::AlreadyStopped | StopError::NotRunning(_)) => Ok(()),
            Err(error) => Err(TaskError::Temporary(chain(&error))),
        }
    }

    async fn terminate(&self) -> Result<(), TaskError> {
        let engine = self.engine()?;
        let Some(container) = self.find(&engine)? else { return Ok(()) };
        match stop::kill(&engine, &container, None).await {
            Ok(()) | Err(StopError::AlreadyStopped | StopError::NotRunning(_)) => Ok(()),
            Err(error) => Err(TaskError::Temporary(chain(&error))),
        }
    }

    async fn remove(&self) -> Result<(), TaskError> {
        let engine = self.engine()?;
        if let Some(container) = self.find(&engine)? {
            let options = remove::Options { force: true, volumes: true };
            match remove::remove(&engine, &container, options).await {
                Ok(()) | Err(RemoveError::Gone(_)) => {}
                Err(error) => return Err(TaskError::Temporary(chain(&error))),
            }
        }
        assets::clear(&assets::folder(&engine.config.exec_root, &self.task()));
        Ok(())
    }

    async fn observe(&self) -> Observed {
        let Ok(engine) = self.engine() else { return Observed::default() };
        let Ok(Some(container)) = self.find(&engine) else { return Observed::default() };
        let record = container.record();
        let status = ContainerStatus {
            container_id: Some(container.id.to_string()),
            pid: Some(i64::from(record.state.pid)),
            exit_code: Some(i64::from(record.state.exit_code)),
        };
        let published = |port: &EndpointPortConfig| {
            let target = port.target_port.unwrap_or_default();
            let protocol = port.protocol.map_or_else(|| "tcp".to_owned(), |protocol| protocol.to_string());
            let bound = record.ports.get(&format!("{target}/{protocol}")).cloned().flatten()?;
            bound.first()?.host_port.as_deref()?.parse().ok()
        };
        let ports = task::host_ports(&self.task()).into_iter().map(|mut port| {
            port.published_port = published(&port).or(port.published_port);
            port
        });
        Observed { container: Some(status), ports: ports.collect() }
    }

    async fn logs(&self, options: LogOptions, to: mpsc::Sender<LogLine>) -> Result<(), TaskError> {
        let engine = self.engine()?;
        let container = self.there(&engine)?;
        drop(engine);
        lines::send(&self.task(), container, &options, to).await;
        Ok(())
    }
}
