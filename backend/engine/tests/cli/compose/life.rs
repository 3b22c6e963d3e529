//! A project's life: order, health, scale, every verb, and what is left when it is down.

use super::Project;

#[test]
fn services_start_in_the_order_of_their_conditions_and_go_without_a_trace() {
    let project = Project::new(
        "services:\n\
         \x20 db:\n\
         \x20   image: busybox\n\
         \x20   init: true\n\
         \x20   command: sh -c 'touch /data/ready; exec sleep 1000'\n\
         \x20   volumes: [data:/data]\n\
         \x20   healthcheck: {test: [CMD, test, -e, /data/ready], interval: 50ms, retries: 100}\n\
         \x20 fill:\n\
         \x20   image: busybox\n\
         \x20   command: sh -c 'echo filled > /data/seen'\n\
         \x20   volumes: [data:/data]\n\
         \x20   depends_on: {db: {condition: service_healthy}}\n\
         \x20 app:\n\
         \x20   image: busybox\n\
         \x20   init: true\n\
         \x20   command: sh -c 'cat /data/seen; exec sleep 1000'\n\
         \x20   volumes: [data:/data:ro]\n\
         \x20   depends_on: {fill: {condition: service_completed_successfully}}\n\
         volumes: {data: {}}\n",
    );
    project.compose(["up", "-d", "--wait", "db", "app"]).ok();
    assert_eq!(project.services("running"), ["app", "db"]);
    assert_eq!(project.services("exited"), ["fill"]);
    assert_eq!(project.inspect("db", "{{.State.Health.Status}}"), "healthy");
    let log = project.inspect("db", "{{range .State.Health.Log}}{{.ExitCode}} {{end}}");
    assert!(log.split_whitespace().all(|code| matches!(code, "0" | "1")), "a probe's end was lost: {log}");
    let begun = |service| project.inspect(service, "{{.State.StartedAt}}");
    assert!(begun("db") < begun("fill") && begun("fill") < begun("app"));
    project.machine.until("app has said what fill wrote", |_| {
        project.logs(["logs", "--no-log-prefix", "app"]) == "filled"
    });
    assert!(project.compose(["ls"]).ok().contains("app"));
    assert!(project.compose(["images", "--format", "json"]).ok().contains("\"Repository\":\"busybox\""));
    assert!(project.compose(["top", "db"]).ok().contains("sleep 1000"));
    project.compose(["down", "-v", "-t", "1"]).ok();
    assert_eq!(project.machine.docker(["ps", "-aq"]).ok(), "");
    assert_eq!(project.machine.docker(["volume", "ls", "-q"]).ok(), "");
    assert_eq!(project.machine.docker(["network", "ls", "-q", "--filter", "name=app"]).ok(), "");
}

#[test]
fn what_cannot_become_healthy_fails_the_wait() {
    let project = Project::new(
        "services:\n\
         \x20 ill: {image: busybox, init: true, command: sleep 1000, healthcheck: {test: exit 1, interval: 50ms, retries: 2}}\n\
         \x20 after: {image: busybox, command: 'true', depends_on: {ill: {condition: service_healthy}}}\n",
    );
    let complaint = project.compose(["up", "-d"]).fails(1);
    assert!(complaint.contains("container app-ill-1 is unhealthy"), "{complaint}");
    assert_eq!(project.services("created"), ["after"]);
}

#[test]
fn every_verb_moves_all_containers_or_those_named() {
    let project = Project::new(
        "services:\n\
         \x20 one: {image: busybox, init: true, command: sleep 1000}\n\
         \x20 two: {image: busybox, init: true, command: sleep 1000}\n",
    );
    project.compose(["create"]).ok();
    assert_eq!(project.services("created"), ["one", "two"]);
    project.compose(["start"]).ok();
    assert_eq!(project.services("running"), ["one", "two"]);
    project.compose(["pause", "one"]).ok();
    assert_eq!(project.services("paused"), ["one"]);
    project.compose(["unpause", "one"]).ok();
    let first = project.inspect("one", "{{.State.StartedAt}}");
    project.compose(["restart", "-t", "1", "one"]).ok();
    assert_ne!(project.inspect("one", "{{.State.StartedAt}}"), first);
    project.compose(["kill", "-s", "KILL", "two"]).ok();
    project.machine.until("two is killed", |_| project.services("exited") == ["two"]);
    assert_eq!(project.inspect("two", "{{.State.ExitCode}}"), "137");
    project.compose(["rm", "-f", "two"]).ok();
    assert_eq!(project.compose(["ps", "-aq"]).ok().lines().count(), 1);
    project.compose(["stop", "-t", "1"]).ok();
    assert_eq!(project.services("exited"), ["one"]);
}

#[test]
fn up_makes_anew_only_what_has_changed() {
    let text = "services:\n  keep: {image: busybox, init: true, command: sleep 1000}\n  \
                change: {image: busybox, init: true, command: sleep 1000, environment: {COLOUR: red}}\n";
    let project = Project::new(text);
    project.compose(["up", "-d"]).ok();
    let id = |service| project.inspect(service, "{{.Id}}");
    let (kept, changed) = (id("keep"), id("change"));
    project.compose(["stop", "-t", "1", "keep"]).ok();
    project.write("compose.yaml", &text.replace("red", "blue"));
    project.compose(["up", "-d", "-t", "1"]).ok();
    assert_eq!(id("keep"), kept, "a stopped container was taken for a changed one");
    assert_ne!(id("change"), changed);
    assert_eq!(project.shell("change", "echo $COLOUR"), "blue");
    project.compose(["up", "-d", "-t", "1", "--force-recreate", "keep"]).ok();
    assert_ne!(id("keep"), kept);
    project.write("compose.yaml", text.split("  change").next().expect("one service"));
    let warned = project.compose(["up", "-d"]);
    assert!(warned.err.contains("Found orphan containers ([app-change-1])"), "{warned:?}");
    project.compose(["up", "-d", "--remove-orphans"]).ok();
    assert_eq!(project.machine.docker(["ps", "-a", "--format", "{{.Names}}"]).ok(), "app-keep-1");
}

#[test]
fn services_are_scaled_up_and_down_and_ports_come_from_a_range() {
    let project = Project::new(
        "services:\n  web: {image: busybox, init: true, command: sleep 1000, ports: ['18000-18002:80']}\n",
    );
    project.compose(["up", "-d", "--scale", "web=3"]).ok();
    let said = project.compose(["ps", "--format", "json"]).ok();
    let mut ports: Vec<u64> = said
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|container| container["Publishers"][0]["PublishedPort"].as_u64().expect("a port"))
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [18000, 18001, 18002]);
    assert!(project.compose(["port", "--index", "2", "web", "80"]).ok().starts_with("0.0.0.0:1800"));
    project.compose(["up", "-d", "-t", "1", "--scale", "web=1"]).ok();
    assert_eq!(project.compose(["ps", "-aq"]).ok().lines().count(), 1);
}

#[test]
fn up_in_the_foreground_ends_with_the_first_container_and_its_code() {
    let project = Project::new(
        "services:\n\
         \x20 server: {image: busybox, init: true, command: sleep 1000}\n\
         \x20 check: {image: busybox, command: sh -c 'echo checked; exit 3', depends_on: [server]}\n",
    );
    let said = project.compose(["up", "-t", "1", "--exit-code-from", "check"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.out.contains("checked"), "{said:?}");
    assert_eq!(project.services("running"), [""; 0]);
    assert_eq!(project.compose(["up", "-t", "1", "--abort-on-container-exit"]).code, 3);
}

#[test]
fn the_end_of_services_is_waited_for_and_may_take_the_rest_along() {
    let project = Project::new(
        "services:\n\
         \x20 job: {image: busybox, command: \"sh -c 'until [ -e /data/go ]; do sleep 0.05; done; exit 7'\", volumes: ['data:/data']}\n\
         \x20 rest: {image: busybox, init: true, command: sleep 1000, volumes: ['data:/data']}\n\
         volumes: {data: {}}\n",
    );
    // Whom nobody waits for yet when it ends is not found: begun again.
    let waited = |arguments: &[&str]| loop {
        project
            .machine
            .docker(["run", "--rm", "-v", "app_data:/data", "busybox", "rm", "-f", "/data/go"])
            .ok();
        project.compose(["up", "-d"]).ok();
        let mut waits = project.command(["wait"]);
        let waits = waits.args(arguments).stdout(std::process::Stdio::piped()).spawn().expect("docker");
        project.machine.until("it waits, most likely", |_| sleeps(waits.id()));
        project.shell("rest", "touch /data/go");
        let said = crate::machine::Said::from(waits.wait_with_output().expect("its end"));
        if said.code != 1 {
            return said;
        }
    };
    let said = waited(&["job"]);
    assert_eq!(said.code, 7, "{said:?}");
    assert!(said.out.contains("exited with status code 7"), "{said:?}");
    assert_eq!(project.services("running"), ["rest"]);
    assert_eq!(waited(&["--down-project", "job"]).code, 7);
    assert_eq!(project.machine.docker(["ps", "-aq"]).ok(), "");
}

/// Whether the process has been seen waiting for something, often in a row.
fn sleeps(pid: u32) -> bool {
    (0..50).all(|_| {
        std::thread::yield_now();
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") S "))
    })
}
