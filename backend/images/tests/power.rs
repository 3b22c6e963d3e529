//! The power is cut after any call that changes the disk: the store opens, and has whole images only.
//!
//! `examples/steps.rs` is run under ptrace and killed after its first, its second, its third … changing call. What it
//! wrote and nobody flushed is then emptied, as a file system may leave it whose names reach the disk before its
//! contents, and the machine "starts again": files are older than the machine, and its boot has another id.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use drydock_images::{Deleted, Digest, Store, pack};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use support::{Tar, image};

/// Calls of x86-64 that change what is on a disk.
const CHANGES: &[(u64, Change)] = &[
    (1, Change::Written),      // write
    (18, Change::Written),     // pwrite64
    (20, Change::Written),     // writev
    (40, Change::Written),     // sendfile
    (77, Change::Written),     // ftruncate
    (285, Change::Written),    // fallocate
    (326, Change::CopiedTo),   // copy_file_range
    (74, Change::Flushed),     // fsync
    (75, Change::Flushed),     // fdatasync
    (306, Change::AllFlushed), // syncfs
    (82, Change::Named),       // rename
    (83, Change::Named),       // mkdir
    (84, Change::Named),       // rmdir
    (86, Change::Named),       // link
    (87, Change::Named),       // unlink
    (88, Change::Named),       // symlink
    (257, Change::Named),      // openat, which may create
    (258, Change::Named),      // mkdirat
    (259, Change::Named),      // mknodat
    (263, Change::Named),      // unlinkat
    (264, Change::Named),      // renameat
    (265, Change::Named),      // linkat
    (316, Change::Named),      // renameat2
];

#[derive(Clone, Copy, PartialEq)]
enum Change {
    Written,
    CopiedTo,
    Flushed,
    AllFlushed,
    Named,
}

/// A process under way, and which of its files the disk may not have.
struct Traced {
    child: Child,
    pid: Pid,
    unflushed: BTreeSet<(u64, u64)>,
}

impl Traced {
    /// Begins `verb` and stops it before its first step.
    fn begin(root: &Path, verb: &str) -> Self {
        let own = std::env::current_exe().expect("this program");
        let steps = own.parent().and_then(Path::parent).expect("target folder").join("examples/steps");
        assert!(steps.exists(), "{} is missing: cargo build --examples makes it", steps.display());
        let mut command = Command::new(steps);
        command.arg(root).arg(verb).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("steps");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let pid = Pid::from_raw(child.id().try_into().expect("a pid"));
        ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACESYSGOOD).expect("seize");
        ptrace::interrupt(pid).expect("interrupt");
        assert!(!matches!(waitpid(pid, None).expect("wait"), WaitStatus::Exited(..)));
        child.stdin.as_mut().expect("its input").write_all(b"\n").expect("write");
        Self { child, pid, unflushed: BTreeSet::new() }
    }

    /// Runs to the end of the next changing call; false when the process ended instead.
    fn step(&mut self) -> bool {
        let mut is_inside = None;
        loop {
            ptrace::syscall(self.pid, None).expect("go on");
            match waitpid(self.pid, None).expect("wait") {
                WaitStatus::Exited(_, code) => {
                    assert_eq!(code, 0, "the verb itself failed");
                    return false;
                }
                WaitStatus::PtraceSyscall(_) => {
                    let registers = ptrace::getregs(self.pid).expect("registers");
                    let call = registers.orig_rax;
                    // The same call stops once on its way in and once on its way out.
                    if is_inside.take() != Some(call) {
                        is_inside = Some(call);
                        continue;
                    }
                    let change = CHANGES.iter().find(|(number, _)| *number == call);
                    if let Some((_, change)) = change {
                        self.note(*change, registers.rdi, registers.rdx);
                        return true;
                    }
                }
                WaitStatus::Stopped(_, Signal::SIGTRAP) | WaitStatus::PtraceEvent(..) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn note(&mut self, change: Change, first: u64, third: u64) {
        let file = |descriptor: u64| {
            let meta = fs::metadata(format!("/proc/{}/fd/{descriptor}", self.pid)).ok()?;
            meta.is_file().then(|| (meta.dev(), meta.ino()))
        };
        match change {
            Change::Written => self.unflushed.extend(file(first)),
            Change::CopiedTo => self.unflushed.extend(file(third)),
            Change::Flushed => {
                if let Some(file) = file(first) {
                    self.unflushed.remove(&file);
                }
            }
            Change::AllFlushed => self.unflushed.clear(),
            Change::Named => {}
        }
    }

    fn kill(mut self) -> BTreeSet<(u64, u64)> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.unflushed
    }
}

/// Every file and folder below a folder, the deepest first.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if fs::symlink_metadata(&path).expect("a file").is_dir() {
            found.extend(below(&path));
        }
        found.push(path);
    }
    found
}

/// The power comes back.
fn restart(root: &Path, unflushed: &BTreeSet<(u64, u64)>) {
    for path in below(root) {
        let meta = fs::symlink_metadata(&path).expect("a file");
        if meta.is_file() && unflushed.contains(&(meta.dev(), meta.ino())) {
            fs::File::options().write(true).open(&path).expect("open").set_len(0).expect("cut");
        }
    }
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    for name in ["refs.json", "refs.new.json"] {
        let index = root.join(name);
        if let Ok(text) = fs::read_to_string(&index) {
            fs::write(&index, text.replace(boot.trim(), "another boot")).expect("write");
        }
    }
    let long_ago = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
    for path in below(root) {
        let kind = fs::symlink_metadata(&path).expect("a file").file_type();
        if !kind.is_symlink() && !kind.is_char_device() {
            fs::File::open(&path).expect("open").set_times(long_ago).expect("date");
        }
    }
}

/// Opens the store and looks at every byte; answers the names with their images.
fn whole(root: &Path) -> BTreeMap<String, String> {
    let store = Store::open(root, None).expect("the store opens");
    let images = store.images().expect("images");
    for image in &images {
        assert_eq!(Digest::of(&store.read_blob(&image.id.0).expect("configuration")), image.id.0);
        if let Some(manifest) = &image.manifest {
            assert_eq!(Digest::of(&store.read_blob(&manifest.digest).expect("manifest")), manifest.digest);
        }
        assert_eq!(store.layer_paths(image).len(), image.layers.len());
        for layer in &image.layers {
            let mut archive = Vec::new();
            store.write_layer(layer, &mut archive).expect("layer");
            assert_eq!(Digest::of(&archive), layer.diff_id.0);
            let unpacked = root.join("layers").join(layer.diff_id.0.hex()).join("diff");
            pack(&unpacked, std::io::sink(), Deleted::Whiteouts).expect("pack");
            for file in below(&unpacked) {
                let meta = fs::symlink_metadata(&file).expect("a file");
                assert!(!meta.is_file() || meta.len() == 5, "{} is torn", file.display());
            }
        }
    }
    let ids: BTreeSet<String> = images.iter().map(|image| image.id.to_string()).collect();
    let names: BTreeMap<String, String> = store
        .references()
        .expect("names")
        .into_iter()
        .map(|(name, id)| (name.familiar(), id.to_string()))
        .collect();
    assert!(names.values().all(|id| ids.contains(id)), "a name means nothing: {names:?}");
    names
}

/// Cuts a verb after each of its steps. `after` says what must hold when it came to its end.
fn cut_everywhere(verb: &str, after: impl Fn(&BTreeMap<String, String>) -> bool) {
    let mut cut = 0;
    loop {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("store");
        let base = {
            let store = Store::open(&root, None).expect("a store");
            image(&store, "base:1", &[Tar::new().file("a", "hello").bytes()]).id.to_string()
        };
        let mut traced = Traced::begin(&root, verb);
        let mut is_done = false;
        for _ in 0..=cut {
            if !traced.step() {
                is_done = true;
                break;
            }
        }
        let unflushed = traced.kill();
        restart(&root, &unflushed);
        let names = whole(&root);
        if verb == "pull" || verb == "step" {
            assert_eq!(names.get("base:1"), Some(&base), "cut {cut} lost what was there before");
        }
        // What the cut left behind does no harm to the next, either.
        assert_eq!(whole(&root), names);
        if is_done {
            assert!(after(&names), "{verb} came to its end and is forgotten: {names:?}");
            assert!(cut > 5, "{verb} took {cut} steps only");
            return;
        }
        cut += 1;
    }
}

#[test]
fn a_pull_is_there_or_not() {
    cut_everywhere("pull", |names| names.contains_key("pulled:1"));
}

#[test]
fn a_built_step_is_there_or_not() {
    cut_everywhere("step", |names| names.contains_key("built:1"));
}

#[test]
fn a_removal_is_done_or_not() {
    cut_everywhere("remove", |names| !names.contains_key("base:1"));
}

#[test]
fn names_change_one_at_a_time() {
    cut_everywhere("tag", |names| names.contains_key("again:1") && !names.contains_key("base:1"));
}
