//! Networks of a swarm of several nodes, by the genuine command line: names, addresses of services, the routing mesh,
//! plain containers, stacks.

use crate::lan::{Lan, address};
use crate::machine::Machine;

/// A page that says who serves it.
const SERVE: &str = "hostname > /data/index.html; exec httpd -f -p 80 -h /data";

/// Machines of one swarm; the first is its manager.
pub fn swarm(lan: &Lan, count: u8) -> Vec<Machine> {
    let machines = lan.machines(count);
    machines[0].docker(["swarm", "init", "--advertise-addr", &address(0)]).ok();
    let token = machines[0].docker(["swarm", "join-token", "-q", "worker"]).ok();
    let manager = format!("{}:2377", address(0));
    for machine in &machines[1..] {
        machine.docker(["swarm", "join", "--token", &token, &manager]).ok();
    }
    machines
}

#[track_caller]
pub fn until_replicas(manager: &Machine, service: &str, replicas: &str) {
    manager.until(&format!("{service} has {replicas}"), |manager| {
        let filter = format!("name={service}");
        manager.docker(["service", "ls", "--filter", &filter, "--format", "{{.Replicas}}"]).ok() == replicas
    });
}

/// The service `web` on the network `net` and port 8080, whose pages say which node answers.
fn serve(manager: &Machine, mode: [&str; 2]) {
    let create = ["service", "create", "-d", "-q", "--name", "web", "--network", "net", "-p", "8080:80"];
    let task = ["--hostname", "{{.Node.ID}}", "busybox", "sh", "-c", SERVE];
    manager.docker_words(&[&create[..], &mode, &task].concat()).ok();
}

/// The container of a service's only task on this machine.
pub fn container(machine: &Machine, service: &str) -> String {
    let filter = format!("label=com.docker.swarm.service.name={service}");
    machine.docker(["ps", "-q", "--filter", &filter]).ok()
}

/// The addresses that a name has for a container of the machine; none while nobody knows it.
fn addresses(machine: &Machine, from: &str, name: &str) -> Vec<String> {
    let said = machine.docker(["exec", from, "nslookup", name]);
    let lines = said.out.lines().filter(|line| line.starts_with("Address"));
    let found = lines.filter_map(|line| line.rsplit(' ').next()).filter(|ip| !ip.contains("127.0.0.11"));
    let mut found: Vec<String> = found.map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Who answers by a name, asked so often, from a container of the machine.
pub fn answers(machine: &Machine, from: &str, name: &str, times: usize) -> Vec<String> {
    let found = addresses(machine, from, name);
    let [address, ..] = found.as_slice() else { return Vec::new() };
    // By number: a busybox without libraries cannot ask for names here.
    let script = format!("for n in $(seq {times}); do wget -q -O - http://{address}/; done");
    let said = machine.docker(["exec", from, "sh", "-c", &script]);
    let mut lines: Vec<String> = said.out.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// The same from the machine itself, as a browser would.
fn pages(machine: &Machine, url: &str, times: usize) -> Vec<String> {
    let script = format!("for n in $(seq {times}); do curl -sf --max-time 5 {url}; done");
    let said = machine.inside("sh").args(["-c", &script]).output().expect("curl");
    let mut lines: Vec<String> = String::from_utf8_lossy(&said.stdout).lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[test]
fn a_service_is_reached_by_its_name_and_its_port_on_every_node() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 3);
    let manager = &nodes[0];
    manager.docker(["network", "create", "-d", "overlay", "net"]).ok();
    // On two of the three nodes; the third has no task.
    let drained = nodes[2].docker(["info", "-f", "{{.Swarm.NodeID}}"]).ok();
    let constraint = format!("node.id!={drained}");
    manager
        .docker_words(&[
            "service",
            "create",
            "-d",
            "-q",
            "--name",
            "web",
            "--network",
            "net",
            "--replicas",
            "2",
            "--constraint",
            &constraint,
            "-p",
            "8080:80",
            "--hostname",
            "web{{.Task.Slot}}",
            "busybox",
            "sh",
            "-c",
            SERVE,
        ])
        .ok();
    manager
        .docker([
            "service",
            "create",
            "-d",
            "-q",
            "--name",
            "client",
            "--network",
            "net",
            "--mode",
            "global",
            "busybox",
            "sleep",
            "1000",
        ])
        .ok();
    until_replicas(manager, "web", "2/2");
    until_replicas(manager, "client", "3/3");
    for (at, node) in nodes.iter().enumerate() {
        let client = container(node, "client");
        node.until("both are known by name", |node| answers(node, &client, "web", 4) == ["web1", "web2"]);
        assert_eq!(addresses(node, &client, "tasks.web").len(), 2, "tasks by name");
        let [service] = &addresses(node, &client, "web")[..] else { panic!("one address stands for all") };
        let ping = node.docker(["exec", &client, "ping", "-c", "1", "-W", "5", service]);
        assert!(ping.ok().contains("1 packets received"));
        let outside = nodes.iter().chain(std::iter::once(node));
        for from in outside {
            let url = format!("http://{}:8080/", address(at as u8));
            from.until("the mesh leads to both", |from| pages(from, &url, 4) == ["web1", "web2"]);
        }
        node.until("on its own loopback too", |node| {
            pages(node, "http://127.0.0.1:8080/", 4) == ["web1", "web2"]
        });
    }
    let shown =
        manager.docker(["network", "inspect", "ingress", "-f", "{{.Scope}} {{.Ingress}} {{.Driver}}"]).ok();
    assert_eq!(shown, "swarm true overlay");
    let said = manager.docker(["network", "rm", "net"]).fails(1);
    assert!(said.contains("is in use by service"), "{said}");
    // One task alone is left, and is all that is asked.
    manager.docker(["service", "scale", "-d", "web=1"]).ok();
    until_replicas(manager, "web", "1/1");
    let client = container(&nodes[1], "client");
    nodes[1].until("who is gone is asked no more", |node| answers(node, &client, "web", 4).len() == 1);
    manager.docker(["service", "rm", "web", "client"]).ok();
    for node in &nodes {
        node.until("nothing runs", |node| node.docker(["ps", "-aq"]).ok().is_empty());
    }
    manager.until("the network is free", |manager| manager.docker(["network", "rm", "net"]).code == 0);
    nodes[2].until("its port is closed", |node| pages(node, "http://127.0.0.1:8080/", 1).is_empty());
    for node in nodes.iter().rev() {
        node.docker(["swarm", "leave", "--force"]).ok();
        assert!(!node.docker(["network", "ls"]).ok().contains("overlay"));
        let left = std::fs::read_dir(node.path("exec/netns")).expect("namespaces").flatten();
        let switches = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("1-"));
        assert_eq!(switches.count(), 0, "no switch is left");
    }
}

#[test]
fn plain_containers_join_an_attachable_network_from_any_node() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 2);
    nodes[0].docker(["network", "create", "-d", "overlay", "--attachable", "net"]).ok();
    nodes[0].docker(["network", "create", "-d", "overlay", "closed"]).ok();
    let serve = [
        "run",
        "-d",
        "--name",
        "one",
        "--hostname",
        "one",
        "--network",
        "net",
        "--network-alias",
        "www",
        "busybox",
        "sh",
        "-c",
        SERVE,
    ];
    nodes[1].docker_words(&serve).ok();
    nodes[0]
        .docker(["run", "-d", "--init", "--name", "two", "--network", "net", "busybox", "sleep", "1000"])
        .ok();
    for name in ["one", "www"] {
        nodes[0].until("the other answers", |node| answers(node, "two", name, 1) == ["one"]);
    }
    let said = nodes[1].docker(["run", "--rm", "--network", "closed", "busybox", "true"]).fails(125);
    assert!(said.contains("network closed not manually attachable"), "{said}");
    let said = nodes[1].docker(["run", "--rm", "--network", "nowhere", "busybox", "true"]).fails(125);
    assert!(said.contains("network nowhere not found"), "{said}");
    let subnet =
        nodes[0].docker(["network", "inspect", "net", "-f", "{{(index .IPAM.Config 0).Subnet}}"]).ok();
    let fixed = subnet.replace(".0/24", ".77");
    nodes[0].docker(["run", "-d", "--init", "--name", "three", "busybox", "sleep", "1000"]).ok();
    nodes[0].docker(["network", "connect", "--ip", &fixed, "net", "three"]).ok();
    let shown = nodes[0].inspect("three", "{{.NetworkSettings.Networks.net.IPAddress}}");
    assert_eq!(shown, fixed);
    nodes[1].until("it is reached where it wants to be", |node| {
        node.docker(["exec", "one", "ping", "-c", "1", "-W", "1", &fixed]).code == 0
    });
    let said = nodes[0].docker(["network", "rm", "net"]).fails(1);
    assert!(said.contains("is in use by task"), "{said}");
    nodes[0].docker(["network", "disconnect", "net", "three"]).ok();
    nodes[0].docker(["rm", "-f", "two", "three"]).ok();
    nodes[1].docker(["restart", "-t", "0", "one"]).ok();
    nodes[1].docker(["rm", "-f", "one"]).ok();
    nodes[0].until("places are given back", |node| node.docker(["network", "rm", "net"]).code == 0);
}

#[test]
fn what_runs_goes_on_while_engines_are_killed_and_come_back() {
    let lan = Lan::new();
    let mut nodes = swarm(&lan, 2);
    nodes[0].docker(["network", "create", "-d", "overlay", "--attachable", "net"]).ok();
    serve(&nodes[0], ["--mode", "global"]);
    until_replicas(&nodes[0], "web", "2/2");
    nodes[1]
        .docker(["run", "-d", "--init", "--name", "one", "--network", "net", "busybox", "sleep", "1000"])
        .ok();
    nodes[1].until("both answer", |node| answers(node, "one", "web", 4).len() == 2);
    let before: Vec<String> = nodes.iter().map(|node| container(node, "web")).collect();
    for at in [1, 0] {
        nodes[at].kill_engine();
        nodes[at].start_engine();
    }
    nodes[0].until("the manager leads again", |node| node.docker(["node", "ls"]).code == 0);
    until_replicas(&nodes[0], "web", "2/2");
    let after: Vec<String> = nodes.iter().map(|node| container(node, "web")).collect();
    assert_eq!(before, after, "no task was made anew");
    nodes[1].until("both answer still", |node| answers(node, "one", "web", 4).len() == 2);
    for node in &nodes {
        node.until("the mesh leads on", |node| pages(node, "http://127.0.0.1:8080/", 4).len() == 2);
    }
    nodes[1].docker(["rm", "-f", "one"]).ok();
}

#[test]
fn what_was_removed_while_an_engine_was_away_is_forgotten_when_it_is_back() {
    let lan = Lan::new();
    let mut nodes = swarm(&lan, 2);
    nodes[0].docker(["network", "create", "-d", "overlay", "--attachable", "net"]).ok();
    let only = nodes[0].docker(["info", "-f", "{{.Swarm.NodeID}}"]).ok();
    let constraint = format!("node.id=={only}");
    let create =
        ["service", "create", "-d", "-q", "--name", "web", "--network", "net", "--constraint", &constraint];
    nodes[0].docker_words(&[&create[..], &["busybox", "sleep", "1000"]].concat()).ok();
    let run = ["run", "-d", "--init", "--name", "one", "--network", "net", "busybox", "sleep", "1000"];
    nodes[1].docker(run).ok();
    let sandbox = nodes[1].inspect("one", "{{.NetworkSettings.SandboxKey}}");
    let network = nodes[1].docker(["network", "inspect", "net", "-f", "{{.ID}}"]).ok();
    let switch = format!("{}/1-{}", sandbox.rsplit_once('/').expect("a folder").0, &network[..10]);
    let seen = |node: &Machine| {
        let look = format!(
            "nsenter --net={sandbox} nft list ruleset | grep -c dnat; nsenter --net={switch} bridge fdb show dev vxlan0 | grep -c dst"
        );
        let said = node.inside("sh").args(["-c", &look]).output().expect("nft and bridge");
        String::from_utf8_lossy(&said.stdout).into_owned()
    };
    nodes[1].until("the service and its task are known", |node| seen(node) == "1\n1\n");
    nodes[1].kill_engine();
    nodes[0].docker(["service", "rm", "web"]).ok();
    assert_eq!(seen(&nodes[1]), "1\n1\n", "nobody was there to forget them");
    nodes[1].start_engine();
    nodes[1].until("nothing of them is left", |node| seen(node) == "0\n0\n");
    nodes[1].docker(["rm", "-f", "one"]).ok();
}

#[test]
fn a_stack_is_deployed_changed_and_removed() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 2);
    let manager = &nodes[0];
    let file = |replicas: u8| {
        format!(
            "services:\n  web:\n    image: busybox\n    hostname: web{{{{.Task.Slot}}}}\n    command: sh -c '{SERVE}'\n    \
             ports: [\"8080:80\"]\n    networks: [front]\n    deploy: {{replicas: {replicas}}}\n    \
             secrets: [word]\n  client:\n    image: busybox\n    command: sleep 1000\n    networks: [front]\n\
             networks:\n  front: {{}}\nsecrets:\n  word: {{file: ./word}}\n"
        )
    };
    std::fs::write(manager.path("word"), "hidden").expect("a secret");
    let compose = manager.path("stack.yaml");
    std::fs::write(&compose, file(2)).expect("a file");
    let deploy =
        || manager.docker(["stack", "deploy", "-d", "-c", &compose.display().to_string(), "shop"]).ok();
    let said = deploy();
    for made in ["Creating network shop_front", "Creating secret shop_word", "Creating service shop_web"] {
        assert!(said.contains(made), "{said}");
    }
    until_replicas(manager, "shop_web", "2/2");
    until_replicas(manager, "shop_client", "1/1");
    assert_eq!(manager.docker(["stack", "ls", "--format", "{{.Name}} {{.Services}}"]).ok(), "shop 2");
    assert_eq!(manager.docker(["stack", "services", "-q", "shop"]).ok().lines().count(), 2);
    let place =
        nodes.iter().find(|node| !container(node, "shop_client").is_empty()).expect("the client's node");
    let client = container(place, "shop_client");
    place.until("names have the stack's network", |node| answers(node, &client, "web", 4).len() == 2);
    manager.until("the port is open", |node| pages(node, "http://127.0.0.1:8080/", 4).len() == 2);
    std::fs::write(&compose, file(3)).expect("a file");
    deploy();
    until_replicas(manager, "shop_web", "3/3");
    assert_eq!(container(place, "shop_client"), client, "what did not change is left alone");
    assert_eq!(manager.docker(["stack", "ps", "-q", "shop"]).ok().lines().count(), 4);
    let said = manager.docker(["stack", "rm", "shop"]).ok();
    assert!(said.contains("Removing network shop_front"), "{said}");
    manager.until("nothing of it is left", |manager| {
        manager.docker(["stack", "ls", "--format", "{{.Name}}"]).ok().is_empty()
            && manager.docker(["network", "ls", "-q", "--filter", "name=shop"]).ok().is_empty()
            && manager.docker(["secret", "ls", "-q"]).ok().is_empty()
    });
}

#[test]
fn a_worker_that_is_cut_off_loses_its_tasks_and_comes_back_without_them() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 3);
    nodes[0].docker(["network", "create", "-d", "overlay", "net"]).ok();
    serve(&nodes[0], ["--replicas", "3"]);
    until_replicas(&nodes[0], "web", "3/3");
    let lost = nodes[2].docker(["info", "-f", "{{.Swarm.NodeID}}"]).ok();
    let ran = container(&nodes[2], "web");
    assert!(!ran.is_empty(), "one task on each node");
    lan.set_link(2, "down");
    nodes[0].until("the node is missed", |node| {
        node.docker(["node", "inspect", &lost, "-f", "{{.Status.State}}"]).ok() == "down"
    });
    nodes[0].until("its task runs elsewhere", |node| {
        let words = ["service", "ps", "-f", "desired-state=running", "--format", "{{.CurrentState}}", "web"];
        let running = node.docker(words).ok();
        running.lines().filter(|state| state.starts_with("Running")).count() == 3
    });
    nodes[1].until("the mesh leads to who is left", |node| {
        let found = pages(node, "http://127.0.0.1:8080/", 6);
        found.len() == 2 && !found.contains(&lost)
    });
    lan.set_link(2, "up");
    nodes[0].until("the node is back", |node| {
        node.docker(["node", "inspect", &lost, "-f", "{{.Status.State}}"]).ok() == "ready"
    });
    nodes[2].until("what it ran on its own has ended", |node| !container(node, "web").contains(&ran));
    let running: usize = nodes.iter().map(|node| container(node, "web").lines().count()).sum();
    assert_eq!(running, 3, "no task runs twice");
    nodes[2]
        .until("it takes part in the mesh again", |node| pages(node, "http://127.0.0.1:8080/", 6).len() == 2);
}
