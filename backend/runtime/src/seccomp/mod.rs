//! The specification's seccomp section, compiled to the BPF program the kernel runs on every system call.
//!
//! Per architecture the numbers are cut into ranges with one decision each, and found by a binary search: about nine
//! comparisons for a profile of four hundred names, where a list of rules takes hundreds.

mod compile;
mod program;
mod syscalls;

use drydock_sys::seccomp::{
    FILTER_FLAG_LOG, FILTER_FLAG_SPEC_ALLOW, FILTER_FLAG_WAIT_KILLABLE_RECV, Instruction,
};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag};

/// A filter ready to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub program: Vec<Instruction>,
    pub flags: u32,
    /// Some calls wait for an answer from whoever gets the filter's listener.
    pub notifies: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    #[error("seccomp action {0} cannot be used as default action")]
    DefaultAction(LinuxSeccompAction),
    #[error("SCMP_ACT_NOTIFY cannot be used for the {0} syscall")]
    Notified(String),
    #[error("seccomp on {0:?} is not supported by this build")]
    Architecture(Arch),
    #[error("seccomp argument index {0} is not below 6")]
    Argument(usize),
    #[error("the seccomp filter has {0} instructions; the kernel takes 4096")]
    TooLong(usize),
}

impl Filter {
    pub fn compile(seccomp: &LinuxSeccomp) -> Result<Self, SeccompError> {
        let program = compile::compile(seccomp)?;
        if program.len() > 4096 {
            return Err(SeccompError::TooLong(program.len()));
        }
        let notifies = notifies(seccomp)?;
        let flags = seccomp.flags().iter().flatten().fold(0, |flags, flag| {
            flags
                | match flag {
                    LinuxSeccompFilterFlag::SeccompFilterFlagLog => FILTER_FLAG_LOG,
                    LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => FILTER_FLAG_SPEC_ALLOW,
                    LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if notifies => {
                        FILTER_FLAG_WAIT_KILLABLE_RECV
                    }
                    // There is one thread, and later ones inherit the filter; the other means nothing without a listener.
                    LinuxSeccompFilterFlag::SeccompFilterFlagTsync
                    | LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => 0,
                }
        });
        Ok(Self { program, flags, notifies })
    }
}

/// Whether any call is answered by a listener. Nobody could hand a listener out that has to allow the handing out.
fn notifies(seccomp: &LinuxSeccomp) -> Result<bool, SeccompError> {
    const NOTIFY: LinuxSeccompAction = LinuxSeccompAction::ScmpActNotify;
    if seccomp.default_action() == NOTIFY {
        return Err(SeccompError::DefaultAction(NOTIFY));
    }
    let notified = seccomp.syscalls().iter().flatten().filter(|rule| rule.action() == NOTIFY);
    let names: Vec<&String> = notified.flat_map(|rule| rule.names()).collect();
    match names.iter().find(|name| ["write", "sendmsg"].contains(&name.as_str())) {
        Some(name) => Err(SeccompError::Notified((*name).clone())),
        None => Ok(!names.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel would.
    fn run(program: &[Instruction], arch: u32, number: u32, args: [u64; 6]) -> u32 {
        let mut data = Vec::new();
        data.extend(number.to_ne_bytes());
        data.extend(arch.to_ne_bytes());
        data.extend(0u64.to_ne_bytes());
        args.iter().for_each(|arg| data.extend(arg.to_ne_bytes()));
        let (mut at, mut acc) = (0, 0u32);
        loop {
            let Instruction { code, jump_true, jump_false, value } = program[at];
            at += 1;
            let mut jump = |holds: bool| at += usize::from(if holds { jump_true } else { jump_false });
            match code {
                0x20 => acc = u32::from_ne_bytes(data[value as usize..][..4].try_into().unwrap()),
                0x54 => acc &= value,
                0x15 => jump(acc == value),
                0x25 => jump(acc > value),
                0x35 => jump(acc >= value),
                0x05 => at += value as usize,
                0x06 => return value,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    const X86_64: u32 = 0xc000_003e;
    const I386: u32 = 0x4000_0003;
    const ALLOW: u32 = 0x7fff_0000;
    const fn errno(number: u32) -> u32 {
        0x0005_0000 | number
    }

    fn filter(json: &str) -> Vec<Instruction> {
        Filter::compile(&serde_json::from_str(json).unwrap()).unwrap().program
    }

    #[test]
    fn names_are_allowed_and_the_rest_gets_the_default() {
        let program = filter(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":38,"architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86"],
                "syscalls":[{"names":["read","write","getpid","no_such_call"],"action":"SCMP_ACT_ALLOW"},
                            {"names":["chmod"],"action":"SCMP_ACT_ERRNO","errnoRet":7}]}"#,
        );
        for (arch, number, result) in [
            (X86_64, 0, ALLOW),
            (X86_64, 1, ALLOW),
            (X86_64, 2, errno(38)),
            (X86_64, 39, ALLOW),
            (X86_64, 90, errno(7)),
            (I386, 3, ALLOW),
            (I386, 0, errno(38)),
            (I386, 20, ALLOW),
        ] {
            assert_eq!(run(&program, arch, number, [0; 6]), result, "{arch:#x} {number}");
        }
        // Neither x32 nor a foreign architecture was listed.
        assert_eq!(run(&program, X86_64, 0x4000_0000, [0; 6]), 0x8000_0000);
        assert_eq!(run(&program, 0xc000_00b7, 0, [0; 6]), 0x8000_0000);
    }

    #[test]
    fn calls_newer_than_the_profile_do_not_exist_for_the_program() {
        let program = filter(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64"],
                "syscalls":[{"names":["openat2"],"action":"SCMP_ACT_ALLOW"}]}"#,
        );
        assert_eq!(run(&program, X86_64, 437, [0; 6]), ALLOW);
        assert_eq!(run(&program, X86_64, 436, [0; 6]), errno(1));
        assert_eq!(run(&program, X86_64, 438, [0; 6]), errno(38));
    }

    #[test]
    fn arguments_are_compared_as_64_bit_numbers() {
        let big = 0x1_0000_0005u64;
        for (op, value, two, holds, fails) in [
            ("EQ", big, 0, vec![big], vec![5, big + 1, big << 1]),
            ("NE", big, 0, vec![5, big + 1], vec![big]),
            ("LT", big, 0, vec![5, big - 1, 0xffff_ffff], vec![big, big + 1, 0x2_0000_0000]),
            ("LE", big, 0, vec![5, big], vec![big + 1, 0x2_0000_0000]),
            ("GT", big, 0, vec![big + 1, 0x2_0000_0000], vec![big, 5, 0xffff_ffff]),
            ("GE", big, 0, vec![big, 0x2_0000_0000], vec![big - 1, 5]),
            ("MASKED_EQ", 0x7e02_0000, 0, vec![0, 0x11], vec![0x0002_0000, 0x4000_0000]),
            ("MASKED_EQ", 0xff, 5, vec![5, big], vec![6]),
        ] {
            let program = filter(&format!(
                r#"{{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{{"names":["clone"],"action":"SCMP_ACT_ALLOW",
                    "args":[{{"index":1,"value":{value},"valueTwo":{two},"op":"SCMP_CMP_{op}"}}]}}]}}"#
            ));
            let result = |arg| run(&program, X86_64, 56, [9, arg, 9, 9, 9, 9]);
            holds.iter().for_each(|arg| assert_eq!(result(*arg), ALLOW, "{arg:#x} {op} {value:#x}"));
            fails.iter().for_each(|arg| assert_eq!(result(*arg), errno(1), "{arg:#x} {op} {value:#x}"));
        }
    }

    #[test]
    fn any_of_several_rules_for_one_call_suffices_but_all_arguments_of_one_must_hold() {
        let program = filter(
            r#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
                {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":0,"op":"SCMP_CMP_EQ"}]},
                {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[
                    {"index":0,"value":8,"op":"SCMP_CMP_EQ"},{"index":1,"value":1,"op":"SCMP_CMP_EQ"}]}]}"#,
        );
        for (args, result) in [([0, 5], ALLOW), ([8, 1], ALLOW), ([8, 2], errno(1)), ([7, 1], errno(1))] {
            assert_eq!(run(&program, X86_64, 135, [args[0], args[1], 0, 0, 0, 0]), result, "{args:?}");
        }
    }

    #[test]
    fn a_profile_of_every_call_stays_small_and_right() {
        let names: Vec<String> = syscalls::names(syscalls::Table::X86_64)
            .enumerate()
            .filter(|(index, _)| index % 2 == 0)
            .map(|(_, name)| format!("{name:?}"))
            .collect();
        let program = filter(&format!(
            r#"{{"defaultAction":"SCMP_ACT_ERRNO","architectures":["SCMP_ARCH_X86_64","SCMP_ARCH_X86","SCMP_ARCH_X32"],
                "syscalls":[{{"names":[{}],"action":"SCMP_ACT_ALLOW"}}]}}"#,
            names.join(",")
        ));
        assert!(program.len() < 3000, "{} instructions", program.len());
        for (index, name) in syscalls::names(syscalls::Table::X86_64).enumerate() {
            let number = syscalls::table(syscalls::Table::X86_64)[name];
            let expected = if index % 2 == 0 { ALLOW } else { errno(1) };
            let newest = syscalls::table(syscalls::Table::X86_64)[names[names.len() - 1].trim_matches('"')];
            if number <= newest {
                assert_eq!(run(&program, X86_64, number, [0; 6]), expected, "{name}");
                assert_eq!(run(&program, X86_64, number | 0x4000_0000, [0; 6]), expected, "x32 {name}");
            }
        }
    }

    #[test]
    fn what_cannot_be_filtered_is_said() {
        let refused = |json: &str| Filter::compile(&serde_json::from_str(json).unwrap()).unwrap_err();
        let everything = refused(r#"{"defaultAction":"SCMP_ACT_NOTIFY"}"#);
        assert!(matches!(everything, SeccompError::DefaultAction(_)));
        let write = refused(
            r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["write"],"action":"SCMP_ACT_NOTIFY"}]}"#,
        );
        assert!(matches!(write, SeccompError::Notified(name) if name == "write"));
    }
}
