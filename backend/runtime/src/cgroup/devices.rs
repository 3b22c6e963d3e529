//! Which device nodes a container may open.

use std::io;
use std::path::Path;

use drydock_sys::device_filter::{self, Instruction};
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::{Cgroup, CgroupError, write};

/// Applies the rules in order; the last that matches decides. Behind them come those without which no container works.
pub(super) fn restrict(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
    if rules.is_empty() {
        return Ok(());
    }
    let always = ALWAYS.iter().map(always_allowed).filter(|rule| !rules.contains(rule));
    let rules: Vec<LinuxDeviceCgroup> = rules.iter().cloned().chain(always).collect();
    if cgroup.unified {
        return attach_filter(cgroup, &rules).map_err(CgroupError::Devices);
    }
    let Some(folder) = cgroup.v1.get("devices") else { return Ok(()) };
    rules.iter().try_for_each(|rule| write_rule(folder, rule))
}

/// Kind, major, minor and access of what the specification's default devices and terminals need. Every node may be made,
/// by us before all: making one opens nothing.
const ALWAYS: [(LinuxDeviceType, i64, i64, &str); 10] = [
    (LinuxDeviceType::C, -1, -1, "m"),
    (LinuxDeviceType::B, -1, -1, "m"),
    (LinuxDeviceType::C, 1, 3, "rwm"),
    (LinuxDeviceType::C, 1, 5, "rwm"),
    (LinuxDeviceType::C, 1, 7, "rwm"),
    (LinuxDeviceType::C, 1, 8, "rwm"),
    (LinuxDeviceType::C, 1, 9, "rwm"),
    (LinuxDeviceType::C, 5, 0, "rwm"),
    (LinuxDeviceType::C, 5, 2, "rwm"),
    (LinuxDeviceType::C, 136, -1, "rwm"),
];

fn always_allowed((kind, major, minor, access): &(LinuxDeviceType, i64, i64, &str)) -> LinuxDeviceCgroup {
    let number = |number: i64| (number >= 0).then_some(number);
    let mut rule = LinuxDeviceCgroup::default();
    rule.set_allow(true).set_typ(Some(*kind)).set_access(Some((*access).to_owned()));
    rule.set_major(number(*major)).set_minor(number(*minor));
    rule
}

fn attach_filter(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup]) -> io::Result<()> {
    let Some(folder) = &cgroup.v2 else { return Ok(()) };
    match device_filter::attach(std::fs::File::open(folder)?, &filter(rules)) {
        // As with v1's rules in a user namespace, below.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other,
    }
}

/// The rules as a program. For every kind of access that is asked for, the last rule that names it decides; what no rule
/// names is allowed.
///
/// Registers: 2 the device's type, 3 the accesses not yet allowed, 4 major, 5 minor.
fn filter(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    let instruction = |code, registers, offset, value| Instruction { code, registers, offset, value };
    let answer = |value| [instruction(MOVE, 0, 0, value), instruction(EXIT, 0, 0, 0)];
    let mut program = vec![
        instruction(LOAD, 0x12, 0, 0),
        instruction(AND, 0x02, 0, 0xffff),
        instruction(LOAD, 0x13, 0, 0),
        instruction(SHIFT_RIGHT, 0x03, 0, 16),
        instruction(LOAD, 0x14, 4, 0),
        instruction(LOAD, 0x15, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let mut tests: Vec<(u8, i32)> = Vec::new();
        let kind = match rule.typ() {
            Some(LinuxDeviceType::B) => Some(1),
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(2),
            _ => None,
        };
        if let Some(kind) = kind {
            let number = |number: Option<i64>| {
                number.filter(|number| *number >= 0).and_then(|number| i32::try_from(number).ok())
            };
            tests.push((2, kind));
            tests.extend(number(rule.major()).map(|major| (4, major)));
            tests.extend(number(rule.minor()).map(|minor| (5, minor)));
        }
        let access = access_bits(rule.access().as_deref());
        let mut verdict = match rule.allow() {
            true => {
                vec![instruction(AND, 3, 0, ALL_ACCESS & !access), instruction(JUMP_UNLESS_EQUAL, 3, 2, 0)]
            }
            false => vec![instruction(JUMP_IF_ANY_BIT, 3, 1, access), instruction(JUMP, 0, 2, 0)],
        };
        verdict.extend(answer(rule.allow().into()));
        let count = tests.len();
        for (index, (register, value)) in tests.into_iter().enumerate() {
            let behind = (count - index - 1 + verdict.len()) as i16;
            program.push(instruction(JUMP_UNLESS_EQUAL, register, behind, value));
        }
        program.append(&mut verdict);
    }
    program.extend(answer(1));
    program
}

const LOAD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const AND: u8 = 0x57; // BPF_ALU64 | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x77; // BPF_ALU64 | BPF_RSH | BPF_K
const MOVE: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
const JUMP: u8 = 0x05; // BPF_JMP | BPF_JA
const JUMP_UNLESS_EQUAL: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const JUMP_IF_ANY_BIT: u8 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

/// `BPF_DEVCG_ACC_*`: make a node, read, write.
const ALL_ACCESS: i32 = 7;

fn access_bits(access: Option<&str>) -> i32 {
    let bits = access.unwrap_or_default().chars().fold(0, |bits, letter| {
        bits | match letter {
            'm' => 1,
            'r' => 2,
            'w' => 4,
            _ => 0,
        }
    });
    if bits == 0 { ALL_ACCESS } else { bits }
}

fn write_rule(folder: &Path, rule: &LinuxDeviceCgroup) -> Result<(), CgroupError> {
    let file = folder.join(if rule.allow() { "devices.allow" } else { "devices.deny" });
    let value = v1_rule(rule);
    match write(&file, &value) {
        // In a user namespace other than the first nobody may change these rules, and nobody can make a
        // device node either: what can be opened was bound in on purpose.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(|source| CgroupError::Set { file, value, source }),
    }
}

fn v1_rule(rule: &LinuxDeviceCgroup) -> String {
    let kind = match rule.typ() {
        Some(LinuxDeviceType::B) => "b",
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => "c",
        _ => "a",
    };
    let number = |number: Option<i64>| match number {
        Some(number) if number >= 0 => number.to_string(),
        _ => "*".to_owned(),
    };
    let access = rule.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
    format!("{kind} {}:{} {access}", number(rule.major()), number(rule.minor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_the_kernel_reads_them() {
        for (json, rule) in [
            (r#"{"allow":false,"access":"rwm"}"#, "a *:* rwm"),
            (r#"{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"}"#, "c 1:3 rw"),
            (r#"{"allow":true,"type":"b","major":8,"minor":-1}"#, "b 8:* rwm"),
        ] {
            let parsed: LinuxDeviceCgroup = serde_json::from_str(json).unwrap();
            assert_eq!(v1_rule(&parsed), rule);
        }
    }

    /// Runs a filter as the kernel would; true when access is granted.
    fn granted(program: &[Instruction], kind: i64, access: i64, major: i64, minor: i64) -> bool {
        let mut registers = [0i64; 16];
        let mut at = 0;
        loop {
            let Instruction { code, registers: pair, offset, value } = program[at];
            let to = usize::from(pair & 0xf);
            at += 1;
            let mut jump = |holds: bool| at = (at as i64 + i64::from(offset) * i64::from(holds)) as usize;
            match code {
                LOAD => {
                    let context = [access << 16 | kind, major, minor];
                    registers[to] = context[offset as usize / 4];
                }
                AND => registers[to] &= i64::from(value),
                SHIFT_RIGHT => registers[to] >>= value,
                MOVE => registers[to] = value.into(),
                JUMP => jump(true),
                JUMP_UNLESS_EQUAL => jump(registers[to] != i64::from(value)),
                JUMP_IF_ANY_BIT => jump(registers[to] & i64::from(value) != 0),
                EXIT => return registers[0] != 0,
                other => panic!("instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn the_last_rule_that_names_an_access_decides_it() {
        let rules: Vec<LinuxDeviceCgroup> = serde_json::from_str(
            r#"[{"allow":false,"access":"rwm"},
                {"allow":true,"type":"c","major":1,"minor":3,"access":"rw"},
                {"allow":true,"type":"c","major":5,"access":"r"},
                {"allow":true,"type":"c","major":5,"access":"w"},
                {"allow":true,"type":"b","access":"m"},
                {"allow":false,"type":"c","major":5,"minor":9}]"#,
        )
        .unwrap();
        let program = filter(&rules);
        let (block, character) = (1, 2);
        let (make, read, write) = (1, 2, 4);
        for (kind, access, major, minor, expected) in [
            (character, read | write, 1, 3, true),
            (character, make, 1, 3, false),
            (character, read, 1, 4, false),
            (character, read | write, 5, 0, true),
            (character, read, 5, 9, false),
            (block, make, 8, 0, true),
            (block, read, 8, 0, false),
        ] {
            let result = granted(&program, kind, access, major, minor);
            assert_eq!(result, expected, "{kind} {access} {major}:{minor}");
        }
        assert!(granted(&filter(&[]), character, read, 1, 3));
    }
}
