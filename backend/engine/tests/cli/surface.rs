//! What the engine says of itself and of what it has.

use crate::machine::Machine;

#[test]
fn the_engine_says_what_it_is_and_what_it_is_not() {
    let machine = Machine::new();
    assert_eq!(
        machine.docker(["version", "--format", "{{.Server.MinAPIVersion}} {{.Server.Os}}"]).ok(),
        "1.24 linux"
    );
    assert_eq!(
        machine.docker(["info", "--format", "{{.Driver}} {{.Swarm.LocalNodeState}}"]).ok(),
        "overlay2 inactive"
    );
    assert!(machine.docker(["service", "ls"]).fails(1).contains("This node is not a swarm manager"));
    let plugins = machine.docker(["plugin", "ls", "-q"]).ok();
    assert_eq!(plugins, "");
    let old = machine.command(["ps"]).env("DOCKER_API_VERSION", "1.24").output().expect("docker");
    assert!(old.status.success(), "{old:?}");
    let new = machine.command(["ps"]).env("DOCKER_API_VERSION", "1.99").output().expect("docker");
    assert!(
        String::from_utf8_lossy(&new.stderr).contains("Maximum supported API version is 1.51"),
        "{new:?}"
    );
}

#[test]
fn lists_are_filtered_and_formatted() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "runs", "--label", "team=a", "busybox", "sleep", "1000"]).ok();
    machine.docker(["run", "--name", "ended", "busybox", "sh", "-c", "exit 3"]).fails(3);
    machine.docker(["create", "--name", "fresh", "busybox", "true"]).ok();
    let cases = [
        ("status=running", "runs"),
        ("status=created", "fresh"),
        ("exited=3", "ended"),
        ("label=team=a", "runs"),
        ("name=^ru", "runs"),
        ("since=ended", "fresh"),
        ("ancestor=busybox", "fresh\nended\nruns"),
        ("network=none", ""),
    ];
    for (filter, names) in cases {
        let listed = machine.docker(["ps", "-a", "--filter", filter, "--format", "{{.Names}}"]).ok();
        assert_eq!(listed, names, "{filter}");
    }
    let listed = machine.docker(["ps", "--format", "{{.Image}} {{.Command}} {{.State}}"]).ok();
    assert_eq!(listed, "busybox \"sleep 1000\" running");
    assert!(machine.docker(["ps", "--format", "{{.Status}}"]).ok().starts_with("Up "));
    machine.docker(["container", "prune", "-f"]).ok();
    assert_eq!(machine.docker(["ps", "-a", "--format", "{{.Names}}"]).ok(), "runs");
    assert!(machine.docker(["stats", "--no-stream", "--format", "{{.Name}}", "runs"]).ok().contains("runs"));
    assert!(machine.docker(["system", "df"]).ok().contains("Local Volumes"));
}

#[test]
fn events_tell_a_containers_life_in_order() {
    let machine = Machine::new();
    machine.docker(["run", "--rm", "--name", "told", "--network", "none", "busybox", "true"]).ok();
    // docker cuts the end off at the whole second.
    machine.until("the second is over", |machine| {
        let events = [
            "events",
            "--since",
            "1h",
            "--until",
            "0s",
            "--filter",
            "container=told",
            "--format",
            "{{.Action}}",
        ];
        machine.docker(events).ok().replace('\n', " ") == "create attach start die destroy"
    });
}

#[test]
fn a_failing_health_check_is_seen() {
    let machine = Machine::new();
    machine
        .docker([
            "run",
            "-d",
            "--name",
            "sick",
            "--health-cmd",
            "test -e /well",
            "--health-interval",
            "100ms",
            "--health-retries",
            "2",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    let is = |state: &'static str| {
        move |machine: &Machine| machine.inspect("sick", "{{.State.Health.Status}}") == state
    };
    machine.until("it is unhealthy", is("unhealthy"));
    machine.docker(["exec", "sick", "touch", "/well"]).ok();
    machine.until("it is healthy", is("healthy"));
    assert!(machine.docker(["ps", "--format", "{{.Status}}"]).ok().ends_with("(healthy)"));
}
