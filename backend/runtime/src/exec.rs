//! One more process in a running container.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use drydock_sys::namespaces::{self, CloneFlags};
use drydock_sys::process::{self as sys_process, Cloned, clone_self};
use oci_spec::runtime::Process;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::bundle::Bundle;
use crate::cgroup::{Cgroup, CgroupError};
use crate::channel::{self, FromChild, FromParent, ToChild, ToParent};
use crate::console::{self, ConsoleError, Role};
use crate::create::unsupported_of;
use crate::credentials::{self, CredentialsError, Sets};
use crate::failure::{ChildFailure, Kind, chain};
use crate::hooks::{Side, Subject};
use crate::init::join_cgroups;
use crate::limits::{self, LimitError};
use crate::listener::{self, ListenerError};
use crate::namespaces::{CLONE_NEWTIME, has_mount_namespace};
use crate::program::{Program, ProgramError};
use crate::scheduling::{self, SchedulingError};
use crate::seccomp::{Filter, SeccompError};
use crate::spawn::{SpawnError, Visit};
use crate::state::{State, StateDir, Status};
use crate::stdio::{Inherited, Stdio};

/// What to execute, and where.
#[derive(Debug)]
pub struct Exec<'a> {
    pub dir: &'a StateDir,
    pub state: &'a State,
    /// The container's own configuration, see [`StateDir::config`].
    pub config: &'a Bundle,
    pub process: &'a Process,
    pub stdio: Stdio,
    pub inherited: Inherited,
    /// The groups to join: the container's, or some below them.
    pub cgroup: &'a Cgroup,
    pub paused: Paused,
}

/// What becomes of a process for a container that is paused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Paused {
    #[default]
    Refuse,
    /// It is made, and frozen with the others until they are thawed.
    Wait,
}

/// A process that executes its program. It is a child of the caller.
#[derive(Debug)]
pub struct Executed {
    pub pid: Pid,
    pub pidfd: OwnedFd,
    pub console: Option<OwnedFd>,
}

#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    #[error("{}", match .0 {
        Status::Stopped => "cannot exec in a stopped container",
        Status::Paused => "cannot exec in a paused container (use --ignore-paused to override)",
        _ => "cannot exec in a container that is still being created",
    })]
    NotRunning(Status),
    #[error("process.args is empty")]
    NoProgram,
    #[error("{0} is not supported by this kernel or this runtime")]
    Unsupported(&'static str),
    #[error("open the container's first process")]
    First(#[source] io::Error),
    #[error("compile the seccomp filter")]
    Seccomp(#[from] SeccompError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("make a channel to the child")]
    Channel(#[source] io::Error),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("clone a process into the container's cgroup")]
    Clone(#[source] io::Error),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("listen to the child")]
    Hear(#[source] io::Error),
    #[error(transparent)]
    Listener(#[from] ListenerError),
    #[error(transparent)]
    Child(#[from] ChildFailure),
    #[error("the process ended before its program could start")]
    Died,
}

#[derive(Debug, thiserror::Error)]
enum EnterError {
    #[error("wait for the parent")]
    Parent(#[source] io::Error),
    #[error("join the cgroups")]
    Cgroup(#[source] io::Error),
    #[error("join the container's namespaces")]
    Namespaces(#[source] io::Error),
    #[error("enter the container's root")]
    Root(#[source] io::Error),
    #[error(transparent)]
    Affinity(#[from] SchedulingError),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("begin a session")]
    Session(#[source] io::Error),
    #[error(transparent)]
    Console(#[from] ConsoleError),
    #[error(transparent)]
    Program(#[from] ProgramError),
}

/// What the child uses of what the parent opened.
struct Child<'a> {
    first: &'a OwnedFd,
    kinds: CloneFlags,
    other_user: bool,
    /// The container's root, where no mount namespace leads to it.
    root: Option<&'a OwnedFd>,
    v1_tasks: &'a [std::fs::File],
    program: Program<'a>,
}

impl Exec<'_> {
    /// Executes the process; returns when its program runs.
    pub fn run(&self) -> Result<Executed, ExecError> {
        match self.dir.status(self.state) {
            Status::Running | Status::Created => {}
            Status::Paused if self.paused == Paused::Wait => {}
            status => return Err(ExecError::NotRunning(status)),
        }
        if self.process.args().as_ref().is_none_or(Vec::is_empty) {
            return Err(ExecError::NoProgram);
        }
        if let Some(what) = unsupported_of(self.process) {
            return Err(ExecError::Unsupported(what));
        }
        let first = Pid::from_raw(self.state.pid)
            .ok_or(rustix::io::Errno::SRCH)
            .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()))
            .map_err(|error| ExecError::First(error.into()))?;
        let kinds = kinds(self.config);
        let filter = self.config.linux.seccomp().as_ref().map(Filter::compile).transpose()?;
        let v1_tasks = self.cgroup.open_v1_tasks()?;
        let root = match has_mount_namespace(&self.config.linux) {
            true => None,
            false => Some(self.open_root().map_err(ExecError::First)?),
        };
        let (to_child, to_parent) = channel::pair().map_err(ExecError::Channel)?;
        let own_pids = kinds.contains(CloneFlags::CLONE_NEWPID);
        let visit = own_pids.then(|| Visit::enter(CloneFlags::CLONE_NEWPID, first.as_fd())).transpose()?;
        let cloned = self.clone_into_cgroup();
        if !matches!(cloned, Ok(Cloned::Child)) {
            visit.map_or(Ok(()), Visit::leave)?;
        }
        match cloned? {
            Cloned::Parent { pid, pidfd } => {
                drop(to_parent);
                self.attend(pid, pidfd, &to_child)
            }
            Cloned::Child => {
                drop(to_child);
                let program = Program {
                    process: self.process,
                    linux: &self.config.linux,
                    sets: Sets::of(self.process.capabilities().as_ref()),
                    filter: filter.as_ref(),
                    stdio: &self.stdio,
                    inherited: &self.inherited,
                };
                let kinds = kinds.difference(CloneFlags::CLONE_NEWPID);
                let other_user = kinds.contains(CloneFlags::CLONE_NEWUSER);
                let (first, root, v1_tasks) = (&first, root.as_ref(), &v1_tasks[..]);
                Child { first, kinds, other_user, root, v1_tasks, program }.run(&to_parent)
            }
        }
    }

    fn clone_into_cgroup(&self) -> Result<Cloned, ExecError> {
        let v2 = self.cgroup.open_v2()?;
        match clone_self(CloneFlags::empty(), v2.as_ref().map(AsFd::as_fd)) {
            // The first process switched controllers on below its group, which then takes no process itself;
            // it is where the first process moved to.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                let folder = self.first_group().map_err(ExecError::Clone)?;
                clone_self(CloneFlags::empty(), Some(folder.as_fd())).map_err(ExecError::Clone)
            }
            other => other.map_err(ExecError::Clone),
        }
    }

    fn open_root(&self) -> io::Result<OwnedFd> {
        Ok(std::fs::File::open(format!("/proc/{}/root", self.state.pid))?.into())
    }

    /// The cgroup2 folder the container's first process is in now.
    fn first_group(&self) -> io::Result<std::fs::File> {
        let text = std::fs::read_to_string(format!("/proc/{}/cgroup", self.state.pid))?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
        let mount = if self.state.cgroup.unified { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" };
        std::fs::File::open(PathBuf::from(mount).join(path.unwrap_or_default()))
    }

    fn attend(&self, pid: Pid, pidfd: OwnedFd, channel: &ToChild) -> Result<Executed, ExecError> {
        let end = |error| {
            // An unreaped child of ours; it must not outlive the failure.
            let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
            let _ = sys_process::wait(&pidfd);
            Err(error)
        };
        match self.converse(pid, channel) {
            Ok(console) => Ok(Executed { pid, pidfd, console }),
            Err(error) => end(error),
        }
    }

    fn converse(&self, pid: Pid, channel: &ToChild) -> Result<Option<OwnedFd>, ExecError> {
        limits::raise_hard(pid, self.process.rlimits().as_deref().unwrap_or_default())?;
        if let Some(score) = self.process.oom_score_adj() {
            limits::set_oom_score(pid, score)?;
        }
        channel.tell(FromParent::Start).map_err(ExecError::Hear)?;
        let mut console = None;
        let mut ready = false;
        loop {
            match channel.hear().map_err(ExecError::Hear)? {
                FromChild::Console(master) => console = Some(master),
                FromChild::Listener(listener) => {
                    self.hand_over(pid, &listener)?;
                    channel.tell(FromParent::ListenerTaken).map_err(ExecError::Hear)?;
                }
                FromChild::Ready => ready = true,
                FromChild::Closed if ready => return Ok(console),
                FromChild::Failed(failure) => return Err(failure.into()),
                FromChild::Closed | FromChild::HooksDue => return Err(ExecError::Died),
            }
        }
    }
}

impl Exec<'_> {
    fn hand_over(&self, pid: Pid, listener: &OwnedFd) -> Result<(), ListenerError> {
        let (id, bundle, first) = (&self.state.id, self.config, self.state.pid);
        let (status, side) = (Status::Running, Side::Runtime);
        let subject = Subject { id, bundle, pid: first, status, side };
        listener::hand_over(&subject, pid.as_raw_nonzero().get(), listener)
    }
}

/// The namespaces the container has that its maker had not.
fn kinds(config: &Bundle) -> CloneFlags {
    use oci_spec::runtime::LinuxNamespaceType as Kind;
    config.linux.namespaces().iter().flatten().fold(CloneFlags::empty(), |kinds, namespace| {
        kinds
            | match namespace.typ() {
                Kind::Mount => CloneFlags::CLONE_NEWNS,
                Kind::Cgroup => CloneFlags::CLONE_NEWCGROUP,
                Kind::Uts => CloneFlags::CLONE_NEWUTS,
                Kind::Ipc => CloneFlags::CLONE_NEWIPC,
                Kind::User => CloneFlags::CLONE_NEWUSER,
                Kind::Pid => CloneFlags::CLONE_NEWPID,
                Kind::Network => CloneFlags::CLONE_NEWNET,
                Kind::Time => CloneFlags::from_bits_retain(CLONE_NEWTIME),
            }
    })
}

impl Child<'_> {
    fn run(&self, parent: &ToParent) -> ! {
        let Err(error) = self.steps(parent);
        let (step, kind) = match &error {
            EnterError::Program(error) => ("exec", error.kind()),
            EnterError::Console(_) => ("console", Kind::Other),
            _ => ("enter", Kind::Other),
        };
        parent.failed(&ChildFailure { step: step.to_owned(), message: chain(&error), kind });
        sys_process::exit_now(1)
    }

    fn steps(&self, parent: &ToParent) -> Result<std::convert::Infallible, EnterError> {
        parent.expect(FromParent::Start).map_err(EnterError::Parent)?;
        let affinity = self.program.process.exec_cpu_affinity().as_ref();
        scheduling::set_affinity(affinity.and_then(|affinity| affinity.initial().as_deref()))?;
        join_cgroups(self.v1_tasks).map_err(EnterError::Cgroup)?;
        // Joining a group with processors of its own undid the first.
        scheduling::set_affinity(affinity.and_then(|affinity| affinity.cpu_affinity_final().as_deref()))?;
        namespaces::enter(self.first, self.kinds).map_err(EnterError::Namespaces)?;
        if let Some(root) = self.root {
            rustix::process::fchdir(root)
                .and_then(|()| rustix::process::chroot("."))
                .map_err(|error| EnterError::Root(error.into()))?;
        }
        if self.other_user {
            credentials::become_root()?;
        }
        rustix::process::setsid().map_err(|error| EnterError::Session(error.into()))?;
        if self.program.process.terminal() == Some(true) {
            console::take(self.program.process, Role::Plain, parent)?;
        }
        let prepared = self.program.prepare()?;
        self.program.hand_out_listener(&prepared, parent)?;
        parent.ready().map_err(EnterError::Parent)?;
        Err(self.program.execute(&prepared).into())
    }
}
