//! The commands of a container's life.

use std::ffi::OsString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drydock_runtime::bundle::{Bundle, BundleError, ContainerId};
use drydock_runtime::console;
use drydock_runtime::create::{Create, Created, Starter};
use drydock_runtime::delete::{Force, delete as delete_container};
use drydock_runtime::failure::chain;
use drydock_runtime::init::Keyring;
use drydock_runtime::rootfs::RootChange;
use drydock_runtime::signal::{self, Whom};
use drydock_runtime::state::StateError;
use drydock_runtime::stdio::{Inherited, Stdio};
use drydock_runtime::{freeze as freezing, start as starting, state};

use super::Outcome;
use super::foreground;
use super::log;
use super::options::{Global, Ids, UsageError, Word, Words, bundle_dir, parse_id};

/// The options `create` and `run` share.
#[derive(Debug, Default)]
struct CreateOptions {
    ids: Vec<OsString>,
    bundle: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    pidfd_socket: Option<PathBuf>,
    root_change: RootChange,
    keyring: Keyring,
    preserve_fds: u32,
    detach: bool,
    keep: bool,
}

impl CreateOptions {
    fn take(words: &mut Words) -> Result<Self, UsageError> {
        let mut options = Self::default();
        while let Some(word) = words.next()? {
            match word {
                Word::Value(id) => options.ids.push(id),
                Word::Option(name) => match name.as_str() {
                    "b" | "bundle" => options.bundle = Some(words.path()?),
                    "pid-file" => options.pid_file = Some(words.path()?),
                    "console-socket" => options.console_socket = Some(words.path()?),
                    "pidfd-socket" => options.pidfd_socket = Some(words.path()?),
                    "no-pivot" if words.switch() => options.root_change = RootChange::Chroot,
                    "no-new-keyring" if words.switch() => options.keyring = Keyring::Keep,
                    "no-pivot" | "no-new-keyring" | "no-subreaper" => drop(words.switch()),
                    "preserve-fds" => options.preserve_fds = words.number("--preserve-fds")?,
                    "d" | "detach" => options.detach = words.switch(),
                    "keep" => options.keep = words.switch(),
                    other => return Err(words.unexpected(other)),
                },
            }
        }
        Ok(options)
    }

    fn id(&self, command: &'static str) -> Result<ContainerId, UsageError> {
        match &self.ids[..] {
            [id] => parse_id(id),
            _ => Err(UsageError::Exactly { command, wanted: 1 }),
        }
    }

    fn load(&self, global: &Global) -> Result<Bundle, BundleError> {
        let bundle = Bundle::load(&bundle_dir(self.bundle.as_deref()))?;
        log::warn_of_capabilities(global, &bundle.ignored);
        Ok(bundle)
    }

    fn create(&self, global: &Global, id: ContainerId, bundle: &Bundle, starter: Starter) -> CreateOutcome {
        let create = Create {
            id,
            root: &global.root,
            bundle,
            stdio: Stdio::Inherit,
            inherited: Inherited::from_environment(self.preserve_fds),
            root_change: self.root_change,
            keyring: self.keyring,
            starter,
        };
        let created = create.run()?;
        match self.hand_over(&created) {
            Ok(()) => Ok(created),
            Err(error) => {
                undo(&created);
                Err(error)
            }
        }
    }

    fn hand_over(&self, created: &Created) -> Result<(), Box<dyn std::error::Error>> {
        if let (Some(path), Some(master)) = (&self.console_socket, &created.console) {
            console::send_to(path, master.as_fd())?;
        }
        if let Some(path) = &self.pidfd_socket {
            console::send_pidfd_to(path, created.pidfd.as_fd())?;
        }
        if let Some(path) = &self.pid_file {
            write_pid(path, created.state.pid)?;
        }
        Ok(())
    }
}

/// A terminal is either ours to serve, or is handed to somebody by a socket.
pub fn check_terminal(
    terminal: Option<bool>,
    socket: Option<&Path>,
    detached: bool,
) -> Result<(), UsageError> {
    let terminal = terminal == Some(true);
    match socket.is_some() {
        true if !terminal || !detached => Err(UsageError::SocketWithoutTerminal),
        false if terminal && detached => Err(UsageError::TerminalWithoutSocket),
        _ => Ok(()),
    }
}

type CreateOutcome = Result<Created, Box<dyn std::error::Error>>;

/// Written aside and renamed: whoever waits for the file must not read half of it.
pub fn write_pid(path: &Path, pid: i32) -> std::io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    std::fs::write(&draft, pid.to_string())?;
    std::fs::rename(&draft, path)
}

fn undo(created: &Created) {
    if let Err(error) = delete_container(&created.dir, &created.state, Force::Yes) {
        eprintln!("drydock-runtime: {}", chain(&error));
    }
}

pub fn create(global: &Global, words: &mut Words) -> Outcome {
    let options = CreateOptions::take(words)?;
    let id = options.id("create")?;
    let bundle = options.load(global)?;
    check_terminal(bundle.process.terminal(), options.console_socket.as_deref(), true)?;
    options.create(global, id, &bundle, Starter::Anyone)?;
    Ok(ExitCode::SUCCESS)
}

pub fn run(global: &Global, words: &mut Words) -> Outcome {
    let options = CreateOptions::take(words)?;
    let id = options.id("run")?;
    let bundle = options.load(global)?;
    check_terminal(bundle.process.terminal(), options.console_socket.as_deref(), options.detach)?;
    let mut created = options.create(global, id, &bundle, Starter::Creator)?;
    if let Err(error) = starting::start_own(&created, &bundle) {
        undo(&created);
        return Err(error.into());
    }
    if options.detach {
        return Ok(ExitCode::SUCCESS);
    }
    let exit = foreground::attend(&created.pidfd, created.console.take())?;
    if !options.keep {
        delete_container(&created.dir, &created.state, Force::Yes)?;
    }
    Ok(ExitCode::from(exit.status() as u8))
}

pub fn start(global: &Global, words: &mut Words) -> Outcome {
    let (dir, state) = global.open(&words.only_id("start")?)?;
    starting::start(&dir, &state)?;
    Ok(ExitCode::SUCCESS)
}

pub fn state(global: &Global, words: &mut Words) -> Outcome {
    let (dir, state) = global.open(&words.only_id("state")?)?;
    println!("{}", serde_json::to_string_pretty(&super::report::Shown::of(&dir, &state))?);
    Ok(ExitCode::SUCCESS)
}

pub fn kill(global: &Global, words: &mut Words) -> Outcome {
    let (mut values, mut whom) = (Vec::new(), Whom::First);
    while let Some(word) = words.next()? {
        match word {
            Word::Value(value) => values.push(value),
            Word::Option(name) if name == "a" || name == "all" => {
                whom = if words.switch() { Whom::All } else { Whom::First };
            }
            Word::Option(name) => return Err(words.unexpected(&name).into()),
        }
    }
    let (id, signal) = match &values[..] {
        [] => return Err(UsageError::AtLeast { command: "kill", wanted: 1 }.into()),
        [id] => (id, "SIGTERM".into()),
        [id, signal] => (id, signal.to_string_lossy()),
        _ => return Err(UsageError::AtMost { command: "kill", wanted: 2 }.into()),
    };
    let (dir, state) = global.open(&parse_id(id)?)?;
    signal::send(&dir, &state, signal::parse(&signal)?, whom)?;
    Ok(ExitCode::SUCCESS)
}

pub fn delete(global: &Global, words: &mut Words) -> Outcome {
    let (mut ids, mut force) = (Ids::new("delete"), Force::No);
    while let Some(word) = words.next()? {
        match word {
            Word::Value(value) => ids.take(value),
            Word::Option(name) if name == "f" || name == "force" => {
                force = if words.switch() { Force::Yes } else { Force::No };
            }
            Word::Option(name) => return Err(words.unexpected(&name).into()),
        }
    }
    let id = ids.only()?;
    match (global.open(&id), force) {
        (Ok((dir, state)), _) => delete_container(&dir, &state, force)?,
        // Never made, or only half: either way `--force` means that it shall not be there.
        (Err(UsageError::State(StateError::NotFound)), Force::Yes) => {
            state::StateDir::at(&global.root, &id).remove()?;
        }
        (Err(error), _) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

pub fn pause(global: &Global, words: &mut Words) -> Outcome {
    let (dir, state) = global.open(&words.only_id("pause")?)?;
    freezing::pause(&dir, &state)?;
    Ok(ExitCode::SUCCESS)
}

pub fn resume(global: &Global, words: &mut Words) -> Outcome {
    let (dir, state) = global.open(&words.only_id("resume")?)?;
    freezing::resume(&dir, &state)?;
    Ok(ExitCode::SUCCESS)
}
