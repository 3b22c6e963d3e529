//! SIGHUP: `daemon.json` is read again under running containers.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use crate::machine::Machine;

impl Machine {
    fn reload(&self, file: &str) {
        std::fs::write(self.path("daemon.json"), file).expect("write");
        self.signal_engine(Signal::SIGHUP);
    }

    /// How often the engine's log has said this.
    fn logged(&self, what: &str) -> usize {
        self.engine_log().matches(what).count()
    }

    /// What has happened to the daemon up to now.
    fn daemon_events(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        // Not `0s`: the command line cuts that to whole seconds.
        let until = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let filter = ["--filter", "type=daemon", "--format", "{{json .}}"];
        self.docker_words(&[&["events", "--since", "1", "--until", &until][..], &filter].concat()).ok()
    }

    fn info(&self) -> serde_json::Value {
        self.ask("GET", "/info", "").1
    }
}

#[test]
fn a_hangup_reads_the_file_again_and_tells_of_it() {
    let mut machine = Machine::prepared(|folder| {
        let file = r#"{"labels": ["a=1"], "debug": false, "max-concurrent-downloads": 7}"#;
        std::fs::write(folder.join("daemon.json"), file).expect("write");
        Vec::new()
    });
    let obeys = "trap 'exit 5' TERM; while true; do sleep 0.05; done";
    machine.docker(["run", "-d", "--name", "stays", "busybox", "sh", "-c", obeys]).ok();
    machine.reload(
        r#"{
        "labels": ["b=2"], "debug": true, "registry-mirrors": ["http://m.example:5000"], "live-restore": false,
        "insecure-registries": ["foo:5000"], "max-concurrent-uploads": 2, "shutdown-timeout": 3,
        "default-shm-size": "8M", "features": {"x": true}
    }"#,
    );
    machine.until("it is reloaded", |machine| machine.info()["Labels"][0] == "b=2");
    let info = machine.info();
    assert_eq!(info["Debug"], true);
    assert_eq!(info["LiveRestoreEnabled"], false);
    assert_eq!(info["RegistryConfig"]["Mirrors"][0], "http://m.example:5000/");
    assert_eq!(info["RegistryConfig"]["IndexConfigs"]["foo:5000"]["Secure"], false);
    let said = machine.daemon_events();
    let event: serde_json::Value = serde_json::from_str(&said).expect("one event");
    assert_eq!(event["Action"], "reload");
    let attributes = &event["Actor"]["Attributes"];
    for (name, value) in [
        ("debug", "true"),
        ("labels", r#"["b=2"]"#),
        ("live-restore", "false"),
        ("max-concurrent-downloads", "3"),
        ("max-concurrent-uploads", "2"),
        ("max-download-attempts", "5"),
        ("registry-mirrors", r#"["http://m.example:5000/"]"#),
        ("insecure-registries", r#"["foo:5000"]"#),
        ("shutdown-timeout", "3"),
        ("default-shm-size", "8388608"),
        ("default-runtime", "runc"),
        ("features", "map[x:true]"),
    ] {
        assert_eq!(attributes[name], value, "{name}: {said}");
    }
    machine.until("debug messages are logged", |machine| machine.logged("level=debug") > 0);
    assert_eq!(machine.inspect("stays", "{{.State.Status}}"), "running");
    machine.docker(["run", "--name", "later", "busybox", "true"]).ok();
    assert_eq!(machine.inspect("later", "{{.HostConfig.ShmSize}}"), "8388608");
    let pid = machine.inspect("stays", "{{.State.Pid}}");
    machine.stop_engine();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "live-restore is off since the reload");
}

#[test]
fn a_file_that_cannot_be_changes_nothing() {
    let machine = Machine::prepared(|folder| {
        std::fs::write(folder.join("daemon.json"), r#"{"labels": ["a=1"]}"#).expect("write");
        vec!["--shutdown-timeout".to_owned(), "9".to_owned()]
    });
    for (times, (file, complaint)) in [
        ("{", "invalid JSON: unexpected end of JSON input"),
        (
            r#"{"labels": ["b=2"], "nope": 1}"#,
            "the following directives don't match any configuration option: nope",
        ),
        (
            r#"{"labels": ["b=2"], "shutdown-timeout": 3}"#,
            "specified both as a flag and in the configuration file",
        ),
        (r#"{"labels": ["b=2"], "registry-mirrors": ["x"]}"#, "invalid mirror: no scheme specified for"),
        (
            r#"{"labels": ["b=2"], "default-runtime": "nope"}"#,
            "specified default runtime 'nope' does not exist",
        ),
        (
            r#"{"labels": ["b=2"], "authorization-plugins": ["x"]}"#,
            "authorization-plugins would have no effect",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        machine.reload(file);
        machine
            .until("it is refused", |machine| machine.logged("Error reloading configuration") == times + 1);
        assert!(machine.engine_log().contains(complaint), "{complaint}");
        assert_eq!(machine.info()["Labels"][0], "a=1", "{file}");
    }
    assert_eq!(machine.daemon_events(), "");
}
