//! A swarm of one, by the genuine command line.

use crate::machine::Machine;

/// A machine that is a swarm.
fn swarm() -> Machine {
    let machine = Machine::new();
    let said = machine.docker(["swarm", "init", "--advertise-addr", "127.0.0.1"]).ok();
    assert!(
        said.contains("is now a manager") && said.contains("docker swarm join --token SWMTKN-1-"),
        "{said}"
    );
    machine
}

fn running(machine: &Machine, service: &str) -> usize {
    let filter = format!("label=com.docker.swarm.service.name={service}");
    machine.docker(["ps", "-q", "--filter", &filter]).ok().lines().count()
}

#[test]
fn a_swarm_is_made_shown_and_left() {
    let machine = swarm();
    assert_eq!(
        machine.docker(["info", "-f", "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"]).ok(),
        "active true"
    );
    assert_eq!(
        machine.docker(["node", "ls", "--format", "{{.Status}} {{.Availability}} {{.ManagerStatus}}"]).ok(),
        "Ready Active Leader"
    );
    assert_eq!(machine.docker(["node", "inspect", "self", "-f", "{{.Spec.Role}}"]).ok(), "manager");
    machine.docker(["network", "prune", "-f"]).ok();
    let gateway = ["network", "ls", "-q", "--filter", "name=docker_gwbridge"];
    assert!(!machine.docker(gateway).ok().is_empty(), "the way out of containers to come");
    let token = machine.docker(["swarm", "join-token", "-q", "worker"]).ok();
    assert!(token.starts_with("SWMTKN-1-"), "{token}");
    machine.docker(["swarm", "join-token", "--rotate", "-q", "worker"]).ok();
    assert_ne!(machine.docker(["swarm", "join-token", "-q", "worker"]).ok(), token);
    let said = machine.docker(["swarm", "init"]).fails(1);
    assert!(said.contains("This node is already part of a swarm"), "{said}");
    let said = machine.docker(["swarm", "leave"]).fails(1);
    assert!(said.contains("Removing the last manager erases all current state of the swarm"), "{said}");
    machine.docker(["swarm", "leave", "--force"]).ok();
    assert_eq!(machine.docker(["info", "-f", "{{.Swarm.LocalNodeState}}"]).ok(), "inactive");
    machine.docker(["network", "prune", "-f"]).ok();
    assert!(machine.docker(gateway).ok().is_empty());
    let said = machine.docker(["node", "ls"]).fails(1);
    assert!(said.contains("This node is not a swarm manager"), "{said}");
}

#[test]
fn a_services_tasks_are_containers_that_come_back() {
    let machine = swarm();
    let create =
        ["service", "create", "-d", "-q", "--name", "web", "--replicas", "3", "busybox", "sleep", "1000"];
    machine.docker(create).ok();
    machine.until("three tasks run", |machine| running(machine, "web") == 3);
    machine.until("the manager has been told", |machine| {
        let listed = ["service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}}"];
        machine.docker(listed).ok() == "web replicated 3/3"
    });
    let first = machine.docker(["ps", "-q", "-n", "1"]).ok();
    machine.docker(["kill", &first]).ok();
    machine.until("another has taken its place", |machine| {
        running(machine, "web") == 3
            && machine.docker(["service", "ps", "-q", "web"]).ok().lines().count() == 4
    });
    machine.docker(["run", "-d", "--init", "--name", "plain", "busybox", "sleep", "1000"]).ok();
    let plain = machine.docker(["ps", "--filter", "is-task=false", "--format", "{{.Names}}"]).ok();
    assert_eq!(plain, "plain");
    assert_eq!(machine.docker(["ps", "-q", "--filter", "is-task=true"]).ok().lines().count(), 3);
    machine.docker(["rm", "-f", "plain"]).ok();
    machine.docker(["service", "scale", "-d", "web=1"]).ok();
    machine.until("one is left", |machine| running(machine, "web") == 1);
    machine.docker(["service", "rm", "web"]).ok();
    machine.until("none is left", |machine| machine.docker(["ps", "-aq"]).ok().is_empty());
}

#[test]
fn secrets_and_configs_are_files_of_who_may_see_them() {
    let machine = swarm();
    assert_eq!(machine.docker_with_input(["secret", "create", "word", "-"], b"hidden").code, 0);
    assert_eq!(machine.docker_with_input(["config", "create", "page", "-"], b"shown").code, 0);
    let script = "cat /run/secrets/word; echo; cat /page; echo; sleep 1000";
    machine
        .docker([
            "service", "create", "-d", "-q", "--name", "reader", "--secret", "word", "--config", "page",
            "busybox", "sh", "-c", script,
        ])
        .ok();
    machine.until("it has read them", |machine| {
        machine.docker(["service", "logs", "--raw", "reader"]).out == "hidden\nshown\n"
    });
    let said = machine.docker(["secret", "rm", "word"]).fails(1);
    assert!(said.contains("secret 'word' is in use by the following service: reader"), "{said}");
    assert!(!machine.docker(["secret", "inspect", "word"]).ok().contains("hidden"));
    assert!(machine.mounts().contains("/swarm/"), "secrets lie in memory alone");
    machine.docker(["service", "rm", "reader"]).ok();
    machine.until("nothing of them is left", |machine| !machine.mounts().contains("/swarm/"));
    machine.docker(["secret", "rm", "word"]).ok();
}

#[test]
fn a_swarm_and_its_tasks_outlive_a_killed_engine() {
    let mut machine = swarm();
    machine.docker(["service", "create", "-d", "-q", "--name", "web", "busybox", "sleep", "1000"]).ok();
    machine.until("it runs", |machine| running(machine, "web") == 1);
    let before = machine.docker(["ps", "-q"]).ok();
    machine.kill_engine();
    machine.start_engine();
    machine.until("the swarm has its leader again", |machine| machine.docker(["node", "ls"]).code == 0);
    machine.until("its task is known to run", |machine| {
        machine.docker(["service", "ls", "--format", "{{.Replicas}}"]).ok() == "1/1"
    });
    assert_eq!(machine.docker(["ps", "-q"]).ok(), before);
}

#[test]
fn leaving_waits_for_no_task_that_does_not_stop() {
    let machine = swarm();
    let create = "service create -d -q --name stubborn --stop-grace-period 1h busybox sleep 1000";
    machine.docker_words(&create.split(' ').collect::<Vec<_>>()).ok();
    machine.until("it runs", |machine| running(machine, "stubborn") == 1);
    machine.docker(["service", "rm", "stubborn"]).ok();
    machine.until("it is told to stop", |machine| {
        let events =
            ["events", "--since", "1h", "--until", "0s", "--filter", "event=kill", "--format", "{{.Action}}"];
        machine.docker(events).ok() == "kill"
    });
    assert_eq!(running(&machine, "stubborn"), 1, "it does not");
    machine.docker(["swarm", "leave", "--force"]).ok();
    assert!(machine.docker(["ps", "-aq"]).ok().is_empty());
}

#[test]
fn a_task_whose_health_check_fails_is_replaced() {
    let machine = swarm();
    let check = ["--health-cmd", "test ! -e /ill", "--health-interval", "100ms", "--health-retries", "1"];
    let words =
        [&["service", "create", "-d", "-q", "--name", "web"], &check[..], &["busybox", "sleep", "1000"]];
    machine.docker_words(&words.concat()).ok();
    machine.until("it is healthy", |machine| {
        machine.docker(["service", "ls", "--format", "{{.Replicas}}"]).ok() == "1/1"
    });
    let first = machine.docker(["ps", "-q"]).ok();
    machine.docker(["exec", &first, "touch", "/ill"]).ok();
    machine.until("another has taken its place", |machine| {
        let now = machine.docker(["ps", "-q"]).ok();
        now != first && now.lines().count() == 1
    });
    let errors = machine.docker(["service", "ps", "--no-trunc", "--format", "{{.Error}}", "web"]).ok();
    assert!(errors.contains("unhealthy container"), "{errors}");
}

#[test]
fn what_a_spec_leaves_open_is_filled_in_for_each_task() {
    let machine = swarm();
    let words = [
        "service",
        "create",
        "-d",
        "-q",
        "--name",
        "web",
        "--replicas",
        "2",
        "--hostname",
        "{{.Service.Name}}-{{.Task.Slot}}",
        "--env",
        "NODE={{.Node.ID}}",
        "busybox",
        "sh",
        "-c",
        "echo $HOSTNAME $NODE; exec sleep 1000",
    ];
    machine.docker_words(&words).ok();
    let node = machine.docker(["info", "-f", "{{.Swarm.NodeID}}"]).ok();
    machine.until("both have spoken", |machine| {
        let said = machine.docker(["service", "logs", "--raw", "web"]).out;
        let mut lines: Vec<_> = said.lines().collect();
        lines.sort_unstable();
        lines == [format!("web-1 {node}"), format!("web-2 {node}")]
    });
}
