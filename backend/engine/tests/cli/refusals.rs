//! What moby refuses, in its words and with its exit codes. Whatever is refused changes nothing.

use crate::machine::Machine;

/// Runs `docker run --rm FLAGS busybox true` for each row and looks for the words.
fn refused(machine: &Machine, cases: &[(&[&str], i32, &str)]) {
    for (flags, code, words) in cases {
        let mut arguments = vec!["run", "--rm"];
        arguments.extend(*flags);
        arguments.extend(["busybox", "true"]);
        let said = machine.docker_words(&arguments).fails(*code);
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    assert_eq!(machine.docker(["ps", "-aq"]).ok(), "", "a refused container is not there");
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    refused(
        &Machine::new(),
        &[
            (&["-m", "4m"], 125, "Minimum memory limit allowed is 6MB"),
            (&["-m", "64m", "--memory-swap", "32m"], 125, "Minimum memoryswap limit should be larger"),
            (&["--memory-swap", "64m"], 125, "You should always set the Memory limit"),
            (&["-m", "32m", "--memory-reservation", "64m"], 125, "can not be less than memory reservation"),
            (&["--memory-reservation", "1m"], 125, "Minimum memory reservation allowed is 6MB"),
            (&["--cpus", "999"], 125, "range of CPUs is from 0.01 to"),
            (&["--cpus", "1", "--cpu-quota", "5000"], 125, "Nano CPUs and CPU Quota cannot both be set"),
            (&["--cpus", "1", "--cpu-period", "5000"], 125, "Nano CPUs and CPU Period cannot both be set"),
            (&["--cpu-period", "999"], 125, "CPU cfs period can not be less than 1ms"),
            (&["--cpu-quota", "999"], 125, "CPU cfs quota can not be less than 1ms"),
            (&["--cpu-shares", "-1"], 125, "invalid CPU shares (-1)"),
            (&["--cpuset-cpus", "900"], 125, "Requested CPUs are not available - requested 900"),
            (&["--cpuset-cpus", "1-0"], 125, "Invalid value 1-0 for cpuset cpus"),
            (&["--cpuset-mems", "x"], 125, "Invalid value x for cpuset mems"),
            (&["--oom-score-adj", "1001"], 125, "range for oom score adj is [-1000, 1000]"),
        ],
    );
}

#[test]
fn unknown_words_are_refused_by_name() {
    refused(
        &Machine::new(),
        &[
            (&["--cap-add", "bogus"], 125, "invalid CapAdd: unknown capability: \"CAP_BOGUS\""),
            (&["--cap-drop", "bogus"], 125, "invalid CapDrop: unknown capability: \"CAP_BOGUS\""),
            (&["--security-opt", "bogus=1"], 125, "invalid --security-opt 2: \"bogus=1\""),
            (&["--runtime", "bogus"], 125, "unknown or invalid runtime name: bogus"),
            (&["--isolation", "hyperv"], 125, "invalid isolation (hyperv): linux only supports 'default'"),
            (&["--stop-signal", "bogus"], 125, "invalid signal: bogus"),
            (&["--storage-opt", "bogus=1"], 125, "Unknown option bogus"),
            (&["--storage-opt", "size=1G"], 125, "supported only for overlay over xfs with 'pquota'"),
            (&["--gpus", "all"], 125, "could not select device driver \"\" with capabilities: [[gpu]]"),
            (&["-u", "nobody-here"], 125, "unable to find user nobody-here"),
            (&["-u", "-1"], 125, "uids and gids must be in range 0-2147483647"),
            (&["-w", "relative"], 125, "the working directory 'relative' is invalid"),
            (&["--mount", "type=strange,dst=/x"], 125, "mount type unknown"),
            (&["--device", "/dev/none"], 127, "error gathering device information"),
        ],
    );
}

#[test]
fn modes_that_contradict_each_other_are_refused() {
    let machine = Machine::new();
    let other = "container:0123456789ab";
    let cases: [(&[&str], &str); 8] = [
        (&["--network", other, "-h", "x"], "conflicting options: hostname and the network mode"),
        (&["--network", other, "-p", "80:80"], "conflicting options: port publishing"),
        (&["--network", other, "--expose", "80"], "conflicting options: port exposing"),
        (&["--network", other, "--dns", "1.1.1.1"], "conflicting options: dns and the network mode"),
        (&["--network", other, "--add-host", "a:1.1.1.1"], "conflicting options: custom host-to-IP mapping"),
        (&["--network", "host", "--link", "x"], "conflicting options: host type networking"),
        (&["--uts", "host", "-h", "x"], "conflicting options: hostname and the UTS mode"),
        (
            &["--network", "host", "--sysctl", "net.ipv4.ip_forward=1"],
            "not allowed in host network namespace",
        ),
    ];
    for (flags, words) in cases {
        refused(&machine, &[(flags, 125, words)]);
    }
}

#[test]
fn namespaces_are_joined_of_running_containers_alone() {
    let machine = Machine::new();
    machine.docker(["create", "--name", "idle", "busybox", "true"]).ok();
    machine.docker(["run", "-d", "--init", "--name", "private", "busybox", "sleep", "1000"]).ok();
    let cases: [(&[&str], &str); 5] = [
        (&["--network", "container:none"], "joining network namespace of container: No such container: none"),
        (&["--network", "container:idle"], "a non running container: container idle is created"),
        (&["--pid", "container:idle"], "failed to join PID namespace: container "),
        (&["--ipc", "container:idle"], "failed to join IPC namespace: container "),
        (
            &["--ipc", "container:private"],
            "non-shareable IPC (hint: use IpcMode:shareable for the donor container)",
        ),
    ];
    for (flags, words) in cases {
        let arguments = [&["run", "--rm"], flags, &["busybox", "true"]].concat();
        let said = machine.docker_words(&arguments).fails(125);
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    assert_eq!(machine.docker(["ps", "-aq"]).ok().lines().count(), 2);
}

#[test]
fn restart_policies_are_held_to_their_rules() {
    let machine = Machine::new();
    let cases = [
        ("bogus", "unknown policy 'bogus'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"),
        ("on-failure:-1", "maximum retry count cannot be negative"),
        ("always:3", "maximum retry count can only be used with 'on-failure'"),
    ];
    machine.docker(["create", "--name", "box", "busybox", "true"]).ok();
    for (policy, words) in cases {
        let said = machine.docker(["create", "--restart", policy, "busybox", "true"]).fails(1);
        assert!(said.contains(words), "{policy}: {said}");
        let said = machine.docker(["update", "--restart", policy, "box"]).fails(1);
        assert!(said.contains(words), "{policy}: {said}");
    }
}

#[test]
fn verbs_in_the_wrong_state_say_so() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]).ok();
    let id = machine.inspect("box", "{{.Id}}");
    let not_running = format!("container {id} is not running");
    let fails = |arguments: &[&str], words: &str| {
        let said = machine.docker_words(arguments).fails(1);
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    fails(&["rm", "box"], "cannot remove container \"box\": container is running: stop the container");
    fails(&["unpause", "box"], &format!("Container {id} is not paused"));
    fails(&["stop", "-s", "bogus", "box"], "cannot stop container: box: invalid signal: bogus");
    fails(
        &["kill", "-s", "65", "box"],
        "cannot kill container: box: the linux daemon does not support signal 65",
    );
    fails(&["kill", "nobody"], "cannot kill container: nobody: No such container: nobody");
    fails(&["rm", "--link", "box"], "cannot remove the default link name");
    fails(&["rename", "box", "b d"], "Invalid container name (/b d)");
    machine.docker(["pause", "box"]).ok();
    fails(&["pause", "box"], &format!("Container {id} is already paused"));
    fails(&["rm", "box"], "container is paused and must be unpaused first");
    fails(&["exec", "box", "true"], "Container box is paused, unpause the container before exec");
    machine.docker(["kill", "box"]).ok();
    for verb in ["kill", "pause"] {
        fails(&[verb, "box"], &not_running);
    }
    fails(&["exec", "box", "true"], &not_running);
    fails(&["top", "box"], &not_running);
}

#[test]
fn a_frozen_container_takes_the_signal_that_ends_it() {
    let machine = Machine::new();
    let script = "trap 'exit 9' TERM; while :; do sleep 0.05; done";
    machine.docker(["run", "-d", "--name", "box", "busybox", "sh", "-c", script]).ok();
    machine.docker(["pause", "box"]).ok();
    machine.docker(["kill", "-s", "TERM", "box"]).ok();
    machine.until("it has ended", |machine| machine.inspect("box", "{{.State.Status}}") == "exited");
}
