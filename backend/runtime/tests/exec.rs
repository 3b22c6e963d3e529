//! Processes added to a running container.

mod bundle;

use bundle::TestContainer;
use serde_json::json;

fn running(container: &TestContainer) {
    container.write();
    container.call(&["run", "-d", &container.id]).success();
}

#[test]
fn it_is_in_the_containers_namespaces_and_cgroups() {
    let container = TestContainer::new("sleep 1000");
    running(&container);
    let stdout = container
        .call(&["exec", &container.id, "sh", "-c", "hostname; ps | grep -c '[s]leep 1000'; pwd"])
        .success();
    assert_eq!(stdout, "container\n1\n/\n");
    let groups = container.call(&["exec", &container.id, "cat", "/proc/self/cgroup"]).success();
    assert!(groups.contains(&container.id), "{groups}");
}

#[test]
fn its_status_is_passed_on_and_failures_are_told_apart() {
    let container = TestContainer::new("sleep 1000");
    running(&container);
    assert_eq!(container.call(&["exec", &container.id, "sh", "-c", "exit 9"]).code(), 9);
    let stderr = container.call(&["exec", &container.id, "nope"]).failure();
    assert!(stderr.contains("executable file not found in $PATH"), "{stderr}");
    let stderr = container.call(&["exec", &container.id, "/etc/passwd"]).failure();
    assert!(stderr.contains("permission denied"), "{stderr}");
    assert_eq!(container.status(), "running");
}

#[test]
fn user_environment_and_directory_can_be_chosen() {
    let container = TestContainer::new("sleep 1000");
    running(&container);
    let words = [
        "exec",
        "--user",
        "33:5",
        "--env",
        "A=b",
        "--cwd",
        "/tmp",
        &container.id,
        "sh",
        "-c",
        "id -u; id -g; echo $A; pwd",
    ];
    assert_eq!(container.call(&words).success(), "33\n5\nb\n/tmp\n");
}

#[test]
fn a_whole_process_can_be_given_in_a_file() {
    let container = TestContainer::new("sleep 1000");
    running(&container);
    let process = json!({"user": {"uid": 1, "gid": 1}, "args": ["sh", "-c", "id -u; grep CapEff /proc/self/status"],
        "env": ["PATH=/bin"], "cwd": "/"});
    std::fs::write(container.dir.join("process.json"), process.to_string()).unwrap();
    let stdout = container.call(&["exec", "--process", "process.json", &container.id]).success();
    assert_eq!(stdout, "1\nCapEff:\t0000000000000000\n");
}

#[test]
fn the_containers_seccomp_profile_holds_for_it_too() {
    let mut container = TestContainer::new("sleep 1000");
    container.config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]});
    running(&container);
    assert!(container.call(&["exec", &container.id, "mkdir", "/tmp/x"]).failure().contains("not permitted"));
}

#[test]
fn it_ends_with_the_container() {
    let container = TestContainer::new("sleep 1000");
    running(&container);
    let child = container.command(&["exec", &container.id, "sleep", "1001"]).spawn().unwrap();
    bundle::wait_until("the second sleep runs", || {
        // Until it is that program, the process still has the command line of `exec`.
        let table = container.call(&["exec", &container.id, "ps"]).success();
        table.lines().any(|line| line.ends_with("sleep 1001") && !line.contains("exec"))
    });
    container.call(&["kill", &container.id, "KILL"]).success();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(137));
    container.wait_for_status("stopped");
    let stderr = container.call(&["exec", &container.id, "true"]).failure();
    assert!(stderr.contains("stopped container"), "{stderr}");
}

#[test]
fn it_enters_a_user_namespace_as_its_root() {
    let container = TestContainer::in_user_namespace("sleep 1000");
    running(&container);
    let stdout =
        container.call(&["exec", &container.id, "sh", "-c", "id -u; cat /proc/self/uid_map"]).success();
    let words: Vec<&str> = stdout.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "100000", "65536"]);
}

#[test]
fn detached_it_leaves_its_pid() {
    let container = TestContainer::new("sleep 1000");
    running(&container);
    container.call(&["exec", "-d", "--pid-file", "pid", &container.id, "sleep", "1001"]).success();
    let pid: i32 = std::fs::read_to_string(container.dir.join("pid")).unwrap().parse().unwrap();
    let pids: Vec<i32> =
        serde_json::from_str(&container.call(&["ps", "--format", "json", &container.id]).success()).unwrap();
    assert!(pids.contains(&pid));
}
