//! One task of the swarm on this node: a container that is made, started, waited for, ended and removed.
//!
//! Each verb begins with what is there: the engine may have been restarted between any two.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use drydock_images::Named;
use drydock_registry::Credentials;
use drydock_swarm::agent::Assets;
use drydock_swarm::agent::executor::{Controller, Exit, Observed, TaskError};
use drydock_swarm::dispatcher::calls::{LogLine, LogOptions};
use drydock_swarm::objects::{ContainerStatus, EndpointPortConfig, Task};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};

use super::{assets, lines, task, template};
use crate::container::record::Status;
use crate::container::remove::{self, RemoveError};
use crate::container::stop::{self, How, StopError};
use crate::container::{Container, FindError, create, start};
use crate::engine::Engine;
use crate::error::chain;
use crate::events::Message;
use crate::image::progress::Progress;
use crate::image::{LookupError, PullRequest};

const UNHEALTHY: &str = "unhealthy container";

#[derive(Debug)]
pub struct TaskController {
    engine: Weak<Engine>,
    task: Mutex<Arc<Task>>,
    assets: Assets,
    life: watch::Sender<Life>,
}

/// How far a task's container is, for who waits for its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    ToCome,
    Begun,
    Over,
}

fn fatal(error: &dyn std::error::Error) -> TaskError {
    TaskError::Fatal(chain(error))
}

impl TaskController {
    pub fn new(engine: Weak<Engine>, task: Arc<Task>, assets: Assets) -> Self {
        Self { engine, task: Mutex::new(task), assets, life: watch::Sender::new(Life::ToCome) }
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
        // Nobody reads how far it is.
        let progress = Progress::new(mpsc::unbounded_channel().0);
        // What its user gave with `--with-registry-auth`.
        let credentials = self.task().registry_auth.as_deref().and_then(Credentials::from_header);
        let request = PullRequest { name, platform: None, credentials };
        engine.images.pull(&request, &progress).await.map_err(|error| {
            tracing::warn!(image = reference, "{}", chain(&error));
            TaskError::Fatal(format!("No such image: {reference}"))
        })
    }

    fn files(&self, engine: &Engine) -> Result<Vec<assets::Placed>, TaskError> {
        let task = self.task();
        assets::place(&assets::folder(&engine.config.exec_root, &task), &task, &self.assets)
            .map_err(|error| fatal(&error))
    }
}

/// The task with the templates in its spec filled in.
fn expanded(engine: &Engine, task: &Task) -> Result<Task, TaskError> {
    let mut expanded = task.clone();
    if let Some(spec) = &mut expanded.spec.container_spec {
        let place = template::Place { hostname: &engine.host.name, architecture: std::env::consts::ARCH };
        template::expand(spec, task, place)
            .map_err(|error| TaskError::Fatal(format!("expanding container spec failed: {error}")))?;
    }
    Ok(expanded)
}

/// What a container's health check says, followed by the engine's events.
struct Health<'a> {
    container: &'a Container,
    news: Receiver<Arc<Message>>,
}

impl<'a> Health<'a> {
    /// Listens before anything is looked at: no change is missed.
    fn of(engine: &Engine, container: &'a Container) -> Self {
        Self { container, news: engine.events.subscribe().1 }
    }

    /// The status of the check of a container that runs; `None` without a check, or when it has ended.
    fn status(&self) -> Option<String> {
        let record = self.container.record();
        let health = record.state.health.as_ref().filter(|_| record.state.status.is_live());
        health.map(|health| health.status.clone())
    }

    async fn changed(&mut self) {
        loop {
            match self.news.recv().await {
                Ok(message) if message.actor.id != self.container.id.as_str() => {}
                Ok(message) if message.action.starts_with("health_status") || message.action == "die" => {
                    return;
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => return,
                Err(RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    /// Waits while the check has not decided. A container that ended is waited for elsewhere, and tells its code.
    async fn decided(mut self) -> Result<(), TaskError> {
        loop {
            match self.status().as_deref() {
                Some("unhealthy") => return Err(TaskError::Fatal(UNHEALTHY.to_owned())),
                Some("starting") => self.changed().await,
                _ => return Ok(()),
            }
        }
    }

    /// Returns when the container runs and is ill.
    async fn ill(mut self) {
        while self.status().as_deref() != Some("unhealthy") {
            self.changed().await;
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
        let task = Arc::new(expanded(&engine, &self.task())?);
        let image = task.spec.container_spec.as_ref().and_then(|spec| spec.image.clone()).unwrap_or_default();
        self.image(&engine, &image).await?;
        let files = self.files(&engine)?;
        let wanted = task::container(&task, &files, &self.assets).map_err(|error| fatal(&error))?;
        let made = create::create(&engine, Some(&task.full_name()), wanted).await;
        made.map(|_| ()).map_err(|error| fatal(&error))
    }

    async fn start(&self) -> Result<(), TaskError> {
        let engine = self.engine()?;
        let container = self.there(&engine)?;
        if !container.status().is_live() {
            self.files(&engine)?;
            match start::start(&engine, &container).await {
                Ok(()) | Err(start::StartError::AlreadyRunning) => drop(self.life.send_replace(Life::Begun)),
                Err(error) => return Err(TaskError::Fatal(crate::error::ApiError::from(error).message)),
            }
        }
        Health::of(&engine, &container).decided().await
    }

    async fn wait(&self) -> Result<Exit, TaskError> {
        let engine = self.engine()?;
        let container = self.there(&engine)?;
        let ill = Health::of(&engine, &container).ill();
        drop(engine);
        let mut phase = container.phase();
        let ended = async {
            let ended = phase.wait_for(|phase| !phase.running || phase.removed).await;
            ended.map_or(-1, |phase| i64::from(phase.exit_code))
        };
        tokio::select! {
            code = ended => Ok(Exit { code, message: String::new() }),
            () = ill => {
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
        self.life.send_replace(Life::Over);
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
        let mut life = self.life.subscribe();
        let is_to_come = match self.find(&*self.engine()?)? {
            Some(container) => container.status() == Status::Created,
            None => true,
        };
        // Who follows a service hears of tasks as soon as they are assigned.
        if options.follow && is_to_come {
            // The sender is this task's own.
            _ = life.wait_for(|life| *life != Life::ToCome).await;
        }
        let container = self.there(&*self.engine()?)?;
        lines::send(&self.task(), container, &options, to).await;
        Ok(())
    }
}
