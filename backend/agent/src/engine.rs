//! Keeps the Docker engine running. A student may kill it and see the containers live on.
//!
//! ```text
//!            dies                    wait over
//!   Running ──────▶ Restarting ──────────────▶ Running
//!      ╰─ told to shut down ─▶ the agent itself ends, and with PID 1 the whole node
//! ```

use std::cell::Cell;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use drydock_agent::protocol::EngineState;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::reaper::{Reaper, Started};

/// What the engine prints; it begins anew when it has grown too long.
const LOG: &str = "/var/log/docker.log";
const LONGEST_LOG: u64 = 4 * 1024 * 1024;

/// An engine that lived shorter than this makes the next start wait, each time twice as long.
const QUICK: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long the engine may take to stop before the node ends under it.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// The engine's program, and its listening socket when the agent was given one.
pub struct Plan {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    pub socket: Option<OwnedFd>,
}

/// A handle to the supervisor.
#[derive(Clone, Default)]
pub struct Engine {
    shared: Rc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Cell<EngineState>,
    pid: Cell<Option<Pid>>,
    leaving: Cell<bool>,
    leave: Notify,
}

impl Engine {
    pub fn state(&self) -> EngineState {
        self.shared.state.get()
    }

    /// Stops the engine; the supervisor starts it again.
    pub fn restart(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Stops the engine for good and lets [`Engine::supervise`] return.
    pub fn shut_down(&self) {
        self.shared.leaving.set(true);
        self.shared.leave.notify_one();
        self.signal(Signal::SIGTERM);
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.shared.pid.get()
            && let Err(error) = kill(pid, signal)
        {
            tracing::warn!(%error, "cannot signal the engine");
        }
    }

    /// Runs engines until told to shut down; without a plan, only waits for that.
    pub async fn supervise(&self, plan: Option<Plan>, reaper: &Reaper) {
        let Some(plan) = plan else { return self.shared.leave.notified().await };
        let mut wait = Duration::ZERO;
        while !self.shared.leaving.get() {
            let begun = Instant::now();
            match start(&plan, reaper) {
                Ok(started) => self.follow(started).await,
                Err(error) => tracing::error!(%error, "cannot start the engine"),
            }
            wait = match begun.elapsed() < QUICK {
                true => (wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT),
                false => Duration::ZERO,
            };
            self.shared.state.set(EngineState::Restarting);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.shared.leave.notified() => return,
            }
        }
    }

    async fn follow(&self, mut started: Started) {
        self.shared.pid.set(Some(started.pid));
        self.shared.state.set(EngineState::Running);
        tokio::select! {
            code = started.ended.code() => tracing::warn!(code, "the engine ended"),
            () = self.shared.leave.notified() => {
                // What does not stop in time ends with the node.
                let _ = timeout(STOP_GRACE, started.ended.code()).await;
            }
        }
        self.shared.pid.set(None);
    }
}

fn start(plan: &Plan, reaper: &Reaper) -> io::Result<Started> {
    let mut command = Command::new(&plan.program);
    command.args(&plan.arguments).process_group(0).stdin(Stdio::null()).env_remove("LISTEN_PID");
    match log() {
        Ok(log) => command.stdout(log.try_clone()?).stderr(log),
        // Without a place for its log it still serves.
        Err(_) => command.stdout(Stdio::null()).stderr(Stdio::null()),
    };
    let Some(socket) = &plan.socket else {
        command.env_remove("LISTEN_FDS").env_remove("LISTEN_FDNAMES");
        return reaper.start(&mut command);
    };
    command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "docker");
    let copies = [socket.try_clone()?];
    let inherited = drydock_sys::child::inherit(&mut command, &copies)?;
    let started = reaper.start(&mut command);
    drop(inherited);
    started
}

fn log() -> io::Result<File> {
    let log = OpenOptions::new().create(true).append(true).open(LOG)?;
    if log.metadata()?.len() > LONGEST_LOG {
        log.set_len(0)?;
    }
    Ok(log)
}
