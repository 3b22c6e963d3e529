//! Flags and `daemon.json`: what they do, and what is said of those that cannot be.

use std::process::Stdio;

use crate::machine::{Machine, Said};

/// An engine that is to end by itself, in a machine whose engine has ended.
fn run_engine(machine: &Machine, file: &str, arguments: &[&str]) -> Said {
    std::fs::write(machine.path("daemon.json"), file).expect("write");
    let mut command = machine.engine_command();
    command.args(arguments).stdin(Stdio::null()).output().expect("nsenter, of util-linux").into()
}

#[test]
fn a_configuration_that_cannot_be_is_refused_in_dockerds_words() {
    let mut machine = Machine::new();
    machine.stop_engine();
    let path = machine.path("daemon.json").display().to_string();
    let of_file = |what: &str| format!("unable to configure the Docker daemon with file {path}: {what}\n");
    let of_start = |what: &str| format!("failed to start daemon: {what}\n");
    for (file, arguments, expected) in [
        (r#"{"foo": 1}"#, "", of_file("the following directives don't match any configuration option: foo")),
        ("{", "", of_file("invalid JSON: unexpected end of JSON input")),
        (
            r#"{"debug": "yes"}"#,
            "",
            of_file(
                "invalid JSON: json: cannot unmarshal string into Go struct field Config.debug of type bool",
            ),
        ),
        (
            r#"{"debug": true}"#,
            "-D",
            of_file(
                "the following directives are specified both as a flag and in the configuration file: debug: (from \
                 flag: true, from file: true)",
            ),
        ),
        (
            r#"{"log-level": "loud"}"#,
            "",
            of_file(
                "merged configuration validation from file and command line flags failed: invalid logging level: \
                 loud",
            ),
        ),
        ("{}", "--label a=1 --label a=2", "conflict labels for a=2 and a=1\n".to_owned()),
        (
            "{}",
            "--tlsverify",
            "invalid TLS configuration: Could not load X509 key pair (cert: \"\", key: \"\"): open : no such file or \
             directory\n"
                .to_owned(),
        ),
        ("{}", "--default-runtime nope", of_start("specified default runtime 'nope' does not exist")),
        (
            "{}",
            "--data-root /dev/null",
            "Unable to get the full path to root (/dev/null): canonical path points to a file '/dev/null'\n".to_owned(),
        ),
        (
            r#"{"log-opts": {"bad": "1"}}"#,
            "",
            of_start(
                "failed to set log opts: failed to set log opts: unknown log opt 'bad' for json-file log driver",
            ),
        ),
        (
            r#"{"storage-driver": "nope"}"#,
            "",
            of_start("error initializing graphdriver: driver not supported: nope"),
        ),
        (
            "{}",
            "--bip 10.0.0.1/24 --default-gateway 1.2.3.4",
            of_start(
                "Error initializing network controller: error creating default \"bridge\" network: auxiliary address: \
                 (DefaultGatewayIPv4:1.2.3.4) must belong to the master pool: 10.0.0.0/24",
            ),
        ),
        (
            "{}",
            "--bip 1.2.3",
            of_start("Error initializing network controller: parse bip failed: invalid CIDR address: 1.2.3"),
        ),
    ] {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let said = run_engine(&machine, file, &words).fails(1);
        let last: Vec<&str> = said.lines().filter(|line| !line.starts_with("time=")).collect();
        assert_eq!(last.join("\n") + "\n", expected, "{file} {arguments}: {said}");
    }
    let said = run_engine(&machine, "{}", &["--nope"]).fails(1);
    assert!(said.starts_with("Status: unknown flag: --nope\nSee 'drydock-engine --help'."), "{said}");
    assert!(said.ends_with(", Code: 125\n"), "{said}");
}

#[test]
fn a_configuration_is_validated_without_a_start() {
    let mut machine = Machine::new();
    machine.stop_engine();
    let said = run_engine(&machine, r#"{"labels": ["a=1"]}"#, &["--validate"]);
    assert_eq!((said.code, said.err.as_str()), (0, "configuration OK\n"));
    let said = run_engine(&machine, r#"{"labels": ["a"]}"#, &["--validate"]).fails(1);
    assert!(said.ends_with("bad attribute format: a\n"), "{said}");
    assert!(!machine.path("docker.sock").exists());
}

#[test]
fn an_option_that_would_do_nothing_is_refused_and_says_what_to_do() {
    let mut machine = Machine::new();
    machine.stop_engine();
    for (file, arguments, named) in [
        (r#"{"authorization-plugins": ["x"]}"#, "", "authorization-plugins"),
        ("{}", "--selinux-enabled", "--selinux-enabled"),
        (r#"{"exec-opts": ["native.cgroupdriver=systemd"]}"#, "", "exec-opts native.cgroupdriver=systemd"),
        (r#"{"builder": {"gc": {"enabled": true}}}"#, "", "builder"),
        (r#"{"userns-remap": "default"}"#, "", "userns-remap"),
    ] {
        let words: Vec<&str> = arguments.split_whitespace().collect();
        let said = run_engine(&machine, file, &words).fails(1);
        assert!(said.starts_with(&format!("{named} would have no effect: ")), "{said}");
        assert!(said.contains("remove it"), "{said}");
    }
}

#[test]
fn containers_get_what_the_daemon_gives_unless_they_ask_for_something_else() {
    let machine = Machine::prepared(|folder| {
        let file = r#"{
            "default-shm-size": "32M", "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 100, "Hard": 200}},
            "no-new-privileges": true, "init": true, "default-ipc-mode": "shareable", "log-driver": "local",
            "log-opts": {"max-size": "1m"}, "cgroup-parent": "/given"
        }"#;
        std::fs::write(folder.join("daemon.json"), file).expect("write");
        ["--default-cgroupns-mode", "private", "--seccomp-profile", "unconfined"].map(str::to_owned).to_vec()
    });
    let script = "grep shm /proc/mounts; ulimit -n; ulimit -Hn; grep -e NoNewPrivs -e Seccomp: /proc/self/status; \
                  head -n 1 /proc/1/cgroup; echo first=$(cat /proc/1/comm)";
    let said = machine.docker(["run", "--name", "one", "busybox", "sh", "-c", script]).ok();
    for part in ["size=32768k", "\n100\n200\n", "NoNewPrivs:\t1", "Seccomp:\t0", ":/\n"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("first=sh"), "{said}");
    let shown = "{{.HostConfig.LogConfig.Type}} {{index .HostConfig.LogConfig.Config \"max-size\"}} \
                 {{.HostConfig.IpcMode}} {{.HostConfig.ShmSize}} {{.HostConfig.CgroupnsMode}}";
    assert_eq!(machine.inspect("one", shown), "local 1m shareable 33554432 private");
    let script =
        "grep shm /proc/mounts; ulimit -n; grep NoNewPrivs /proc/self/status; echo first=$(cat /proc/1/comm)";
    let own = [
        "run",
        "--shm-size",
        "16m",
        "--ulimit",
        "nofile=50:60",
        "--security-opt",
        "no-new-privileges=false",
        "--init=false",
        "busybox",
        "sh",
        "-c",
        script,
    ];
    let said = machine.docker(own).ok();
    for part in ["size=16384k", "\n50\n", "NoNewPrivs:\t0", "first=sh"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let info = machine.docker(["info", "--format", "{{json .SecurityOptions}}"]).ok();
    assert!(
        info.contains("name=seccomp,profile=unconfined") && info.contains("name=no-new-privileges"),
        "{info}"
    );
}

#[test]
fn networks_are_as_the_daemon_is_told() {
    let machine = Machine::prepared(|_| {
        [
            "--bip",
            "10.77.0.1/24",
            "--mtu",
            "1400",
            "--dns",
            "10.9.9.9",
            "--dns-search",
            "a.example",
            "--dns-opt",
            "ndots:3",
            "--default-address-pool",
            "base=10.88.0.0/16,size=26",
            "--host-gateway-ip=10.5.5.5",
            "--userland-proxy=false",
        ]
        .map(str::to_owned)
        .to_vec()
    });
    let script = "cat /etc/resolv.conf /etc/hosts /sys/class/net/eth0/mtu; ip address show eth0";
    let said = machine.docker(["run", "--add-host", "me:host-gateway", "busybox", "sh", "-c", script]).ok();
    for part in [
        "nameserver 10.9.9.9",
        "search a.example",
        "ndots:3",
        "\n1400\n",
        "inet 10.77.0.2/24",
        "10.5.5.5\tme\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    machine.docker(["run", "-d", "--name", "serves", "-p", "8080:80", "busybox", "sleep", "1000"]).ok();
    assert_eq!(machine.docker(["port", "serves"]).ok(), "80/tcp -> 0.0.0.0:8080");
    machine.docker(["network", "create", "own"]).ok();
    assert_eq!(machine.inspect("own", "{{(index .IPAM.Config 0).Subnet}}"), "10.88.0.0/26");
    let pools = machine.docker(["info", "--format", "{{json .DefaultAddressPools}}"]).ok();
    assert_eq!(pools, r#"[{"Base":"10.88.0.0/16","Size":26}]"#);
}

#[test]
fn info_tells_how_the_daemon_is_set() {
    let machine = Machine::prepared(|folder| {
        let file = r#"{
            "labels": ["a=1"], "registry-mirrors": ["http://m.example:5000"], "insecure-registries": ["foo:5000"],
            "runtimes": {"other": {"path": "/usr/bin/other"}}, "experimental": true,
            "proxies": {"http-proxy": "http://u:p@127.0.0.1:9", "no-proxy": "x.example"}
        }"#;
        std::fs::write(folder.join("daemon.json"), file).expect("write");
        vec!["--debug".to_owned()]
    });
    let said = machine.docker(["info"]).ok();
    for part in [
        "Labels:\n  a=1",
        "Registry Mirrors:\n  http://m.example:5000/",
        "foo:5000\n  ::1/128\n  127.0.0.0/8",
        "Default Runtime: runc",
        "HTTP Proxy: http://xxxxx:xxxxx@127.0.0.1:9",
        "No Proxy: x.example",
        "Debug Mode: true",
        "Experimental: true",
        "Live Restore Enabled: true",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // The command line tells them in no order.
    let runtimes = said.lines().find_map(|line| line.trim().strip_prefix("Runtimes: ")).unwrap_or_default();
    let mut runtimes: Vec<_> = runtimes.split(' ').collect();
    runtimes.sort_unstable();
    assert_eq!(runtimes, ["io.containerd.runc.v2", "other", "runc"], "{said}");
    let features = r#"{{index (index .Runtimes "runc").Status "org.opencontainers.runtime-spec.features"}}"#;
    let features: serde_json::Value =
        serde_json::from_str(&machine.docker(["info", "--format", features]).ok()).expect("a document");
    assert_eq!(features["linux"]["seccomp"]["enabled"], true, "{features}");
    let said = machine.docker(["run", "--runtime", "other", "busybox", "true"]).fails(125);
    assert!(said.contains("runtime other is registered but cannot be used"), "{said}");
    let (status, vars) = machine.ask("GET", "/debug/vars", "");
    assert_eq!(status, 200);
    assert!(vars["cmdline"].as_array().is_some_and(|words| words.contains(&"--debug".into())), "{vars}");
}

#[test]
fn prometheus_finds_figures_by_mobys_names() {
    let machine = Machine::prepared(|_| vec!["--metrics-addr=127.0.0.1:9323".to_owned()]);
    machine.docker(["run", "-d", "busybox", "sleep", "1000"]).ok();
    machine.docker(["create", "busybox"]).fails(1);
    machine.docker(["create", "busybox", "true"]).ok();
    let mut curl = machine.inside("curl");
    let output =
        curl.args(["--silent", "--include", "http://127.0.0.1:9323/metrics"]).output().expect("curl");
    let said = String::from_utf8_lossy(&output.stdout);
    for part in [
        "200 OK",
        "text/plain; version=0.0.4",
        "\nengine_daemon_container_states_containers{state=\"running\"} 1\n",
        "\nengine_daemon_container_states_containers{state=\"stopped\"} 1\n",
        "\nengine_daemon_container_actions_seconds_count{action=\"create\"} 3\n",
        "\nengine_daemon_container_actions_seconds_count{action=\"start\"} 1\n",
        "\n# TYPE engine_daemon_events_total counter\n",
        "\nengine_daemon_engine_info{architecture=\"x86_64\",",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
