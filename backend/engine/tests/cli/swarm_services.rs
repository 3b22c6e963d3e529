//! What services are besides running tasks: jobs, where tasks go, names without a virtual address; and a new authority, by the
//! genuine command line on three nodes.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::lan::{Lan, address};
use crate::machine::{Machine, PATIENCE};
use crate::swarm_networks::{container, swarm, until_replicas};

/// `docker service create -d -q NAME WORDS… busybox TASK…`.
fn create(manager: &Machine, name: &str, words: &str, task: &[&str]) {
    let begin = ["service", "create", "-d", "-q", "--name", name];
    let words: Vec<&str> = words.split_whitespace().collect();
    manager.docker_words(&[&begin[..], &words, &["busybox"], task].concat()).ok();
}

fn ids(nodes: &[Machine]) -> Vec<String> {
    nodes.iter().map(|node| node.docker(["info", "-f", "{{.Swarm.NodeID}}"]).ok()).collect()
}

/// How many containers of a service run on each node.
fn spread(nodes: &[Machine], service: &str) -> Vec<usize> {
    nodes.iter().map(|node| container(node, service).lines().count()).collect()
}

/// The lines of `docker service ps`, sorted.
fn tasks(manager: &Machine, service: &str, format: &str) -> Vec<String> {
    let said = manager.docker(["service", "ps", "--no-trunc", "--format", format, service]).ok();
    let mut lines: Vec<String> = said.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_job_runs_so_often_and_again_when_it_is_forced_to() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 2);
    let manager = &nodes[0];
    // Not detached: the command line shows how far it is, and ends with the job.
    let job = [
        "service",
        "create",
        "--name",
        "job",
        "--mode",
        "replicated-job",
        "--replicas",
        "5",
        "--max-concurrent",
        "2",
        "busybox",
        "sh",
        "-c",
        "echo done by $HOSTNAME",
    ];
    let said = manager.docker(job).ok();
    assert!(said.ends_with("active tasks: 0 out of 0 tasks\njob complete"), "{said}");
    let listed = ["service", "ls", "--filter", "name=job", "--format", "{{.Mode}} {{.Replicas}}"];
    assert_eq!(manager.docker(listed).ok(), "replicated job 0/2 (5/5 completed)");
    assert_eq!(tasks(manager, "job", "{{.DesiredState}}"), ["Complete"; 5]);
    manager.until("all have said so", |manager| {
        manager.docker(["service", "logs", "--raw", "job"]).out.lines().count() == 5
    });
    manager.docker(["service", "scale", "job=7"]).ok();
    assert_eq!(manager.docker(listed).ok(), "replicated job 0/2 (7/7 completed)");
    let runs = ["service", "inspect", "-f", "{{.JobStatus.JobIteration.Index}}", "job"];
    let before: u64 = manager.docker(runs).ok().parse().unwrap();
    manager.docker(["service", "update", "-q", "--force", "job"]).ok();
    assert_eq!(manager.docker(runs).ok().parse(), Ok(before + 1));
    assert_eq!(manager.docker(listed).ok(), "replicated job 0/2 (7/7 completed)");
}

#[test]
fn a_job_of_every_node_runs_once_on_each_and_a_failing_one_gives_up() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 3);
    let manager = &nodes[0];
    manager
        .docker(["service", "create", "-q", "--name", "each", "--mode", "global-job", "busybox", "true"])
        .ok();
    let listed = |name: &str| {
        let filter = format!("name={name}");
        manager.docker(["service", "ls", "--filter", &filter, "--format", "{{.Mode}} {{.Replicas}}"]).ok()
    };
    assert_eq!(listed("each"), "global job 0/0 (3/3 completed)");
    assert_eq!(tasks(manager, "each", "{{.Node}}").len(), 3);
    let said = manager.docker(["service", "scale", "each=2"]).fails(1);
    assert!(said.contains("scale can only be used with replicated or replicated-job mode"), "{said}");

    let policy = "--restart-condition on-failure --restart-max-attempts 2 --restart-delay 10ms";
    create(manager, "failing", &format!("--mode replicated-job {policy}"), &["false"]);
    manager.until("it was tried three times", |manager| {
        tasks(manager, "failing", "{{.CurrentState}} {{.Error}}")
            .iter()
            .filter(|task| task.starts_with("Failed") && task.ends_with("\"task: non-zero exit (1)\""))
            .count()
            == 3
    });
    assert_eq!(listed("failing"), "replicated job 0/1 (0/1 completed)");
}

#[test]
fn tasks_are_spread_over_zones_and_kept_within_limits_and_say_why_they_wait() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 3);
    let manager = &nodes[0];
    for (id, zone) in ids(&nodes).iter().zip(["zone=east", "zone=east", "zone=west"]) {
        manager.docker(["node", "update", "--label-add", zone, id]).ok();
    }
    create(manager, "zones", "--replicas 4 --placement-pref spread=node.labels.zone", &["sleep", "1000"]);
    until_replicas(manager, "zones", "4/4");
    assert_eq!(spread(&nodes, "zones"), [1, 1, 2], "half of them in each zone");
    let shown = "{{range .Spec.TaskTemplate.Placement.Preferences}}{{.Spread.SpreadDescriptor}}{{end}}";
    assert_eq!(manager.docker(["service", "inspect", "-f", shown, "zones"]).ok(), "node.labels.zone");

    create(manager, "east", "--mode global --constraint node.labels.zone==east", &["sleep", "1000"]);
    until_replicas(manager, "east", "2/2");
    assert_eq!(spread(&nodes, "east"), [1, 1, 0]);

    create(manager, "few", "--replicas 4 --replicas-max-per-node 1", &["sleep", "1000"]);
    until_replicas(manager, "few", "3/4 (max 1 per node)");
    assert_eq!(spread(&nodes, "few"), [1, 1, 1]);
    create(manager, "huge", "--reserve-memory 900g", &["sleep", "1000"]);
    create(manager, "nowhere", "--constraint node.labels.zone==north", &["sleep", "1000"]);
    for (service, why) in [
        ("few", "no suitable node (max replicas per node limit exceed)"),
        ("huge", "no suitable node (insufficient resources on 3 nodes)"),
        ("nowhere", "no suitable node (scheduling constraints not satisfied on 3 nodes)"),
    ] {
        manager.until(&format!("{service} says why"), |manager| {
            tasks(manager, service, "{{.CurrentState}} {{.Error}}")
                .iter()
                .any(|task| task.starts_with("Pending") && task.contains(why))
        });
    }
}

#[test]
fn without_a_virtual_address_a_name_stands_for_all_tasks() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 2);
    let manager = &nodes[0];
    manager.docker(["network", "create", "-d", "overlay", "net"]).ok();
    create(manager, "rr", "--endpoint-mode dnsrr --network net --replicas 3", &["sleep", "1000"]);
    create(manager, "client", "--mode global --network net", &["sleep", "1000"]);
    until_replicas(manager, "rr", "3/3");
    until_replicas(manager, "client", "2/2");
    let address_of = "{{range .NetworksAttachments}}{{range .Addresses}}{{.}}{{end}}{{end}}";
    let mut wanted: Vec<String> = Vec::new();
    for task in manager.docker(["service", "ps", "-q", "--no-trunc", "rr"]).ok().lines() {
        let said = manager.docker(["inspect", "--type", "task", "-f", address_of, task]).ok();
        wanted.push(said.split('/').next().unwrap().to_owned());
    }
    wanted.sort_unstable();
    for node in &nodes {
        let client = container(node, "client");
        node.until("the name has an address for each task", |node| {
            let said = node.docker(["exec", &client, "nslookup", "rr"]).out;
            let found =
                said.lines().filter(|line| line.starts_with("Address") && !line.contains("127.0.0.11"));
            let mut found: Vec<_> = found.filter_map(|line| line.rsplit(' ').next()).collect();
            found.sort_unstable();
            found == wanted
        });
    }
    let refused = ["service", "update", "-d", "--publish-add", "80:80", "rr"];
    let said = manager.docker(refused).fails(1);
    assert!(said.contains("port published with ingress mode can't be used with dnsrr mode"), "{said}");
    // Its tasks get an address in common without being started anew.
    let before = container(manager, "rr");
    manager.docker(["service", "update", "-d", "-q", "--endpoint-mode", "vip", "rr"]).ok();
    let client = container(manager, "client");
    manager.until("the name has one address", |manager| {
        let said = manager.docker(["exec", &client, "nslookup", "rr"]).out;
        let found: Vec<_> = said
            .lines()
            .filter(|line| line.starts_with("Address") && !line.contains("127.0.0.11"))
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        found.len() == 1 && !wanted.iter().any(|address| address == found[0])
    });
    assert_eq!(container(manager, "rr"), before);
}

#[test]
fn the_authority_is_replaced_while_the_swarm_goes_on() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 3);
    let manager = &nodes[0];
    create(manager, "web", "--replicas 3", &["sleep", "1000"]);
    until_replicas(manager, "web", "3/3");
    let before: Vec<_> = nodes.iter().map(|node| container(node, "web")).collect();
    let old = manager.docker(["swarm", "ca"]).ok();
    assert!(old.starts_with("-----BEGIN CERTIFICATE-----"), "{old}");
    let token = manager.docker(["swarm", "join-token", "-q", "worker"]).ok();
    let statuses = ["node", "ls", "--format", "{{.Status}} {{.TLSStatus}}"];
    assert_eq!(manager.docker(statuses).ok(), ["Ready Ready"; 3].join("\n"));
    // Twice: not detached, the command line waits until every node has its new certificate and trusts the new root.
    for _ in 0..2 {
        let said = manager.docker(["swarm", "ca", "--rotate", "--cert-expiry", "48h"]).ok();
        assert!(
            said.contains("desired root digest: sha256:") && said.contains("-----BEGIN CERTIFICATE-----"),
            "{said}"
        );
    }
    let new = manager.docker(["swarm", "ca"]).ok();
    assert_ne!(new, old);
    assert_eq!(manager.docker(statuses).ok(), ["Ready Ready"; 3].join("\n"));
    assert_eq!(
        manager.docker(["info", "-f", "{{.Swarm.Cluster.Spec.CAConfig.NodeCertExpiry}}"]).ok(),
        "48h0m0s"
    );
    let now: Vec<_> = nodes.iter().map(|node| container(node, "web")).collect();
    assert_eq!(now, before, "no task was started anew");

    // The digest in a token is the new root's: the old one is refused, the new one lets in.
    nodes[2].docker(["swarm", "leave"]).ok();
    let to = format!("{}:2377", address(0));
    let said = nodes[2].docker(["swarm", "join", "--token", &token, &to]).fails(1);
    assert!(said.contains("remote CA does not match fingerprint"), "{said}");
    let token = manager.docker(["swarm", "join-token", "-q", "worker"]).ok();
    nodes[2].docker(["swarm", "join", "--token", &token, &to]).ok();
    manager.until("it is back", |manager| {
        manager.docker(statuses).ok().lines().filter(|line| *line == "Ready Ready").count() == 3
    });
}

#[test]
fn a_service_without_a_name_gets_one_and_unknown_words_are_named() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 1);
    let manager = &nodes[0];
    manager.docker(["service", "create", "-d", "-q", "busybox", "sleep", "1000"]).ok();
    let name = manager.docker(["service", "ls", "--format", "{{.Name}}"]).ok();
    assert!(
        name.split_once('_').is_some_and(|(first, second)| !first.is_empty() && !second.is_empty()),
        "{name}"
    );
    until_replicas(manager, &name, "1/1");
    for (words, refusal) in [
        ("--restart-condition often", "invalid RestartCondition: \"often\""),
        ("--update-order last", "unrecognized update order last"),
        ("--update-failure-action weep", "unrecognized update failure action weep"),
        ("--rollback-failure-action weep", "unrecognized update failure action weep"),
        ("--endpoint-mode nowhere", "invalid resolution mode: \"nowhere\""),
        ("--mount type=hill,target=/x", "invalid MountType: \"hill\""),
    ] {
        let words: Vec<&str> = words.split_whitespace().collect();
        let create = ["service", "create", "-d", "-q", "--name", "no"];
        let said = manager.docker_words(&[&create[..], &words, &["busybox", "true"]].concat()).fails(1);
        assert!(said.contains(&format!("Error response from daemon: {refusal}")), "{said}");
    }
    // A change of what is not the tasks' leaves them alone, also when the answer comes back whole.
    let before = container(manager, &name);
    manager.docker(["service", "update", "-q", "--label-add", "a=b", &name]).ok();
    assert_eq!(container(manager, &name), before);
    manager.docker(["network", "create", "-d", "overlay", "net"]).ok();
    let said = manager.docker(["network", "create", "-d", "overlay", "net"]).fails(1);
    assert!(said.contains("network with name net already exists"), "{said}");
    let said = manager.docker(["network", "create", "-d", "overlay", "--subnet", "nonsense", "odd"]).fails(1);
    assert!(said.contains("invalid subnet nonsense: invalid CIDR block notation"), "{said}");
}

/// A running `docker service logs -f`; ended with the test.
struct Followed {
    client: Child,
    lines: Receiver<String>,
    tasks: BTreeSet<String>,
}

impl Followed {
    fn begin(manager: &Machine, service: &str) -> Self {
        let mut command = manager.command(["service", "logs", "-f", "--no-trunc", service]);
        let mut client = command.stdout(Stdio::piped()).spawn().expect("docker");
        let said = BufReader::new(client.stdout.take().expect("its output"));
        let (heard, lines) = channel();
        // Ends with the client.
        std::thread::spawn(move || said.lines().map_while(Result::ok).all(|line| heard.send(line).is_ok()));
        Self { client, lines, tasks: BTreeSet::new() }
    }

    /// Reads on until so many tasks have spoken, which they do all the time.
    fn until_tasks(&mut self, count: usize) {
        let end = Instant::now() + PATIENCE;
        while self.tasks.len() < count {
            let line = self.lines.recv_timeout(PATIENCE).expect("the stream goes on");
            let (task, said) = line.split_once('|').expect("who says it");
            assert_eq!(said.trim(), "tick");
            self.tasks.insert(task.trim().to_owned());
            assert!(Instant::now() < end, "in vain: {count} tasks speak, not {:?}", self.tasks);
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}

#[test]
fn progress_is_shown_until_it_converges_and_logs_are_followed_from_all_nodes() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 2);
    let manager = &nodes[0];
    let watched =
        "--update-monitor 200ms --rollback-monitor 200ms --stop-signal KILL --restart-condition none";
    let words = format!("service create --name talk --mode global {watched} busybox sh -c");
    let script = "while :; do echo tick; sleep 0.1; done";
    let words: Vec<&str> = words.split(' ').chain([script]).collect();
    let said = manager.docker_words(&words).ok();
    assert!(said.contains("overall progress: 2 out of 2 tasks") && said.ends_with("converged"), "{said}");

    let mut logs = Followed::begin(manager, "talk");
    logs.until_tasks(2);
    let said = manager.docker(["service", "update", "--env-add", "A=b", "talk"]).ok();
    assert!(said.contains("overall progress: 2 out of 2 tasks"), "{said}");
    assert!(said.ends_with("verify: Service talk converged"), "{said}");
    logs.until_tasks(4);
    let said = manager.docker(["service", "rollback", "talk"]).ok();
    assert!(said.contains("rollback: manually requested rollback"), "{said}");
    assert!(said.contains("overall progress: rolling back update: 2 out of 2 tasks"), "{said}");
    logs.until_tasks(6);

    let fails = ["service", "update", "--update-failure-action", "rollback", "--args", "false", "talk"];
    let said = manager.docker(fails).ok();
    assert!(said.contains("overall progress: rolling back update: 2 out of 2 tasks"), "{said}");
    manager.until("it has gone back", |manager| {
        manager.docker(["service", "inspect", "-f", "{{.UpdateStatus.State}}", "talk"]).ok()
            == "rollback_completed"
    });
    let arguments = "{{.Spec.TaskTemplate.ContainerSpec.Args}}";
    assert!(manager.docker(["service", "inspect", "-f", arguments, "talk"]).ok().contains("tick"));
    // On one node at least: the second may not have been touched.
    logs.until_tasks(7);
}
