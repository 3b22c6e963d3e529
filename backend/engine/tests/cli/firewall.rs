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
fn a_policy_that_another_engine_left_does_not_cut_containers_off() {
    let machine = on_a_lan();
    said(&machine, "ip", &["addr", "add", "10.44.0.254/24", "dev", "lan0"]);
    said(&machine, "iptables-nft", &["-P", "FORWARD", "DROP"]);
    machine.docker(["network", "create", "own"]).ok();
    machine.docker(["run", "-d", "--name", "one", "--network", "own", "busybox", "sleep", "1000"]).ok();
    machine.until("it gets out", |machine| reaches(machine, "one", "10.44.0.1"));
}

#[test]
fn iptables_shows_what_is_translated_and_let_in() {
    let machine = Machine::new();
    machine.docker(["network", "create", "-o", "com.docker.network.bridge.name=br-own", "own"]).ok();
    machine.docker(["network", "create", "--internal", "shut"]).ok();
    let ports = ["-p", "8080:80", "-p", "127.0.0.1:5353:53/udp"];
    let run =
        [&["run", "-d", "--name", "web", "--network", "own"], &ports[..], &["busybox", "sleep", "1000"]];
    machine.docker_words(&run.concat()).ok();
    let nat = |machine: &Machine| said(machine, "iptables-nft", &["-t", "nat", "-S"]);
    machine.until("the ports are shown", |machine| nat(machine).contains("--dport 8080"));
    let listed = nat(&machine);
    for line in [
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER",
        "-A OUTPUT -m addrtype --dst-type LOCAL -j DOCKER",
        "-A DOCKER -d 127.0.0.1/32 -p udp -m udp --dport 5353 -j DNAT --to-destination 172.18.0.2:53",
        "-A DOCKER -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.18.0.2:80",
        "-A DOCKER-POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
        "-A DOCKER-POSTROUTING -s 172.18.0.0/16 ! -o br-own -j MASQUERADE",
    ] {
        assert!(listed.lines().any(|listed| listed == line), "{line}\n{listed}");
    }
    assert!(!listed.contains("172.19."), "an internal network is not translated: {listed}");
    let listed = said(&machine, "iptables-nft", &["-S"]);
    for line in [
        "-A DOCKER -o br-own -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        "-A DOCKER -d 172.18.0.2/32 -o br-own -p tcp -m tcp --dport 80 -j ACCEPT",
        "-A DOCKER -i br-own -j ACCEPT",
    ] {
        assert!(listed.lines().any(|listed| listed == line), "{line}\n{listed}");
    }
    machine.docker(["rm", "-f", "web"]).ok();
    machine.docker(["network", "rm", "own"]).ok();
    machine.until("they are gone", |machine| {
        let listed = nat(machine);
        !listed.contains("DNAT") && !listed.contains("br-own") && listed.contains("docker0")
    });
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
