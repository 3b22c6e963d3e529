//! The shapes of what the engine says about containers.

use crate::machine::Machine;

#[test]
fn inspect_reads_from_the_top_as_mobys_does() {
    let machine = Machine::new();
    machine.docker(["create", "--name", "box", "busybox", "true"]).ok();
    let text = machine.docker(["inspect", "box"]).ok();
    let top: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("        \"")?.split('"').next()).collect();
    let expected = [
        "Id",
        "Created",
        "Path",
        "Args",
        "State",
        "Image",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "LogPath",
        "Name",
        "RestartCount",
        "Driver",
        "Platform",
        "MountLabel",
        "ProcessLabel",
        "AppArmorProfile",
        "ExecIDs",
        "HostConfig",
        "GraphDriver",
        "Mounts",
        "Config",
        "NetworkSettings",
    ];
    assert_eq!(top, expected);
    let said = machine.inspect("box", "{{json .Config.Env}} {{.HostsPath}}|{{.GraphDriver.Data.UpperDir}}");
    assert!(said.starts_with("null |/"), "{said}");
}

#[test]
fn filters_that_no_container_can_pass_are_mistakes() {
    let machine = Machine::new();
    let cases = [
        ("status=bogus", "invalid value for state (bogus): must be one of created, running, paused"),
        (
            "health=bogus",
            "invalid value for health (bogus): must be one of none, starting, healthy, unhealthy",
        ),
        ("exited=x", "invalid filter 'exited=x': strconv.Atoi: parsing \"x\": invalid syntax"),
        ("publish=x", "error while looking up for publish x"),
        ("is-task=x", "invalid filter 'is-task=[x]'"),
        ("label!=x", "invalid filter 'label!'"),
        ("before=nobody", "No such container: nobody"),
    ];
    for (filter, words) in cases {
        let said = machine.docker(["ps", "-a", "--filter", filter]).fails(1);
        assert!(said.contains(words), "{filter}: {said}");
    }
    machine.docker(["create", "--name", "box", "busybox", "true"]).ok();
    assert_eq!(machine.docker(["ps", "-aq", "--filter", "name=["]).ok(), "");
    let said = machine.docker(["volume", "ls", "--filter", "dangling=x"]).fails(1);
    assert!(said.contains("invalid filter 'dangling=[x]'"), "{said}");
}

#[test]
fn names_and_domains_reach_the_hosts_file() {
    let machine = Machine::new();
    let hosts = |flags: &[&str]| {
        let mut arguments = vec!["run", "--rm"];
        arguments.extend(flags);
        arguments.extend(["busybox", "tail", "-n", "1", "/etc/hosts"]);
        let line = machine.docker_words(&arguments).ok();
        line.split_once('\t').map(|(_, names)| names.to_owned()).unwrap_or_default()
    };
    assert_eq!(hosts(&["-h", "here.example.com"]), "here.example.com here");
    assert_eq!(hosts(&["-h", "here", "--domainname", "example.com"]), "here.example.com here");
}

#[test]
fn a_start_that_fails_is_no_exit() {
    let machine = Machine::new();
    machine.docker(["create", "--name", "box", "busybox", "nosuch"]).ok();
    let waiter = machine.command(["wait", "box"]).output().expect("docker");
    assert_eq!(String::from_utf8_lossy(&waiter.stdout), "0\n", "it does not run");
    machine.docker(["start", "box"]).fails(1);
    assert_eq!(machine.inspect("box", "{{.State.Status}} {{.State.ExitCode}}"), "created 127");
}

#[test]
fn headers_are_written_as_go_writes_them() {
    let machine = Machine::new();
    let mut ask = machine.inside("curl");
    ask.args(["--silent", "--include", "--unix-socket"])
        .arg(machine.path("docker.sock"))
        .arg("http://d/_ping");
    let text = String::from_utf8(ask.output().expect("curl").stdout).expect("text");
    for header in ["Api-Version: 1.51", "Ostype: linux", "Docker-Experimental: false", "Builder-Version: 1"] {
        assert!(text.contains(header), "{header}: {text}");
    }
}
