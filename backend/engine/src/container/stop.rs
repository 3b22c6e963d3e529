//! `docker stop`, `restart` and `kill`: signals, and patience.

use std::sync::Arc;
use std::time::Duration;

use drydock_shim::protocol::Request;
use http::StatusCode;

use crate::container::Container;
use crate::container::record::{Record, Status};
use crate::container::shim::{self, ShimError};
use crate::container::signal::{self, SignalError};
use crate::container::start::{self, StartError};
use crate::engine::Engine;
use crate::error::ApiError;

/// How long `docker stop` waits unless told otherwise.
const PATIENCE_S: i64 = 10;
/// After SIGKILL only the kernel can be slow.
const AFTER_KILL: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// 304.
    #[error("container is already stopped")]
    AlreadyStopped,
    #[error(transparent)]
    Signal(#[from] SignalError),
    #[error("container {0} is not running")]
    NotRunning(String),
    #[error("tried to kill container, but did not receive an exit event")]
    Unkillable,
    #[error("Cannot kill container {id}")]
    Shim { id: String, source: ShimError },
    #[error("Cannot restart container {name}: {source}")]
    Start { name: String, source: StartError },
}

impl From<StopError> for ApiError {
    fn from(error: StopError) -> Self {
        let status = match error {
            StopError::AlreadyStopped => StatusCode::NOT_MODIFIED,
            StopError::Signal(_) => StatusCode::BAD_REQUEST,
            StopError::NotRunning(_) => StatusCode::CONFLICT,
            StopError::Start { name, source } => {
                let mut answer = Self::from(source);
                answer.message = format!("Cannot restart container {name}: {}", answer.message);
                return answer;
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

/// What `?signal=&t=` asks.
#[derive(Clone, Debug, Default)]
pub struct How {
    pub signal: Option<String>,
    /// Negative: for ever.
    pub timeout_s: Option<i64>,
}

pub async fn stop(engine: &Arc<Engine>, container: &Arc<Container>, how: &How) -> Result<(), StopError> {
    let _one_verb = container.verbs.lock().await;
    stop_locked(engine, container, how).await
}

/// Stops and starts; one that does not run is only started. `name` is what the client calls it.
pub async fn restart(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    name: &str,
    how: &How,
) -> Result<(), StopError> {
    let _one_verb = container.verbs.lock().await;
    // A container of `--rm` must survive the stop in between.
    let auto_remove = container.record().host_config.auto_remove.take();
    let stopped = match stop_locked(engine, container, how).await {
        Err(StopError::AlreadyStopped) => Ok(()),
        other => other,
    };
    let started = match stopped {
        Ok(()) => {
            container.note(|record| {
                record.stopped_by_user = false;
                record.restart_count = 0;
            });
            let started = start::start_locked(engine, container).await;
            started.map_err(|source| StopError::Start { name: name.to_owned(), source })
        }
        Err(error) => Err(error),
    };
    container.note(|record| record.host_config.auto_remove = auto_remove);
    if started.is_ok() {
        super::publish(engine, container, "restart", []);
    }
    started
}

async fn stop_locked(engine: &Arc<Engine>, container: &Arc<Container>, how: &How) -> Result<(), StopError> {
    let (status, own_signal, patience) = {
        let record = container.record();
        (record.state.status, record.config.stop_signal.clone(), patience_s(&record))
    };
    match status {
        Status::Running | Status::Paused => {}
        Status::Restarting => {
            give_up_restart(container);
            return Ok(());
        }
        _ => return Err(StopError::AlreadyStopped),
    }
    let name = how.signal.clone().or(own_signal).unwrap_or_else(|| "SIGTERM".into());
    let number = signal::parse(&name)?;
    container.note(|record| record.stopped_by_user = true);
    send(engine, container, number).await?;
    if status == Status::Paused {
        // A frozen process cannot take the signal.
        super::pause::thaw(engine, container).await;
    }
    let patience = how.timeout_s.unwrap_or(patience);
    if !ended(container, u64::try_from(patience).ok().map(Duration::from_secs)).await {
        send(engine, container, nix::libc::SIGKILL).await?;
        if !ended(container, Some(AFTER_KILL)).await {
            return Err(StopError::Unkillable);
        }
    }
    super::publish(engine, container, "stop", []);
    Ok(())
}

/// How long `docker stop` waits for a container unless told otherwise; negative: for ever.
pub fn patience_s(record: &Record) -> i64 {
    record.config.stop_timeout.unwrap_or(PATIENCE_S)
}

/// The engine ends, and the container with it. That is nobody's wish to stop it: its policy decides at the next start.
pub async fn at_shutdown(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), StopError> {
    let _one_verb = container.verbs.lock().await;
    let by_user = container.record().stopped_by_user;
    let waits_for_restart = container.status() == Status::Restarting;
    let stopped = match stop_locked(engine, container, &How::default()).await {
        Err(StopError::AlreadyStopped) => Ok(()),
        other => other,
    };
    container.note(|record| {
        record.stopped_by_user = by_user;
        if waits_for_restart {
            record.state.status = Status::Restarting;
        }
    });
    stopped
}

/// It waits between two starts: there is no process, only an intention.
fn give_up_restart(container: &Container) {
    container.note(|record| {
        record.stopped_by_user = true;
        record.state.status = Status::Exited;
    });
    container.advance(|phase| phase.running = false);
    container.interrupt.notify_waiters();
}

/// Sends a signal. An exit in the same moment is not an error.
async fn send(engine: &Engine, container: &Container, number: i32) -> Result<(), StopError> {
    let request = Request::Kill { signal: number, all: false };
    // Before its end can be told.
    super::publish(engine, container, "kill", [("signal", number.to_string())]);
    match shim::command(&container.run_dir, &request).await {
        Ok(()) => {}
        Err(ShimError::Failed(failure)) if container.status().is_live() => {
            tracing::debug!(container.id = %container.id, "{}", failure.message);
        }
        Err(source) if container.status().is_live() && shim::read_exit(&container.run_dir).is_none() => {
            return Err(StopError::Shim { id: container.id.to_string(), source });
        }
        Err(_) => {}
    }
    Ok(())
}

/// Waits for the end; `None`: for ever.
async fn ended(container: &Container, patience: Option<Duration>) -> bool {
    let mut phase = container.phase();
    let end = phase.wait_for(|_| !container.status().is_live());
    match patience {
        Some(patience) => tokio::time::timeout(patience, end).await.is_ok_and(|ended| ended.is_ok()),
        None => end.await.is_ok(),
    }
}

/// `docker kill`: one signal; SIGKILL is waited for.
pub async fn kill(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    name: Option<&str>,
) -> Result<(), StopError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("SIGKILL");
    let number = signal::parse_to_send(name)?;
    let status = container.status();
    if status == Status::Restarting {
        give_up_restart(container);
        return Ok(());
    }
    if !status.is_live() {
        return Err(StopError::NotRunning(container.id.to_string()));
    }
    // Any other signal is a message, not an end, when the image names its own end.
    let ends = {
        let record = container.record();
        let own = record.config.stop_signal.as_deref().and_then(|name| signal::parse(name).ok());
        number == nix::libc::SIGKILL || own.is_none_or(|own| own == number)
    };
    if ends {
        container.note(|record| record.stopped_by_user = true);
    }
    send(engine, container, number).await?;
    if status == Status::Paused && ends {
        // A frozen process cannot take the signal.
        super::pause::thaw(engine, container).await;
    }
    if number == nix::libc::SIGKILL && !ended(container, Some(AFTER_KILL)).await {
        return Err(StopError::Unkillable);
    }
    Ok(())
}
