//! `docker exec`: further processes in a running container.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use drydock_shim::config::Size;
use drydock_shim::exit::Exit;
use drydock_shim::protocol::{ExecRequest, Reply, Request, Streams};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::container::explain::{self, Explained};
use crate::container::links::{self, LinkError};
use crate::container::record::Status;
use crate::container::shim::{Connection, ShimError};
use crate::container::spec::process::{self, Parts, ProcessError};
use crate::container::spec::{self, capabilities, user};
use crate::container::{Container, publish};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::id::Id;
use crate::image::RootfsError;
use crate::stream::detach::DetachKeys;
use crate::stream::pump::ShimReader;
use crate::wire::null_is_empty;

/// The body of `POST /containers/{name}/exec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecConfig {
    #[serde(deserialize_with = "null_is_empty")]
    pub user: String,
    pub privileged: bool,
    pub tty: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub console_size: Vec<u16>,
    pub attach_stdin: bool,
    pub attach_stderr: bool,
    pub attach_stdout: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub detach_keys: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub env: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    pub working_dir: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub cmd: Vec<String>,
}

/// One process somebody asked for; forgotten with its container.
#[derive(Debug)]
pub struct Exec {
    pub id: Id,
    pub container: Arc<Container>,
    pub config: ExecConfig,
    progress: Mutex<Progress>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    started: bool,
    running: bool,
    pid: i32,
    exit_code: Option<i32>,
}

/// What a shell says of a program it may not execute.
const COULD_NOT_BE_INVOKED: i32 = 126;

/// All of them.
#[derive(Debug, Default)]
pub struct Execs {
    all: Mutex<HashMap<Id, Arc<Exec>>>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("No such exec instance: {0}")]
    NotFound(String),
    #[error("container {0} is not running")]
    NotRunning(String),
    #[error("Container {0} is paused, unpause the container before exec")]
    Paused(String),
    #[error("Container {0} is restarting, wait until the container is running")]
    Restarting(String),
    #[error("Invalid escape keys ({0}) provided")]
    DetachKeys(String),
    #[error("No exec command specified")]
    NoCommand,
    #[error("exec command {0} has already run")]
    AlreadyRun(String),
    #[error("exec command {0} is already running")]
    AlreadyRunning(String),
    #[error("{0}")]
    Root(#[source] RootfsError),
    #[error(transparent)]
    User(#[from] user::UserError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Capability(#[from] capabilities::UnknownCapability),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("{}", .0.text)]
    Runtime(Explained),
    #[error("cannot exec in container {id}")]
    Shim { id: String, source: ShimError },
}

impl From<ExecError> for ApiError {
    fn from(error: ExecError) -> Self {
        let status = match error {
            ExecError::NotFound(_) => StatusCode::NOT_FOUND,
            ExecError::NotRunning(_)
            | ExecError::Paused(_)
            | ExecError::Restarting(_)
            | ExecError::AlreadyRun(_)
            | ExecError::AlreadyRunning(_) => StatusCode::CONFLICT,
            ExecError::Runtime(explained) => return Self::new(explained.status, explained.text),
            ExecError::NoCommand | ExecError::User(_) | ExecError::Process(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

impl Execs {
    pub fn create(
        &self,
        engine: &Engine,
        container: Arc<Container>,
        name: &str,
        config: ExecConfig,
    ) -> Result<Arc<Exec>, ExecError> {
        match container.status() {
            Status::Running => {}
            Status::Paused => return Err(ExecError::Paused(name.to_owned())),
            Status::Restarting => return Err(ExecError::Restarting(container.id.to_string())),
            _ => return Err(ExecError::NotRunning(container.id.to_string())),
        }
        if !config.user.is_empty() {
            let root = engine.images.mount_rootfs(container.id.as_str()).map_err(ExecError::Root)?;
            user::look_up(&root, &config.user, &[])?;
        }
        DetachKeys::parse(&config.detach_keys)
            .map_err(|_| ExecError::DetachKeys(config.detach_keys.clone()))?;
        let exec = Arc::new(Exec::new(container, config));
        self.lock().insert(exec.id.clone(), exec.clone());
        exec.tell(engine, "exec_create");
        Ok(exec)
    }

    pub fn find(&self, id: &str) -> Result<Arc<Exec>, ExecError> {
        let all = self.lock();
        let exact = Id::parse(id).and_then(|id| all.get(&id));
        let found =
            exact.or_else(|| all.values().find(|exec| !id.is_empty() && exec.id.as_str().starts_with(id)));
        found.cloned().ok_or_else(|| ExecError::NotFound(id.to_owned()))
    }

    /// Those that have not ended yet.
    pub fn of(&self, container: &Id) -> Vec<String> {
        let live = |exec: &&Arc<Exec>| exec.container.id == *container && exec.lock().exit_code.is_none();
        self.lock().values().filter(live).map(|exec| exec.id.to_string()).collect()
    }

    /// Takes away those that nobody has started: their container has ended.
    pub fn forget_idle(&self, container: &Id) {
        self.lock().retain(|_, exec| exec.container.id != *container || exec.lock().started);
    }

    pub fn forget(&self, container: &Id) {
        self.lock().retain(|_, exec| exec.container.id != *container);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Arc<Exec>>> {
        self.all.lock().expect("no holder of the execs panics")
    }
}

impl Exec {
    /// One that no client knows of.
    pub fn new(container: Arc<Container>, config: ExecConfig) -> Self {
        Self { id: Id::random(), container, config, progress: Mutex::default() }
    }

    /// Runs it to its end; answers the first bytes of its output.
    pub async fn run(&self, engine: &Engine, limit: usize) -> Result<(Vec<u8>, Option<Exit>), ExecError> {
        let streams = Streams { stdin: false, stdout: true, stderr: true };
        let (stream, first) = self.start(engine, None, streams).await?;
        let mut output = Vec::new();
        let exit = ShimReader::new(stream, first).collect(&mut output, limit).await;
        self.ended(engine, exit.as_ref());
        Ok((output, exit))
    }

    /// Ends it by force.
    pub async fn kill(&self) {
        let signal = nix::sys::signal::Signal::SIGKILL as i32;
        let request = Request::KillExec { exec_id: self.id.to_string(), signal };
        if let Err(error) = super::shim::command(&self.container.run_dir, &request).await {
            tracing::debug!(container.id = %self.container.id, "{}", crate::error::chain(&error));
        }
    }

    /// Takes the one permission to start it.
    pub fn claim(&self) -> Result<(), ExecError> {
        match self.container.status() {
            Status::Running => {}
            Status::Paused => return Err(ExecError::Paused(self.container.id.to_string())),
            _ => return Err(ExecError::NotRunning(self.container.id.to_string())),
        }
        let mut progress = self.lock();
        if progress.exit_code.is_some() {
            return Err(ExecError::AlreadyRun(self.id.to_string()));
        }
        if std::mem::replace(&mut progress.started, true) {
            return Err(ExecError::AlreadyRunning(self.id.to_string()));
        }
        Ok(())
    }

    /// Begins the claimed process; answers the stream of its output.
    pub async fn start(
        &self,
        engine: &Engine,
        size: Option<Size>,
        streams: Streams,
    ) -> Result<(UnixStream, Vec<u8>), ExecError> {
        let started = self.begin(engine, size, streams).await;
        if let Err(error) = &started {
            let code = match error {
                ExecError::Runtime(explained) => explained.exit_code,
                _ => COULD_NOT_BE_INVOKED,
            };
            self.lock().exit_code = Some(code);
        }
        started
    }

    async fn begin(
        &self,
        engine: &Engine,
        size: Option<Size>,
        streams: Streams,
    ) -> Result<(UnixStream, Vec<u8>), ExecError> {
        let process = self.process(engine)?;
        let request = ExecRequest { id: self.id.to_string(), process, streams, size };
        let failed = |source| match source {
            ShimError::Failed(failure) => ExecError::Runtime(explain::of_exec(&failure)),
            source => ExecError::Shim { id: self.container.id.to_string(), source },
        };
        let mut connection = Connection::open(&self.container.run_dir).await.map_err(failed)?;
        match connection.ask(&Request::Exec(Box::new(request))).await.map_err(failed)? {
            Reply::Started { pid } => {
                let mut progress = self.lock();
                progress.running = true;
                progress.pid = pid;
                drop(progress);
                self.tell(engine, "exec_start");
                Ok(connection.into_stream())
            }
            other => Err(failed(ShimError::Unexpected(other))),
        }
    }

    fn process(&self, engine: &Engine) -> Result<oci_spec::runtime::Process, ExecError> {
        let record = self.container.record().clone();
        let config = &self.config;
        let root = engine.images.mount_rootfs(self.container.id.as_str()).map_err(ExecError::Root)?;
        let name = if config.user.is_empty() { &record.config.user } else { &config.user };
        let extra = record.host_config.group_add.clone().unwrap_or_default();
        let who = user::look_up(&root, name, &extra)?;
        let capabilities = if config.privileged {
            capabilities::effective(&[], &[], true, &engine.host)?
        } else {
            spec::granted(&record, &engine.host)?
        };
        let mut host_config = record.host_config.clone();
        engine.defaults.apply(&mut host_config);
        let security = spec::security(&host_config).unwrap_or_default();
        let linked = links::environment(engine, &record)?;
        if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
            let text = "OCI runtime exec failed: exec failed: Cwd must be an absolute path";
            return Err(ExecError::Runtime(explain::read(text)));
        }
        let cwd =
            if config.working_dir.is_empty() { &record.config.working_dir } else { &config.working_dir };
        Ok(process::process(
            Parts {
                args: config.cmd.clone(),
                env: process::environment(&record, config.tty, (&linked, &config.env), &who.home),
                cwd,
                tty: config.tty,
                who,
                capabilities,
                no_new_privileges: security.no_new_privileges,
            },
            &host_config,
        )?)
    }

    pub fn is_running(&self) -> bool {
        self.lock().running
    }

    /// Writes the end down.
    pub fn ended(&self, engine: &Engine, exit: Option<&Exit>) {
        let code = exit.map_or(137, |exit| exit.code);
        let mut progress = self.lock();
        progress.running = false;
        progress.exit_code = Some(code);
        drop(progress);
        let more = [("execID", self.id.to_string()), ("exitCode", code.to_string())];
        publish(engine, &self.container, "exec_die", more);
    }

    /// The client left by its keys.
    pub fn detached(&self, engine: &Engine) {
        publish(engine, &self.container, "exec_detach", [("execID", self.id.to_string())]);
    }

    pub fn tell(&self, engine: &Engine, what: &str) {
        let (program, arguments) =
            self.config.cmd.split_first().map_or(("", &[][..]), |(a, b)| (a.as_str(), b));
        let action = format!("{what}: {program} {}", arguments.join(" "));
        publish(engine, &self.container, &action, [("execID", self.id.to_string())]);
    }

    pub fn inspect(&self) -> Value {
        let progress = self.lock().clone();
        let (entrypoint, arguments) =
            self.config.cmd.split_first().map_or(("", &[][..]), |(a, b)| (a.as_str(), b));
        let mut answer = json!({
            "ID": self.id.as_str(),
            "Running": progress.running,
            "ExitCode": progress.exit_code,
            "ProcessConfig": {
                "tty": self.config.tty,
                "entrypoint": entrypoint,
                "arguments": arguments,
                "privileged": self.config.privileged,
            },
            "OpenStdin": self.config.attach_stdin,
            "OpenStderr": self.config.attach_stderr,
            "OpenStdout": self.config.attach_stdout,
            "CanRemove": false,
            "ContainerID": self.container.id.as_str(),
            "DetachKeys": "",
            "Pid": progress.pid,
        });
        if !self.config.user.is_empty() {
            answer["ProcessConfig"]["user"] = json!(self.config.user);
        }
        answer
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().expect("no holder of the progress panics")
    }
}
