//! The two settings of a playground: a node in a user namespace, and containers made by the node's own root.

mod bundle;

use bundle::TestContainer;
use serde_json::json;

#[test]
fn the_root_of_a_user_namespace_is_nobody_outside() {
    let container = TestContainer::in_user_namespace("id -u; touch /tmp/mine; stat -c %u /tmp/mine");
    assert_eq!(container.run().success(), "0\n0\n");
    let owner = std::os::unix::fs::MetadataExt::uid(&container.rootfs().join("tmp/mine").metadata().unwrap());
    assert_eq!(owner, 100_000);
    container.assert_nothing_left();
}

#[test]
fn its_root_file_system_may_lie_where_it_cannot_go() {
    let container = TestContainer::in_user_namespace("echo reached");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(&container.dir, mode).unwrap();
    assert_eq!(container.run().success(), "reached\n");
}

#[test]
fn what_crosses_read_only_stays_read_only_for_its_root() {
    let mut container = TestContainer::in_user_namespace(
        "mount -o remount,rw,bind /share || echo locked; touch /share/x || echo refused",
    );
    std::fs::create_dir(container.dir.join("share")).unwrap();
    std::os::unix::fs::chown(container.dir.join("share"), Some(100_000), Some(100_000)).unwrap();
    container.add_mount(
        json!({"destination": "/share", "type": "bind", "source": "share", "options": ["bind", "ro"]}),
    );
    assert_eq!(container.run().success(), "locked\nrefused\n");
}

#[test]
fn a_device_by_another_name_is_the_hosts_with_that_number() {
    let mut container =
        TestContainer::in_user_namespace("head -c 3 /dev/own/zeros | wc -c; test -c /dev/none || echo no");
    container.config["linux"]["devices"] =
        json!([{"path": "/dev/own/zeros", "type": "c", "major": 1, "minor": 5}]);
    assert_eq!(container.run().success(), "3\nno\n");
    container.config["linux"]["devices"] =
        json!([{"path": "/dev/none", "type": "c", "major": 4000, "minor": 4000}]);
    let said = container.run().stderr();
    assert!(said.contains("bind device /dev/none from the host: no such file or directory"), "{said}");
    container.assert_nothing_left();
}

#[test]
fn it_may_divide_its_own_cgroups_but_not_widen_them() {
    let script = "for g in /cg/* /cg; do mkdir $g/sub 2>/dev/null && made=yes; done; echo ${made:-no}; \
        for f in /cg/pids/pids.max /cg/pids.max; do test -e $f && echo max > $f && echo widened; done 2>/dev/null; cat /cg/pids/pids.max || cat /cg/pids.max";
    let mut container = TestContainer::in_user_namespace(script);
    container.add_mount(
        json!({"destination": "/cg", "type": "cgroup", "source": "cgroup", "options": ["nosuid"]}),
    );
    container.config["linux"]["resources"] = json!({"pids": {"limit": 77}});
    let answer = container.run();
    assert_eq!(answer.stdout(), "yes\n77\n", "{}", answer.stderr());
    container.assert_nothing_left();
}

#[test]
fn a_container_can_be_made_inside_a_node() {
    let inner = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "/inner"},
        "hostname": "inner",
        "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
            "args": ["sh", "-c", "echo $$; hostname; echo x > /dev/null && echo null; touch /dev/shm/x && echo shm"]},
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "size=1m"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]},
        ],
        "linux": {"cgroupsPath": "/docker/inner", "resources": {"pids": {"limit": 20}, "memory": {"limit": 33554432},
                "devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "cgroup"}],
            "maskedPaths": ["/proc/timer_list", "/sys/firmware"], "readonlyPaths": ["/proc/sys"]},
    });
    let script = "/runtime --root /run/r run -b /tmp/b inner; echo status $?; \
        /runtime --root /run/r run -d -b /tmp/c long && /runtime --root /run/r exec long hostname; \
        /runtime --root /run/r delete -f long; ls /run/r; find /sys/fs/cgroup -name inner -o -name long";
    let mut node = TestContainer::in_user_namespace(script);
    let rootfs = node.rootfs();
    let copy = |from: &std::path::Path, to: std::path::PathBuf| {
        let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(copied.unwrap().success());
    };
    copy(&rootfs, node.dir.join("inner"));
    copy(&node.dir.join("inner"), rootfs.join("inner"));
    std::os::unix::fs::symlink("busybox", rootfs.join("bin/find")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_drydock-runtime"), rootfs.join("runtime")).unwrap();
    let mut long = inner.clone();
    long["process"]["args"] = json!(["sleep", "1000"]);
    long["linux"]["cgroupsPath"] = json!("/docker/long");
    for (name, config) in [("b", &inner), ("c", &long)] {
        std::fs::create_dir(rootfs.join("tmp").join(name)).unwrap();
        std::fs::write(rootfs.join("tmp").join(name).join("config.json"), config.to_string()).unwrap();
    }
    node.add_mount(json!({"destination": "/run", "type": "tmpfs", "source": "tmpfs"}));
    node.add_mount(
        json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid"]}),
    );
    node.config["process"]["capabilities"] = all_capabilities();
    let answer = node.run();
    assert_eq!(answer.stdout(), "1\ninner\nnull\nshm\nstatus 0\ninner\n", "{}", answer.stderr());
    node.assert_nothing_left();
}

fn all_capabilities() -> serde_json::Value {
    let features = [
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "NET_ADMIN",
        "SYS_ADMIN",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "MKNOD",
        "SETFCAP",
        "FSETID",
        "NET_RAW",
        "NET_BIND_SERVICE",
        "AUDIT_WRITE",
    ];
    let names: Vec<String> = features.iter().map(|name| format!("CAP_{name}")).collect();
    json!({"bounding": names, "effective": names, "permitted": names})
}
