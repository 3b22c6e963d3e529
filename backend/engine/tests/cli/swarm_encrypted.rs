//! Encrypted overlay networks, by the genuine command line, with what passes between the nodes.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lan::Lan;
use crate::machine::Machine;
use crate::swarm_networks::{answers, container, swarm, until_replicas};

/// The link of the tunnel between nodes.
const LINK: &str = "drydock-wg";
/// What nobody between the nodes may read.
const WORD: &str = "a-word-for-the-other-node-alone";

/// tcpdump on a machine's cable.
struct Capture {
    tcpdump: Child,
    path: PathBuf,
}

impl Capture {
    fn of(machine: &Machine) -> Self {
        let path = machine.path("capture");
        let mut tcpdump = machine
            .inside("tcpdump")
            .args(["-Z", "root", "-i", "eth0", "-U", "--immediate-mode", "-w"])
            .arg(&path)
            .stderr(Stdio::piped())
            .spawn()
            .expect("tcpdump (apt-get install tcpdump)");
        let said = BufReader::new(tcpdump.stderr.take().expect("its words")).lines();
        let listens = said.map_while(Result::ok).any(|line| line.contains("listening on"));
        assert!(listens, "tcpdump listens");
        Self { tcpdump, path }
    }

    /// How many packets to a UDP port were caught, and all bytes of all.
    fn end(mut self, ports: [u16; 2]) -> ([usize; 2], Vec<u8>) {
        let pid = i32::try_from(self.tcpdump.id()).expect("a process");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("kill");
        self.tcpdump.wait().expect("its end");
        let count = |port: u16| {
            let mut read = std::process::Command::new("tcpdump");
            read.args(["-n", "-t", "-q", "-r"]).arg(&self.path).args(["udp", "port", &port.to_string()]);
            let said = read.output().expect("tcpdump").stdout;
            String::from_utf8_lossy(&said).lines().count()
        };
        (ports.map(count), std::fs::read(&self.path).expect("what was caught"))
    }
}

fn says(machine: &Machine, program: &str, arguments: &[&str]) -> String {
    let said = machine.inside(program).args(arguments).output().expect(program);
    String::from_utf8_lossy(&said.stdout).into_owned()
}

fn has_tunnel(machine: &Machine) -> bool {
    says(machine, "ip", &["-o", "link"]).contains(LINK)
}

fn has_rules(machine: &Machine) -> bool {
    says(machine, "nft", &["list", "tables"]).contains("encrypted")
}

#[test]
fn an_encrypted_network_leads_to_services_of_other_nodes_and_nobody_between_reads_it() {
    let lan = Lan::new();
    let mut nodes = swarm(&lan, 2);
    nodes[0].docker(["network", "create", "-d", "overlay", "-o", "encrypted", "net"]).ok();
    let shown = nodes[0].docker(["network", "inspect", "net", "-f", "{{json .Options}}"]).ok();
    assert!(shown.contains(r#""encrypted":"""#), "{shown}");
    let serve = format!("echo {WORD} > /data/index.html; exec httpd -f -p 80 -h /data");
    let web = ["service", "create", "-d", "-q", "--name", "web", "--network", "net"];
    let place = ["--constraint", "node.role==worker", "busybox", "sh", "-c", &serve];
    nodes[0].docker_words(&[&web[..], &place].concat()).ok();
    let client = ["service", "create", "-d", "-q", "--name", "client", "--network", "net"];
    let place = ["--constraint", "node.role==manager", "busybox", "sleep", "1000"];
    nodes[0].docker_words(&[&client[..], &place].concat()).ok();
    until_replicas(&nodes[0], "web", "1/1");
    until_replicas(&nodes[0], "client", "1/1");
    let (client, served) = (container(&nodes[0], "client"), container(&nodes[1], "web"));
    let capture = Capture::of(&nodes[1]);
    for name in ["web", "tasks.web"] {
        nodes[0].until(name, |node| answers(node, &client, name, 2) == [WORD]);
    }
    let ([clear, sealed], bytes) = capture.end([4789, 51820]);
    assert_eq!(clear, 0, "no VXLAN in clear");
    assert!(sealed >= 8, "{sealed} packets of WireGuard");
    assert!(!bytes.windows(WORD.len()).any(|window| window == WORD.as_bytes()), "the word was in none");

    nodes[1].kill_engine();
    nodes[1].until("the link goes with its engine", |node| !has_tunnel(node));
    nodes[1].start_engine();
    nodes[0].until("all answer again", |node| answers(node, &client, "web", 2) == [WORD]);
    assert_eq!(container(&nodes[1], "web"), served, "the task is the one it was");

    nodes[0].docker(["service", "rm", "web", "client"]).ok();
    nodes[0].until("the network is free", |node| node.docker(["network", "rm", "net"]).code == 0);
    for node in &nodes {
        node.until("no tunnel is left", |node| !has_tunnel(node));
        node.until("nor its rules", |node| !has_rules(node));
        assert!(!says(node, "ip", &["-6", "route"]).contains("fd64:"), "nor a route");
        let switches = std::fs::read_dir(node.path("exec/netns")).expect("namespaces").flatten();
        let switches = switches.filter(|entry| entry.file_name().to_string_lossy().starts_with("1-"));
        assert_eq!(switches.count(), 0, "nor a switch with its VXLAN");
    }
}

#[test]
fn a_stack_file_asks_for_encryption_and_clear_networks_stay_clear() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 2);
    let compose = nodes[0].path("stack.yaml");
    let file = "services:\n  one:\n    image: busybox\n    command: sleep 1000\n    networks: [front]\n\
                networks:\n  front:\n    attachable: true\n    driver_opts: {encrypted: \"\"}\n";
    std::fs::write(&compose, file).expect("a file");
    nodes[0].docker(["stack", "deploy", "-d", "-c", &compose.display().to_string(), "shop"]).ok();
    let shown = nodes[0].docker(["network", "inspect", "shop_front", "-f", "{{json .Options}}"]).ok();
    assert!(shown.contains(r#""encrypted":"""#), "{shown}");
    nodes[0].docker(["network", "create", "-d", "overlay", "--attachable", "clear"]).ok();
    for (at, name) in [(0, "here"), (1, "there")] {
        let run =
            ["run", "-d", "--init", "--name", name, "--network", "shop_front", "busybox", "sleep", "1000"];
        nodes[at].docker(run).ok();
        nodes[at].docker(["network", "connect", "clear", name]).ok();
    }
    for (network, wanted) in [("shop_front", [false, true]), ("clear", [true, false])] {
        let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
        let address = nodes[1].inspect("there", &format);
        let ping = ["exec", "here", "ping", "-c", "1", "-W", "1", &address];
        nodes[0].until("it answers", |node| node.docker(ping).code == 0);
        let capture = Capture::of(&nodes[1]);
        nodes[0].docker(ping).ok();
        let (caught, _) = capture.end([4789, 51820]);
        assert_eq!(caught.map(|packets| packets >= 2), wanted, "{network}: {caught:?}");
    }
    nodes[0].docker(["rm", "-f", "here"]).ok();
    nodes[1].docker(["rm", "-f", "there"]).ok();
}

#[test]
fn without_a_tun_device_an_encrypted_network_says_what_is_missing() {
    let lan = Lan::new();
    let nodes = swarm(&lan, 1);
    let hidden = nodes[0].inside("mount").args(["-t", "tmpfs", "tmpfs", "/dev/net"]).status();
    assert!(hidden.expect("mount").success());
    nodes[0].docker(["network", "create", "-d", "overlay", "--attachable", "-o", "encrypted", "net"]).ok();
    let said = nodes[0].docker(["run", "--rm", "--network", "net", "busybox", "true"]).fails(125);
    assert!(said.contains("/dev/net/tun") && said.contains("load the kernel's module tun"), "{said}");
    assert!(!has_tunnel(&nodes[0]) && !has_rules(&nodes[0]), "nothing of it is left");
    nodes[0].docker(["network", "create", "-d", "overlay", "--attachable", "clear"]).ok();
    nodes[0].docker(["run", "--rm", "--network", "clear", "busybox", "true"]).ok();
}
