//! What a program finds inside its container.

mod bundle;

use bundle::TestContainer;
use serde_json::json;

#[test]
fn namespaces_are_its_own() {
    let container = TestContainer::new("echo $$; hostname; ip -o link | cut -d: -f2");
    let stdout = container.run().success();
    let lines: Vec<&str> = stdout.lines().collect();
    assert_eq!(lines, ["1", "container", " lo"]);
}

#[test]
fn the_root_may_be_named_by_a_link() {
    let mut container = TestContainer::new("hostname");
    std::os::unix::fs::symlink("rootfs", container.dir.join("link")).unwrap();
    container.config["root"]["path"] = json!("link");
    assert_eq!(container.run().success(), "container\n");
    container.assert_nothing_left();
}

#[test]
fn a_network_namespace_is_joined_by_path() {
    let mut container = TestContainer::new("readlink /proc/self/ns/net");
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    for namespace in container.config["linux"]["namespaces"].as_array_mut().unwrap() {
        if namespace["type"] == "network" {
            namespace["path"] = json!("/proc/self/ns/net");
        }
    }
    assert_eq!(container.run().success().trim(), own.to_str().unwrap());
}

#[test]
fn another_containers_pid_namespace_is_joined_by_path() {
    let first = TestContainer::new("sleep 1000");
    first.write();
    first.call(&["run", "-d", &first.id]).success();
    let pid = first.state()["pid"].to_string();
    let mut second = TestContainer::new("cat /proc/1/cmdline");
    for namespace in second.config["linux"]["namespaces"].as_array_mut().unwrap() {
        if namespace["type"] == "pid" {
            namespace["path"] = json!(format!("/proc/{pid}/ns/pid"));
        }
    }
    assert!(second.run().success().contains("sleep"), "process 1 is the first container's");
}

#[test]
fn devices_and_links_are_there() {
    let container = TestContainer::new(
        "echo x > /dev/null && head -c 3 /dev/zero | wc -c; test -c /dev/tty && readlink /dev/fd && readlink /dev/ptmx; echo to-stderr > /dev/stderr",
    );
    std::os::unix::fs::symlink("busybox", container.rootfs().join("bin/wc")).unwrap();
    let answer = container.run();
    assert_eq!(answer.success(), "3\n/proc/self/fd\npts/ptmx\n");
    assert_eq!(answer.stderr(), "to-stderr\n");
}

#[test]
fn masked_paths_are_empty_and_read_only_paths_cannot_be_changed() {
    let mut container = TestContainer::new(
        "cat /proc/timer_list | head -c 9; ls /full; echo 1 > /proc/sys/kernel/printk || echo refused; echo x > /etc/x && echo etc",
    );
    container.config["linux"]["maskedPaths"] = json!(["/proc/timer_list", "/full", "/not/there"]);
    container.config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/not/there"]);
    assert_eq!(container.run().success(), "refused\netc\n");
}

#[test]
fn a_read_only_root_refuses_writes_but_its_mounts_do_not() {
    let mut container = TestContainer::new("touch /x || echo refused; touch /dev/x && echo written");
    container.config["root"]["readonly"] = json!(true);
    assert_eq!(container.run().success(), "refused\nwritten\n");
}

#[test]
fn binds_follow_their_options_and_links_stay_inside() {
    let mut container =
        TestContainer::new("cat /link/f /ro/f; touch /ro/x || echo refused; touch /rw/x; ls /rw");
    std::fs::create_dir(container.dir.join("share")).unwrap();
    std::fs::write(container.dir.join("share/f"), "shared\n").unwrap();
    // A hostile image: the mount point is a link out of the root.
    std::fs::create_dir(container.rootfs().join("safe")).unwrap();
    std::os::unix::fs::symlink("/../../../../safe", container.rootfs().join("link")).unwrap();
    for (destination, options) in
        [("/link", json!(["bind", "ro"])), ("/ro", json!(["rbind", "rro"])), ("/rw", json!(["bind"]))]
    {
        container.add_mount(
            json!({"destination": destination, "type": "bind", "source": "share", "options": options}),
        );
    }
    assert_eq!(container.run().success(), "shared\nshared\nrefused\nf\nx\n");
}

#[test]
fn a_tmpfs_can_begin_with_what_it_hides() {
    let mut container = TestContainer::new("cat /full/old; echo new > /full/old");
    container.add_mount(
        json!({"destination": "/full", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}),
    );
    assert_eq!(container.run().success(), "hidden\n");
    let original = std::fs::read_to_string(container.rootfs().join("full/old")).unwrap();
    assert_eq!(original, "hidden\n", "the original is untouched");
}

#[test]
fn an_idmapped_mount_shows_other_owners() {
    let mut container = TestContainer::new("stat -c %u:%g /mapped/f");
    std::fs::create_dir(container.dir.join("mapped")).unwrap();
    std::fs::write(container.dir.join("mapped/f"), "").unwrap();
    container.add_mount(json!({
        "destination": "/mapped", "type": "bind", "source": "mapped", "options": ["bind", "idmap"],
        "uidMappings": [{"containerID": 0, "hostID": 7000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 8000, "size": 10}],
    }));
    assert_eq!(container.run().success(), "7000:8000\n");
}

#[test]
fn user_groups_umask_home_and_cwd_are_as_configured() {
    let mut container = TestContainer::new("id; umask; echo $HOME; pwd");
    container.config["process"]["user"] =
        json!({"uid": 33, "gid": 33, "additionalGids": [5, 6], "umask": 0o27});
    container.config["process"]["cwd"] = json!("/made/for/me");
    let expected = "uid=33(web) gid=33 groups=5,6,33\n0027\n/var/www\n/made/for/me\n";
    let stdout = container.run().success();
    let normal = stdout.replace("groups=33,5,6", "groups=5,6,33").replace("groups=5,6\n", "groups=5,6,33\n");
    assert_eq!(normal, expected);
}

#[test]
fn capabilities_are_exactly_those_given() {
    let mut container = TestContainer::new("grep Cap /proc/self/status");
    container.config["process"]["capabilities"] = json!({
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "effective": ["CAP_CHOWN"],
        "inheritable": ["CAP_KILL"],
        "ambient": ["CAP_KILL"],
    });
    container.config["process"]["user"] = json!({"uid": 33, "gid": 33});
    let stdout = container.run().success();
    let value = |name: &str| {
        let line = stdout.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    // After execve as a plain user only ambient ones are permitted and effective.
    assert_eq!(
        [value("CapBnd"), value("CapInh"), value("CapAmb"), value("CapPrm")],
        [1 << 13 | 1 << 5 | 1, 1 << 5, 1 << 5, 1 << 5]
    );
}

#[test]
fn limits_of_the_process_are_set_and_never_raised_in_silence() {
    let mut container = TestContainer::new("ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj");
    container.config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    container.config["process"]["oomScoreAdj"] = json!(500);
    assert_eq!(container.run().success(), "100\n200\n500\n");
}

#[test]
fn cgroup_limits_are_enforced_and_can_be_changed() {
    let mut container = TestContainer::new("sleep 1000");
    container.config["linux"]["resources"] = json!({"memory": {"limit": 67108864}, "pids": {"limit": 33}});
    container.write();
    container.call(&["run", "-d", &container.id]).success();
    let read = |name: &str| {
        let files: Vec<String> = container
            .cgroups()
            .iter()
            .filter_map(|folder| std::fs::read_to_string(folder.join(name)).ok())
            .collect();
        files.first().map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    assert_eq!(read("pids.max"), "33");
    container.call(&["update", "--pids-limit", "44", "--memory", "128M", &container.id]).success();
    assert_eq!(read("pids.max"), "44");
    assert_eq!(read("memory.limit_in_bytes") + &read("memory.max"), "134217728");
    let events: serde_json::Value =
        serde_json::from_str(&container.call(&["events", "--stats", &container.id]).success()).unwrap();
    assert_eq!(events["data"]["memory"]["usage"]["limit"], 134_217_728);
}

#[test]
fn seccomp_refuses_what_its_profile_refuses() {
    for no_new_privileges in [true, false] {
        let mut container = TestContainer::new("mkdir /tmp/a || echo refused; touch /tmp/b && echo made");
        container.config["process"]["noNewPrivileges"] = json!(no_new_privileges);
        container.config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
        });
        assert_eq!(container.run().success(), "refused\nmade\n", "no_new_privs {no_new_privileges}");
    }
}

#[test]
fn sysctls_and_clocks_are_its_own() {
    let mut container = TestContainer::new("cat /proc/sys/net/ipv4/ip_forward; cut -d. -f1 /proc/uptime");
    container.config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    container.add_namespace(json!({"type": "time"}));
    container.config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000, "nanosecs": 0}});
    let stdout = container.run().success();
    let (forward, uptime) = stdout.trim().split_once('\n').unwrap();
    assert_eq!(forward, "1");
    assert!(uptime.parse::<u64>().unwrap() >= 1_000_000_000, "{uptime}");
}

#[test]
fn descriptors_are_passed_only_when_asked() {
    let container =
        TestContainer::new("ls /proc/self/fd | grep -c .; echo ${LISTEN_FDS:-none} ${LISTEN_PID:-none}");
    container.write();
    let shell = |redirections: &str, words: &str| {
        let script = format!("exec {redirections}; exec \"$0\" --root \"$1\" run {words} \"$2\"");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_drydock-runtime")]);
        command.arg(container.root()).arg(&container.id).current_dir(&container.dir);
        command.env_remove("LISTEN_FDS");
        command
    };
    let stdout =
        |mut command: std::process::Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    // 0, 1, 2, and the one `ls` has open on the folder.
    assert_eq!(stdout(shell("7</dev/null", "")), "4\nnone none\n");
    assert_eq!(stdout(shell("3</dev/null 4</dev/null 7</dev/null", "--preserve-fds 2")), "6\nnone none\n");
    let mut listening = shell("3</dev/null", "");
    listening.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "web");
    assert_eq!(stdout(listening), "5\n1 1\n");
}

#[test]
fn a_terminal_is_given_out_by_socket_and_has_its_size() {
    let mut container = TestContainer::new("tty; stty size; test -c /dev/console && echo console");
    container.config["process"]["terminal"] = json!(true);
    container.config["process"]["consoleSize"] = json!({"width": 99, "height": 33});
    container.write();
    let path = container.dir.join("console.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    container.call(&["create", "--console-socket", "console.sock", &container.id]).success();
    let (stream, _) = listener.accept().unwrap();
    let master = receive_descriptor(&stream);
    container.call(&["start", &container.id]).success();
    let mut text = String::new();
    // EIO ends it when the program has closed the terminal.
    let _ = std::io::Read::read_to_string(&mut std::fs::File::from(master), &mut text);
    assert_eq!(text, "/dev/pts/0\r\n33 99\r\nconsole\r\n");
}

fn receive_descriptor(stream: &std::os::unix::net::UnixStream) -> std::os::fd::OwnedFd {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 64];
    let mut buffers = [std::io::IoSliceMut::new(&mut bytes)];
    recvmsg(stream, &mut buffers, &mut ancillary, RecvFlags::empty()).unwrap();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message {
            return fds.next().unwrap();
        }
    }
    panic!("no descriptor came");
}

#[test]
fn a_terminal_without_a_place_to_go_is_refused() {
    let mut container = TestContainer::new("true");
    container.config["process"]["terminal"] = json!(true);
    container.write();
    let stderr = container.call(&["create", &container.id]).failure();
    assert!(stderr.contains("without setting console socket"), "{stderr}");
    container.assert_nothing_left();
}
