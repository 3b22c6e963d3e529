//! The daemon's options for networks; what is shown is compared with dockerd 28.5.

use crate::machine::Machine;

fn with(options: &str) -> Machine {
    Machine::prepared(|_| options.split_whitespace().map(str::to_owned).collect())
}

/// The subnets of a network, as the API shows them.
fn subnets(machine: &Machine, network: &str) -> String {
    machine.docker(["network", "inspect", "-f", "{{json .IPAM.Config}}", network]).ok()
}

fn option(machine: &Machine, option: &str) -> String {
    let format = format!("{{{{index .Options \"com.docker.network.{option}\"}}}}");
    machine.docker(["network", "inspect", "-f", &format, "bridge"]).ok()
}

fn run(machine: &Machine, name: &str) {
    machine.docker(["run", "-d", "--name", name, "-p", "80", "busybox", "sleep", "1000"]).ok();
}

fn inside(machine: &Machine, container: &str, words: &[&str]) -> String {
    machine.docker_words(&[&["exec", container], words].concat()).ok()
}

fn address(machine: &Machine, container: &str) -> String {
    machine.inspect(container, "{{.NetworkSettings.Networks.bridge.IPAddress}}")
}

fn reaches(machine: &Machine, from: &str, address: &str) -> bool {
    machine.docker(["exec", from, "ping", "-c1", "-W1", address]).code == 0
}

#[test]
fn without_icc_neighbours_do_not_reach_each_other() {
    let machine = with("--icc=false");
    assert_eq!(option(&machine, "bridge.enable_icc"), "false");
    for name in ["one", "two"] {
        run(&machine, name);
    }
    assert!(!reaches(&machine, "one", &address(&machine, "two")));
    assert!(reaches(&machine, "one", "172.17.0.1"), "the host is still there");
    machine.docker(["network", "create", "own"]).ok();
    for name in ["three", "four"] {
        machine.docker(["run", "-d", "--name", name, "--network", "own", "busybox", "sleep", "1000"]).ok();
    }
    assert!(reaches(&machine, "three", "four"), "user networks are not meant");
}

#[test]
fn the_default_bridge_has_the_address_range_and_mtu_it_was_given() {
    let mut machine =
        with("--bip 10.3.0.1/24 --fixed-cidr 10.3.0.128/25 --mtu 1400 --default-gateway 10.3.0.254");
    let expected = r#"[{"Subnet":"10.3.0.0/24","IPRange":"10.3.0.128/25","Gateway":"10.3.0.1","AuxiliaryAddresses":{"DefaultGatewayIPv4":"10.3.0.254"}}]"#;
    assert_eq!(subnets(&machine, "bridge"), expected);
    run(&machine, "one");
    assert_eq!(address(&machine, "one"), "10.3.0.128");
    assert!(inside(&machine, "one", &["ip", "route"]).contains("default via 10.3.0.254 dev eth0"));
    assert!(inside(&machine, "one", &["ip", "link", "show", "eth0"]).contains("mtu 1400"));
    machine.docker(["network", "create", "own"]).ok();
    assert_eq!(subnets(&machine, "own"), r#"[{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"}]"#);
    machine.docker(["rm", "-f", "one"]).ok();
    // Another start, another address: the bridge follows.
    machine.kill_engine();
    machine.set_arguments(&["--bip", "10.4.0.1/24"]);
    machine.start_engine();
    assert_eq!(subnets(&machine, "bridge"), r#"[{"Subnet":"10.4.0.0/24","Gateway":"10.4.0.1"}]"#);
    let addresses = machine.inside("ip").args(["-4", "-o", "addr", "show", "docker0"]).output().expect("ip");
    let addresses = String::from_utf8_lossy(&addresses.stdout).into_owned();
    assert!(addresses.contains("10.4.0.1/24") && !addresses.contains("10.3.0.1"), "{addresses}");
    run(&machine, "one");
    assert_eq!(address(&machine, "one"), "10.4.0.2");
    assert!(inside(&machine, "one", &["ip", "link", "show", "eth0"]).contains("mtu 1500"));
}

#[test]
fn ipv6_is_had_from_the_engines_own_subnet_or_from_the_one_given() {
    let machine = with("--ipv6");
    let shown = subnets(&machine, "bridge");
    assert!(
        shown.starts_with(r#"[{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"},{"Subnet":"fd"#),
        "{shown}"
    );
    for name in ["one", "two"] {
        run(&machine, name);
    }
    let of_two = machine.inspect("two", "{{.NetworkSettings.Networks.bridge.GlobalIPv6Address}}");
    assert!(of_two.starts_with("fd") && reaches(&machine, "one", &of_two), "{of_two}");
    assert!(inside(&machine, "one", &["ip", "-6", "route"]).contains("default via fd"));
    drop(machine);
    let machine = with("--ipv6 --fixed-cidr-v6 2001:db8:1::/64");
    let expected = r#"[{"Subnet":"2001:db8:1::/64","IPRange":"2001:db8:1::/64"},{"Subnet":"172.17.0.0/16","Gateway":"172.17.0.1"}]"#;
    assert_eq!(subnets(&machine, "bridge"), expected);
    run(&machine, "one");
    let format = "{{.NetworkSettings.Networks.bridge.GlobalIPv6Address}} {{.NetworkSettings.Networks.bridge.IPv6Gateway}}";
    assert_eq!(machine.inspect("one", format), "2001:db8:1::2 2001:db8:1::1");
}

#[test]
fn pools_ports_and_options_of_new_networks_are_the_daemons() {
    let machine = with(
        "--default-address-pool base=10.50.0.0/16,size=24 --ip 127.0.0.1 \
         --default-network-opt bridge=com.docker.network.driver.mtu=1234",
    );
    assert_eq!(subnets(&machine, "bridge"), r#"[{"Subnet":"10.50.0.0/24","Gateway":"10.50.0.1"}]"#);
    assert_eq!(option(&machine, "driver.mtu"), "1500");
    run(&machine, "one");
    let port = machine.docker(["port", "one"]).ok();
    assert!(port.starts_with("80/tcp -> 127.0.0.1:") && !port.contains('\n'), "{port}");
    machine.docker(["network", "create", "own"]).ok();
    assert_eq!(subnets(&machine, "own"), r#"[{"Subnet":"10.50.1.0/24","Gateway":"10.50.1.1"}]"#);
    machine.docker(["run", "-d", "--name", "two", "--network", "own", "busybox", "sleep", "1000"]).ok();
    assert!(inside(&machine, "two", &["ip", "link", "show", "eth0"]).contains("mtu 1234"));
}

#[test]
fn without_a_default_bridge_containers_have_their_loopback_alone() {
    let machine = with("--bridge none");
    assert!(machine.docker(["network", "inspect", "bridge"]).fails(1).contains("network bridge not found"));
    machine.docker(["run", "-d", "--name", "one", "busybox", "sleep", "1000"]).ok();
    assert!(!inside(&machine, "one", &["ip", "link"]).contains("eth0"));
}

#[test]
fn options_that_make_no_sense_are_refused_at_the_start() {
    let machine = Machine::new();
    for (options, expected) in [
        ("--bip foo", "Error initializing network controller: parse bip failed: invalid CIDR address: foo"),
        (
            "--fixed-cidr foo",
            "Error initializing network controller: parse fixed-cidr failed: invalid CIDR address: foo",
        ),
        (
            "--bip 10.3.0.0/24",
            "Error initializing network controller: error creating default \"bridge\" network: failed to allocate \
             gateway (10.3.0.0): Address already in use",
        ),
        (
            "--bip 10.3.0.1/24 --default-gateway 10.9.9.9",
            "Error initializing network controller: error creating default \"bridge\" network: auxiliary address: \
             (DefaultGatewayIPv4:10.9.9.9) must belong to the master pool: 10.3.0.0/24",
        ),
        (
            "--default-gateway 10.9.0.1",
            "Error initializing network controller: error creating default \"bridge\" network: auxiliary address: \
             (DefaultGatewayIPv4:10.9.0.1) must belong to the master pool: 172.",
        ),
        (
            "--ipv6 --fixed-cidr-v6 fd00:7::/64 --default-gateway-v6 fd00:8::1",
            "Error initializing network controller: error creating default \"bridge\" network: auxiliary address: \
             (DefaultGatewayIPv6:fd00:8::1) must belong to the master pool: fd00:7::/64",
        ),
        (
            "--bip 10.7.0.1/24 --default-gateway 10.7.0.255",
            "Error initializing network controller: error creating default \"bridge\" network: failed to allocate \
             secondary ip address (DefaultGatewayIPv4:10.7.0.255): Address already in use",
        ),
        (
            "--mtu 67",
            "Error initializing network controller: error creating default \"bridge\" network: invalid argument",
        ),
        (
            "--mtu 70000",
            "Error initializing network controller: error creating default \"bridge\" network: invalid argument",
        ),
        (
            "--bridge br9",
            "Error initializing network controller: error creating default \"bridge\" network: bridge device with \
             non default name br9 must be created manually",
        ),
    ] {
        let other = |name: &str| machine.path(name).display().to_string();
        let output = machine
            .inside(env!("CARGO_BIN_EXE_drydock-engine"))
            .args(["-H", &format!("unix://{}", other("other.sock")), "--data-root", &other("other-data")])
            .args(["--exec-root", &other("other-exec"), "--config-file", &other("daemon.json")])
            .args(["--pidfile", &other("other.pid")])
            .args(options.split_whitespace())
            .output()
            .expect("the engine");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(expected), "{options}: {said}");
    }
}
