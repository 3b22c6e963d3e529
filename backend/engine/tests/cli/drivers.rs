//! Network drivers beside the bridge, by the genuine command line. Kinds of link that a kernel lacks must be
//! refused by name, before anything is made.

use crate::machine::Machine;

/// A machine with a link `lan0` to another host, which has the address 10.44.0.1 and answers.
pub fn on_a_lan() -> Machine {
    let machine = Machine::new();
    let script = "ip link add lan0 type veth peer name far0 && ip netns add far && ip link set far0 netns far && \
                  ip link set lan0 up && ip -n far link set far0 up && ip -n far addr add 10.44.0.1/24 dev far0";
    // The other host's namespace lives as long as the machine's mounts.
    let script = format!("mount -t tmpfs run /run && {script}");
    let made = machine.inside("sh").args(["-c", &script]).output().expect("sh");
    assert!(made.status.success(), "{made:?}");
    machine
}

pub fn reaches(machine: &Machine, container: &str, address: &str) -> bool {
    machine.docker(["exec", container, "ping", "-c1", "-W1", address]).code == 0
}

fn lan(machine: &Machine, name: &str, mode: &str) {
    let mode = format!("macvlan_mode={mode}");
    machine
        .docker([
            "network",
            "create",
            "-d",
            "macvlan",
            "--subnet",
            "10.44.0.0/24",
            "--gateway",
            "10.44.0.1",
            "-o",
            "parent=lan0",
            "-o",
            &mode,
            name,
        ])
        .ok();
}

fn run(machine: &Machine, name: &str, network: &str, ip: &str) {
    machine
        .docker(["run", "-d", "--name", name, "--network", network, "--ip", ip, "busybox", "sleep", "1000"])
        .ok();
}

#[test]
fn macvlan_containers_are_machines_on_the_hosts_link() {
    let machine = on_a_lan();
    lan(&machine, "lan", "bridge");
    run(&machine, "one", "lan", "10.44.0.2");
    run(&machine, "two", "lan", "10.44.0.3");
    assert!(reaches(&machine, "one", "10.44.0.3") && reaches(&machine, "one", "10.44.0.1"));
    assert!(reaches(&machine, "one", "two"), "by name");
    let from_afar = machine
        .inside("ip")
        .args(["netns", "exec", "far", "busybox", "ping", "-c1", "-W1", "10.44.0.2"])
        .output();
    assert!(from_afar.expect("ip").status.success(), "reached from outside without a published port");
    assert!(machine.docker(["exec", "one", "ip", "route"]).ok().contains("default via 10.44.0.1 dev eth0"));
    assert_eq!(machine.inspect("one", "{{json .NetworkSettings.Ports}}"), "{}");
    let refused = machine.docker(["network", "rm", "lan"]).fails(1);
    assert!(refused.contains("network lan has active endpoints"), "{refused}");
    machine.docker(["rm", "-f", "one", "two"]).ok();
    machine.docker(["network", "rm", "lan"]).ok();
}

#[test]
fn private_macvlan_containers_reach_the_link_but_not_each_other() {
    let machine = on_a_lan();
    lan(&machine, "lan", "private");
    run(&machine, "one", "lan", "10.44.0.2");
    run(&machine, "two", "lan", "10.44.0.3");
    assert!(reaches(&machine, "one", "10.44.0.1") && reaches(&machine, "two", "10.44.0.1"));
    assert!(!reaches(&machine, "one", "10.44.0.3"));
}

#[test]
fn a_vlan_parent_is_made_with_its_network_or_refused_before_anything_is_made() {
    let machine = on_a_lan();
    let said = machine.docker(["network", "create", "-d", "macvlan", "-o", "parent=lan0.10", "tagged"]);
    let has_vlan = || {
        let links = machine.inside("ip").args(["-d", "link", "show", "lan0.10"]).output().expect("ip");
        String::from_utf8_lossy(&links.stdout).contains("vlan protocol 802.1Q id 10")
    };
    if said.code == 0 {
        assert!(has_vlan());
        machine.docker(["network", "rm", "tagged"]).ok();
    } else {
        let refused = said.fails(1);
        assert!(refused.contains("failed to create lan0.10 vlan link: "), "{refused}");
        assert!(refused.contains("operation not supported"), "{refused}");
        assert!(machine.docker(["network", "inspect", "tagged"]).code == 1);
    }
    assert!(!has_vlan());
}

#[test]
fn ipvlan_works_or_is_refused_by_name() {
    let machine = on_a_lan();
    let said = machine.docker([
        "network",
        "create",
        "-d",
        "ipvlan",
        "--subnet",
        "10.44.0.0/24",
        "-o",
        "parent=lan0",
        "lan",
    ]);
    if said.code == 0 {
        run(&machine, "one", "lan", "10.44.0.2");
        assert!(reaches(&machine, "one", "10.44.0.1"));
    } else {
        let refused = said.fails(1);
        assert!(
            refused.contains("this machine's kernel has no ipvlan: operation not supported"),
            "{refused}"
        );
        assert_eq!(machine.docker(["network", "inspect", "lan"]).code, 1);
    }
}

#[test]
fn an_overlay_network_needs_a_swarm() {
    let machine = Machine::new();
    for arguments in [&["-d", "overlay", "far"][..], &["-d", "overlay", "--attachable", "far"]] {
        let refused = machine.docker_words(&[&["network", "create"], arguments].concat()).fails(1);
        assert_eq!(
            refused.trim_end(),
            "Error response from daemon: This node is not a swarm manager. Use \"docker swarm init\" or \"docker \
             swarm join\" to connect this node to swarm and try again."
        );
    }
}
