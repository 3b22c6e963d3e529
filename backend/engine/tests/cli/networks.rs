//! Networks by the genuine command line; texts compared with dockerd 28.5.

use crate::machine::Machine;

#[test]
fn what_cannot_be_created_is_refused_in_mobys_words() {
    let machine = Machine::new();
    machine.docker(["network", "create", "taken", "-o", "com.docker.network.bridge.name=brtest"]).ok();
    machine.docker(["network", "create", "pattern", "--config-only", "--subnet", "10.20.0.0/24"]).ok();
    let refused = |arguments: &str, expected: &str| {
        let output = machine
            .command(["network", "create"])
            .args(arguments.split_whitespace())
            .stdin(std::process::Stdio::null())
            .output();
        let said = crate::machine::Said::from(output.expect("docker"));
        assert_eq!(
            said.fails(1).trim_end(),
            format!("Error response from daemon: {expected}"),
            "{arguments}"
        );
    };
    refused("taken", "network with name taken already exists");
    refused("x --ipv4=false", "IPv4 or IPv6 must be enabled");
    refused("x -d nope", "plugin \"nope\" not found");
    refused("x -d host", "only one instance of \"host\" network is allowed");
    refused("x --ipam-driver nope", "plugin \"nope\" not found");
    refused("x --ingress", "Ingress network can only be global scope network");
    refused("x --scope swarm", "cannot create a swarm scoped network when swarm is not active");
    refused(
        "x -d overlay --attachable",
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this \
         node to swarm and try again.",
    );
    refused("x --subnet 10.9.0.0/24 --subnet 10.10.0.0/24", "bridge driver doesn't support multiple subnets");
    refused(
        "x --subnet 10.9.0.0/24 --gateway 10.9.0.3 --aux-address a=10.9.0.3",
        "failed to allocate secondary ip address (a:10.9.0.3): Address already in use",
    );
    refused(
        "x -o com.docker.network.bridge.enable_icc=foo",
        "failed to parse com.docker.network.bridge.enable_icc value: foo (strconv.ParseBool: parsing \"foo\": \
         invalid syntax)",
    );
    refused(
        "x -o com.docker.network.bridge.gateway_mode_ipv4=isolated",
        "gateway mode 'isolated' can only be used for an internal network",
    );
    refused(
        "x --config-from pattern --subnet 10.9.0.0/24",
        "user specified configurations are not supported if the network depends on a configuration network",
    );
    refused("x --config-from taken", "configuration network \"taken\" does not exist");
    refused("x -d macvlan -o parent=lo", "loopback interface is not a valid macvlan parent link");
    refused("x -d macvlan -o parent=nope.10", "-o parent interface was not found on the host: nope");
    let refused = machine.docker(["network", "create", "x", "-o", "com.docker.network.bridge.name=brtest"]);
    assert!(refused.fails(1).trim_end().ends_with("networks have same bridge name"));
}

#[test]
fn inspect_shows_the_subnet_as_it_was_asked_for() {
    let machine = Machine::new();
    let subnets = |arguments: &[&str]| {
        let status = machine.command(["network", "create", "n"]).args(arguments).output().expect("docker");
        assert!(status.status.success(), "{status:?}");
        let shown = machine.docker(["network", "inspect", "-f", "{{json .IPAM.Config}}", "n"]).ok();
        machine.docker(["network", "rm", "n"]).ok();
        shown
    };
    for (arguments, expected) in [
        (&["--subnet", "10.5.0.0/24"][..], r#"[{"Subnet":"10.5.0.0/24"}]"#),
        (
            &["--subnet", "10.5.0.0/24", "--gateway", "10.5.0.9", "--ip-range", "10.5.0.128/25"],
            r#"[{"Subnet":"10.5.0.0/24","IPRange":"10.5.0.128/25","Gateway":"10.5.0.9"}]"#,
        ),
        (
            &["--ipv6", "--subnet", "fd00:6::/64", "--subnet", "10.6.0.0/24"],
            r#"[{"Subnet":"10.6.0.0/24"},{"Subnet":"fd00:6::/64"}]"#,
        ),
        (&[], r#"[{"Subnet":"172.18.0.0/16","Gateway":"172.18.0.1"}]"#),
    ] {
        assert_eq!(subnets(arguments), expected);
    }
}

#[test]
fn a_running_container_is_told_of_a_network_it_is_connected_to() {
    let machine = Machine::new();
    machine.docker(["network", "create", "own", "--subnet", "10.5.0.0/24"]).ok();
    machine.docker(["run", "-d", "--name", "there", "--network", "own", "busybox", "sleep", "1000"]).ok();
    machine.docker(["run", "-d", "--name", "here", "busybox", "sleep", "1000"]).ok();
    let file = |path| machine.docker(["exec", "here", "cat", path]).ok();
    assert!(file("/etc/resolv.conf").contains("(legacy)"));
    machine
        .docker([
            "network",
            "connect",
            "--ip",
            "10.5.0.77",
            "--alias",
            "me",
            "--link",
            "there:zoo",
            "own",
            "here",
        ])
        .ok();
    assert!(file("/etc/hosts").lines().any(|line| line.starts_with("10.5.0.77\t")));
    let resolv = file("/etc/resolv.conf");
    assert!(resolv.contains("nameserver 127.0.0.11\noptions ndots:0\n"), "{resolv}");
    assert!(resolv.ends_with("# Overrides: []\n# Option ndots from: internal"), "{resolv}");
    machine.docker(["exec", "here", "ping", "-c1", "-W5", "zoo"]).ok();
    machine.docker(["exec", "there", "ping", "-c1", "-W5", "me"]).ok();
    for (arguments, expected) in [
        (
            ["--ip", "10.99.0.1"],
            "invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10.99.0.1",
        ),
        (
            ["--ip", "foo"],
            "invalid endpoint settings:\n* invalid IPv4 address: foo\n* no configured subnet or ip-range contain the IP address foo",
        ),
    ] {
        let [flag, value] = arguments;
        machine.docker(["network", "disconnect", "own", "here"]);
        let refused = machine.docker(["network", "connect", flag, value, "own", "here"]).fails(1);
        assert!(refused.contains(expected), "{refused}");
    }
    let refused = machine.docker(["network", "connect", "host", "here"]).fails(1);
    assert!(refused.contains(
        "cannot connect container to host network - container must be created in host network mode"
    ));
    let refused =
        machine.docker(["run", "--rm", "--network", "own", "--ip", "10.7.0.9", "busybox", "true"]).fails(125);
    assert!(refused.contains("invalid config for network own: invalid endpoint settings:"), "{refused}");
}

#[test]
fn an_engine_that_dies_while_it_makes_networks_leaves_no_link_without_a_network() {
    let mut machine = Machine::new();
    let makers: Vec<_> = (0..12)
        .map(|at| {
            let name = format!("n{at}");
            let mut command = machine.command(["network", "create", &name]);
            command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
            command.stderr(std::process::Stdio::null()).spawn().expect("docker")
        })
        .collect();
    machine.until("one network is there", |machine| {
        machine.docker(["network", "ls", "-q"]).ok().lines().count() > 3
    });
    machine.kill_engine();
    for mut maker in makers {
        maker.wait().expect("its end");
    }
    machine.start_engine();
    let networks = machine.docker(["network", "ls", "-q", "--filter", "type=custom"]).ok();
    let mut expected: Vec<String> = networks.lines().map(|id| format!("br-{id}")).collect();
    expected.sort_unstable();
    let links = || {
        let output =
            machine.inside("ip").args(["-o", "link", "show", "type", "bridge"]).output().expect("ip");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter_map(|line| Some(line.split(": ").nth(1)?.to_owned()));
        let mut names: Vec<String> = names.filter(|name| name.starts_with("br-")).collect();
        names.sort_unstable();
        names
    };
    assert_eq!(links(), expected);
    machine.docker(["network", "prune", "-f"]).ok();
    machine.until("all bridges are gone", |_| links().is_empty());
    let rules = machine.inside("nft").args(["list", "table", "ip", "drydock"]).output().expect("nft");
    assert!(!String::from_utf8_lossy(&rules.stdout).contains("br-"), "{rules:?}");
}

#[test]
fn a_container_with_the_hosts_network_is_on_the_network_called_host() {
    let mut machine = Machine::new();
    machine.docker(["run", "-d", "--name", "guest", "--network", "host", "busybox", "sleep", "1000"]).ok();
    let members = |machine: &Machine| {
        let format = "{{range .Containers}}{{.Name}} {{.EndpointID}} {{.IPv4Address}}{{end}}";
        machine.docker(["network", "inspect", "-f", format, "host"]).ok()
    };
    let endpoint = machine.inspect("guest", "{{.NetworkSettings.Networks.host.EndpointID}}");
    assert_eq!(endpoint.len(), 64);
    assert_eq!(members(&machine), format!("guest {endpoint}"));
    machine.kill_engine();
    machine.start_engine();
    assert_eq!(members(&machine), format!("guest {endpoint}"));
    machine.docker(["rename", "guest", "visitor"]).ok();
    assert!(members(&machine).starts_with("visitor "));
    machine.docker(["kill", "visitor"]).ok();
    machine.until("nobody is there", |machine| members(machine).is_empty());
}

#[test]
fn a_container_that_ends_while_it_is_connected_leaves_nothing() {
    let machine = Machine::new();
    machine.docker(["network", "create", "own"]).ok();
    let links = || {
        let output = machine.inside("ip").args(["-o", "link"]).output().expect("ip");
        String::from_utf8_lossy(&output.stdout).matches("veth").count()
    };
    for at in 0..12 {
        let life = format!("0.{at:02}");
        machine.docker(["run", "-d", "--name", "brief", "busybox", "sleep", &life]).ok();
        // It may be too late for that, or just in time.
        machine.docker(["network", "connect", "own", "brief"]);
        machine.until("it ends", |machine| machine.inspect("brief", "{{.State.Status}}") == "exited");
        machine.docker(["rm", "brief"]).ok();
    }
    machine.until("its links are gone", |_| links() == 0);
    assert_eq!(machine.docker(["network", "inspect", "-f", "{{len .Containers}}", "own"]).ok(), "0");
    machine.docker(["network", "rm", "own"]).ok();
}

#[test]
fn a_stopped_container_may_wish_for_a_network_that_is_not_there() {
    let machine = Machine::new();
    machine.docker(["create", "--name", "one", "busybox", "sleep", "1000"]).ok();
    machine.docker(["network", "connect", "later", "one"]).ok();
    assert!(machine.docker(["start", "one"]).fails(1).contains("network later not found"));
    machine.docker(["network", "create", "later", "--subnet", "10.5.0.0/24"]).ok();
    let refused = machine.docker(["network", "connect", "later", "one"]).fails(1);
    assert!(refused.contains("endpoint with name one already exists in network later"), "{refused}");
    machine.docker(["start", "one"]).ok();
    assert_eq!(machine.inspect("one", "{{.NetworkSettings.Networks.later.IPAddress}}"), "10.5.0.2");
    machine.docker(["stop", "-t", "0", "one"]).ok();
    machine.docker(["network", "rm", "later"]).ok();
    machine.docker(["network", "disconnect", "later", "one"]).ok();
    machine.docker(["start", "one"]).ok();
    let refused = machine.docker(["network", "connect", "--ip", "172.17.0.9", "bridge", "one"]).fails(1);
    assert!(refused.contains("already exists in network bridge"), "{refused}");
}

#[test]
fn a_restarted_engine_knows_which_link_is_which() {
    let mut machine = Machine::new();
    for network in ["aa", "bb", "cc"] {
        machine.docker(["network", "create", network]).ok();
    }
    machine.docker(["run", "-d", "--name", "one", "--network", "bb", "busybox", "sleep", "1000"]).ok();
    machine.docker(["network", "connect", "aa", "one"]).ok();
    let link_of = |machine: &Machine, network: &str| {
        let format = format!("{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}");
        let address = machine.inspect("one", &format);
        let listed = machine.docker(["exec", "one", "ip", "-o", "-4", "addr"]).ok();
        let line = listed.lines().find(|line| line.contains(&format!(" {address}/"))).map(str::to_owned);
        line.and_then(|line| Some(line.split_whitespace().nth(1)?.to_owned())).expect("an address of its own")
    };
    assert_eq!([link_of(&machine, "bb"), link_of(&machine, "aa")], ["eth0", "eth1"]);
    machine.kill_engine();
    machine.start_engine();
    machine.docker(["network", "disconnect", "bb", "one"]).ok();
    machine.docker(["network", "connect", "cc", "one"]).ok();
    assert_eq!([link_of(&machine, "cc"), link_of(&machine, "aa")], ["eth0", "eth1"]);
    machine.docker(["network", "connect", "bb", "one"]).ok();
    assert_eq!(link_of(&machine, "bb"), "eth2");
}
