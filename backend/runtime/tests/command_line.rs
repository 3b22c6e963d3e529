//! The command line where it has to be runc's: words, statuses, shapes.

mod bundle;

use bundle::{TestContainer, wait_until};
use serde_json::{Value, json};

fn running(script: &str) -> TestContainer {
    let container = TestContainer::new(script);
    container.write();
    container.call(&["run", "-d", &container.id]).success();
    container
}

#[test]
fn an_error_is_one_line_in_logruss_form_or_plain_beside_a_log() {
    let container = TestContainer::new("true");
    let stderr = container.call(&["state", "nobody"]).failure();
    assert!(stderr.starts_with("time=\""), "{stderr}");
    assert!(stderr.ends_with("level=error msg=\"container does not exist\"\n"), "{stderr}");
    let stderr = container.call(&["--log", "log", "state", "nobody"]).failure();
    assert_eq!(stderr, "container does not exist\n");
}

#[test]
fn commands_count_their_arguments() {
    let container = TestContainer::new("true");
    for (words, told) in [
        (&["start"][..], "\\\"start\\\" requires exactly 1 argument(s)"),
        (&["create"], "\\\"create\\\" requires exactly 1 argument(s)"),
        (&["delete", "a", "b"], "\\\"delete\\\" requires exactly 1 argument(s)"),
        (&["kill"], "\\\"kill\\\" requires a minimum of 1 argument(s)"),
        (&["exec"], "\\\"exec\\\" requires a minimum of 1 argument(s)"),
        (&["list", "x"], "\\\"list\\\" requires exactly 0 argument(s)"),
    ] {
        let stderr = container.call(words).failure();
        assert!(stderr.contains(told), "{words:?}: {stderr}");
    }
}

#[test]
fn each_state_refuses_in_its_own_words() {
    let container = running("sleep 1000");
    let refused = |words: &[&str]| container.call(words).failure();
    let id = container.id.as_str();
    assert!(refused(&["start", id]).contains("cannot start an already running container"));
    assert!(
        refused(&["delete", id])
            .contains(&format!("cannot delete container {id} that is not stopped: running"))
    );
    assert!(refused(&["resume", id]).contains("container not paused"));
    container.call(&["kill", id, "KILL"]).success();
    container.wait_for_status("stopped");
    assert!(refused(&["start", id]).contains("cannot start a container that has stopped"));
    assert!(refused(&["exec", id, "true"]).contains("cannot exec in a stopped container"));
    assert!(refused(&["kill", id]).contains("container not running"));
    assert!(refused(&["pause", id]).contains("container not running"));
    assert!(refused(&["events", "--stats", id]).contains("is not running"));
}

#[test]
fn what_keeps_an_exec_from_its_program_ends_with_255() {
    let container = running("sleep 1000");
    let answer = container.call(&["exec", &container.id, "nope"]);
    assert_eq!(answer.code(), 255);
    assert!(answer.stderr().contains("exec failed: "), "{}", answer.stderr());
}

#[test]
fn checkpoints_are_refused_by_name() {
    let container = running("sleep 1000");
    for command in ["checkpoint", "restore"] {
        let stderr = container.call(&[command, &container.id]).failure();
        assert!(stderr.contains(&format!("{command} is not supported")), "{stderr}");
    }
    assert_eq!(container.status(), "running");
}

#[test]
fn a_list_is_a_table_json_or_ids() {
    let container = TestContainer::new("sleep 1000");
    assert_eq!(container.call(&["list", "-f", "json"]).success(), "null\n");
    container.write();
    container.call(&["run", "-d", &container.id]).success();
    let table = container.call(&["list"]).success();
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[2], row[5]), (container.id.as_str(), "running", "root"));
    let (head, row) = (table.lines().next().unwrap(), table.lines().nth(1).unwrap());
    assert_eq!(head.find("STATUS"), row.find("running"), "columns stand below each other:\n{table}");
    assert_eq!(container.call(&["list", "-q"]).success(), format!("{}\n", container.id));
    assert!(container.call(&["list", "-f", "yaml"]).failure().contains("invalid format option"));
}

#[test]
fn statistics_have_runcs_shape() {
    let container = running("sleep 1000");
    let event: Value =
        serde_json::from_str(&container.call(&["events", "--stats", &container.id]).success()).unwrap();
    assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(container.id)));
    assert_eq!(event["data"]["pids"]["current"], 1);
    assert!(event["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{event}");
    assert!(event["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{event}");
    assert!(container.call(&["events", "--interval", "x", &container.id]).failure().contains("--interval"));
}

#[test]
fn a_rootless_example_asks_for_no_rights() {
    let container = TestContainer::new("");
    container.call(&["spec", "--rootless"]).success();
    let text = std::fs::read(container.dir.join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&text).unwrap();
    let linux = &config["linux"];
    assert_eq!(linux["uidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    assert!(linux.get("resources").is_none() && linux["namespaces"].to_string().contains("user"));
    assert!(container.call(&["spec"]).failure().contains("exists. Remove it first"));
}

#[test]
fn an_exec_overrides_variables_and_keeps_groups() {
    let mut container = TestContainer::new("sleep 1000");
    container.config["process"]["env"] = json!(["PATH=/bin", "A=spec"]);
    container.config["process"]["user"]["additionalGids"] = json!([77]);
    container.write();
    container.call(&["run", "-d", &container.id]).success();
    let words =
        ["exec", "-e", "A=line", "-u", "5", "-g", "88", &container.id, "sh", "-c", "env | grep ^A=; id -G"];
    assert_eq!(container.call(&words).success(), "A=line\n0 77 88\n");
}

#[test]
fn an_exec_runs_on_the_processors_it_is_given() {
    let container = running("sleep 1000");
    let process = json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
        "args": ["grep", "Cpus_allowed_list", "/proc/self/status"],
        "execCPUAffinity": {"initial": "0", "final": "1"},
    });
    std::fs::write(container.dir.join("process.json"), process.to_string()).unwrap();
    let answer = container.call(&["--debug", "exec", "--process", "process.json", &container.id]);
    assert_eq!(answer.success(), "Cpus_allowed_list:\t1\n");
    assert!(answer.stderr().contains("affinity: 0x1"), "{}", answer.stderr());
}

#[test]
fn an_exec_joins_a_group_below_the_containers_and_no_other() {
    let container = running("sleep 1000");
    let folder = container.cgroups().into_iter().find(|folder| folder.starts_with("/sys/fs/cgroup/pids"));
    let (folder, controller) = match folder {
        Some(folder) => (folder, "pids:"),
        None => (container.cgroups().remove(0), ""),
    };
    std::fs::create_dir(folder.join("below")).unwrap();
    let option = format!("{controller}below");
    let words = ["exec", "--cgroup", &option, &container.id, "cat", "/proc/self/cgroup"];
    let groups = container.call(&words).success();
    assert!(groups.contains(&format!("{}/below", container.id)), "{groups}");
    for refused in ["..", "not-there", "nothing:/"] {
        container.call(&["exec", "--cgroup", refused, &container.id, "true"]).failure();
    }
}

#[test]
fn an_exec_may_wait_for_a_paused_container() {
    let container = running("sleep 1000");
    container.call(&["pause", &container.id]).success();
    let mut exec = container.command(&["exec", "--ignore-paused", &container.id, "touch", "/tmp/thawed"]);
    let mut exec = exec.spawn().unwrap();
    wait_until("the new process is among the frozen", || {
        let pids = container.call(&["ps", "--format", "json", &container.id]).success();
        serde_json::from_str::<Vec<i32>>(&pids).unwrap().len() == 2
    });
    assert!(!container.rootfs().join("tmp/thawed").exists());
    container.call(&["resume", &container.id]).success();
    assert!(exec.wait().unwrap().success());
    assert!(container.rootfs().join("tmp/thawed").exists());
}

#[test]
fn what_intel_alone_can_limit_is_refused() {
    let mut container = TestContainer::new("sleep 1000");
    container.config["linux"]["intelRdt"] = json!({"closID": "x"});
    let stderr = container.run().failure();
    assert!(stderr.contains("linux.intelRdt is not supported"), "{stderr}");
    let stderr = running("sleep 1000").call(&["update", "--l3-cache-schema", "L3:0=f", "x"]).failure();
    assert!(stderr.contains("Intel RDT"), "{stderr}");
}

#[test]
fn a_limit_can_be_set_later_that_nobody_asked_for_at_first() {
    let container = running("sleep 1000");
    container.call(&["update", "--cpu-share", "512", "--cpuset-cpus", "0", &container.id]).success();
    let read = |file: &str| {
        let folders = container.cgroups();
        let found = folders.iter().find_map(|folder| std::fs::read_to_string(folder.join(file)).ok());
        found.map(|text| text.trim().to_owned())
    };
    assert_eq!(read("cpuset.cpus").as_deref(), Some("0"));
    assert!(read("cpu.shares").as_deref() == Some("512") || read("cpu.weight").as_deref() == Some("20"));
}
