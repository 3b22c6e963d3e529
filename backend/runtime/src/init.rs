//! The child's side of [`crate::create`]: from the first instruction in new namespaces to `execve`.
//!
//! The child is a copy of its parent and uses what the parent parsed, opened and compiled; it never returns into
//! the parent's code. Its last word, when something fails, goes over the channel.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use drydock_sys::namespaces::{self, CloneFlags};
use drydock_sys::process as sys_process;

use crate::bundle::{Bundle, ContainerId};
use crate::cgroup::{Cgroup, Hierarchies};
use crate::channel::{FromParent, ToParent};
use crate::console::{self, ConsoleError, Role};
use crate::credentials::{self, CredentialsError};
use crate::failure::{ChildFailure, Kind, chain};
use crate::hooks::{HookError, Side, Subject};
use crate::namespaces::{CLONE_NEWTIME, Namespaces};
use crate::program::{Program, ProgramError};
use crate::rootfs::mounts::{CgroupView, Planned};
use crate::rootfs::protect::{self, ProtectError};
use crate::rootfs::{self, Place, RootChange, RootfsError};
use crate::state::Status;

/// All the child needs, borrowed from the memory it was copied with.
#[derive(Clone, Copy, Debug)]
pub struct Init<'a> {
    pub id: &'a ContainerId,
    pub bundle: &'a Bundle,
    pub namespaces: &'a Namespaces,
    pub mounts: &'a [Planned],
    pub hierarchies: &'a Hierarchies,
    pub cgroup: &'a Cgroup,
    pub v1_tasks: &'a [std::fs::File],
    pub program: Program<'a>,
    pub root_change: RootChange,
    pub keyring: Keyring,
    pub release: Release<'a>,
}

/// Who lets the program run.
#[derive(Clone, Copy, Debug)]
pub enum Release<'a> {
    /// The process that created the container, over the same channel.
    Parent,
    /// Whoever connects to this listening socket (`start`).
    Socket(&'a OwnedFd),
}

/// Whether the container gets a session keyring of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keyring {
    #[default]
    New,
    Keep,
}

#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error("wait for the parent")]
    Parent(#[source] io::Error),
    #[error("join the cgroups")]
    Cgroup(#[source] io::Error),
    #[error("join the {0:?} namespace")]
    Join(CloneFlags, #[source] io::Error),
    #[error("make a new {0:?} namespace")]
    Unshare(CloneFlags, #[source] io::Error),
    #[error("set the offset of clock {clock}")]
    TimeOffset {
        clock: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Root(#[from] CredentialsError),
    #[error("begin a session")]
    Session(#[source] io::Error),
    #[error("begin a session keyring")]
    Keyring(#[source] io::Error),
    #[error("sethostname")]
    HostName(#[source] io::Error),
    #[error("setdomainname")]
    DomainName(#[source] io::Error),
    #[error(transparent)]
    Rootfs(#[from] RootfsError),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error("set sysctl {name}")]
    Sysctl {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("make the working directory {path}")]
    Cwd {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Console(#[from] ConsoleError),
    #[error(transparent)]
    Protect(#[from] ProtectError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error("accept a start")]
    Accept(#[source] io::Error),
}

/// The step of a hook that the container's own process runs.
pub const HOOK_STEP: &str = "hook";

impl InitError {
    /// The step in a word, for those who sort failures without reading them.
    fn step(&self) -> &'static str {
        match self {
            InitError::Parent(_) | InitError::Accept(_) => "handshake",
            InitError::Cgroup(_) => "cgroup",
            InitError::Join(..) | InitError::Unshare(..) | InitError::TimeOffset { .. } => "namespaces",
            InitError::Root(_) => "user",
            InitError::Session(_) | InitError::Keyring(_) => "session",
            InitError::HostName(_) | InitError::DomainName(_) => "hostname",
            InitError::Rootfs(_) | InitError::Cwd { .. } => "rootfs",
            InitError::Hook(_) => HOOK_STEP,
            InitError::Sysctl { .. } => "sysctl",
            InitError::Console(_) => "console",
            InitError::Protect(_) => "protect",
            InitError::Program(_) => "exec",
        }
    }

    pub fn to_failure(&self) -> ChildFailure {
        let kind = match self {
            InitError::Program(error) => error.kind(),
            _ => Kind::Other,
        };
        ChildFailure { step: self.step().to_owned(), message: chain(self), kind }
    }
}

impl Init<'_> {
    /// Runs the container's program, or reports why not. Never returns.
    pub fn run(&self, parent: ToParent) -> ! {
        let mut parent = parent;
        let Err(error) = self.steps(&mut parent);
        parent.failed(&error.to_failure());
        sys_process::exit_now(1)
    }

    fn steps(&self, parent: &mut ToParent) -> Result<std::convert::Infallible, InitError> {
        self.enter_namespaces(parent)?;
        self.begin_session()?;
        self.name_host()?;
        self.assemble_root(parent)?;
        self.set_sysctls()?;
        self.make_cwd()?;
        if self.bundle.process.terminal() == Some(true) {
            console::take(&self.bundle.process, Role::Console, parent)?;
        }
        if self.bundle.rootfs_readonly {
            rootfs::make_read_only()?;
        }
        let linux = &self.bundle.linux;
        protect::apply(
            linux.masked_paths().as_deref().unwrap_or_default(),
            linux.readonly_paths().as_deref().unwrap_or_default(),
        )?;
        let prepared = self.program.prepare()?;
        self.program.hand_out_listener(&prepared, parent)?;
        parent.ready().map_err(InitError::Parent)?;
        self.await_start(parent)?;
        let hooks = self.bundle.spec.hooks().as_ref();
        let start = hooks.and_then(|hooks| hooks.start_container().as_deref());
        self.subject(Status::Created).run("startContainer", start)?;
        Err(self.program.execute(&prepared).into())
    }

    fn enter_namespaces(&self, parent: &ToParent) -> Result<(), InitError> {
        if self.namespaces.new_user() {
            parent.expect(FromParent::Mapped).map_err(InitError::Parent)?;
        }
        join_cgroups(self.v1_tasks).map_err(InitError::Cgroup)?;
        if !self.namespaces.new_user() {
            // With a new user namespace the parent joined them for us, while it still could.
            for (kind, fd) in &self.namespaces.joined {
                namespaces::enter(fd, *kind).map_err(|source| InitError::Join(*kind, source))?;
            }
        }
        if self.namespaces.new_time {
            // Before the change of user, which leaves files in our own /proc to the first namespace's root.
            self.enter_time()?;
        }
        if self.namespaces.other_user() {
            credentials::become_root()?;
        }
        if self.namespaces.new_cgroup {
            let kind = CloneFlags::CLONE_NEWCGROUP;
            namespaces::unshare(kind).map_err(|source| InitError::Unshare(kind, source))?;
        }
        Ok(())
    }

    /// The namespace becomes this process's at `execve`; until then its clocks can be set.
    fn enter_time(&self) -> Result<(), InitError> {
        let kind = CloneFlags::from_bits_retain(CLONE_NEWTIME);
        namespaces::unshare(kind).map_err(|source| InitError::Unshare(kind, source))?;
        for (clock, offset) in self.bundle.linux.time_offsets().iter().flatten() {
            let seconds = offset.secs().unwrap_or_default();
            let line = format!("{clock} {seconds} {}\n", offset.nanosecs().unwrap_or_default());
            std::fs::write("/proc/self/timens_offsets", line)
                .map_err(|source| InitError::TimeOffset { clock: clock.clone(), source })?;
        }
        Ok(())
    }

    fn begin_session(&self) -> Result<(), InitError> {
        rustix::process::setsid().map_err(|error| InitError::Session(error.into()))?;
        if self.keyring == Keyring::New {
            drydock_sys::keyring::join_new_session().map_err(InitError::Keyring)?;
        }
        Ok(())
    }

    fn name_host(&self) -> Result<(), InitError> {
        if let Some(name) = self.bundle.spec.hostname().as_ref().filter(|name| !name.is_empty()) {
            rustix::system::sethostname(name.as_bytes())
                .map_err(|error| InitError::HostName(error.into()))?;
        }
        if let Some(name) = self.bundle.spec.domainname().as_ref().filter(|name| !name.is_empty()) {
            rustix::system::setdomainname(name.as_bytes())
                .map_err(|error| InitError::DomainName(error.into()))?;
        }
        Ok(())
    }

    fn assemble_root(&self, parent: &ToParent) -> Result<(), InitError> {
        let view = CgroupView {
            hierarchies: self.hierarchies,
            cgroup: self.cgroup,
            namespaced: self.namespaces.new_cgroup,
        };
        let place = match (self.namespaces.other_user(), self.namespaces.same_mounts) {
            (true, _) => Place::Staged,
            (false, true) => Place::Shared,
            (false, false) => Place::Own,
        };
        let assembled = rootfs::assemble(self.bundle, self.mounts, view, place)?;
        if let Some(hooks) = self.bundle.spec.hooks() {
            if hooks.prestart().is_some() || hooks.create_runtime().is_some() {
                parent.hooks_due().map_err(InitError::Parent)?;
                parent.expect(FromParent::HooksDone).map_err(InitError::Parent)?;
            }
            let create = hooks.create_container().as_deref();
            self.subject(Status::Creating).run("createContainer", create)?;
        }
        assembled.enter(self.root_change)?;
        Ok(())
    }

    fn subject(&self, status: Status) -> Subject<'_> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Subject { id: self.id, bundle: self.bundle, pid, status, side: Side::Container }
    }

    fn set_sysctls(&self) -> Result<(), InitError> {
        for (name, value) in self.bundle.linux.sysctl().iter().flatten() {
            let file = format!("/proc/sys/{}", name.replace('.', "/"));
            crate::cgroup::write(file.as_ref(), value)
                .map_err(|source| InitError::Sysctl { name: name.clone(), source })?;
        }
        Ok(())
    }

    /// As runc and Docker have it: a missing working directory is made.
    fn make_cwd(&self) -> Result<(), InitError> {
        let path = self.bundle.process.cwd();
        match rustix::fs::stat(path) {
            Err(rustix::io::Errno::NOENT) => {
                std::fs::create_dir_all(path).map_err(|source| InitError::Cwd { path: path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    fn await_start(&self, parent: &mut ToParent) -> Result<(), InitError> {
        if let Release::Socket(listening) = self.release {
            let socket = rustix::io::retry_on_intr(|| {
                rustix::net::accept_with(listening, rustix::net::SocketFlags::CLOEXEC)
            });
            *parent = ToParent::from_socket(socket.map_err(|e| InitError::Accept(e.into()))?);
        }
        parent.expect(FromParent::Start).map_err(InitError::Parent)
    }
}

/// Moves the calling process into the v1 groups whose `tasks` files the parent opened.
pub fn join_cgroups(tasks: &[std::fs::File]) -> io::Result<()> {
    for file in tasks {
        rustix::io::write(file, b"0")?;
    }
    Ok(())
}
