//! `exec`: from options, or from a file with the whole process, to a process in a container.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use drydock_runtime::bundle::Bundle;
use drydock_runtime::console;
use drydock_runtime::exec::Exec;
use drydock_runtime::stdio::{Inherited, Stdio};
use oci_spec::runtime::{Capability, LinuxCapabilities, Process, User};

use super::Outcome;
use super::container::write_pid;
use super::foreground;
use super::options::{Global, UsageError, Word, Words, parse_id};

#[derive(Debug, Default)]
struct ExecOptions {
    process_file: Option<PathBuf>,
    tty: bool,
    detach: bool,
    user: Option<String>,
    groups: Vec<u32>,
    cwd: Option<PathBuf>,
    env: Vec<String>,
    capabilities: Vec<String>,
    no_new_privileges: bool,
    pid_file: Option<PathBuf>,
    console_socket: Option<PathBuf>,
    preserve_fds: u32,
    words: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum ExecUsageError {
    #[error("read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("parse {path}")]
    Parse {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("unknown capability {0:?}")]
    Capability(String, #[source] serde_json::Error),
    #[error("--user wants uid[:gid], not {0:?}")]
    User(String),
}

pub fn exec(global: &Global, words: &mut Words) -> Outcome {
    let (id, options) = take(words)?;
    let (dir, state) = global.open(&parse_id(&id.into())?)?;
    let config = dir.config(&state)?;
    let process = process(&options, &config)?;
    if options.detach && process.terminal() == Some(true) && options.console_socket.is_none() {
        return Err(UsageError::TerminalWithoutSocket.into());
    }
    let exec = Exec {
        dir: &dir,
        state: &state,
        config: &config,
        process: &process,
        stdio: Stdio::Inherit,
        inherited: Inherited { preserved: options.preserve_fds, ..Inherited::default() },
    };
    let mut executed = exec.run()?;
    if let (Some(path), Some(master)) = (&options.console_socket, &executed.console) {
        console::send_to(path, master.as_fd())?;
    }
    if let Some(path) = &options.pid_file {
        write_pid(path, executed.pid.as_raw_nonzero().get())?;
    }
    if options.detach {
        return Ok(ExitCode::SUCCESS);
    }
    let console = executed.console.take().filter(|_| options.console_socket.is_none());
    let exit = foreground::attend(&executed.pidfd, console)?;
    Ok(ExitCode::from(exit.status() as u8))
}

fn take(words: &mut Words) -> Result<(String, ExecOptions), UsageError> {
    let mut options = ExecOptions::default();
    while let Some(word) = words.next()? {
        match word {
            Word::Value(id) => {
                // From here on every word belongs to the program.
                options.words = words.rest()?;
                if options.words.first().is_some_and(|word| word == "--") {
                    options.words.remove(0);
                }
                return Ok((id.to_string_lossy().into_owned(), options));
            }
            Word::Option(name) => match name.as_str() {
                "p" | "process" => options.process_file = Some(words.path()?),
                "t" | "tty" => options.tty = words.switch(),
                "d" | "detach" => options.detach = words.switch(),
                "u" | "user" => options.user = Some(words.text()?),
                "g" | "additional-gids" => options.groups.push(words.number("--additional-gids")?),
                "cwd" => options.cwd = Some(words.path()?),
                "e" | "env" => options.env.push(words.text()?),
                "c" | "cap" => options.capabilities.push(words.text()?),
                "no-new-privs" => options.no_new_privileges = words.switch(),
                "pid-file" => options.pid_file = Some(words.path()?),
                "console-socket" => options.console_socket = Some(words.path()?),
                "preserve-fds" => options.preserve_fds = words.number("--preserve-fds")?,
                "ignore-paused" => drop(words.switch()),
                other => return Err(words.unexpected(other)),
            },
        }
    }
    Err(UsageError::Missing("the container id"))
}

/// The container's own process with what the options change; or the whole of `--process`.
fn process(options: &ExecOptions, config: &Bundle) -> Result<Process, ExecUsageError> {
    if let Some(path) = &options.process_file {
        let text =
            std::fs::read(path).map_err(|source| ExecUsageError::Read { path: path.clone(), source })?;
        return serde_json::from_slice(&text)
            .map_err(|source| ExecUsageError::Parse { path: path.clone(), source });
    }
    let mut process = config.process.clone();
    process.set_terminal(Some(options.tty)).set_console_size(None);
    process.set_args(Some(options.words.clone()));
    if let Some(cwd) = &options.cwd {
        process.set_cwd(cwd.clone());
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(options.env.iter().cloned());
    process.set_env(Some(env));
    if let Some(user) = &options.user {
        process.set_user(parse_user(user)?);
    }
    if !options.groups.is_empty() {
        let mut user = process.user().clone();
        user.set_additional_gids(Some(options.groups.clone()));
        process.set_user(user);
    }
    if options.no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    if !options.capabilities.is_empty() {
        let capabilities = add_capabilities(process.capabilities().as_ref(), &options.capabilities)?;
        process.set_capabilities(Some(capabilities));
    }
    Ok(process)
}

fn parse_user(text: &str) -> Result<User, ExecUsageError> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    let number = |part: &str| part.parse().map_err(|_| ExecUsageError::User(text.to_owned()));
    let mut user = User::default();
    user.set_uid(number(uid)?).set_gid(number(gid)?);
    Ok(user)
}

/// As runc has it: into all sets but the ambient one.
fn add_capabilities(
    own: Option<&LinuxCapabilities>,
    names: &[String],
) -> Result<LinuxCapabilities, ExecUsageError> {
    let added = names
        .iter()
        .map(|name| {
            serde_json::from_value::<Capability>(name.as_str().into())
                .map_err(|source| ExecUsageError::Capability(name.clone(), source))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut sets = own.cloned().unwrap_or_else(|| {
        let mut none = LinuxCapabilities::default();
        none.set_bounding(None).set_effective(None).set_permitted(None);
        none.set_inheritable(None).set_ambient(None);
        none
    });
    let with = |set: &Option<oci_spec::runtime::Capabilities>| {
        let mut set = set.clone().unwrap_or_default();
        set.extend(added.iter().copied());
        Some(set)
    };
    let (bounding, effective, permitted) =
        (with(sets.bounding()), with(sets.effective()), with(sets.permitted()));
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    Ok(sets)
}
