//! The process part of a specification: of the container's first process, and of `docker exec`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use bollard_stubs::models::HostConfig;
use oci_spec::runtime::{
    Capabilities, Capability, LinuxCapabilities, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process,
    User,
};

use super::user::Who;
use crate::container::Record;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("invalid ulimit type: {0}")]
    Ulimit(String),
    #[error("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")]
    UlimitOrder { soft: i64, hard: i64 },
    #[error(
        "ulimit {name}: a hard limit of {wanted} is more than the {permitted} this engine itself may have"
    )]
    UlimitTooHigh { name: String, wanted: u64, permitted: u64 },
    #[error("the working directory '{0}' is invalid, it needs to be an absolute path")]
    WorkingDir(String),
}

/// What both kinds of process are made of.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    pub args: Vec<String>,
    pub env: Vec<String>,
    pub cwd: &'a str,
    pub tty: bool,
    pub who: Who,
    pub capabilities: BTreeSet<&'static str>,
    pub no_new_privileges: bool,
}

pub fn process(parts: Parts<'_>, host: &HostConfig) -> Result<Process, ProcessError> {
    let cwd = if parts.cwd.is_empty() { "/" } else { parts.cwd };
    if !cwd.starts_with('/') {
        return Err(ProcessError::WorkingDir(cwd.to_owned()));
    }
    let mut process = Process::default();
    process.set_terminal(Some(parts.tty));
    process.set_cwd(PathBuf::from(cwd));
    process.set_args(Some(parts.args));
    process.set_env(Some(parts.env));
    process.set_capabilities(Some(capabilities(&parts.capabilities, parts.who.uid == 0)));
    process.set_rlimits(Some(rlimits(host)?));
    process.set_no_new_privileges(Some(parts.no_new_privileges));
    // 0 is every process's own start; asking for it may be "lowering", which needs a capability.
    process.set_oom_score_adj(host.oom_score_adj.filter(|value| *value != 0).map(|value| value as i32));
    process.set_user(user(parts.who));
    Ok(process)
}

fn user(who: Who) -> User {
    let mut user = User::default();
    user.set_uid(who.uid);
    user.set_gid(who.gid);
    user.set_additional_gids((!who.groups.is_empty()).then_some(who.groups));
    user
}

/// An ordinary user gets a bounding set only, as `execve` would leave it.
fn capabilities(names: &BTreeSet<&'static str>, root: bool) -> LinuxCapabilities {
    let set: Capabilities = names.iter().filter_map(|name| Capability::from_str(name).ok()).collect();
    let held = if root { set.clone() } else { Capabilities::new() };
    let mut capabilities = LinuxCapabilities::default();
    capabilities.set_bounding(Some(set));
    capabilities.set_effective(Some(held.clone()));
    capabilities.set_permitted(Some(held));
    capabilities.set_inheritable(None);
    capabilities.set_ambient(None);
    capabilities
}

/// Defaults below what the image and the user set. `around`: what links say, which yields to the container's own
/// variables, and what is set for this process alone.
pub fn environment(record: &Record, tty: bool, around: (&[String], &[String]), home: &str) -> Vec<String> {
    let (linked, more) = around;
    let mut env = vec![PATH.to_owned(), format!("HOSTNAME={}", record.hostname())];
    if tty {
        env.push("TERM=xterm".into());
    }
    for variable in linked.iter().chain(&record.config.env).chain(more) {
        set(&mut env, variable);
    }
    if !env.iter().any(|variable| variable.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
    env
}

/// `NAME=value` replaces, `NAME` alone removes.
fn set(env: &mut Vec<String>, variable: &str) {
    let name = variable.split('=').next().unwrap_or(variable);
    let same = |other: &String| other.split('=').next() == Some(name);
    if !variable.contains('=') {
        env.retain(|other| !same(other));
        return;
    }
    match env.iter_mut().find(|other| same(other)) {
        Some(other) => variable.clone_into(other),
        None => env.push(variable.to_owned()),
    }
}

fn rlimits(host: &HostConfig) -> Result<Vec<PosixRlimit>, ProcessError> {
    host.ulimits
        .iter()
        .flatten()
        .map(|ulimit| {
            let name = ulimit.name.clone().unwrap_or_default();
            let kind = PosixRlimitType::from_str(&format!("RLIMIT_{}", name.to_ascii_uppercase()))
                .map_err(|_| ProcessError::Ulimit(name.clone()))?;
            let soft = ulimit.soft.unwrap_or(0);
            let hard = ulimit.hard.unwrap_or(soft);
            if soft > hard && hard >= 0 {
                return Err(ProcessError::UlimitOrder { soft, hard });
            }
            check_permitted(&name, hard as u64)?;
            // −1 is "unlimited", which is the kernel's largest number.
            let rlimit = PosixRlimitBuilder::default().typ(kind).soft(soft as u64).hard(hard as u64).build();
            Ok(rlimit.expect("every required field is given"))
        })
        .collect()
}

/// Without `CAP_SYS_RESOURCE` nobody can have more than the engine has; say so before the start.
fn check_permitted(name: &str, wanted: u64) -> Result<(), ProcessError> {
    use rustix::process::Resource;
    let resource = match name {
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "core" => Resource::Core,
        "memlock" => Resource::Memlock,
        "stack" => Resource::Stack,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "as" => Resource::As,
        "cpu" => Resource::Cpu,
        _ => return Ok(()),
    };
    let permitted = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
    if wanted > permitted && !may_raise() {
        return Err(ProcessError::UlimitTooHigh { name: name.to_owned(), wanted, permitted });
    }
    Ok(())
}

fn may_raise() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_RESOURCE))
}
