//! From rules by name to one program for all architectures listed.

use std::collections::BTreeMap;

use drydock_sys::seccomp::Instruction;
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg};

use super::SeccompError;
use super::program::{ARCHITECTURE, NUMBER, Range, if_equal, load, ret, rule, search};
use super::syscalls::{Table, table};

/// `linux/audit.h`.
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
/// Numbers from here on are x32's, under the x86-64 architecture.
const X32_BIT: u32 = 0x4000_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const ERRNO: u32 = 0x0005_0000;
const TRACE: u32 = 0x7ff0_0000;

/// What to do for one number: the rules with arguments in order, then the one without.
#[derive(Default)]
struct Decision<'a> {
    conditional: Vec<(&'a [LinuxSeccompArg], u32)>,
    always: Option<u32>,
}

pub fn compile(seccomp: &LinuxSeccomp) -> Result<Vec<Instruction>, SeccompError> {
    let (mut x86_64, mut x32, mut i386) = (true, false, false);
    for arch in seccomp.architectures().iter().flatten() {
        match arch {
            Arch::ScmpArchNative | Arch::ScmpArchX86_64 => x86_64 = true,
            Arch::ScmpArchX32 => x32 = true,
            Arch::ScmpArchX86 => i386 = true,
            // A program of another architecture cannot run here, and would be killed if it did.
            _ => {}
        }
    }
    if !cfg!(target_arch = "x86_64") {
        return Err(SeccompError::Architecture(Arch::ScmpArchNative));
    }
    let mut code = vec![load(ARCHITECTURE)];
    if x86_64 {
        let mut ranges = numbers(seccomp, Table::X86_64, 0)?;
        match x32 {
            true => ranges.extend(numbers(seccomp, Table::X86_64, X32_BIT)?),
            false => ranges.push(Range { start: X32_BIT, code: vec![ret(KILL_PROCESS)] }),
        }
        code.extend(if_equal(AUDIT_ARCH_X86_64, section(&ranges)));
    }
    if i386 {
        let ranges = numbers(seccomp, Table::I386, 0)?;
        code.extend(if_equal(AUDIT_ARCH_I386, section(&ranges)));
    }
    code.push(ret(KILL_PROCESS));
    Ok(code)
}

fn section(ranges: &[Range]) -> Vec<Instruction> {
    let mut code = vec![load(NUMBER)];
    code.extend(search(ranges));
    code
}

/// The decisions of one architecture as ranges, its numbers moved up by `base`.
fn numbers(seccomp: &LinuxSeccomp, which: Table, base: u32) -> Result<Vec<Range>, SeccompError> {
    let default = action(seccomp.default_action(), seccomp.default_errno_ret());
    let decisions = decisions(seccomp, which, default);
    // A call the profile's author could not know is answered as by an older kernel, so that libraries fall back.
    let newest = decisions.last_key_value().map(|(number, _)| number + 1);
    let unknown = match default & 0xffff_0000 {
        ERRNO => ERRNO | ENOSYS,
        _ => default,
    };
    let mut ranges: Vec<Range> = Vec::new();
    let mut push = |start: u32, code: Vec<Instruction>| {
        // Neighbours with the same decision are one range.
        if ranges.last().is_none_or(|last| last.code != code) {
            ranges.push(Range { start: base + start, code });
        }
    };
    let mut next = 0;
    for (number, decision) in decisions {
        if number > next {
            push(next, vec![ret(default)]);
        }
        let mut code = Vec::new();
        for (args, action) in &decision.conditional {
            code.extend(rule(args, *action)?);
        }
        code.push(ret(decision.always.unwrap_or(default)));
        push(number, code);
        next = number + 1;
    }
    push(next, vec![ret(if newest.is_some() { unknown } else { default })]);
    Ok(ranges)
}

fn decisions(seccomp: &LinuxSeccomp, which: Table, default: u32) -> BTreeMap<u32, Decision<'_>> {
    let known = table(which);
    let mut decisions: BTreeMap<u32, Decision<'_>> = BTreeMap::new();
    for entry in seccomp.syscalls().iter().flatten() {
        let action = action(entry.action(), entry.errno_ret());
        // Names of other architectures are in every portable profile.
        for number in entry.names().iter().filter_map(|name| known.get(name.as_str())) {
            let decision = decisions.entry(*number).or_default();
            match entry.args().as_deref() {
                Some(args @ [_, ..]) if action != default => decision.conditional.push((args, action)),
                Some([_, ..]) => {}
                _ => decision.always = decision.always.or(Some(action)),
            }
        }
    }
    // As libseccomp has it: a rule without arguments stands above those with.
    for decision in decisions.values_mut().filter(|decision| decision.always.is_some()) {
        decision.conditional.clear();
    }
    decisions
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> u32 {
    match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => 0,
        LinuxSeccompAction::ScmpActKillProcess => KILL_PROCESS,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => ERRNO | (errno.unwrap_or(EPERM) & 0xffff),
        LinuxSeccompAction::ScmpActTrace => TRACE | (errno.unwrap_or(EPERM) & 0xffff),
        LinuxSeccompAction::ScmpActLog => 0x7ffc_0000,
        LinuxSeccompAction::ScmpActAllow => 0x7fff_0000,
        LinuxSeccompAction::ScmpActNotify => 0x7fc0_0000,
    }
}
