//! From a bundle to a container with its streams in our hands.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use drydock_runtime::bundle::{Bundle, ContainerId};
use drydock_runtime::create::{Create, CreateError, Created, Starter};
use drydock_runtime::delete::{Force, delete};
use drydock_runtime::failure::{ChildFailure, Kind, chain};
use drydock_runtime::start::{StartError, start_own};
use drydock_runtime::state::{State, StateDir};
use drydock_runtime::stdio::{Inherited, Stdio};
use drydock_shim::config::{Failure, FailureKind, SOCKET_FILE, ShimConfig};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// A container that runs, or waits for its start.
pub struct Launched {
    pub dir: StateDir,
    pub state: State,
    pub pidfd: OwnedFd,
    pub streams: Ends,
    /// There until it is started.
    pub held: Option<Held>,
}

pub struct Held {
    created: Created,
    bundle: Bundle,
}

/// Our ends of a process's streams.
#[derive(Default)]
pub struct Ends {
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    /// The terminal, instead of the three.
    pub terminal: Option<OwnedFd>,
}

/// Listens on `shim.sock`, by way of the open folder: the path may be longer than an address.
pub fn listen(dir: &Path) -> io::Result<OwnedFd> {
    use std::os::fd::AsRawFd;
    let socket = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    let folder = std::fs::File::open(dir)?;
    let path = format!("/proc/self/fd/{}/{SOCKET_FILE}", folder.as_raw_fd());
    match std::fs::remove_file(&path) {
        // Of an earlier life of this container.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    rustix::net::bind(&socket, &SocketAddrUnix::new(&path)?)?;
    rustix::net::listen(&socket, 16)?;
    Ok(socket)
}

/// Creates the container and, unless it is held, starts it. After a failure nothing is left of it.
pub fn launch(dir: &Path, config: &ShimConfig) -> Result<Launched, Failure> {
    let other = |step: &str, error: &dyn std::error::Error| Failure {
        step: step.to_owned(),
        message: chain(error),
        kind: FailureKind::Other,
    };
    let id = ContainerId::parse(&config.id).map_err(|error| other("shim.json", &error))?;
    let mut bundle = Bundle::load(dir).map_err(|error| other("config.json", &error))?;
    if let Some(size) = config.size.filter(|_| config.tty) {
        bundle.process.set_console_size(console_size(size));
    }
    let stdin = if config.open_stdin { Stdin::Pipe } else { Stdin::Null };
    let (ours, theirs) = match config.tty {
        true => (Ends::default(), Stdio::Inherit),
        false => pipes(stdin, true, true).map_err(|error| other("pipes", &error))?,
    };
    let create = Create {
        id,
        root: &config.runtime_root,
        bundle: &bundle,
        stdio: theirs,
        inherited: Inherited::default(),
        root_change: Default::default(),
        keyring: Default::default(),
        starter: Starter::Creator,
    };
    let created = create.run().map_err(|error| match error {
        CreateError::Child(failure) => from_child(failure),
        error => other("create", &error),
    })?;
    drop(create);
    finish(created, bundle, ours, config)
}

fn finish(
    mut created: Created,
    bundle: Bundle,
    mut streams: Ends,
    config: &ShimConfig,
) -> Result<Launched, Failure> {
    streams.terminal = created.console.take();
    let cloned = created.pidfd.try_clone().map_err(|error| Failure {
        step: "shim".to_owned(),
        message: chain(&error),
        kind: FailureKind::Other,
    })?;
    let (dir, state) = (created.dir.clone(), created.state.clone());
    let mut launched = Launched { dir, state, pidfd: cloned, streams, held: Some(Held { created, bundle }) };
    if !config.hold {
        launched.start()?;
    }
    Ok(launched)
}

impl Launched {
    /// Lets the program run. After a failure the container is gone.
    pub fn start(&mut self) -> Result<(), Failure> {
        let Some(held) = self.held.take() else { return Err(not_held()) };
        start_held(held, &self.dir, &self.state)
    }
}

pub fn not_held() -> Failure {
    Failure {
        step: "start".to_owned(),
        message: "the container was already started".to_owned(),
        kind: FailureKind::Other,
    }
}

pub fn start_held(held: Held, dir: &StateDir, state: &State) -> Result<(), Failure> {
    start_own(&held.created, &held.bundle).map_err(|error| {
        let failure = match error {
            StartError::Child(failure) => from_child(failure),
            error => Failure { step: "start".to_owned(), message: chain(&error), kind: FailureKind::Other },
        };
        if let Err(error) = delete(dir, state, Force::Yes) {
            eprintln!("drydock-shim: after a failed start: {}", chain(&error));
        }
        failure
    })
}

pub fn from_child(failure: ChildFailure) -> Failure {
    let kind = match failure.kind {
        Kind::NotFound => FailureKind::NotFound,
        Kind::Permission => FailureKind::Permission,
        Kind::Other => FailureKind::Other,
    };
    Failure { step: failure.step, message: failure.message, kind }
}

pub fn console_size(size: drydock_shim::config::Size) -> Option<oci_spec::runtime::Box> {
    let size = oci_spec::runtime::BoxBuilder::default().height(size.rows).width(size.cols);
    size.build().ok()
}

/// What a process reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdin {
    Pipe,
    Null,
}

/// Makes the streams of a process without a terminal: our ends and its ends. Those not wanted are `/dev/null`.
pub fn pipes(stdin: Stdin, stdout: bool, stderr: bool) -> io::Result<(Ends, Stdio)> {
    let null = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map(OwnedFd::from);
    let output = |wanted: bool| -> io::Result<(Option<OwnedFd>, OwnedFd)> {
        if !wanted {
            return Ok((None, null()?));
        }
        let (reader, writer) = io::pipe()?;
        Ok((Some(reader.into()), writer.into()))
    };
    let (our_stdin, their_stdin) = match stdin {
        Stdin::Null => (None, null()?),
        Stdin::Pipe => {
            let (reader, writer) = io::pipe()?;
            (Some(OwnedFd::from(writer)), reader.into())
        }
    };
    let (our_stdout, their_stdout) = output(stdout)?;
    let (our_stderr, their_stderr) = output(stderr)?;
    let ours = Ends { stdin: our_stdin, stdout: our_stdout, stderr: our_stderr, terminal: None };
    Ok((ours, Stdio::Given { stdin: their_stdin, stdout: their_stdout, stderr: their_stderr }))
}
