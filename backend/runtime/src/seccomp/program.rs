//! Pieces of BPF: comparisons of arguments, and a binary search over ranges of numbers.

use drydock_sys::seccomp::Instruction;
use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator};

use super::SeccompError;

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Offsets in `struct seccomp_data`.
pub const NUMBER: u32 = 0;
pub const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

pub fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, jump_true: 0, jump_false: 0, value: offset }
}

pub fn ret(action: u32) -> Instruction {
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, value: action }
}

/// `if` the loaded word equals `value` run `then`, otherwise go on behind it.
pub fn if_equal(value: u32, then: Vec<Instruction>) -> Vec<Instruction> {
    branch(IF_EQUAL, value, Vec::new(), then)
}

/// Tests the loaded word: `below` runs when the test fails, `otherwise` when it holds. Both must end by returning,
/// except that an empty `below` goes on behind.
fn branch(test: u16, value: u32, below: Vec<Instruction>, otherwise: Vec<Instruction>) -> Vec<Instruction> {
    // Conditional jumps reach 255 instructions; an unconditional one reaches any.
    let (first, second, holds_first) = match below.is_empty() {
        true => (otherwise, below, true),
        false => (below, otherwise, false),
    };
    let distance = first.len();
    let mut code = Vec::with_capacity(distance + second.len() + 2);
    let mut push = |jump_true, jump_false| {
        code.push(Instruction { code: test, jump_true, jump_false, value });
    };
    match (u8::try_from(distance), holds_first) {
        (Ok(near), true) => push(0, near),
        (Ok(near), false) => push(near, 0),
        (Err(_), true) => push(1, 0),
        (Err(_), false) => push(0, 1),
    }
    if distance > usize::from(u8::MAX) {
        code.push(Instruction { code: JUMP, jump_true: 0, jump_false: 0, value: distance as u32 });
    }
    code.extend(first);
    code.extend(second);
    code
}

/// A range of numbers with one decision, up to the start of the next range.
#[derive(Clone, Debug)]
pub struct Range {
    pub start: u32,
    pub code: Vec<Instruction>,
}

/// Finds the range of the loaded word. The first range must start at the lowest word possible.
pub fn search(ranges: &[Range]) -> Vec<Instruction> {
    match ranges {
        [] => Vec::new(),
        [only] => only.code.clone(),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            branch(IF_AT_LEAST, high[0].start, search(low), search(high))
        }
    }
}

/// Where a comparison goes on one of its outcomes.
#[derive(Clone, Copy)]
enum Goto {
    /// So many instructions further; 0 is the next.
    Skip(u8),
    /// To the end of the rule: it does not apply.
    Fail,
}

/// An instruction whose jumps out of the rule are not known yet.
type Draft = (u16, u32, Goto, Goto);

/// Returns `action` if all arguments compare as told; otherwise goes on behind.
pub fn rule(args: &[LinuxSeccompArg], action: u32) -> Result<Vec<Instruction>, SeccompError> {
    let mut drafts = Vec::new();
    for arg in args {
        compare(arg, &mut drafts)?;
    }
    let length = drafts.len();
    let mut code: Vec<Instruction> = drafts
        .into_iter()
        .enumerate()
        .map(|(index, (code, value, on_true, on_false))| {
            // Behind the rule's own return, which is at `length`.
            let resolve = |goto| match goto {
                Goto::Skip(count) => count,
                Goto::Fail => (length - index) as u8,
            };
            Instruction { code, jump_true: resolve(on_true), jump_false: resolve(on_false), value }
        })
        .collect();
    code.push(ret(action));
    Ok(code)
}

fn compare(arg: &LinuxSeccompArg, code: &mut Vec<Draft>) -> Result<(), SeccompError> {
    use Goto::{Fail, Skip};
    let index = u32::try_from(arg.index()).ok().filter(|index| *index < 6);
    let offset = ARGUMENTS + 8 * index.ok_or(SeccompError::Argument(arg.index()))?;
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    let (high, low) = halves(arg.value());
    let plain = |code, value| (code, value, Skip(0), Skip(0));
    // Little endian: the low word comes first.
    let (load_high, load_low) = (plain(LOAD, offset + 4), plain(LOAD, offset));
    match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => code.extend([
            load_high,
            (IF_EQUAL, high, Skip(0), Fail),
            load_low,
            (IF_EQUAL, low, Skip(0), Fail),
        ]),
        LinuxSeccompOperator::ScmpCmpNe => code.extend([
            load_high,
            (IF_EQUAL, high, Skip(0), Skip(2)),
            load_low,
            (IF_EQUAL, low, Fail, Skip(0)),
        ]),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let (wanted_high, wanted_low) = halves(arg.value_two().unwrap_or_default());
            code.extend([
                load_high,
                plain(AND, high),
                (IF_EQUAL, wanted_high, Skip(0), Fail),
                load_low,
                plain(AND, low),
                (IF_EQUAL, wanted_low, Skip(0), Fail),
            ]);
        }
        op @ (LinuxSeccompOperator::ScmpCmpGe | LinuxSeccompOperator::ScmpCmpGt) => {
            let last = if op == LinuxSeccompOperator::ScmpCmpGe { IF_AT_LEAST } else { IF_GREATER };
            code.extend([
                load_high,
                (IF_GREATER, high, Skip(3), Skip(0)),
                (IF_EQUAL, high, Skip(0), Fail),
                load_low,
                (last, low, Skip(0), Fail),
            ]);
        }
        op @ (LinuxSeccompOperator::ScmpCmpLt | LinuxSeccompOperator::ScmpCmpLe) => {
            let last = if op == LinuxSeccompOperator::ScmpCmpLt { IF_AT_LEAST } else { IF_GREATER };
            code.extend([
                load_high,
                (IF_GREATER, high, Fail, Skip(0)),
                (IF_EQUAL, high, Skip(0), Skip(2)),
                load_low,
                (last, low, Fail, Skip(0)),
            ]);
        }
    }
    Ok(())
}
