//! Waits for every process that ends in the node: our own, whose end somebody here awaits, and orphans,
//! which the kernel gives to PID 1.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::process::{Child, Command};
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// The only one who waits for processes. Starting and registering happen without an `await` between
/// them on the only thread, so no end is missed.
#[derive(Debug, Clone, Default)]
pub struct Reaper {
    awaited: Rc<RefCell<HashMap<Pid, oneshot::Sender<i32>>>>,
}

/// A process that was started here.
#[derive(Debug)]
pub struct Started {
    pub pid: Pid,
    /// Its streams, where they are pipes; never waited for through this.
    pub child: Child,
    pub ended: Ended,
}

/// The end of a process: its exit status, 128 + signal when one ended it.
#[derive(Debug)]
pub struct Ended(oneshot::Receiver<i32>);

impl Ended {
    pub async fn code(&mut self) -> i32 {
        // The sender lives in the table until the process has ended.
        (&mut self.0).await.unwrap_or(-1)
    }
}

impl Reaper {
    pub fn start(&self, command: &mut Command) -> io::Result<Started> {
        let child = command.spawn()?;
        let pid = Pid::from_raw(child.id().cast_signed());
        let (sender, receiver) = oneshot::channel();
        self.awaited.borrow_mut().insert(pid, sender);
        Ok(Started { pid, child, ended: Ended(receiver) })
    }

    /// Reaps for ever.
    pub async fn run(self) -> io::Result<()> {
        let mut deaths = signal(SignalKind::child())?;
        loop {
            self.reap_all();
            deaths.recv().await;
        }
    }

    fn reap_all(&self) {
        loop {
            let (pid, code) = match waitpid(None, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "cannot wait for processes");
                    return;
                }
            };
            if let Some(awaiting) = self.awaited.borrow_mut().remove(&pid) {
                // Nobody may be interested any more.
                let _ = awaiting.send(code);
            }
        }
    }
}
