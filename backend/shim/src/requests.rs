//! What clients ask for, done.

use drydock_runtime::exec::{Exec, ExecError, Paused};
use drydock_runtime::failure::chain;
use drydock_runtime::signal;
use drydock_runtime::stdio::{Inherited, Stdio};
use drydock_shim::config::{Failure, FailureKind, Size};
use drydock_shim::protocol::{
    ContainerState, ExecRequest, Reply, Request, Stream, Streams, decode_frame, decode_message,
};

use crate::client::Role;
use crate::launch::{Ends, Stdin, console_size, from_child, not_held, pipes, start_held};
use crate::shim::Shim;
use crate::task::{CONTAINER, Task, TaskId};

fn failure(step: &str, message: impl Into<String>) -> Failure {
    Failure { step: step.to_owned(), message: message.into(), kind: FailureKind::Other }
}

impl Shim {
    /// Handles all that a client has sent completely.
    pub fn understand(&mut self, index: usize) {
        loop {
            let Some(client) = self.clients[index].as_ref().filter(|client| !client.gone) else { return };
            let went_on = match client.role {
                Role::Asking => self.next_request(index),
                Role::Streaming(id, streams) => self.next_frame(index, id, streams),
                Role::Waiting(_) => false,
            };
            if !went_on {
                return;
            }
        }
    }

    fn next_request(&mut self, index: usize) -> bool {
        let Some(client) = self.clients[index].as_mut() else { return false };
        match decode_message::<Request>(&client.input) {
            Ok(None) => false,
            Ok(Some((request, length))) => {
                client.consume(length);
                self.handle(index, request);
                true
            }
            Err(error) => {
                client.reply(&Reply::Failed(failure("protocol", chain(&error))));
                client.finish();
                false
            }
        }
    }

    fn handle(&mut self, index: usize, request: Request) {
        let reply = match request {
            Request::Attach { streams } => return self.attach(index, CONTAINER, streams, Reply::Attached),
            Request::Exec(request) => match self.exec(&request) {
                Ok((id, pid)) => {
                    return self.attach(index, id, request.streams, Reply::Started { pid });
                }
                Err(failure) => Reply::Failed(failure),
            },
            Request::Wait { exec_id } => match self.wait_for(exec_id.as_deref()) {
                Ok(Waited::Running(id)) => {
                    if let Some(client) = self.clients[index].as_mut() {
                        client.role = Role::Waiting(id);
                    }
                    return;
                }
                Ok(Waited::Ended(reply)) => reply,
                Err(failure) => Reply::Failed(failure),
            },
            other => self.answer(other).unwrap_or_else(Reply::Failed),
        };
        if let Some(client) = self.clients[index].as_mut() {
            client.reply(&reply);
        }
    }

    fn attach(&mut self, index: usize, id: TaskId, streams: Streams, reply: Reply) {
        if let Some(client) = self.clients[index].as_mut() {
            client.reply(&reply);
            client.role = Role::Streaming(id, streams);
        }
    }

    fn answer(&mut self, request: Request) -> Result<Reply, Failure> {
        match request {
            Request::Start => return self.start(),
            Request::Resize { exec_id, size } => self.resize(exec_id.as_deref(), size)?,
            Request::Kill { signal, all } => self.kill(signal, all)?,
            Request::KillExec { exec_id, signal } => {
                let task = self.find(Some(&exec_id)).and_then(|id| self.task(id));
                let task = task.ok_or_else(|| failure("kill", format!("no exec {exec_id} runs")))?;
                send(task, signal)?;
            }
            Request::Pause => self.freeze(true)?,
            Request::Resume => self.freeze(false)?,
            Request::State => {
                return Ok(Reply::State { state: self.container_state(), pid: self.state.pid });
            }
            Request::Update { resources } => {
                drydock_runtime::cgroup::update(&self.state.cgroup, &resources)
                    .map_err(|error| failure("update", chain(&error)))?;
            }
            Request::Pids => {
                let pids = self.state.cgroup.pids();
                return Ok(Reply::Pids(pids.map_err(|error| failure("pids", chain(&error)))?));
            }
            Request::ReopenLog => {
                let log = self.task(CONTAINER).and_then(|task| task.log.as_mut());
                log.map_or(Ok(()), |log| log.reopen()).map_err(|error| failure("log", chain(&error)))?;
            }
            Request::Attach { .. } | Request::Exec(_) | Request::Wait { .. } => {
                return Err(failure("protocol", "answered elsewhere"));
            }
        }
        Ok(Reply::Done)
    }

    fn start(&mut self) -> Result<Reply, Failure> {
        let held = self.held.take().ok_or_else(not_held)?;
        let started = start_held(held, &self.runtime_dir, &self.state);
        drydock_sys::memory::give_back();
        self.failed = started.is_err();
        started.map(|()| Reply::Started { pid: self.state.pid })
    }

    fn container_state(&self) -> ContainerState {
        let ended = self.tasks[CONTAINER.0].as_ref().is_none_or(|task| task.exit.is_some());
        if ended {
            ContainerState::Stopped
        } else if self.held.is_some() {
            ContainerState::Created
        } else if self.state.cgroup.frozen() {
            ContainerState::Paused
        } else {
            ContainerState::Running
        }
    }

    /// The task of the container, or of an executed process that still runs.
    fn find(&self, exec_id: Option<&str>) -> Option<TaskId> {
        let Some(name) = exec_id else { return Some(CONTAINER) };
        let named =
            |task: &Option<Task>| task.as_ref().is_some_and(|task| task.exec_id.as_deref() == Some(name));
        self.tasks.iter().position(named).map(TaskId)
    }

    fn wait_for(&mut self, exec_id: Option<&str>) -> Result<Waited, Failure> {
        if let Some(id) = self.find(exec_id) {
            return Ok(Waited::Running(id));
        }
        let ended = self.ended.iter().rev().find(|(name, _)| Some(name.as_str()) == exec_id);
        match ended {
            Some((_, exit)) => Ok(Waited::Ended(Reply::Exited(exit.clone()))),
            None => Err(failure("wait", format!("no exec {}", exec_id.unwrap_or_default()))),
        }
    }

    fn resize(&mut self, exec_id: Option<&str>, size: Size) -> Result<(), Failure> {
        let task = self.find(exec_id).and_then(|id| self.task(id));
        let task = task.ok_or_else(|| failure("resize", "no such process runs"))?;
        task.resize(size).map_err(|error| failure("resize", chain(&error)))
    }

    fn kill(&mut self, number: i32, all: bool) -> Result<(), Failure> {
        if all {
            let sent = signal::send(&self.runtime_dir, &self.state, number, signal::Whom::All);
            return sent.map_err(|error| failure("kill", chain(&error)));
        }
        match self.task(CONTAINER) {
            Some(task) => send(task, number),
            None => Err(failure("kill", "container not running")),
        }
    }

    fn freeze(&mut self, frozen: bool) -> Result<(), Failure> {
        let step = if frozen { "pause" } else { "resume" };
        self.state.cgroup.freeze(frozen).map_err(|error| failure(step, chain(&error)))
    }

    fn exec(&mut self, request: &ExecRequest) -> Result<(TaskId, i32), Failure> {
        if self.find(Some(&request.id)).is_some() {
            return Err(failure("exec", format!("exec {} exists", request.id)));
        }
        if self.held.is_some() {
            return Err(failure("exec", "the container is not running"));
        }
        let config =
            self.runtime_dir.config(&self.state).map_err(|error| failure("config.json", chain(&error)))?;
        let mut process = request.process.clone();
        let terminal = process.terminal() == Some(true);
        if let Some(size) = request.size.filter(|_| terminal) {
            process.set_console_size(console_size(size));
        }
        let streams = request.streams;
        let stdin = if streams.stdin { Stdin::Pipe } else { Stdin::Null };
        let (mut ends, stdio) = match terminal {
            true => (Ends::default(), Stdio::Inherit),
            false => pipes(stdin, streams.stdout, streams.stderr)
                .map_err(|error| failure("pipes", chain(&error)))?,
        };
        let exec = Exec {
            dir: &self.runtime_dir,
            state: &self.state,
            config: &config,
            process: &process,
            stdio,
            inherited: Inherited::default(),
            cgroup: &self.state.cgroup,
            paused: Paused::Refuse,
        };
        let executed = exec.run().map_err(|error| match error {
            ExecError::Child(child) => from_child(child),
            error => failure("exec", chain(&error)),
        })?;
        // Our copies of the process's ends would keep its pipes from ever ending.
        drop(exec);
        drop((config, process));
        drydock_sys::memory::give_back();
        ends.terminal = executed.console;
        let pid = executed.pid.as_raw_nonzero().get();
        let mut task =
            Task::new(pid, executed.pidfd, ends).map_err(|error| failure("streams", chain(&error)))?;
        task.exec_id = Some(request.id.clone());
        Ok((self.add_task(task), pid))
    }

    fn add_task(&mut self, task: Task) -> TaskId {
        // Never the container's own place, even after its end.
        match self.tasks.iter().skip(1).position(Option::is_none) {
            Some(free) => {
                self.tasks[free + 1] = Some(task);
                TaskId(free + 1)
            }
            None => {
                self.tasks.push(Some(task));
                TaskId(self.tasks.len() - 1)
            }
        }
    }

    fn next_frame(&mut self, index: usize, id: TaskId, streams: Streams) -> bool {
        let Some(client) = self.clients[index].as_mut() else { return false };
        let input = std::mem::take(&mut client.input);
        let (used, leave) = match decode_frame(&input) {
            Ok(None) => (0, false),
            Ok(Some((frame, used))) => {
                let leave = self.take_frame(id, streams, frame.stream, frame.payload);
                (used, leave)
            }
            Err(error) => {
                eprintln!("drydock-shim: a client's frame: {}", chain(&error));
                (0, true)
            }
        };
        let Some(client) = self.clients[index].as_mut() else { return false };
        client.input = input;
        client.consume(used);
        client.gone |= leave;
        used > 0 && !leave
    }

    /// True when the client leaves.
    fn take_frame(&mut self, id: TaskId, streams: Streams, stream: Stream, payload: &[u8]) -> bool {
        let Some(task) = self.task(id) else { return false };
        match stream {
            Stream::Stdin if streams.stdin => task.feed(payload),
            Stream::CloseStdin if streams.stdin && (task.stdin_once || task.exec_id.is_some()) => {
                task.close_stdin();
            }
            Stream::Resize => {
                if let Ok(size) = serde_json::from_slice::<Size>(payload) {
                    // A process without a terminal has no size; its client may not know.
                    let _ = task.resize(size);
                }
            }
            Stream::Detach => return true,
            _ => {}
        }
        false
    }
}

enum Waited {
    Running(TaskId),
    Ended(Reply),
}

/// Signals a task's own process: while it is not reaped, its number is its own.
fn send(task: &Task, number: i32) -> Result<(), Failure> {
    if task.pidfd.is_none() {
        return Err(failure("kill", "container not running"));
    }
    signal::send_to(task.pid, number).map_err(|error| failure("kill", chain(&error)))
}
