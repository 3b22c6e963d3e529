//! The engine is killed; containers do not notice.

use crate::machine::Machine;

#[test]
fn containers_logs_and_exit_codes_survive_a_killed_engine() {
    let mut machine = Machine::new();
    let ticking = "i=0; while [ ! -e /end ]; do echo tick $i; i=$((i+1)); sleep 0.05; done; exit 4";
    machine.docker(["run", "-d", "--name", "lives", "-v", "vol:/v", "busybox", "sh", "-c", ticking]).ok();
    let waiting = "while [ ! -e /v/go ]; do sleep 0.05; done; exit 7";
    machine.docker(["run", "-d", "--name", "ends", "-v", "vol:/v", "busybox", "sh", "-c", waiting]).ok();
    machine
        .docker(["run", "-d", "--rm", "--name", "goes", "-v", "vol:/v", "busybox", "sh", "-c", waiting])
        .ok();
    let restarting =
        ["run", "-d", "--name", "again", "--restart", "always", "-v", "vol:/v", "busybox", "sh", "-c"];
    machine
        .command(restarting)
        .arg(format!("[ -e /v/go ] && exec sleep 1000; {waiting}"))
        .output()
        .expect("docker");
    let pids: Vec<String> =
        ["lives", "ends"].iter().map(|name| machine.inspect(name, "{{.State.Pid}}")).collect();
    let go = machine.inspect("lives", "{{(index .Mounts 0).Source}}");
    machine.kill_engine();
    let said = std::fs::read_to_string(log_of(&machine, "tick 0")).expect("its log").lines().count();
    std::fs::write(format!("{go}/go"), "").expect("write");
    machine.until("one has ended alone", |_| !std::path::Path::new(&format!("/proc/{}", pids[1])).exists());
    machine.until("one speaks on alone", |machine| {
        std::fs::read_to_string(log_of(machine, "tick 0")).is_ok_and(|text| text.lines().count() > said)
    });
    machine.start_engine();
    assert_eq!(machine.inspect("lives", "{{.State.Status}} {{.State.Pid}}"), format!("running {}", pids[0]));
    assert_eq!(machine.docker(["wait", "ends"]).ok(), "7");
    machine.until("--rm is honoured", |machine| machine.docker(["inspect", "goes"]).code == 1);
    machine
        .until("the policy is honoured", |machine| machine.inspect("again", "{{.State.Running}}") == "true");
    machine.docker(["exec", "lives", "touch", "/end"]).ok();
    assert_eq!(machine.docker(["wait", "lives"]).ok(), "4");
    assert!(machine.docker(["logs", "lives"]).ok().starts_with("tick 0\ntick 1\n"));
}

/// The log that holds this text.
fn log_of(machine: &Machine, text: &str) -> std::path::PathBuf {
    let folders = std::fs::read_dir(machine.path("data/containers")).expect("containers");
    let logs = folders
        .flatten()
        .map(|folder| folder.path().join(format!("{}-json.log", folder.file_name().to_string_lossy())));
    logs.into_iter()
        .find(|log| std::fs::read_to_string(log).is_ok_and(|said| said.contains(text)))
        .expect("a log with that text")
}

#[test]
fn a_policy_restarts_as_often_as_it_says() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "fails", "--restart", "on-failure:2", "busybox", "false"]).ok();
    machine.until("it has given up", |machine| {
        machine.inspect("fails", "{{.RestartCount}} {{.State.Status}}") == "2 exited"
    });
    machine.docker(["run", "-d", "--name", "always", "--restart", "always", "busybox", "false"]).ok();
    machine.until("it was restarted", |machine| machine.inspect("always", "{{.RestartCount}}") != "0");
    machine.docker(["stop", "always"]).ok();
    assert_eq!(machine.inspect("always", "{{.State.Running}}"), "false");
}

#[test]
fn a_container_whose_shim_was_killed_leaves_nothing_running() {
    let mut machine = Machine::new();
    for engine_runs in [true, false] {
        let id = machine.docker(["run", "-d", "busybox", "sh", "-c", "sleep 1000 & exec sleep 1000"]).ok();
        let pid = machine.inspect(&id, "{{.State.Pid}}");
        if !engine_runs {
            machine.kill_engine();
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running container");
        let shim = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim();
        let shim = nix::unistd::Pid::from_raw(shim.parse().expect("a number"));
        nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGKILL).expect("kill the shim");
        if !engine_runs {
            machine.start_engine();
        }
        machine.until("the end is seen", |machine| {
            machine.inspect(&id, "{{.State.Status}} {{.State.ExitCode}}") == "exited 137"
        });
        let groups = std::fs::read_dir("/sys/fs/cgroup").expect("control groups").flatten();
        let left: Vec<_> =
            groups.map(|group| group.path().join("docker").join(&id)).filter(|path| path.exists()).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!machine.path("exec/runtime").join(&id).exists(), "the runtime's state is removed");
        machine.docker(["start", &id]).ok();
        machine.docker(["rm", "-f", &id]).ok();
    }
}
