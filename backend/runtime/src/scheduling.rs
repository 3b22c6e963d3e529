//! What the configuration asks of the kernel's schedulers: processor, disk, memory nodes; and the execution domain.

use std::io;

use drydock_sys::scheduling::{self as kernel, DiskClass, Scheduling};
use oci_spec::runtime::{
    IOPriorityClass, Linux, LinuxIOPriority, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain,
    LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType, MemoryPolicyModeType, Process, Scheduler,
};
use rustix::thread::CpuSet;

#[derive(Debug, thiserror::Error)]
pub enum SchedulingError {
    #[error("set the scheduler {0}")]
    Scheduler(LinuxSchedulerPolicy, #[source] io::Error),
    #[error("set ioPriority")]
    Disk(#[source] io::Error),
    #[error("ioPriority.priority {0} is not between 0 and 7")]
    DiskLevel(i64),
    #[error("set personality")]
    Personality(#[source] io::Error),
    #[error("personality flags are not supported")]
    PersonalityFlags,
    #[error("set the memory policy")]
    Memory(#[source] io::Error),
    #[error("{what} {text:?} is not a list like 0-3,7")]
    List { what: &'static str, text: String },
    #[error("set the processor affinity {text}")]
    Affinity {
        text: String,
        #[source]
        source: io::Error,
    },
}

/// For the calling process and what it will execute.
pub fn apply(process: &Process, linux: &Linux) -> Result<(), SchedulingError> {
    if let Some(wanted) = process.scheduler() {
        let failed = |error| SchedulingError::Scheduler(*wanted.policy(), error);
        kernel::set_scheduling(scheduling(wanted)).map_err(failed)?;
    }
    if let Some(wanted) = process.io_priority() {
        set_disk_priority(wanted)?;
    }
    if let Some(wanted) = linux.personality() {
        set_personality(wanted)?;
    }
    linux.memory_policy().as_ref().map_or(Ok(()), set_memory_policy)
}

fn scheduling(wanted: &Scheduler) -> Scheduling {
    let policy = match wanted.policy() {
        LinuxSchedulerPolicy::SchedOther => kernel::SCHED_OTHER,
        LinuxSchedulerPolicy::SchedFifo => kernel::SCHED_FIFO,
        LinuxSchedulerPolicy::SchedRr => kernel::SCHED_RR,
        LinuxSchedulerPolicy::SchedBatch => kernel::SCHED_BATCH,
        LinuxSchedulerPolicy::SchedIso => kernel::SCHED_ISO,
        LinuxSchedulerPolicy::SchedIdle => kernel::SCHED_IDLE,
        LinuxSchedulerPolicy::SchedDeadline => kernel::SCHED_DEADLINE,
    };
    let flags = wanted.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                LinuxSchedulerFlag::SchedResetOnFork => 0x01,
                LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
                LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
                LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
                LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
                LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
                LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
            }
    });
    Scheduling {
        policy,
        flags,
        nice: wanted.nice().unwrap_or_default(),
        priority: wanted.priority().unwrap_or_default().cast_unsigned(),
        runtime: wanted.runtime().unwrap_or_default(),
        deadline: wanted.deadline().unwrap_or_default(),
        period: wanted.period().unwrap_or_default(),
        ..Scheduling::default()
    }
}

fn set_disk_priority(wanted: &LinuxIOPriority) -> Result<(), SchedulingError> {
    let class = match wanted.class() {
        IOPriorityClass::IoprioClassRt => DiskClass::RealTime,
        IOPriorityClass::IoprioClassBe => DiskClass::BestEffort,
        IOPriorityClass::IoprioClassIdle => DiskClass::Idle,
    };
    let level = u8::try_from(wanted.priority()).ok().filter(|level| *level < 8);
    let level = level.ok_or(SchedulingError::DiskLevel(wanted.priority()))?;
    kernel::set_disk_priority(class, level).map_err(SchedulingError::Disk)
}

fn set_personality(wanted: &LinuxPersonality) -> Result<(), SchedulingError> {
    if wanted.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(SchedulingError::PersonalityFlags);
    }
    let domain = match wanted.domain() {
        LinuxPersonalityDomain::PerLinux => kernel::DOMAIN_LINUX,
        LinuxPersonalityDomain::PerLinux32 => kernel::DOMAIN_LINUX32,
    };
    kernel::set_personality(domain).map_err(SchedulingError::Personality)
}

fn set_memory_policy(wanted: &LinuxMemoryPolicy) -> Result<(), SchedulingError> {
    // By the order of `linux/mempolicy.h`.
    let mode = match wanted.mode() {
        MemoryPolicyModeType::MpolDefault => 0,
        MemoryPolicyModeType::MpolPreferred => 1,
        MemoryPolicyModeType::MpolBind => 2,
        MemoryPolicyModeType::MpolInterleave => 3,
        MemoryPolicyModeType::MpolLocal => 4,
        MemoryPolicyModeType::MpolPreferredMany => 5,
        MemoryPolicyModeType::MpolWeightedInterleave => 6,
    };
    let flags = wanted.flags().iter().flatten().fold(0, |flags, flag| {
        flags
            | match flag {
                MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
                MemoryPolicyFlagType::MpolFRelativeNodes => 1 << 14,
                MemoryPolicyFlagType::MpolFStaticNodes => 1 << 15,
            }
    });
    let nodes = parse_list("memoryPolicy.nodes", wanted.nodes().as_deref().unwrap_or_default())?;
    kernel::set_memory_policy(mode | flags, &nodes).map_err(SchedulingError::Memory)
}

/// Binds the calling process to the processors of a list.
pub fn set_affinity(list: Option<&str>) -> Result<(), SchedulingError> {
    let Some(text) = list.filter(|text| !text.is_empty()) else { return Ok(()) };
    let failed = |source| SchedulingError::Affinity { text: text.to_owned(), source };
    let mut set = CpuSet::new();
    for processor in parse_list("execCPUAffinity", text)? {
        let processor = processor as usize;
        if processor >= CpuSet::MAX_CPU {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        }
        set.set(processor);
    }
    rustix::thread::sched_setaffinity(None, &set).map_err(|error| failed(error.into()))
}

/// A list of processors as the bits of the first 128.
pub fn mask(list: &str) -> Result<u128, SchedulingError> {
    let processors = parse_list("execCPUAffinity", list)?;
    Ok(processors.into_iter().filter(|processor| *processor < 128).fold(0, |mask, bit| mask | 1 << bit))
}

/// `0-3,7`, as the kernel's own files have it. An empty list is empty.
fn parse_list(what: &'static str, text: &str) -> Result<Vec<u32>, SchedulingError> {
    const MOST: u32 = 1 << 16;
    let refused = || SchedulingError::List { what, text: text.to_owned() };
    let mut numbers = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |word: &str| word.trim().parse::<u32>().ok().filter(|number| *number < MOST);
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => numbers.extend(first..=last),
            _ => return Err(refused()),
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_and_ranges() {
        assert_eq!(parse_list("x", "0-2, 7,").unwrap(), [0, 1, 2, 7]);
        assert_eq!(parse_list("x", "").unwrap(), [0; 0]);
        for bad in ["a", "3-1", "1-", "0-99999999"] {
            assert!(parse_list("x", bad).is_err(), "{bad}");
        }
    }
}
