//! Starts the program that it stands in for with a wall clock of its own, for tests of what a clock that steps does to a node.
//! The machine's clock is left alone: there is no namespace of that one.
//!
//! ```text
//!  /usr/local/bin/drydock-engine (this) ─ exec ─▶ /root/itself/drydock-engine     asks ─▶ its keeper: real time + /root/clock-offset
//!                                                        │ starts
//!  /root/itself/drydock-shim (this) ───── exec ─▶ /usr/local/bin/drydock-shim     asks ─▶ the same
//! ```
//! `/root/itself` is `/usr/local/bin` mounted once more before this is mounted over the engine. The program keeps the process, so whoever
//! starts it sees no difference. Beside it runs a *keeper*, which lives for as long as somebody asks it for the time:
//!
//! - calls that read `CLOCK_REALTIME` are answered by the keeper (`seccomp_unotify(2)`); everything below the engine inherits that;
//! - the C library reads clocks without a call, through the vDSO, unless it is not told of it: at the `exec(2)` the keeper, as a tracer
//!   for that moment, strikes `AT_SYSINFO_EHDR` out of the new program's auxiliary vector (`getauxval(3)`). That is done for the programs
//!   that this stands in for: in containers the clock is the machine's.

use std::ffi::c_long;
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use drydock_sys::process::{CloneFlags, Cloned, clone_self, exit_now, wait};
use drydock_sys::seccomp::{Instruction, install_listening};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

/// Where nodes have their programs.
const PROGRAMS: &str = "/usr/local/bin";
/// The same folder, without what is mounted over files in it.
const ITSELF: &str = "/root/itself";
/// Seconds to add to the clock; none while there is no such file.
const OFFSET: &str = "/root/clock-offset";
/// What went wrong with a keeper.
const TROUBLE: &str = "/root/clock-trouble";

fn main() -> io::Result<()> {
    let stand_in = std::env::current_exe()?;
    // What the engine starts has its filter already, and its keeper.
    let is_first = stand_in.parent() == Some(Path::new(PROGRAMS));
    let name = stand_in.file_name().ok_or(io::ErrorKind::NotFound)?;
    let program = Path::new(if is_first { ITSELF } else { PROGRAMS }).join(name);
    let own = Pid::this();
    let (line, keepers) = UnixStream::pair()?;
    match clone_self(CloneFlags::empty(), None)? {
        Cloned::Parent { pidfd, .. } => {
            drop(keepers);
            wait(pidfd)?;
            Err(become_program(&program, line, is_first))
        }
        // Its own child is left to the first process of the node: the program shall not find a child that it did not start.
        Cloned::Child => match clone_self(CloneFlags::empty(), None)? {
            Cloned::Parent { .. } => exit_now(0),
            Cloned::Child => {
                drop(line);
                exit_now(i32::from(keep(own, keepers, is_first).is_err()))
            }
        },
    }
}

/// Waits for its tracer, and becomes the program that this stands in for.
fn become_program(program: &PathBuf, mut line: UnixStream, is_first: bool) -> io::Error {
    let mut prepare = || {
        // Held until the keeper has its own.
        let listener = if is_first { Some(install_listening(&questions(), 0)?) } else { None };
        if let Some(listener) = &listener {
            line.write_all(&listener.as_raw_fd().to_ne_bytes())?;
        }
        line.read_exact(&mut [0])
    };
    let mut args = std::env::args_os();
    let name = args.next().unwrap_or_default();
    match prepare() {
        Ok(()) => Command::new(program).arg0(name).args(args).exec(),
        Err(error) => error,
    }
}

/// Which calls are answered by the keeper: `gettimeofday`, `time` and, for both real-time clocks, `clock_gettime`.
fn questions() -> [Instruction; 11] {
    const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
    const ALLOW: u32 = 0x7fff_0000;
    const NOTIFY: u32 = 0x7fc0_0000;
    let load = |offset| Instruction { code: 0x20, jump_true: 0, jump_false: 0, value: offset };
    let equals = |value, jump_true, jump_false| Instruction { code: 0x15, jump_true, jump_false, value };
    let answer = |value| Instruction { code: 0x06, jump_true: 0, jump_false: 0, value };
    [
        load(4),
        equals(AUDIT_ARCH_X86_64, 0, 7),
        load(0),
        equals(libc::SYS_gettimeofday as u32, 6, 0),
        equals(libc::SYS_time as u32, 5, 0),
        equals(libc::SYS_clock_gettime as u32, 0, 3),
        load(16),
        equals(libc::CLOCK_REALTIME as u32, 2, 0),
        equals(libc::CLOCK_REALTIME_COARSE as u32, 1, 0),
        answer(ALLOW),
        answer(NOTIFY),
    ]
}

fn keep(program: Pid, line: UnixStream, is_first: bool) -> io::Result<()> {
    let done = let_go_of_all_but(&line).and_then(|()| {
        let listener = prepare(program, line, is_first)?;
        listener.map_or(Ok(()), |listener| serve(&listener))
    });
    done.inspect_err(|error| {
        let trouble = OpenOptions::new().create(true).append(true).open(TROUBLE);
        // There is nowhere else to say it.
        let _ = trouble.and_then(|mut file| writeln!(file, "{}: {error}", program.as_raw()));
    })
}

/// The program's sockets and pipes are not to stay open for as long as a keeper lives.
fn let_go_of_all_but(line: &UnixStream) -> io::Result<()> {
    let kept = line.as_raw_fd().cast_unsigned();
    for (first, last) in [(0, kept.wrapping_sub(1)), (kept + 1, u32::MAX)] {
        // SAFETY: takes numbers only. Nothing of this process owns another descriptor than `line`: the rest is inherited.
        if first <= last && unsafe { libc::close_range(first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // The standard three have to be something.
    for _ in 0..3 {
        std::mem::forget(OpenOptions::new().read(true).write(true).open("/dev/null")?);
    }
    Ok(())
}

/// Goes with the program to its `exec(2)`; the listener that its questions come through.
fn prepare(program: Pid, mut line: UnixStream, is_first: bool) -> io::Result<Option<OwnedFd>> {
    let listener = if is_first {
        let mut number = [0; 4];
        line.read_exact(&mut number)?;
        let pid = rustix::process::Pid::from_raw(program.as_raw()).ok_or(io::ErrorKind::InvalidData)?;
        let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
        Some(pidfd_getfd(pidfd, i32::from_ne_bytes(number), PidfdGetfdFlags::empty())?)
    } else {
        None
    };
    // From here on a signal stops the program until this goes on: nothing else may be waited for.
    ptrace::seize(program, ptrace::Options::PTRACE_O_TRACEEXEC)?;
    line.write_all(&[0])?;
    loop {
        match waitpid(program, Some(WaitPidFlag::__WALL))? {
            WaitStatus::PtraceEvent(_, Signal::SIGTRAP, libc::PTRACE_EVENT_EXEC) => break,
            WaitStatus::Stopped(_, signal) => ptrace::cont(program, signal)?,
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return Ok(None),
            _ => ptrace::cont(program, None)?,
        }
    }
    hide_vdso(program)?;
    ptrace::detach(program, None)?;
    Ok(listener)
}

/// Strikes the vDSO out of what the kernel told the program that is about to begin. On its stack are now: the number of arguments, the
/// arguments, 0, the environment, 0, and pairs of numbers up to one that begins with 0.
fn hide_vdso(program: Pid) -> io::Result<()> {
    const AT_IGNORE: u64 = 1;
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{program}/mem"))?;
    let word = |address: u64| {
        let mut bytes = [0; 8];
        memory.read_exact_at(&mut bytes, address)?;
        io::Result::Ok(u64::from_ne_bytes(bytes))
    };
    let stack = ptrace::getregs(program)?.rsp;
    let mut at = stack + 8 * (word(stack)? + 2);
    while word(at)? != 0 {
        at += 8;
    }
    at += 8;
    loop {
        match word(at)? {
            libc::AT_NULL => return Err(io::Error::new(io::ErrorKind::NotFound, "the program has no vDSO")),
            libc::AT_SYSINFO_EHDR => return memory.write_all_at(&AT_IGNORE.to_ne_bytes(), at),
            _ => at += 16,
        }
    }
}

/// `struct seccomp_notif` with its `struct seccomp_data`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Question {
    id: u64,
    thread: u32,
    flags: u32,
    number: i32,
    architecture: u32,
    instruction: u64,
    arguments: [u64; 6],
}

/// `struct seccomp_notif_resp`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

nix::ioctl_readwrite!(receive, b'!', 0, Question);
nix::ioctl_readwrite!(send, b'!', 1, Answer);
nix::ioctl_write_ptr!(is_valid, b'!', 2, u64);

/// Answers until nobody is left who could ask.
fn serve(listener: &OwnedFd) -> io::Result<()> {
    let number = listener.as_raw_fd();
    loop {
        let mut asked = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        poll(&mut asked, PollTimeout::NONE)?;
        if !asked[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) {
            return Ok(());
        }
        let mut question = Question::default();
        // SAFETY: the structure is live, laid out as seccomp_notif and, as the kernel wants it, all zeroes.
        match unsafe { receive(number, &raw mut question) } {
            Err(nix::Error::ENOENT | nix::Error::EINTR) => continue,
            received => received?,
        };
        let mut answer = answer(number, &question);
        // SAFETY: the structure is live and laid out as seccomp_notif_resp.
        match unsafe { send(number, &raw mut answer) } {
            // Who asked is gone.
            Err(nix::Error::ENOENT) => {}
            sent => _ = sent?,
        }
    }
}

fn answer(listener: i32, question: &Question) -> Answer {
    let written = tell(listener, question);
    let error = written.as_ref().err().map_or(0, |error| -error.raw_os_error().unwrap_or(libc::EFAULT));
    Answer { id: question.id, value: written.unwrap_or(0), error, flags: 0 }
}

/// Writes the time to where the caller wants it; what the call returns.
fn tell(listener: i32, question: &Question) -> io::Result<i64> {
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = real.as_secs().cast_signed() + offset();
    let (place, value, time) = match c_long::from(question.number) {
        libc::SYS_time => (question.arguments[0], seconds, vec![seconds]),
        libc::SYS_gettimeofday => (question.arguments[0], 0, vec![seconds, i64::from(real.subsec_micros())]),
        _ => (question.arguments[1], 0, vec![seconds, i64::from(real.subsec_nanos())]),
    };
    if place != 0 {
        let memory = OpenOptions::new().write(true).open(format!("/proc/{}/mem", question.thread))?;
        let id = question.id;
        // SAFETY: the number is live. Valid means that the memory just opened is that of the caller, who still waits.
        unsafe { is_valid(listener, &raw const id) }?;
        let bytes: Vec<u8> = time.iter().flat_map(|word| word.to_ne_bytes()).collect();
        memory.write_all_at(&bytes, place)?;
    }
    Ok(value)
}

fn offset() -> i64 {
    fs::read_to_string(OFFSET).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
