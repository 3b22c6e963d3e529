//! Who the container's process is: user, groups and capabilities.

use std::io;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, User};
use rustix::thread::{CapabilitySet, CapabilitySets};

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("read the capabilities this process may give")]
    Read(#[source] io::Error),
    #[error("drop {0:?} from the bounding set")]
    Bounding(CapabilitySet, #[source] io::Error),
    #[error("set supplementary groups {0:?}")]
    Groups(Vec<u32>, #[source] io::Error),
    #[error("become group {0}")]
    Gid(u32, #[source] io::Error),
    #[error("become user {0}")]
    Uid(u32, #[source] io::Error),
    #[error("set capabilities")]
    Capabilities(#[source] io::Error),
    #[error("set ambient capability {0:?}")]
    Ambient(CapabilitySet, #[source] io::Error),
    #[error("keep capabilities across the change of user")]
    Keep(#[source] io::Error),
}

/// The five sets as bits, computed before the clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sets {
    pub bounding: CapabilitySet,
    pub effective: CapabilitySet,
    pub permitted: CapabilitySet,
    pub inheritable: CapabilitySet,
    pub ambient: CapabilitySet,
}

impl Sets {
    /// Absent sets are empty.
    pub fn of(capabilities: Option<&LinuxCapabilities>) -> Self {
        let bits = |pick: fn(&LinuxCapabilities) -> &Option<Capabilities>| {
            capabilities.and_then(|sets| pick(sets).as_ref()).map_or(CapabilitySet::empty(), set_of)
        };
        Self {
            bounding: bits(LinuxCapabilities::bounding),
            effective: bits(LinuxCapabilities::effective),
            permitted: bits(LinuxCapabilities::permitted),
            inheritable: bits(LinuxCapabilities::inheritable),
            ambient: bits(LinuxCapabilities::ambient),
        }
    }

    /// What cannot be given, because the giver lacks it, is left out, as the specification asks.
    fn limited_to(self, permitted: CapabilitySet) -> Self {
        Self {
            bounding: self.bounding & permitted,
            effective: self.effective & permitted,
            permitted: self.permitted & permitted,
            inheritable: self.inheritable & permitted,
            ambient: self.ambient & permitted,
        }
    }
}

fn set_of(capabilities: &Capabilities) -> CapabilitySet {
    capabilities.iter().fold(CapabilitySet::empty(), |set, capability| set | bit(*capability))
}

/// By the numbers of `linux/capability.h`.
fn bit(capability: Capability) -> CapabilitySet {
    use CapabilitySet as S;
    match capability {
        Capability::AuditControl => S::AUDIT_CONTROL,
        Capability::AuditRead => S::AUDIT_READ,
        Capability::AuditWrite => S::AUDIT_WRITE,
        Capability::BlockSuspend => S::BLOCK_SUSPEND,
        Capability::Bpf => S::BPF,
        Capability::CheckpointRestore => S::CHECKPOINT_RESTORE,
        Capability::Chown => S::CHOWN,
        Capability::DacOverride => S::DAC_OVERRIDE,
        Capability::DacReadSearch => S::DAC_READ_SEARCH,
        Capability::Fowner => S::FOWNER,
        Capability::Fsetid => S::FSETID,
        Capability::IpcLock => S::IPC_LOCK,
        Capability::IpcOwner => S::IPC_OWNER,
        Capability::Kill => S::KILL,
        Capability::Lease => S::LEASE,
        Capability::LinuxImmutable => S::LINUX_IMMUTABLE,
        Capability::MacAdmin => S::MAC_ADMIN,
        Capability::MacOverride => S::MAC_OVERRIDE,
        Capability::Mknod => S::MKNOD,
        Capability::NetAdmin => S::NET_ADMIN,
        Capability::NetBindService => S::NET_BIND_SERVICE,
        Capability::NetBroadcast => S::NET_BROADCAST,
        Capability::NetRaw => S::NET_RAW,
        Capability::Perfmon => S::PERFMON,
        Capability::Setgid => S::SETGID,
        Capability::Setfcap => S::SETFCAP,
        Capability::Setpcap => S::SETPCAP,
        Capability::Setuid => S::SETUID,
        Capability::SysAdmin => S::SYS_ADMIN,
        Capability::SysBoot => S::SYS_BOOT,
        Capability::SysChroot => S::SYS_CHROOT,
        Capability::SysModule => S::SYS_MODULE,
        Capability::SysNice => S::SYS_NICE,
        Capability::SysPacct => S::SYS_PACCT,
        Capability::SysPtrace => S::SYS_PTRACE,
        Capability::SysRawio => S::SYS_RAWIO,
        Capability::SysResource => S::SYS_RESOURCE,
        Capability::SysTime => S::SYS_TIME,
        Capability::SysTtyConfig => S::SYS_TTY_CONFIG,
        Capability::Syslog => S::SYSLOG,
        Capability::WakeAlarm => S::WAKE_ALARM,
    }
}

/// A process that became its user and has one right left that its program shall not have: to install a filter.
#[derive(Clone, Copy, Debug)]
pub struct Assumed {
    wanted: Sets,
}

/// Becomes `user` with `sets`. `CAP_SYS_ADMIN` stays permitted, without effect, until [`Assumed::install`]: what the
/// program's own filter forbids must not be in the way of a single step before it.
pub fn assume(user: &User, sets: Sets) -> Result<Assumed, CredentialsError> {
    let own = rustix::thread::capabilities(None).map_err(|e| CredentialsError::Read(e.into()))?;
    let wanted = sets.limited_to(own.permitted);
    drop_bounding(wanted.bounding)?;
    let keep = |on| rustix::thread::set_keep_capabilities(on).map_err(|e| CredentialsError::Keep(e.into()));
    keep(true)?;
    become_user(user)?;
    keep(false)?;
    let kept = wanted.permitted | (own.permitted & CapabilitySet::SYS_ADMIN);
    set(wanted.effective, kept, wanted.inheritable)?;
    // A capability the permitted or inheritable set lacks cannot be ambient; asking is not an error.
    for capability in (wanted.ambient & wanted.permitted & wanted.inheritable).iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true)
            .map_err(|error| CredentialsError::Ambient(capability, error.into()))?;
    }
    Ok(Assumed { wanted })
}

impl Assumed {
    /// Runs `install` with the right to install a filter, where there was one, and gives that right up.
    pub fn install<T>(self, install: impl FnOnce() -> T) -> Result<T, CredentialsError> {
        let own = rustix::thread::capabilities(None).map_err(|e| CredentialsError::Read(e.into()))?;
        if own.permitted.contains(CapabilitySet::SYS_ADMIN) {
            set(own.effective | CapabilitySet::SYS_ADMIN, own.permitted, own.inheritable)?;
        }
        let installed = install();
        self.settle()?;
        Ok(installed)
    }

    /// Gives the right up. From here on nothing is permitted beyond what was asked for.
    pub fn settle(self) -> Result<(), CredentialsError> {
        set(self.wanted.effective, self.wanted.permitted, self.wanted.inheritable)
    }
}

fn set(
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
) -> Result<(), CredentialsError> {
    let sets = CapabilitySets { effective, permitted, inheritable };
    rustix::thread::set_capabilities(None, sets).map_err(|e| CredentialsError::Capabilities(e.into()))
}

fn drop_bounding(kept: CapabilitySet) -> Result<(), CredentialsError> {
    for capability in CapabilitySet::from_bits_retain((1 << 41) - 1).difference(kept).iter() {
        match rustix::thread::remove_capability_from_bounding_set(capability) {
            // The kernel is older than this capability.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(CredentialsError::Bounding(capability, error.into())),
        }
    }
    Ok(())
}

fn become_user(user: &User) -> Result<(), CredentialsError> {
    let groups = user.additional_gids().as_deref().unwrap_or_default();
    let raw: Vec<_> = groups.iter().map(|gid| rustix::process::Gid::from_raw(*gid)).collect();
    match rustix::thread::set_thread_groups(&raw) {
        // `setgroups` is denied in some user namespaces; nothing is lost when nothing was asked for.
        Err(rustix::io::Errno::PERM) if groups.is_empty() => {}
        other => other.map_err(|e| CredentialsError::Groups(groups.to_vec(), e.into()))?,
    }
    let gid = rustix::process::Gid::from_raw(user.gid());
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .map_err(|error| CredentialsError::Gid(user.gid(), error.into()))?;
    let uid = rustix::process::Uid::from_raw(user.uid());
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .map_err(|error| CredentialsError::Uid(user.uid(), error.into()))
}

/// Becomes root of the user namespace this process is in.
pub fn become_root() -> Result<(), CredentialsError> {
    become_user(&User::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_sets_are_empty_and_what_is_not_permitted_is_left_out() {
        let none = Sets::of(None);
        assert!(none.bounding.is_empty() && none.ambient.is_empty());
        let capabilities: LinuxCapabilities =
            serde_json::from_str(r#"{"bounding":["CAP_CHOWN","CAP_KILL"],"effective":["CAP_CHOWN"]}"#)
                .unwrap();
        let sets = Sets::of(Some(&capabilities));
        assert_eq!(sets.bounding, CapabilitySet::CHOWN | CapabilitySet::KILL);
        let limited = sets.limited_to(CapabilitySet::KILL);
        assert_eq!((limited.bounding, limited.effective), (CapabilitySet::KILL, CapabilitySet::empty()));
    }
}
