//! `exec`: from options, or from a file with the whole process, to a process in a container.

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use drydock_runtime::bundle::Bundle;
use drydock_runtime::cgroup::Cgroup;
use drydock_runtime::exec::{Exec, Paused};
use drydock_runtime::stdio::{Inherited, Stdio};
use drydock_runtime::{capabilities, console, scheduling};
use oci_spec::runtime::{Capability, LinuxCapabilities, Process, User};

use super::Outcome;
use super::container::{check_terminal, write_pid};
use super::options::{Global, UsageError, Word, Words, parse_id};
use super::{foreground, log};

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
    pidfd_socket: Option<PathBuf>,
    preserve_fds: u32,
    cgroups: Vec<String>,
    paused: Paused,
    apparmor: Option<String>,
    label: Option<String>,
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
    #[error("bad uid or gid in --user {0:?}: it wants uid[:gid]")]
    User(String),
    #[error("invalid --cgroup argument: {0} (missing <controller>: prefix)")]
    CgroupPrefix(String),
    #[error("invalid --cgroup argument: {0} (empty <controller> prefix)")]
    CgroupController(String),
    #[error("process property must not be empty")]
    NoProcess,
}

pub fn exec(global: &Global, words: &mut Words) -> Outcome {
    let (id, options) = take(words)?;
    let (dir, state) = global.open(&parse_id(&id.into())?)?;
    let config = dir.config(&state)?;
    let (process, ignored) = process(&options, &config)?;
    log::warn_of_capabilities(global, &ignored);
    if let Some(list) =
        process.exec_cpu_affinity().as_ref().and_then(|affinity| affinity.initial().as_deref())
    {
        log::write(global, log::Level::Debug, &format!("affinity: {:#x}", scheduling::mask(list)?));
    }
    check_terminal(process.terminal(), options.console_socket.as_deref(), options.detach)?;
    let exec = Exec {
        dir: &dir,
        state: &state,
        config: &config,
        process: &process,
        stdio: Stdio::Inherit,
        inherited: Inherited { preserved: options.preserve_fds, ..Inherited::default() },
        cgroup: &cgroup(&state.cgroup, &options.cgroups)?,
        paused: options.paused,
    };
    let mut executed = exec.run()?;
    if let (Some(path), Some(master)) = (&options.console_socket, &executed.console) {
        console::send_to(path, master.as_fd())?;
    }
    if let Some(path) = &options.pidfd_socket {
        console::send_pidfd_to(path, executed.pidfd.as_fd())?;
    }
    if let Some(path) = &options.pid_file {
        write_pid(path, executed.pid.as_raw_nonzero().get())?;
    }
    if options.detach {
        return Ok(ExitCode::SUCCESS);
    }
    let exit = foreground::attend(&executed.pidfd, executed.console.take())?;
    Ok(ExitCode::from(exit.status() as u8))
}

/// `--cgroup PATH`, or `--cgroup CONTROLLER[,CONTROLLER…]:PATH`, perhaps several.
fn cgroup(own: &Cgroup, wanted: &[String]) -> Result<Cgroup, Box<dyn std::error::Error>> {
    let mut cgroup = own.clone();
    for word in wanted {
        match word.split_once(':') {
            None if wanted.len() > 1 => return Err(ExecUsageError::CgroupPrefix(word.clone()).into()),
            None => cgroup = cgroup.below(None, word.as_ref())?,
            Some((controllers, path)) => {
                for controller in controllers.split(',') {
                    if controller.is_empty() {
                        return Err(ExecUsageError::CgroupController(word.clone()).into());
                    }
                    cgroup = cgroup.below(Some(controller), path.as_ref())?;
                }
            }
        }
    }
    Ok(cgroup)
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
                "pidfd-socket" => options.pidfd_socket = Some(words.path()?),
                "cgroup" => options.cgroups.push(words.text()?),
                "apparmor" => options.apparmor = Some(words.text()?),
                "process-label" => options.label = Some(words.text()?),
                "ignore-paused" => {
                    options.paused = if words.switch() { Paused::Wait } else { Paused::Refuse };
                }
                other => return Err(words.unexpected(other)),
            },
        }
    }
    Err(UsageError::AtLeast { command: "exec", wanted: 1 })
}

/// The container's own process with what the options change, or the whole of `--process`; and the capabilities in that
/// which nobody knows.
fn process(options: &ExecOptions, config: &Bundle) -> Result<(Process, Vec<String>), ExecUsageError> {
    if let Some(path) = &options.process_file {
        let text =
            std::fs::read(path).map_err(|source| ExecUsageError::Read { path: path.clone(), source })?;
        return capabilities::parse(&text)
            .map_err(|source| ExecUsageError::Parse { path: path.clone(), source });
    }
    if options.words.is_empty() {
        return Err(ExecUsageError::NoProcess);
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
    process.set_user(user(options, process.user().clone())?);
    if options.no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    if options.apparmor.is_some() {
        process.set_apparmor_profile(options.apparmor.clone());
    }
    if options.label.is_some() {
        process.set_selinux_label(options.label.clone());
    }
    if !options.capabilities.is_empty() {
        let capabilities = add_capabilities(process.capabilities().as_ref(), &options.capabilities)?;
        process.set_capabilities(Some(capabilities));
    }
    Ok((process, Vec::new()))
}

/// `--user` names who; the groups beside remain, and those of `--additional-gids` come to them.
fn user(options: &ExecOptions, mut user: User) -> Result<User, ExecUsageError> {
    if let Some(text) = &options.user {
        let (uid, gid) = match text.split_once(':') {
            Some((uid, gid)) => (uid, Some(gid)),
            None => (text.as_str(), None),
        };
        let number = |part: &str| part.parse().map_err(|_| ExecUsageError::User(text.clone()));
        user.set_uid(number(uid)?);
        if let Some(gid) = gid {
            user.set_gid(number(gid)?);
        }
    }
    if !options.groups.is_empty() {
        let mut groups = user.additional_gids().clone().unwrap_or_default();
        groups.extend(&options.groups);
        user.set_additional_gids(Some(groups));
    }
    Ok(user)
}

/// As runc has it: into all sets but the inheritable one, and into the ambient one only beside that.
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
    if sets.inheritable().as_ref().is_some_and(|inheritable| !inheritable.is_empty()) {
        let ambient = with(sets.ambient());
        sets.set_ambient(ambient);
    }
    sets.set_bounding(bounding).set_effective(effective).set_permitted(permitted);
    Ok(sets)
}
