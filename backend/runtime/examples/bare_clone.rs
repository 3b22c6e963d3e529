//! The physical limit `drydock-runtime run` is measured against: the same namespaces, a bound root, `pivot_root`, `execve` of
//! a program and waiting for it, and nothing else.
//!
//! `cargo run --release -p drydock-runtime --example bare_clone -- ROOTFS [PROGRAM [COUNT]]` prints the median in
//! microseconds.

use std::ffi::CString;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use drydock_sys::mount::{self, Change, Propagation, Reach};
use drydock_sys::namespaces::CloneFlags;
use drydock_sys::process::{self, Cloned, Exit, clone_self, exit_now};
use rustix::mount::UnmountFlags;

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let rootfs = words.next().context("usage: bare_clone ROOTFS [PROGRAM [COUNT]]")?;
    let program = CString::new(words.next().unwrap_or_else(|| "/bin/true".to_owned()))?;
    let count: usize = words.next().map_or(Ok(200), |text| text.parse())?;
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        times.push(once(Path::new(&rootfs), &program)?);
    }
    times.sort();
    println!("{}", times[count / 2].as_micros());
    Ok(())
}

fn once(rootfs: &Path, program: &CString) -> anyhow::Result<Duration> {
    let all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    let begin = Instant::now();
    match clone_self(all, None).context("clone")? {
        Cloned::Child => {
            if let Err(error) = enter(rootfs) {
                eprintln!("{error:#}");
                exit_now(125)
            }
            eprintln!("exec: {}", process::exec(program, std::slice::from_ref(program), &[]));
            exit_now(127)
        }
        Cloned::Parent { pidfd, .. } => {
            let exit = process::wait(&pidfd).context("wait")?;
            anyhow::ensure!(exit == Exit::Code(0), "the program ended with {exit:?}");
            Ok(begin.elapsed())
        }
    }
}

fn enter(rootfs: &Path) -> anyhow::Result<()> {
    let propagation = Some(Propagation::Private);
    let private = Change { propagation, ..Change::default() };
    mount::change_at(rustix::fs::CWD, Path::new("/"), Reach::Tree, &private).context("isolate")?;
    let root = mount::clone_tree(rootfs, Reach::Tree).context("bind the root")?;
    mount::attach(&root, rootfs).context("attach the root")?;
    rustix::process::fchdir(&root).context("enter the root")?;
    rustix::process::pivot_root(".", ".").context("pivot")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).context("leave the old root")?;
    Ok(())
}
