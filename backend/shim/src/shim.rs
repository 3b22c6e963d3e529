//! The loop: everything that may happen is waited for in one place, by one thread.
//!
//! ```text
//!   running ──▶ ended (reaped) ──▶ drained (all output read) ──▶ published (exit.json, waiters told)
//!           ──▶ deleted (cgroups, state) ──▶ clients have read the rest ──▶ the shim ends
//! ```

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use drydock_runtime::delete::{Force, delete};
use drydock_runtime::failure::chain;
use drydock_runtime::state::{State, StateDir};
use drydock_shim::config::{EXIT_FILE, SOCKET_FILE, ShimConfig};
use drydock_shim::exit::Exit;
use drydock_shim::protocol::{Control, Reply, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::{Client, Role};
use crate::launch::{Held, Launched};
use crate::log::Sink;
use crate::task::{CHUNK, CONTAINER, Output, Task, TaskId};

/// How long outputs may stay open and silent after their process ended: a background process holds them.
const LINGER: Duration = Duration::from_millis(500);
/// How long an ended container's output waits for a log driver that holds it back (moby's `loggerCloseTimeout`).
const LOG_PATIENCE: Duration = Duration::from_secs(10);
/// How long clients and the log driver may take to receive what is left, when all is over.
const FAREWELL: Duration = Duration::from_secs(10);

pub struct Shim {
    pub(crate) dir: PathBuf,
    listener: OwnedFd,
    pub(crate) runtime_dir: StateDir,
    pub(crate) state: State,
    pub(crate) held: Option<Held>,
    pub(crate) clients: Vec<Option<Client>>,
    pub(crate) tasks: Vec<Option<Task>>,
    /// The ends of executed processes, for who asks late; the oldest are forgotten.
    pub(crate) ended: Vec<(String, Exit)>,
    pub(crate) buffer: Vec<u8>,
    /// The container could not be started: there is nothing more to do.
    pub(crate) failed: bool,
}

/// What a descriptor in the poll set belongs to.
#[derive(Clone, Copy, Debug)]
enum Source {
    Listener,
    Process(TaskId),
    Output(TaskId, usize),
    Stdin(TaskId),
    Log,
    Client(usize),
}

impl Shim {
    pub fn new(
        dir: PathBuf,
        config: ShimConfig,
        listener: OwnedFd,
        launched: Launched,
        log: Option<Sink>,
    ) -> anyhow::Result<Self> {
        let Launched { dir: runtime_dir, state, pidfd, streams, held } = launched;
        let mut task = Task::new(state.pid, pidfd, streams).context("take the container's streams")?;
        task.log = log;
        if !config.open_stdin && !config.tty {
            task.stdin = None;
        }
        task.stdin_once = config.stdin_once;
        Ok(Self {
            dir,
            listener,
            runtime_dir,
            state,
            held,
            clients: Vec::new(),
            tasks: vec![Some(task)],
            ended: Vec::new(),
            buffer: Vec::new(),
            failed: false,
        })
    }

    /// Serves until the container's end is published and taken down.
    pub fn run(&mut self) -> anyhow::Result<()> {
        while !self.failed {
            self.step(None)?;
            if self.container_is_over() {
                self.publish()?;
                self.take_down();
                break;
            }
        }
        let _ = std::fs::remove_file(self.dir.join(SOCKET_FILE));
        self.part()
    }

    pub(crate) fn task(&mut self, id: TaskId) -> Option<&mut Task> {
        self.tasks.get_mut(id.0)?.as_mut()
    }

    /// Waits for anything and handles it.
    fn step(&mut self, limit: Option<Duration>) -> anyhow::Result<()> {
        let linger = self.tasks.iter().flatten().any(|task| task.quiet_since.is_some());
        let limit = if linger { Some(limit.unwrap_or(LINGER).min(LINGER)) } else { limit };
        for (source, flags) in self.wait(limit)? {
            match source {
                Source::Listener => self.accept(),
                Source::Process(id) => self.reap(id)?,
                Source::Output(id, index) => self.pump(id, index),
                Source::Stdin(id) => {
                    if let Some(task) = self.task(id) {
                        task.flush_stdin();
                    }
                }
                Source::Log => self.flush_log(),
                Source::Client(index) => self.serve(index, flags),
            }
        }
        self.settle();
        Ok(())
    }

    fn wait(&self, limit: Option<Duration>) -> anyhow::Result<Vec<(Source, PollFlags)>> {
        let mut sources = vec![Source::Listener];
        let mut fds = vec![PollFd::new(&self.listener, PollFlags::IN)];
        for (number, task) in self.tasks.iter().enumerate() {
            let (id, Some(task)) = (TaskId(number), task) else { continue };
            if let Some(pidfd) = &task.pidfd {
                sources.push(Source::Process(id));
                fds.push(PollFd::new(pidfd, PollFlags::IN));
            }
            if let Some(fd) = task.blocked_stdin() {
                sources.push(Source::Stdin(id));
                fds.push(PollFd::from_borrowed_fd(fd, PollFlags::OUT));
            }
            for index in 0..2 {
                if let Some(fd) = task.output(index).filter(|_| self.may_read(id, index)) {
                    sources.push(Source::Output(id, index));
                    fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
                }
            }
        }
        if let Some(fd) = self.log().and_then(Sink::blocked) {
            sources.push(Source::Log);
            fds.push(PollFd::from_borrowed_fd(fd, PollFlags::OUT));
        }
        for (index, client) in self.clients.iter().enumerate() {
            let Some(client) = client else { continue };
            let mut flags = PollFlags::empty();
            if self.hears(client) {
                flags |= PollFlags::IN;
            }
            if client.queued() > 0 {
                flags |= PollFlags::OUT;
            }
            sources.push(Source::Client(index));
            fds.push(PollFd::from_borrowed_fd(client.fd(), flags));
        }
        let limit = limit
            .map(|limit| Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() });
        rustix::io::retry_on_intr(|| poll(&mut fds, limit.as_ref())).context("wait for events")?;
        let events = fds.iter().map(PollFd::revents);
        Ok(sources.into_iter().zip(events).filter(|(_, flags)| !flags.is_empty()).collect())
    }

    fn log(&self) -> Option<&Sink> {
        self.tasks[CONTAINER.0].as_ref()?.log.as_ref()
    }

    fn flush_log(&mut self) {
        if let Some(log) = self.task(CONTAINER).and_then(|task| task.log.as_mut()) {
            log.flush();
        }
    }

    /// Back-pressure: an output is not read while a client that listens to it has enough to read, or while the log cannot
    /// take it. Once its process has ended there is little more to come, and the end must not wait for the slowest client.
    fn may_read(&self, id: TaskId, index: usize) -> bool {
        let Some(task) = &self.tasks[id.0] else { return false };
        if task.waits_for_log(LOG_PATIENCE) {
            return false;
        }
        task.exit.is_some()
            || !self.clients.iter().flatten().any(|client| client.listens(id, index) && client.is_slow())
    }

    /// Back-pressure the other way: input is not taken while the process leaves it lying.
    fn hears(&self, client: &Client) -> bool {
        match client.role {
            Role::Streaming(id, _) => {
                self.tasks[id.0].as_ref().is_none_or(Task::takes_stdin) && !client.closing
            }
            _ => !client.closing,
        }
    }

    fn accept(&mut self) {
        while let Ok(fd) = rustix::net::accept_with(&self.listener, rustix::net::SocketFlags::CLOEXEC) {
            let client = Some(Client::new(fd));
            match self.clients.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => *slot = client,
                None => self.clients.push(client),
            }
        }
    }

    fn reap(&mut self, id: TaskId) -> anyhow::Result<()> {
        let Some(task) = self.task(id) else { return Ok(()) };
        task.reap().context("reap a process")?;
        Ok(())
    }

    /// Reads one output once, and passes it to the log and to every client that listens.
    fn pump(&mut self, id: TaskId, index: usize) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.resize(CHUNK, 0);
        if let Some(task) = self.task(id) {
            match task.read(index, &mut buffer) {
                Output::Bytes(length) => {
                    task.log(index, Some(&buffer[..length]));
                    if task.quiet_since.is_some() {
                        task.quiet_since = Some(Instant::now());
                    }
                    self.broadcast(id, index, &buffer[..length]);
                }
                Output::Ended => task.log(index, None),
                Output::Nothing => {}
            }
        }
        self.buffer = buffer;
    }

    fn broadcast(&mut self, id: TaskId, index: usize, bytes: &[u8]) {
        for client in self.clients.iter_mut().flatten().filter(|client| client.listens(id, index)) {
            client.frame(Task::stream(index), bytes);
        }
    }

    fn serve(&mut self, index: usize, flags: PollFlags) {
        let Some(client) = self.clients[index].as_mut() else { return };
        if flags.contains(PollFlags::OUT) {
            client.flush();
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            let mut buffer = std::mem::take(&mut self.buffer);
            buffer.resize(CHUNK, 0);
            let open = client.receive(&mut buffer);
            self.buffer = buffer;
            self.understand(index);
            if let Some(client) = self.clients[index].as_mut().filter(|_| !open) {
                client.gone = true;
            }
        }
    }

    /// After every step: what has ended is announced, what is gone is forgotten.
    fn settle(&mut self) {
        if let Some(log) = self.task(CONTAINER).and_then(|task| task.log.as_mut()) {
            log.reap();
        }
        for number in 0..self.tasks.len() {
            self.settle_task(TaskId(number));
        }
        for index in 0..self.clients.len() {
            if self.clients[index].as_ref().is_some_and(|client| client.gone) {
                self.forget(index);
            }
        }
    }

    fn settle_task(&mut self, id: TaskId) {
        let Some(task) = self.task(id) else { return };
        let Some(exit) = task.exit.clone() else { return };
        if task.waits_for_log(LOG_PATIENCE) {
            // It is not silent: it is not being read.
            task.quiet_since = Some(Instant::now());
        }
        if task.quiet_since.is_some_and(|since| since.elapsed() >= LINGER) {
            task.abandon_outputs();
        }
        if !task.drained() || id == CONTAINER {
            return;
        }
        let name = task.exec_id.take().unwrap_or_default();
        self.say_goodbye(id, &exit);
        self.tasks[id.0] = None;
        self.ended.push((name, exit));
        if self.ended.len() > 64 {
            self.ended.remove(0);
        }
    }

    /// Tells everybody who follows or waits for a task that it has ended.
    fn say_goodbye(&mut self, id: TaskId, exit: &Exit) {
        let control = serde_json::to_vec(&Control::Exit(exit.clone())).unwrap_or_default();
        for client in self.clients.iter_mut().flatten() {
            match client.role {
                Role::Streaming(own, _) if own == id => {
                    client.frame(Stream::Control, &control);
                    client.finish();
                }
                Role::Waiting(own) if own == id => {
                    client.reply(&Reply::Exited(exit.clone()));
                    client.role = Role::Asking;
                }
                _ => {}
            }
        }
    }

    fn forget(&mut self, index: usize) {
        let Some(client) = self.clients[index].take() else { return };
        if let Role::Streaming(id, streams) = client.role
            && let Some(task) = self.task(id)
            && streams.stdin
            && (task.stdin_once || task.exec_id.is_some())
        {
            task.close_stdin();
        }
    }

    fn container_is_over(&self) -> bool {
        let container = self.tasks[CONTAINER.0].as_ref();
        container.is_some_and(|task| task.exit.is_some() && task.drained())
    }

    /// `exit.json` by rename, then whoever follows or waits.
    fn publish(&mut self) -> anyhow::Result<()> {
        let oom_killed = self.state.cgroup.oom_kills().is_some_and(|kills| kills > 0);
        let Some(task) = self.task(CONTAINER) else { return Ok(()) };
        let Some(mut exit) = task.exit.clone() else { return Ok(()) };
        exit.oom_killed = oom_killed;
        let (draft, path) = (self.dir.join("exit.new"), self.dir.join(EXIT_FILE));
        std::fs::write(&draft, serde_json::to_vec(&exit)?).context("write exit.json")?;
        std::fs::rename(&draft, &path).context("publish exit.json")?;
        self.say_goodbye(CONTAINER, &exit);
        Ok(())
    }

    fn take_down(&self) {
        if let Err(error) = delete(&self.runtime_dir, &self.state, Force::Yes) {
            eprintln!("drydock-shim: take the container down: {}", chain(&error));
        }
    }

    /// Gives clients and the log's driver time to receive what is left for them. Nobody is listened to any more.
    fn part(&mut self) -> anyhow::Result<()> {
        let begin = Instant::now();
        for client in self.clients.iter_mut().flatten() {
            client.finish();
        }
        self.clients.retain(|client| client.as_ref().is_some_and(|client| !client.gone));
        while begin.elapsed() < FAREWELL {
            let log = self.log().and_then(Sink::blocked);
            let clients = self.clients.iter().flatten().map(Client::fd);
            let mut fds: Vec<PollFd<'_>> =
                clients.chain(log).map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::OUT)).collect();
            if fds.is_empty() {
                break;
            }
            let limit = Timespec { tv_sec: 1, tv_nsec: 0 };
            rustix::io::retry_on_intr(|| poll(&mut fds, Some(&limit))).context("wait for clients")?;
            self.clients.iter_mut().flatten().for_each(Client::flush);
            self.clients.retain(|client| client.as_ref().is_some_and(|client| !client.gone));
            self.flush_log();
        }
        Ok(())
    }
}
