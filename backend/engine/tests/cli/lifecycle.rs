//! From create to rm.

use crate::machine::Machine;

#[test]
fn a_container_runs_says_something_and_its_exit_code_is_dockers() {
    let machine = Machine::new();
    assert_eq!(machine.docker(["run", "--rm", "busybox", "echo", "hello"]).ok(), "hello");
    machine.docker(["run", "--rm", "busybox", "sh", "-c", "exit 7"]).fails(7);
    let cases = [
        ("nosuch", 127, "exec: \"nosuch\": executable file not found in $PATH"),
        ("/no/such", 127, "no such file or directory"),
        ("/etc/passwd", 126, "permission denied"),
    ];
    for (program, code, text) in cases {
        let complaint = machine.docker(["run", "--rm", "busybox", program]).fails(code);
        assert!(complaint.contains(text), "{program}: {complaint}");
    }
    assert_eq!(machine.docker(["ps", "-aq"]).ok(), "", "--rm leaves nothing, whatever happened");
}

#[test]
fn every_verb_moves_a_container_to_its_state() {
    let machine = Machine::new();
    let status = |machine: &Machine| machine.inspect("one", "{{.State.Status}}");
    machine.docker(["create", "--name", "one", "busybox", "sleep", "1000"]).ok();
    assert_eq!(status(&machine), "created");
    machine.docker(["start", "one"]).ok();
    assert_eq!(status(&machine), "running");
    machine.docker(["pause", "one"]).ok();
    assert_eq!(status(&machine), "paused");
    assert!(machine.docker(["exec", "one", "true"]).fails(1).contains("is paused"));
    machine.docker(["unpause", "one"]).ok();
    assert_eq!(status(&machine), "running");
    assert!(
        machine.docker(["rm", "one"]).fails(1).contains("stop the container before removing or force remove")
    );
    machine.docker(["restart", "-t", "0", "one"]).ok();
    assert_eq!(status(&machine), "running");
    machine.docker(["kill", "-s", "KILL", "one"]).ok();
    assert_eq!(machine.docker(["wait", "one"]).ok(), "137");
    assert!(machine.docker(["kill", "one"]).fails(1).contains("is not running"));
    machine.docker(["rename", "one", "two"]).ok();
    assert!(machine.docker(["inspect", "one"]).fails(1).contains("o such object"));
    machine.docker(["rm", "two"]).ok();
    assert_eq!(machine.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn a_name_belongs_to_one_container_until_it_is_removed() {
    let machine = Machine::new();
    machine.docker(["create", "--name", "mine", "busybox", "true"]).ok();
    let complaint = machine.docker(["create", "--name", "mine", "busybox", "true"]).fails(1);
    assert!(complaint.contains("The container name \"/mine\" is already in use by container"), "{complaint}");
    machine.docker(["rm", "mine"]).ok();
    machine.docker(["create", "--name", "mine", "busybox", "true"]).ok();
}

#[test]
fn a_removed_container_leaves_no_mount_link_process_or_folder() {
    let machine = Machine::new();
    let folders = |machine: &Machine| {
        let count = |name: &str| std::fs::read_dir(machine.path(name)).map_or(0, Iterator::count);
        count("data/containers") + count("exec/containers") + count("data/images/snapshots")
    };
    let links = |machine: &Machine| {
        let output = machine.inside("ip").args(["-o", "link"]).output().expect("ip");
        String::from_utf8_lossy(&output.stdout).matches("veth").count()
    };
    machine.docker(["run", "-d", "--name", "gone", "-v", "/data", "busybox", "sleep", "1000"]).ok();
    let pid = machine.inspect("gone", "{{.State.Pid}}");
    assert!(folders(&machine) > 0 && links(&machine) > 0);
    machine.docker(["rm", "-fv", "gone"]).ok();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert_eq!(folders(&machine), 0);
    assert!(!machine.mounts().contains("/snapshots/"), "{}", machine.mounts());
    machine.until("its link is gone", |machine| links(machine) == 0);
    assert_eq!(machine.docker(["volume", "ls", "-q"]).ok(), "");
}

#[test]
fn limits_and_confinement_reach_the_process() {
    let machine = Machine::new();
    let run = |flags: &[&str], script: &str| {
        let mut command = machine.command(["run", "--rm"]);
        command.args(flags).args(["busybox", "sh", "-c", script]);
        let output = command.output().expect("docker");
        (String::from_utf8_lossy(&output.stdout).trim().to_owned(), output.status.code())
    };
    let cases: [(&[&str], &str, &str); 10] = [
        (&["--hostname", "here"], "hostname", "here"),
        (&["-u", "web"], "id -u; echo $HOME", "33\n/data"),
        (&["-w", "/made/up"], "pwd", "/made/up"),
        (&["-e", "A=b"], "echo $A", "b"),
        (&["--ulimit", "nofile=100:200"], "ulimit -n", "100"),
        (&["--read-only"], "touch /x 2>/dev/null || echo no", "no"),
        (&["--cap-drop", "ALL"], "grep CapEff /proc/self/status", "CapEff:\t0000000000000000"),
        (&["--tmpfs", "/t:size=1m"], "grep ' /t ' /proc/mounts | grep -c size=1024k", "1"),
        (&["--add-host", "there:10.1.2.3"], "grep there /etc/hosts", "10.1.2.3\tthere"),
        (&["--security-opt", "no-new-privileges"], "grep NoNewPrivs /proc/self/status", "NoNewPrivs:\t1"),
    ];
    for (flags, script, expected) in cases {
        assert_eq!(run(flags, script), (expected.to_owned(), Some(0)), "{flags:?}");
    }
    assert_eq!(run(&[], "grep Seccomp: /proc/self/status").0, "Seccomp:\t2");
    assert_eq!(run(&["--init"], "cat /proc/1/comm").0, "docker-init");
    let limits = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null";
    assert_eq!(run(&["-m", "64m"], limits).0, "67108864");
}
