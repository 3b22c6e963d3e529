//! The parent's side of making a container; the child's is [`crate::init`].
//!
//! What has been made is remembered in an [`Attempt`] from the moment it exists. A failure at any step unwinds all of
//! it, in the opposite order: process, cgroups, state folder.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_sys::namespaces::id_map;
use drydock_sys::process::{self as sys_process, Cloned};
use oci_spec::runtime::Process;
use rustix::process::{Pid, Signal};

use crate::bundle::{Bundle, ContainerId};
use crate::cgroup::{Cgroup, CgroupError, Delegate, Hierarchies, cgroups_path};
use crate::channel::{self, FromChild, FromParent, ToChild};
use crate::credentials::Sets;
use crate::failure::ChildFailure;
use crate::hooks::{HookError, Side, Subject};
use crate::init::{Init, Keyring, Release};
use crate::limits::{self, LimitError};
use crate::listener::{self, ListenerError};
use crate::namespaces::{NamespaceError, Namespaces};
use crate::program::Program;
use crate::rootfs::mounts::{self, MountError, Planned};
use crate::rootfs::staging::{Staging, StagingError};
use crate::rootfs::{self, RootChange};
use crate::seccomp::{Filter, SeccompError};
use crate::spawn::{SpawnError, spawn};
use crate::state::{INIT_NAME, OCI_VERSION, State, StateDir, StateError, Status, process_stat};
use crate::stdio::{Inherited, Stdio};

/// What to make, and how.
#[derive(Debug)]
pub struct Create<'a> {
    pub id: ContainerId,
    /// Where state is kept.
    pub root: &'a Path,
    pub bundle: &'a Bundle,
    pub stdio: Stdio,
    pub inherited: Inherited,
    pub root_change: RootChange,
    pub keyring: Keyring,
    pub starter: Starter,
}

/// Who will start what was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    /// This process, by [`crate::start::start_own`].
    Creator,
    /// Any process, by [`crate::start::start`].
    Anyone,
}

/// A container whose program is ready to be executed. Its process is a child of the caller.
#[derive(Debug)]
pub struct Created {
    pub dir: StateDir,
    pub state: State,
    pub pidfd: OwnedFd,
    /// The master of its terminal, if it has one.
    pub console: Option<OwnedFd>,
    pub(crate) channel: ToChild,
}

#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("{0} is not supported by this kernel or this runtime")]
    Unsupported(&'static str),
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    #[error("compile the seccomp filter")]
    Seccomp(#[from] SeccompError),
    #[error("plan the mounts")]
    Mounts(#[from] MountError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error("listen for a start on {path}")]
    Listen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("make a channel to the child")]
    Channel(#[source] io::Error),
    #[error(transparent)]
    Staging(#[from] StagingError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("write the id maps {file}")]
    IdMap {
        file: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error("read the child's start time")]
    StartTime(#[source] io::Error),
    #[error("listen to the child")]
    Hear(#[source] io::Error),
    #[error(transparent)]
    Hook(#[from] HookError),
    #[error(transparent)]
    Listener(#[from] ListenerError),
    #[error(transparent)]
    Child(#[from] ChildFailure),
    #[error("the container's process ended before its program could start")]
    Died,
}

/// What exists so far. Dropped, it is taken down.
#[derive(Debug, Default)]
struct Attempt {
    dir: Option<StateDir>,
    cgroup: Option<Cgroup>,
    child: Option<OwnedFd>,
    /// A root file system in our own mount namespace.
    root: Option<PathBuf>,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // The failure being reported is the first one; these can only add to it.
        if let Some(child) = &self.child {
            let _ = rustix::process::pidfd_send_signal(child, Signal::KILL);
            let _ = sys_process::wait(child);
        }
        if let Some(root) = &self.root {
            let _ = rootfs::detach(root);
        }
        if let Some(cgroup) = &self.cgroup {
            let _ = cgroup.remove();
        }
        if let Some(dir) = &self.dir {
            let _ = dir.remove();
        }
    }
}

/// What was decided before anything was made.
struct Decided {
    namespaces: Namespaces,
    filter: Option<Filter>,
    mounts: Vec<Planned>,
    hierarchies: Hierarchies,
}

impl Create<'_> {
    /// Makes the container, up to the point where only `execve` is left.
    pub fn run(&self) -> Result<Created, CreateError> {
        let mut attempt = Attempt::default();
        let mut decided = self.decide()?;
        let dir = StateDir::create(self.root, &self.id)?;
        attempt.dir = Some(dir.clone());
        let cgroup = self.make_cgroup(&decided)?;
        attempt.cgroup = Some(cgroup.clone());
        let listening = match self.starter {
            Starter::Creator => None,
            Starter::Anyone => Some(listen(&dir.start_socket())?),
        };
        attempt.root = decided.namespaces.same_mounts.then(|| self.bundle.rootfs.clone());
        let (pid, child, channel) = self.clone_child(&mut decided, &dir, &cgroup, listening.as_ref())?;
        attempt.child = Some(child);
        self.map_ids(pid, &decided.namespaces, &channel)?;
        if let Some(score) = self.bundle.process.oom_score_adj() {
            limits::set_oom_score(pid, score)?;
        }
        // The child makes its mounts meanwhile.
        let state = self.remember(&dir, pid, &cgroup)?;
        let console = self.converse(&channel, &state)?;
        match attempt.child.take() {
            Some(pidfd) => {
                attempt.dir = None;
                attempt.cgroup = None;
                attempt.root = None;
                Ok(Created { dir, state, pidfd, console, channel })
            }
            None => Err(CreateError::Died),
        }
    }

    fn decide(&self) -> Result<Decided, CreateError> {
        refuse_unsupported(self.bundle)?;
        let linux = &self.bundle.linux;
        let namespaces = Namespaces::resolve(linux)?;
        let filter = linux.seccomp().as_ref().map(Filter::compile).transpose()?;
        let list = self.bundle.spec.mounts().as_deref().unwrap_or_default();
        let mounts = mounts::plan(list, &self.bundle.dir, &namespaces.uid_map, &namespaces.gid_map)?;
        Ok(Decided { namespaces, filter, mounts, hierarchies: Hierarchies::discover()? })
    }

    fn make_cgroup(&self, decided: &Decided) -> Result<Cgroup, CreateError> {
        let linux = &self.bundle.linux;
        let path = cgroups_path(linux.cgroups_path().as_deref(), self.id.as_str());
        // Root of a new user namespace that sees its groups as roots may make groups below them.
        let delegate = (decided.namespaces.new_user() && decided.namespaces.new_cgroup).then(|| {
            let (uid, gid) = decided.namespaces.root_ids();
            Delegate { uid, gid }
        });
        let resources = linux.resources().as_ref();
        Ok(Cgroup::create(&decided.hierarchies, &path, resources, delegate)?)
    }

    fn clone_child(
        &self,
        decided: &mut Decided,
        dir: &StateDir,
        cgroup: &Cgroup,
        listening: Option<&OwnedFd>,
    ) -> Result<(Pid, OwnedFd, ToChild), CreateError> {
        let v1_tasks = cgroup.open_v1_tasks()?;
        let v2 = cgroup.open_v2()?;
        let (to_child, to_parent) = channel::pair().map_err(CreateError::Channel)?;
        let staging = match decided.namespaces.other_user() {
            true => Some(Staging::enter(&self.bundle.rootfs, &mut decided.mounts, dir.path())?),
            false => None,
        };
        let cloned = spawn_init(&decided.namespaces, v2.as_ref().map(AsFd::as_fd));
        let Ok(Cloned::Child) = cloned else {
            let left = staging.map_or(Ok(()), Staging::leave);
            return match cloned? {
                Cloned::Parent { pid, pidfd } => {
                    if let Err(error) = left {
                        let _ = rustix::process::pidfd_send_signal(&pidfd, Signal::KILL);
                        let _ = sys_process::wait(&pidfd);
                        return Err(error.into());
                    }
                    Ok((pid, pidfd, to_child))
                }
                Cloned::Child => Err(CreateError::Died),
            };
        };
        drop(to_child);
        let process = &self.bundle.process;
        let program = Program {
            process,
            linux: &self.bundle.linux,
            sets: Sets::of(process.capabilities().as_ref()),
            filter: decided.filter.as_ref(),
            stdio: &self.stdio,
            inherited: &self.inherited,
        };
        Init {
            id: &self.id,
            bundle: self.bundle,
            namespaces: &decided.namespaces,
            mounts: &decided.mounts,
            hierarchies: &decided.hierarchies,
            cgroup,
            v1_tasks: &v1_tasks,
            program,
            root_change: self.root_change,
            keyring: self.keyring,
            release: listening.map_or(Release::Parent, Release::Socket),
        }
        .run(to_parent)
    }

    fn map_ids(&self, pid: Pid, namespaces: &Namespaces, channel: &ToChild) -> Result<(), CreateError> {
        if !namespaces.new_user() {
            return Ok(());
        }
        for (name, map) in [("gid_map", &namespaces.gid_map), ("uid_map", &namespaces.uid_map)] {
            let file = format!("/proc/{}/{name}", pid.as_raw_nonzero());
            std::fs::write(&file, id_map(map)).map_err(|source| CreateError::IdMap { file, source })?;
        }
        // Inside its namespace the child has no right to raise a limit; we may.
        limits::raise_hard(pid, self.bundle.process.rlimits().as_deref().unwrap_or_default())?;
        channel.tell(FromParent::Mapped).map_err(CreateError::Hear)
    }

    fn remember(&self, dir: &StateDir, pid: Pid, cgroup: &Cgroup) -> Result<State, CreateError> {
        let pid = pid.as_raw_nonzero().get();
        let stat = process_stat(pid).map_err(CreateError::StartTime)?;
        let state = State {
            oci_version: OCI_VERSION.to_owned(),
            id: self.id.clone(),
            pid,
            pid_start_time: stat.start_time,
            bundle: self.bundle.dir.clone(),
            rootfs: self.bundle.rootfs.clone(),
            created: now(),
            owner: owner(),
            annotations: self.bundle.spec.annotations().clone().unwrap_or_default(),
            cgroup: cgroup.clone(),
        };
        dir.store_config(&self.bundle.text)?;
        dir.store(&state)?;
        Ok(state)
    }

    /// Answers the child until it is ready.
    fn converse(&self, channel: &ToChild, state: &State) -> Result<Option<OwnedFd>, CreateError> {
        let mut console = None;
        loop {
            match channel.hear().map_err(CreateError::Hear)? {
                FromChild::Ready => return Ok(console),
                FromChild::Console(master) => console = Some(master),
                FromChild::Listener(listener) => {
                    listener::hand_over(&self.subject(state), state.pid, &listener)?;
                    channel.tell(FromParent::ListenerTaken).map_err(CreateError::Hear)?;
                }
                FromChild::HooksDue => {
                    self.run_hooks(state)?;
                    channel.tell(FromParent::HooksDone).map_err(CreateError::Hear)?;
                }
                FromChild::Failed(failure) => return Err(failure.into()),
                FromChild::Closed => return Err(CreateError::Died),
            }
        }
    }

    fn subject(&self, state: &State) -> Subject<'_> {
        let (pid, status, side) = (state.pid, Status::Creating, Side::Runtime);
        Subject { id: &self.id, bundle: self.bundle, pid, status, side }
    }

    fn run_hooks(&self, state: &State) -> Result<(), HookError> {
        let Some(hooks) = self.bundle.spec.hooks() else { return Ok(()) };
        let subject = self.subject(state);
        // Older than the status `creating`, and told what they always were.
        Subject { status: Status::Created, ..subject }.run("prestart", hooks.prestart().as_deref())?;
        subject.run("createRuntime", hooks.create_runtime().as_deref())
    }
}

/// What the configuration asks for and nobody would enforce must fail, not be ignored.
fn refuse_unsupported(bundle: &Bundle) -> Result<(), CreateError> {
    let linux = &bundle.linux;
    let asked = [
        (is_set(linux.mount_label()), "linux.mountLabel"),
        (linux.intel_rdt().is_some(), "linux.intelRdt"),
        (linux.net_devices().as_ref().is_some_and(|devices| !devices.is_empty()), "linux.netDevices"),
    ];
    let of_linux = asked.into_iter().find_map(|(asked, what)| asked.then_some(what));
    match unsupported_of(&bundle.process).or(of_linux) {
        Some(what) => Err(CreateError::Unsupported(what)),
        None => Ok(()),
    }
}

/// The same of a process alone.
pub(crate) fn unsupported_of(process: &Process) -> Option<&'static str> {
    let asked = [
        (is_set(process.apparmor_profile()), "process.apparmorProfile"),
        (is_set(process.selinux_label()), "process.selinuxLabel"),
    ];
    asked.into_iter().find_map(|(asked, what)| asked.then_some(what))
}

fn is_set(text: &Option<String>) -> bool {
    text.as_ref().is_some_and(|text| !text.is_empty())
}

fn listen(path: &Path) -> Result<OwnedFd, CreateError> {
    let bind = || -> io::Result<OwnedFd> {
        use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Through a descriptor: the path itself may be longer than a socket's address.
        let folder = std::fs::File::open(path.parent().unwrap_or(Path::new("/")))?;
        let short = short_path(&folder, path);
        rustix::net::bind(&socket, &SocketAddrUnix::new(short)?)?;
        rustix::net::listen(&socket, 4)?;
        Ok(socket)
    };
    bind().map_err(|source| CreateError::Listen { path: path.to_owned(), source })
}

/// The child is born with [`INIT_NAME`]: who asks for a container's state can tell by it, from the first moment on,
/// that the program does not run yet.
fn spawn_init(namespaces: &Namespaces, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, SpawnError> {
    let own = rustix::thread::name();
    let _ = rustix::thread::set_name(INIT_NAME);
    let cloned = spawn(namespaces, cgroup);
    if let (Ok(own), false) = (own, matches!(cloned, Ok(Cloned::Child))) {
        let _ = rustix::thread::set_name(&own);
    }
    cloned
}

/// A socket's path by way of its open folder.
pub(crate) fn short_path(folder: &std::fs::File, path: &Path) -> PathBuf {
    use std::os::fd::AsRawFd;
    let name = path.file_name().unwrap_or_default();
    PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name)
}

fn now() -> String {
    let format = time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::now_utc().format(&format).unwrap_or_default()
}

fn owner() -> String {
    if rustix::process::getuid().is_root() { "root".to_owned() } else { String::new() }
}
