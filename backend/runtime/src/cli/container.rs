//! The commands of a container's life.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use drydock_runtime::bundle::{Bundle, ContainerId};
use drydock_runtime::console;
use drydock_runtime::create::{Create, Created, Starter};
use drydock_runtime::delete::{Force, delete as delete_container};
use drydock_runtime::failure::chain;
use drydock_runtime::init::Keyring;
use drydock_runtime::rootfs::RootChange;
use drydock_runtime::signal::{self, Whom};
use drydock_runtime::state::StateError;
use drydock_runtime::stdio::{Inherited, Stdio};
use drydock_runtime::{start as starting, state};

use super::Outcome;
use super::foreground;
use super::options::{Global, UsageError, Word, Words, bundle_dir, parse_id};

/// The options `create` and `run` share.
#[derive(Debug, Default)]
struct CreateOptions {
    id: Option<ContainerId>,
    bundle: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    console_socket: Option<PathBuf>,
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
                Word::Value(id) if options.id.is_none() => options.id = Some(parse_id(&id)?),
                Word::Value(extra) => return Err(lexopt::Error::UnexpectedArgument(extra).into()),
                Word::Option(name) => match name.as_str() {
                    "b" | "bundle" => options.bundle = Some(words.path()?),
                    "pid-file" => options.pid_file = Some(words.path()?),
                    "console-socket" => options.console_socket = Some(words.path()?),
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

    fn create(&self, global: &Global, bundle: &Bundle, starter: Starter) -> CreateOutcome {
        let id = self.id.clone().ok_or(UsageError::Missing("the container id"))?;
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
        if let Some(path) = &self.pid_file {
            write_pid(path, created.state.pid)?;
        }
        Ok(())
    }

    fn check_terminal(&self, bundle: &Bundle, detached: bool) -> Result<(), UsageError> {
        let terminal = bundle.process.terminal() == Some(true);
        match (terminal, self.console_socket.is_some()) {
            (false, true) => Err(UsageError::SocketWithoutTerminal),
            (true, false) if detached => Err(UsageError::TerminalWithoutSocket),
            _ => Ok(()),
        }
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
    let bundle = Bundle::load(&bundle_dir(options.bundle.as_deref()))?;
    options.check_terminal(&bundle, true)?;
    options.create(global, &bundle, Starter::Anyone)?;
    Ok(ExitCode::SUCCESS)
}

pub fn run(global: &Global, words: &mut Words) -> Outcome {
    let options = CreateOptions::take(words)?;
    let bundle = Bundle::load(&bundle_dir(options.bundle.as_deref()))?;
    options.check_terminal(&bundle, options.detach)?;
    let mut created = options.create(global, &bundle, Starter::Creator)?;
    if let Err(error) = starting::start_own(&created, &bundle) {
        undo(&created);
        return Err(error.into());
    }
    if options.detach {
        return Ok(ExitCode::SUCCESS);
    }
    let console = created.console.take().filter(|_| options.console_socket.is_none());
    let exit = foreground::attend(&created.pidfd, console)?;
    if !options.keep {
        delete_container(&created.dir, &created.state, Force::Yes)?;
    }
    Ok(ExitCode::from(exit.status() as u8))
}

pub fn start(global: &Global, words: &mut Words) -> Outcome {
    let (dir, state) = global.open(&words.only_id()?)?;
    starting::start(&dir, &state)?;
    Ok(ExitCode::SUCCESS)
}

pub fn state(global: &Global, words: &mut Words) -> Outcome {
    let (dir, state) = global.open(&words.only_id()?)?;
    println!("{}", serde_json::to_string_pretty(&super::report::Shown::of(&dir, &state))?);
    Ok(ExitCode::SUCCESS)
}

pub fn kill(global: &Global, words: &mut Words) -> Outcome {
    let (mut id, mut signal, mut whom) = (None, None, Whom::First);
    while let Some(word) = words.next()? {
        match word {
            Word::Value(value) if id.is_none() => id = Some(parse_id(&value)?),
            Word::Value(value) => signal = Some(value.to_string_lossy().into_owned()),
            Word::Option(name) => match name.as_str() {
                "a" | "all" if words.switch() => whom = Whom::All,
                "a" | "all" => {}
                other => return Err(words.unexpected(other).into()),
            },
        }
    }
    let id = id.ok_or(UsageError::Missing("the container id"))?;
    let (dir, state) = global.open(&id)?;
    signal::send(&dir, &state, signal::parse(signal.as_deref().unwrap_or("TERM"))?, whom)?;
    Ok(ExitCode::SUCCESS)
}

pub fn delete(global: &Global, words: &mut Words) -> Outcome {
    let (mut id, mut force) = (None, Force::No);
    while let Some(word) = words.next()? {
        match word {
            Word::Value(value) if id.is_none() => id = Some(parse_id(&value)?),
            Word::Value(extra) => return Err(lexopt::Error::UnexpectedArgument(extra).into()),
            Word::Option(name) => match name.as_str() {
                "f" | "force" if words.switch() => force = Force::Yes,
                "f" | "force" => {}
                other => return Err(words.unexpected(other).into()),
            },
        }
    }
    let id = id.ok_or(UsageError::Missing("the container id"))?;
    match (global.open(&id), force) {
        (Ok((dir, state)), _) => delete_container(&dir, &state, force)?,
        // Never made, or only half: either way `--force` means that it shall not be there.
        (Err(UsageError::Container { source: StateError::NotFound, .. }), Force::Yes) => {
            state::StateDir::at(&global.root, &id).remove()?;
        }
        (Err(error), _) => return Err(error.into()),
    }
    Ok(ExitCode::SUCCESS)
}

pub fn freeze(global: &Global, words: &mut Words, frozen: bool) -> Outcome {
    let (_, state) = global.open(&words.only_id()?)?;
    state.cgroup.freeze(frozen)?;
    Ok(ExitCode::SUCCESS)
}
