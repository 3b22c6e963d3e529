//! What the public validation suites of OCI runtimes ask for, where nothing else here asks for it.

mod bundle;

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;
use std::process::Command;

use bundle::TestContainer;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

/// What a shell of busybox calls, and nothing newer.
const OLD_CALLS: [&str; 44] = [
    "read",
    "write",
    "open",
    "close",
    "stat",
    "fstat",
    "lstat",
    "poll",
    "mmap",
    "mprotect",
    "munmap",
    "brk",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "ioctl",
    "access",
    "dup2",
    "getpid",
    "fork",
    "vfork",
    "clone",
    "execve",
    "exit",
    "exit_group",
    "wait4",
    "getuid",
    "getgid",
    "geteuid",
    "getegid",
    "getppid",
    "setuid",
    "setgid",
    "setgroups",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "prlimit64",
    "capset",
    "capget",
    "getcwd",
    "fcntl",
    "readlink",
];

#[test]
fn a_filter_that_knows_only_old_calls_lets_the_program_begin() {
    let mut container = TestContainer::new("echo begun");
    container.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": OLD_CALLS.to_vec(), "action": "SCMP_ACT_ALLOW"}],
    });
    assert_eq!(container.run().success(), "begun\n");
    container.config["process"]["user"] = json!({"uid": 33, "gid": 33});
    container.config["process"]["noNewPrivileges"] = json!(true);
    assert_eq!(container.run().success(), "begun\n", "as another user, and with no_new_privs");
}

#[test]
fn a_filter_leaves_no_right_behind_that_the_program_was_not_given() {
    let mut container = TestContainer::new("grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status");
    let some = json!(["CAP_CHOWN"]);
    container.config["process"]["capabilities"] =
        json!({"bounding": some, "effective": some, "permitted": some});
    let without = container.run().success();
    container.config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    assert_eq!(container.run().success(), without);
    assert!(without.contains("CapPrm:\t0000000000000001"), "{without}");
}

#[test]
fn a_capability_nobody_knows_is_warned_of_and_left_out() {
    let mut container = TestContainer::new("echo ran");
    container.config["process"]["capabilities"]["bounding"] = json!(["CAP_CHOWN", "CAP_OF_TOMORROW"]);
    for set in ["effective", "permitted"] {
        container.config["process"]["capabilities"][set] = json!(["CAP_CHOWN"]);
    }
    let answer = container.run();
    assert_eq!(answer.success(), "ran\n");
    assert!(answer.stderr().contains("unavailable capabilities: [CAP_OF_TOMORROW]"), "{}", answer.stderr());
}

fn without_namespace(container: &mut TestContainer, kind: &str) {
    let namespaces = container.config["linux"]["namespaces"].as_array_mut().unwrap();
    namespaces.retain(|namespace| namespace["type"] != kind);
}

/// Runs the container from a mount namespace of its own, and then tells what is left mounted there.
fn run_in_a_mount_namespace(container: &TestContainer) -> (String, String) {
    container.write();
    let script = format!(
        "{} --root {} run {} && grep -c {} /proc/self/mountinfo",
        env!("CARGO_BIN_EXE_drydock-runtime"),
        container.root().display(),
        container.id,
        container.dir.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).current_dir(&container.dir);
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_container_without_a_mount_namespace_uses_the_callers_and_leaves_it_clean() {
    let mut container = TestContainer::new("ls / | grep -c full; test -c /dev/null && echo devices");
    without_namespace(&mut container, "mount");
    let (stdout, stderr) = run_in_a_mount_namespace(&container);
    assert_eq!(stdout, "1\ndevices\n0\n", "{stderr}");
}

#[test]
fn a_mount_namespace_is_joined_by_path() {
    let first = TestContainer::new("sleep 1000");
    first.write();
    first.call(&["run", "-d", &first.id]).success();
    let path = format!("/proc/{}/ns/mnt", first.state()["pid"]);
    let wanted = std::fs::read_link(&path).unwrap();
    let mut second = TestContainer::new("readlink /proc/self/ns/mnt");
    second.config["root"]["path"] = json!("/");
    without_namespace(&mut second, "mount");
    second.add_namespace(json!({"type": "mount", "path": path}));
    assert_eq!(second.run().success().trim(), wanted.to_str().unwrap());
}

#[test]
fn a_device_node_is_made_even_where_it_may_not_be_opened() {
    let mut container =
        TestContainer::new("test -b /dev/odd && echo made; head -c 1 /dev/odd || echo closed");
    container.config["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
    container.config["linux"]["devices"] =
        json!([{"path": "/dev/odd", "type": "b", "major": 7, "minor": 250, "fileMode": 0o600}]);
    assert_eq!(container.run().success(), "made\nclosed\n");
}

#[test]
fn proc_and_sys_are_not_mounted_where_an_image_points() {
    for (name, kind) in [("proc", "proc"), ("sys", "sysfs")] {
        let container = TestContainer::new("true");
        std::fs::remove_dir(container.rootfs().join(name)).unwrap();
        std::os::unix::fs::symlink("/etc", container.rootfs().join(name)).unwrap();
        let stderr = container.run().failure();
        assert!(stderr.contains("must be mounted on ordinary directory"), "{kind}: {stderr}");
        container.assert_nothing_left();
    }
}

#[test]
fn without_a_pivot_the_old_root_is_out_of_reach_for_later_processes_too() {
    let container = TestContainer::new("sleep 1000");
    container.write();
    container.call(&["run", "-d", "--no-pivot", &container.id]).success();
    let seen = container.call(&["exec", &container.id, "sh", "-c", "ls /; ls /proc/1/root/"]).success();
    assert!(seen.matches("full").count() == 2 && !seen.contains("boot"), "{seen}");
}

#[test]
fn the_kernels_schedulers_are_told() {
    let mut container = TestContainer::new(
        "cut -d' ' -f41 /proc/self/stat; ionice; uname -m; grep -m1 -o 'bind=static:0\\|bind:0' /proc/self/numa_maps",
    );
    for applet in ["ionice", "uname"] {
        std::os::unix::fs::symlink("busybox", container.rootfs().join("bin").join(applet)).unwrap();
    }
    container.config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 3});
    container.config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    container.config["linux"]["personality"] = json!({"domain": "LINUX32"});
    container.config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0"});
    assert_eq!(container.run().success(), "3\nbest-effort: prio 6\ni686\nbind:0\n");
}

#[test]
fn a_clock_is_offset_in_a_user_namespace_as_well() {
    let mut container = TestContainer::in_user_namespace("cat /proc/self/timens_offsets");
    container.add_namespace(json!({"type": "time"}));
    container.config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1000, "nanosecs": 5}});
    let offsets = container.run().success();
    let boottime: Vec<&str> = offsets.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(boottime, ["boottime", "1000", "5"]);
}

#[test]
fn a_hook_without_an_environment_has_that_of_who_runs_it() {
    let mut container = TestContainer::new("true");
    let tell = |name: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("echo $WHOSE > {}/{name}", container.dir.display())]}]);
    container.config["hooks"] =
        json!({"createRuntime": tell("runtime"), "createContainer": tell("container")});
    container.config["process"]["env"].as_array_mut().unwrap().push(json!("WHOSE=containers"));
    container.write();
    let status = container.command(&["run", &container.id]).env("WHOSE", "runtimes").status().unwrap();
    assert!(status.success());
    let read = |name: &str| std::fs::read_to_string(container.dir.join(name)).unwrap();
    assert_eq!((read("runtime").as_str(), read("container").as_str()), ("runtimes\n", "containers\n"));
}

#[test]
fn poststart_hooks_follow_a_container_whose_own_hook_failed() {
    let mut container = TestContainer::new("true");
    let outside = json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("echo > {}/after", container.dir.display())]}]);
    container.config["hooks"] = json!({"startContainer": [{"path": "/bin/false"}], "poststart": outside});
    std::os::unix::fs::symlink("busybox", container.rootfs().join("bin/false")).unwrap();
    container.write();
    container.call(&["create", &container.id]).success();
    let stderr = container.call(&["start", &container.id]).failure();
    assert!(stderr.contains("startContainer hook /bin/false"), "{stderr}");
    assert!(container.dir.join("after").exists());
}

#[test]
fn the_agent_gets_the_listener_of_a_filter_that_notifies() {
    let mut container = TestContainer::new("mkdir /tmp/made 2>&1; echo after");
    let path = container.dir.join("agent.sock");
    let agent = UnixListener::bind(&path).unwrap();
    container.config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path,
        "listenerMetadata": "who asks",
        "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}],
    });
    let run = container.spawn();
    let (state, listener) = receive(&agent);
    assert_eq!((&state["fds"], &state["metadata"]), (&json!(["seccompFd"]), &json!("who asks")));
    assert_eq!(
        (&state["state"]["id"], &state["state"]["status"]),
        (&json!(container.id), &json!("creating"))
    );
    // With nobody left to answer, the kernel says that there is no such call.
    drop(listener);
    let output = run.wait_with_output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(stdout, "mkdir: can't create directory '/tmp/made': Function not implemented\nafter\n");
}

/// The state and the one descriptor that somebody sends.
fn receive(agent: &UnixListener) -> (Value, std::os::fd::OwnedFd) {
    let (mut socket, _) = agent.accept().unwrap();
    let mut bytes = vec![0; 16384];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let first = recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)
        .unwrap();
    let mut fds = ancillary.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fd = fds.next().and_then(|mut fds| fds.next()).expect("a descriptor beside the state");
    bytes.truncate(first.bytes);
    socket.read_to_end(&mut bytes).unwrap();
    (serde_json::from_slice(&bytes).unwrap(), fd)
}
