//! What the tools that people know show of the engine's networks.

use crate::drivers::{on_a_lan, reaches};
use crate::machine::Machine;

fn said(machine: &Machine, program: &str, arguments: &[&str]) -> String {
    let output = machine.inside(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn rules_of_ones_own_in_docker_user_come_first_and_stay() {
    let mut machine = on_a_lan();
    said(&machine, "ip", &["addr", "add", "10.44.0.254/24", "dev", "lan0"]);
    machine.docker(["run", "-d", "--name", "one", "busybox", "sleep", "1000"]).ok();
    assert!(reaches(&machine, "one", "10.44.0.1"));
    let listed = said(&machine, "iptables-nft", &["-S"]);
    assert!(listed.contains("-N DOCKER-USER") && listed.contains("-A FORWARD -j DOCKER-USER"), "{listed}");
    said(&machine, "iptables-nft", &["-I", "DOCKER-USER", "-d", "10.44.0.1", "-j", "DROP"]);
    assert!(!reaches(&machine, "one", "10.44.0.1"));
    machine.kill_engine();
    machine.start_engine();
    assert!(!reaches(&machine, "one", "10.44.0.1"), "the rule outlives the engine");
    let listed = said(&machine, "iptables-nft", &["-S", "FORWARD"]);
    assert_eq!(listed.matches("-j DOCKER-USER").count(), 1, "{listed}");
    said(&machine, "iptables-nft", &["-F", "DOCKER-USER"]);
    assert!(reaches(&machine, "one", "10.44.0.1"));
}

#[test]
fn brctl_and_nft_show_bridges_ports_and_rules() {
    let machine = Machine::new();
    machine.docker(["network", "create", "-o", "com.docker.network.bridge.name=br-own", "own"]).ok();
    machine.docker(["run", "-d", "--network", "own", "-p", "8080:80", "busybox", "sleep", "1000"]).ok();
    let bridges = said(&machine, "brctl", &["show"]);
    let line = |name: &str| bridges.lines().find(|line| line.starts_with(name)).map(str::to_owned);
    assert!(line("docker0").is_some_and(|line| !line.contains("veth")), "{bridges}");
    assert!(line("br-own").is_some_and(|line| line.contains("veth")), "{bridges}");
    let rules = said(&machine, "nft", &["list", "table", "ip", "drydock"]);
    assert!(rules.contains("tcp . 8080 : 172.18.0.2 . 80"), "{rules}");
}
