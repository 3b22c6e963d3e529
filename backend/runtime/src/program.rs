//! The last steps of every process that becomes a program in a container, its first or an executed one.

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use drydock_sys::{fds, process as sys_process, seccomp, signals};
use oci_spec::runtime::{Linux, Process};

use crate::channel::{FromParent, ToParent};
use crate::credentials::{self, Assumed, CredentialsError, Sets};
use crate::failure::Kind;
use crate::limits::{self, LimitError};
use crate::lookup::{self, LookupError};
use crate::scheduling::{self, SchedulingError};
use crate::seccomp::Filter;
use crate::stdio::{self, Inherited, Stdio};

/// Everything about a program that was decided before the clone.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    pub process: &'a Process,
    pub linux: &'a Linux,
    pub sets: Sets,
    pub filter: Option<&'a Filter>,
    pub stdio: &'a Stdio,
    pub inherited: &'a Inherited,
}

#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    #[error("place stdin, stdout and stderr")]
    Stdio(#[source] io::Error),
    #[error("reset signals")]
    Signals(#[source] io::Error),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(transparent)]
    Scheduling(#[from] SchedulingError),
    #[error("set no_new_privs")]
    NoNewPrivileges(#[source] io::Error),
    #[error("install the seccomp filter")]
    Seccomp(#[source] io::Error),
    #[error("hand out the seccomp filter's listener")]
    Listener(#[source] io::Error),
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error("chdir to cwd ({0:?}) set in config.json failed")]
    Cwd(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("close other descriptors on exec")]
    Descriptors(#[source] io::Error),
    #[error("exec {program}")]
    Exec {
        program: String,
        #[source]
        source: io::Error,
    },
}

impl ProgramError {
    pub fn kind(&self) -> Kind {
        match self {
            ProgramError::Lookup(error) => error.kind(),
            _ => Kind::Other,
        }
    }
}

/// The status of a process whose program was found and allowed and could not be executed all the same: its
/// interpreter is missing, or its format unknown.
const NOT_EXECUTED: i32 = 255;

/// A program found and allowed; only the filter and the executing are left.
#[derive(Debug)]
pub struct Prepared {
    file: CString,
    args: Vec<CString>,
    env: Vec<CString>,
    assumed: Assumed,
}

impl Program<'_> {
    /// Becomes the program's user, with its limits and descriptors, and finds it.
    pub fn prepare(&self) -> Result<Prepared, ProgramError> {
        let process = self.process;
        if process.terminal() != Some(true) {
            self.stdio.place().map_err(ProgramError::Stdio)?;
        }
        stdio::give_to(process.user().uid(), process.user().gid());
        fds::close_from_on_exec(self.inherited.end()).map_err(ProgramError::Descriptors)?;
        signals::reset_all().map_err(ProgramError::Signals)?;
        if let Some(mask) = process.user().umask() {
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask & 0o777));
        }
        limits::apply(process.rlimits().as_deref().unwrap_or_default())?;
        scheduling::apply(process, self.linux)?;
        if process.no_new_privileges() == Some(true) {
            rustix::thread::set_no_new_privs(true)
                .map_err(|error| ProgramError::NoNewPrivileges(error.into()))?;
        }
        let assumed = credentials::assume(process.user(), self.sets)?;
        rustix::process::chdir(process.cwd())
            .map_err(|error| ProgramError::Cwd(process.cwd().clone(), error.into()))?;
        Ok(self.find(assumed)?)
    }

    fn find(&self, assumed: Assumed) -> Result<Prepared, LookupError> {
        let args = self.process.args().as_deref().unwrap_or_default();
        let mut env = self.process.env().clone().unwrap_or_default();
        let program = args.first().map(String::as_str).unwrap_or_default();
        let file = lookup::find(program, &env)?;
        keep_last_of_each(&mut env);
        if !env.iter().any(|variable| variable.starts_with("HOME=")) {
            env.push(format!("HOME={}", home(self.process.user().uid())));
        }
        env.extend(self.inherited.environment());
        let strings = |list: &[String]| -> Result<Vec<CString>, LookupError> {
            list.iter().map(|text| CString::new(text.as_str()).map_err(|_| LookupError::Nul)).collect()
        };
        Ok(Prepared { file, args: strings(args)?, env: strings(&env)?, assumed })
    }

    /// A filter that notifies is installed while there is still somebody to hand its listener to; from here on the calls
    /// it names wait for that listener's owner.
    pub fn hand_out_listener(&self, prepared: &Prepared, parent: &ToParent) -> Result<(), ProgramError> {
        let Some(Filter { program, flags, notifies: true }) = self.filter else { return Ok(()) };
        let installed = prepared.assumed.install(|| seccomp::install_listening(program, *flags))?;
        let listener = installed.map_err(ProgramError::Seccomp)?;
        parent
            .listener(listener.as_fd())
            .and_then(|()| parent.expect(FromParent::ListenerTaken))
            .map_err(ProgramError::Listener)
    }

    /// Executes the program. Returns only what kept it from trying; a program that fails now has started already for
    /// everyone else, so that its own stderr is told.
    pub fn execute(&self, prepared: &Prepared) -> ProgramError {
        if let Err(error) = self.seal(prepared) {
            return error;
        }
        let source = sys_process::exec(&prepared.file, &prepared.args, &prepared.env);
        let error = ProgramError::Exec { program: prepared.file.to_string_lossy().into_owned(), source };
        eprintln!("{}", crate::failure::chain(&error));
        sys_process::exit_now(NOT_EXECUTED)
    }

    /// The last step before `execve`: nothing else of ours has to pass the program's filter.
    fn seal(&self, prepared: &Prepared) -> Result<(), ProgramError> {
        match self.filter {
            None => Ok(prepared.assumed.settle()?),
            Some(Filter { notifies: true, .. }) => Ok(()),
            Some(Filter { program, flags, .. }) => {
                let installed = prepared.assumed.install(|| seccomp::install(program, *flags))?;
                installed.map_err(ProgramError::Seccomp)
            }
        }
    }
}

/// Of a variable given more than once, programs disagree which they see; they get the last alone.
fn keep_last_of_each(env: &mut Vec<String>) {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut seen = std::collections::HashSet::with_capacity(env.len());
    let mut kept: Vec<String> =
        std::mem::take(env).into_iter().rev().filter(|variable| seen.insert(name(variable))).collect();
    kept.reverse();
    *env = kept;
}

/// The home of a user by the container's own `/etc/passwd`, as a login would set it.
fn home(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    home_in(&passwd, uid).unwrap_or("/").to_owned()
}

fn home_in(passwd: &str, uid: u32) -> Option<&str> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let matches = fields.get(2)?.parse() == Ok(uid);
        (matches && !fields.get(5)?.is_empty()).then(|| fields[5])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_variable_given_twice_the_last_counts() {
        let mut env = ["A=1", "B=2", "A=3"].map(str::to_owned).to_vec();
        keep_last_of_each(&mut env);
        assert_eq!(env, ["B=2", "A=3"]);
    }

    #[test]
    fn a_home_is_found_by_user_id() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken\nweb:x:33:33::/var/www:/bin/false\n";
        assert_eq!(home_in(passwd, 33), Some("/var/www"));
        assert_eq!(home_in(passwd, 5), None);
    }
}
