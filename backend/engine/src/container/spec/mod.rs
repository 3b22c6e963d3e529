//! From a record to the OCI specification of its container: a pure translation, the world is in [`Input`].

pub mod capabilities;
pub mod devices;
pub mod mounts;
pub mod namespaces;
pub mod process;
pub mod resources;
pub mod seccomp;
pub mod seccomp_profile;
pub mod sysctls;
pub mod user;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, Root, Spec};

use crate::container::Record;
use crate::host::Host;
use mounts::{MountsInput, Shm};
use namespaces::{Choice, Namespaces};
use process::Parts;
use seccomp_profile::{Around, ProfileError};
use user::Who;

/// What the world adds to the record.
#[derive(Debug)]
pub struct Input<'a> {
    pub record: &'a Record,
    pub host: &'a Host,
    pub rootfs: &'a Path,
    pub who: Who,
    /// What links add to the environment.
    pub linked: Vec<String>,
    pub namespaces: Namespaces,
    pub shm: Shm,
    pub files: &'a [(&'static str, PathBuf)],
    pub cgroups_path: String,
    /// `--init`: the shim, which is bound into the container and there reaps as its first process.
    pub init: Option<&'a Path>,
}

#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error(transparent)]
    Capability(#[from] capabilities::UnknownCapability),
    #[error(transparent)]
    Process(#[from] process::ProcessError),
    #[error(transparent)]
    Device(#[from] devices::DeviceError),
    #[error(transparent)]
    BlockDevice(#[from] resources::BlockDeviceError),
    #[error(transparent)]
    Sysctl(#[from] sysctls::SysctlError),
    #[error(transparent)]
    Security(#[from] SecurityError),
    #[error(transparent)]
    Seccomp(#[from] ProfileError),
}

#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    #[error("invalid --security-opt 2: \"{0}\"")]
    Unknown(String),
}

/// `--security-opt`, read.
#[derive(Clone, Debug, Default)]
pub struct Security {
    pub no_new_privileges: bool,
    pub seccomp: Seccomp,
    pub unmask_system_paths: bool,
}

#[derive(Clone, Debug, Default)]
pub enum Seccomp {
    #[default]
    Default,
    Unconfined,
    /// The text of a profile, read when the container starts.
    Profile(String),
}

const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// Where `--init` is found inside the container.
const INIT: &str = "/sbin/docker-init";

pub fn build(input: &Input<'_>) -> Result<Spec, SpecError> {
    let record = input.record;
    let privileged = record.host_config.privileged.unwrap_or(false);
    let security = security(&record.host_config)?;
    let capabilities = granted(record, input.host)?;
    let mut spec = Spec::default();
    spec.set_version("1.2.0".into());
    spec.set_root(Some(root(input)));
    spec.set_hostname((input.namespaces.uts == Choice::Own).then(|| record.hostname().to_owned()));
    let domain = &record.config.domainname;
    spec.set_domainname((input.namespaces.uts == Choice::Own && !domain.is_empty()).then(|| domain.clone()));
    spec.set_mounts(Some(mount_table(input, privileged)));
    let linux = linux(input, &security, &capabilities, privileged)?;
    spec.set_process(Some(process::process(
        Parts {
            args: arguments(record, input.init.is_some()),
            env: process::environment(record, record.config.tty, (&input.linked, &[]), &input.who.home),
            cwd: &record.config.working_dir,
            tty: record.config.tty,
            who: input.who.clone(),
            capabilities,
            no_new_privileges: security.no_new_privileges,
        },
        &record.host_config,
    )?));
    spec.set_linux(Some(linux));
    Ok(spec)
}

/// The capabilities of the container's first process.
pub fn granted(
    record: &Record,
    host: &Host,
) -> Result<BTreeSet<&'static str>, capabilities::UnknownCapability> {
    let config = &record.host_config;
    let words = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let privileged = config.privileged.unwrap_or(false);
    capabilities::effective(&words(&config.cap_add), &words(&config.cap_drop), privileged, host)
}

/// Entrypoint and command, as one list.
pub fn command(record: &Record) -> Vec<String> {
    let entrypoint = record.config.entrypoint.iter().flatten();
    entrypoint.chain(record.config.cmd.iter().flatten()).cloned().collect()
}

fn arguments(record: &Record, init: bool) -> Vec<String> {
    let mut args = command(record);
    if init {
        args.splice(0..0, [INIT.to_owned(), "--".to_owned()]);
    }
    args
}

fn root(input: &Input<'_>) -> Root {
    let mut root = Root::default();
    root.set_path(input.rootfs.to_owned());
    root.set_readonly(Some(input.record.host_config.readonly_rootfs.unwrap_or(false)));
    root
}

fn mount_table(input: &Input<'_>, privileged: bool) -> Vec<oci_spec::runtime::Mount> {
    let mut table = mounts::mounts(&MountsInput {
        points: &input.record.mounts,
        files: input.files,
        shm: input.shm.clone(),
        privileged,
        host_pid: input.namespaces.pid == Choice::Host,
        host_network: input.namespaces.network == Choice::Host,
        in_user_namespace: input.host.in_user_namespace,
        read_only_root: input.record.host_config.readonly_rootfs.unwrap_or(false),
    });
    if let Some(program) = input.init {
        let options = ["bind", "ro"].map(str::to_owned);
        table.push(
            oci_spec::runtime::MountBuilder::default()
                .destination(INIT)
                .typ("bind")
                .source(program)
                .options(options)
                .build()
                .expect("every required field is given"),
        );
    }
    table
}

fn linux(
    input: &Input<'_>,
    security: &Security,
    capabilities: &BTreeSet<&str>,
    privileged: bool,
) -> Result<Linux, SpecError> {
    let record = input.record;
    let mut linux = Linux::default();
    linux.set_namespaces(Some(input.namespaces.to_oci()));
    linux.set_cgroups_path(Some(PathBuf::from(&input.cgroups_path)));
    linux.set_resources(Some(resources::resources(&record.host_config, input.host)?));
    linux.set_devices(Some(devices::devices(&record.host_config)?));
    linux.set_sysctl(Some(sysctls::sysctls(input)?));
    linux.set_rootfs_propagation(rootfs_propagation(record));
    let open = privileged || security.unmask_system_paths;
    let paths = |given: &Option<Vec<String>>, default: &[&str]| match given {
        _ if open => Vec::new(),
        Some(paths) => paths.clone(),
        None => default.iter().map(|path| (*path).to_owned()).collect(),
    };
    linux.set_masked_paths(Some(paths(&record.host_config.masked_paths, &MASKED)));
    linux.set_readonly_paths(Some(paths(&record.host_config.readonly_paths, &READ_ONLY)));
    linux.set_seccomp(match &security.seccomp {
        Seccomp::Profile(text) => {
            seccomp_profile::load(text, Around { capabilities, kernel: &input.host.kernel })?
        }
        Seccomp::Default if !privileged => Some(seccomp::default_profile(capabilities)),
        _ => None,
    });
    Ok(linux)
}

/// A shared or slave bind needs a root that passes propagation on.
fn rootfs_propagation(record: &Record) -> Option<String> {
    let has =
        |kinds: [&str; 2]| record.mounts.iter().any(|point| kinds.contains(&point.propagation.as_str()));
    if has(["shared", "rshared"]) {
        return Some("shared".into());
    }
    has(["slave", "rslave"]).then(|| "rslave".into())
}

/// Reads `--security-opt`. The CLI sends a profile's text, not its path.
pub fn security(config: &bollard_stubs::models::HostConfig) -> Result<Security, SecurityError> {
    let mut security = Security::default();
    for option in config.security_opt.iter().flatten() {
        let (key, value) = option.split_once('=').or_else(|| option.split_once(':')).unwrap_or((option, ""));
        match (key, value) {
            ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
            ("no-new-privileges", "false") => security.no_new_privileges = false,
            ("systempaths", "unconfined") => security.unmask_system_paths = true,
            ("seccomp", "unconfined") => security.seccomp = Seccomp::Unconfined,
            ("seccomp", "builtin" | "") => security.seccomp = Seccomp::Default,
            ("seccomp", text) => security.seccomp = Seccomp::Profile(text.to_owned()),
            // This engine loads neither profiles nor labels; asking for none, or for any, changes nothing.
            ("apparmor" | "label" | "writable-cgroups", _) => {}
            _ => return Err(SecurityError::Unknown(option.clone())),
        }
    }
    Ok(security)
}
