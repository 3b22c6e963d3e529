//! Limits of the process itself: rlimits, the out-of-memory score, priorities.

use std::io;

use oci_spec::runtime::{PosixRlimit, PosixRlimitType};
use rustix::process::{Pid, Resource, Rlimit};

#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    #[error("{typ}: hard limit {hard} is more than this process may set ({permitted})")]
    TooHigh {
        typ: PosixRlimitType,
        hard: u64,
        permitted: u64,
        #[source]
        source: io::Error,
    },
    #[error("{typ}: soft limit {soft} is more than the hard limit {hard}")]
    SoftAboveHard { typ: PosixRlimitType, soft: u64, hard: u64 },
    #[error("set {typ}")]
    Set {
        typ: PosixRlimitType,
        #[source]
        source: io::Error,
    },
    #[error("{0} is not supported by this kernel's interface")]
    Unknown(PosixRlimitType),
    #[error("oom_score_adj {wanted} is lower than this process may set (it has {inherited})")]
    OomScore {
        wanted: i32,
        inherited: i32,
        #[source]
        source: io::Error,
    },
}

fn resource(typ: PosixRlimitType) -> Result<Resource, LimitError> {
    Ok(match typ {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    })
}

/// `RLIM_INFINITY` is the largest number in the specification and no number here.
fn value(limit: u64) -> Option<u64> {
    (limit != u64::MAX).then_some(limit)
}

fn above(a: Option<u64>, b: Option<u64>) -> bool {
    a.unwrap_or(u64::MAX) > b.unwrap_or(u64::MAX)
}

/// From outside, before a child in its own user namespace could no longer: raises hard limits that
/// exceed the inherited ones. Fails, naming the permitted value, where this process may not.
pub fn raise_hard(pid: Pid, limits: &[PosixRlimit]) -> Result<(), LimitError> {
    for limit in limits {
        let (typ, hard) = (limit.typ(), limit.hard());
        let current = rustix::process::getrlimit(resource(typ)?);
        if above(value(hard), current.maximum) {
            let raised = Rlimit { current: current.current, maximum: value(hard) };
            rustix::process::prlimit(Some(pid), resource(typ)?, raised).map_err(|error| {
                let permitted = current.maximum.unwrap_or(u64::MAX);
                LimitError::TooHigh { typ, hard, permitted, source: error.into() }
            })?;
        }
    }
    Ok(())
}

/// Sets the calling process's own limits, for the program it will execute.
pub fn apply(limits: &[PosixRlimit]) -> Result<(), LimitError> {
    for limit in limits {
        let (typ, soft, hard) = (limit.typ(), limit.soft(), limit.hard());
        if above(value(soft), value(hard)) {
            return Err(LimitError::SoftAboveHard { typ, soft, hard });
        }
        let wanted = Rlimit { current: value(soft), maximum: value(hard) };
        rustix::process::setrlimit(resource(typ)?, wanted).map_err(|error| {
            let permitted = rustix::process::getrlimit(resource(typ).unwrap_or(Resource::Core)).maximum;
            match above(value(hard), permitted) {
                true => LimitError::TooHigh {
                    typ,
                    hard,
                    permitted: permitted.unwrap_or(u64::MAX),
                    source: error.into(),
                },
                false => LimitError::Set { typ, source: error.into() },
            }
        })?;
    }
    Ok(())
}

/// Sets a process's out-of-memory score. A value that is already inherited needs no right.
pub fn set_oom_score(pid: Pid, wanted: i32) -> Result<(), LimitError> {
    let file = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
    std::fs::write(&file, wanted.to_string()).or_else(|source| {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let inherited = text.trim().parse().unwrap_or_default();
        if inherited == wanted {
            return Ok(());
        }
        Err(LimitError::OomScore { wanted, inherited, source })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_soft_limit_above_its_hard_limit_is_refused_before_the_kernel_is_asked() {
        let limits: Vec<PosixRlimit> =
            serde_json::from_str(r#"[{"type":"RLIMIT_NOFILE","soft":20,"hard":10}]"#).unwrap();
        assert!(matches!(apply(&limits), Err(LimitError::SoftAboveHard { soft: 20, hard: 10, .. })));
    }

    #[test]
    fn infinity_is_above_every_number_and_not_above_itself() {
        assert!(above(value(u64::MAX), Some(1)) && !above(value(u64::MAX), None));
    }
}
