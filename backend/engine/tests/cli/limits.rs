//! Limits reach the control groups, when a container is made and while it runs.

use crate::machine::Machine;

/// One value of the container's own control group, whichever version the host has.
fn value(machine: &Machine, name: &str, v1: &str, v2: &str) -> String {
    let script = format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}");
    machine.docker(["exec", name, "sh", "-c", &script]).ok()
}

#[test]
fn a_running_container_gets_limits_it_was_not_made_with() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]).ok();
    machine.docker(["update", "--cpus", "0.5", "box"]).ok();
    assert!(
        ["50000", "50000 100000"]
            .contains(&value(&machine, "box", "cpu/cpu.cfs_quota_us", "cpu.max").as_str())
    );
    machine.docker(["update", "--cpuset-cpus", "0", "box"]).ok();
    assert_eq!(value(&machine, "box", "cpuset/cpuset.cpus", "cpuset.cpus"), "0");
    machine.docker(["update", "--pids-limit", "50", "box"]).ok();
    assert_eq!(value(&machine, "box", "pids/pids.max", "pids.max"), "50");
    machine.docker(["update", "--pids-limit", "-1", "box"]).ok();
    assert_eq!(value(&machine, "box", "pids/pids.max", "pids.max"), "max");
    assert_eq!(machine.inspect("box", "{{.HostConfig.NanoCpus}} {{.HostConfig.CpusetCpus}}"), "500000000 0");
}

#[test]
fn an_update_is_held_to_what_is_set_already() {
    let machine = Machine::new();
    machine
        .docker(["run", "-d", "--name", "box", "-m", "64m", "--cpus", "1", "busybox", "sleep", "1000"])
        .ok();
    let cases: [(&[&str], &str); 6] = [
        (&["-m", "200m"], "Memory limit should be smaller than already set memoryswap limit"),
        (&["-m", "4m"], "Minimum memory limit allowed is 6MB"),
        (&["--cpu-quota", "30000"], "CPU Quota cannot be updated as NanoCPUs has already been set"),
        (&["--cpu-period", "30000"], "CPU Period cannot be updated as NanoCPUs has already been set"),
        (&["--cpus", "999"], "range of CPUs is from"),
        (&["--cpuset-cpus", "900"], "Requested CPUs are not available"),
    ];
    for (flags, words) in cases {
        let mut arguments = vec!["update"];
        arguments.extend(flags);
        arguments.push("box");
        let said = machine.docker_words(&arguments).fails(1);
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    machine.docker(["update", "-m", "200m", "--memory-swap", "300m", "box"]).ok();
    assert_eq!(
        machine.inspect("box", "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}}"),
        "209715200 314572800"
    );
    machine.docker(["run", "-d", "--rm", "--name", "brief", "busybox", "sleep", "1000"]).ok();
    let said = machine.docker(["update", "--restart", "always", "brief"]).fails(1);
    assert!(said.contains("Restart policy cannot be updated because AutoRemove is enabled"), "{said}");
}

#[test]
fn what_the_kernel_cannot_limit_is_left_out_with_a_warning() {
    let machine = Machine::new();
    let said = machine.docker(["run", "--rm", "--oom-kill-disable", "busybox", "true"]);
    assert_eq!(said.code, 0);
    assert!(said.err.contains("WARNING: "), "{said:?}");
    let said = machine.docker(["run", "--rm", "--network", "host", "-p", "80:80", "busybox", "true"]);
    assert!(said.err.contains("Published ports are discarded when using host network mode"), "{said:?}");
}

#[test]
fn defaults_are_mobys() {
    let machine = Machine::new();
    let create =
        ["create", "--name", "box", "--cap-add", "net_admin", "--cap-drop", "CAP_KILL", "busybox", "true"];
    machine.docker(create).ok();
    assert_eq!(
        machine
            .inspect("box", "{{.HostConfig.CapAdd}} {{.HostConfig.CapDrop}} {{json .HostConfig.PidsLimit}}"),
        "[CAP_NET_ADMIN] [CAP_KILL] null"
    );
    machine.docker(["create", "--name", "all", "--privileged", "busybox", "true"]).ok();
    assert_eq!(machine.inspect("all", "{{.HostConfig.SecurityOpt}}"), "[label=disable]");
}

#[test]
fn a_seccomp_profile_is_read_as_docker_writes_it() {
    let machine = Machine::new();
    let profile = machine.path("profile.json");
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW",
        "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":["SCMP_ARCH_X86"]}],
        "syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","excludes":{"caps":["CAP_SYS_ADMIN"]}}]}"#;
    std::fs::write(&profile, text).expect("a file");
    let option = format!("seccomp={}", profile.display());
    let said = machine.docker(["run", "--rm", "--security-opt", &option, "busybox", "mkdir", "/x"]).fails(1);
    assert!(said.contains("Operation not permitted"), "{said}");
    let more = ["run", "--rm", "--cap-add", "SYS_ADMIN", "--security-opt", &option, "busybox", "mkdir", "/x"];
    machine.docker(more).ok();
    std::fs::write(&profile, r#"{"defaultAction":"BOGUS"}"#).expect("a file");
    let said = machine.docker(["run", "--rm", "--security-opt", &option, "busybox", "true"]).fails(125);
    assert!(said.contains("string BOGUS is not a valid action for seccomp"), "{said}");
}

#[test]
fn all_devices_of_a_folder_are_given() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let machine = Machine::new();
    let folder = machine.path("nodes");
    std::fs::create_dir_all(folder.join("deeper")).expect("folders");
    for (name, minor) in [("nothing", 3), ("deeper/zeros", 5)] {
        mknod(&folder.join(name), SFlag::S_IFCHR, Mode::from_bits_truncate(0o666), makedev(1, minor))
            .expect("a device node");
    }
    let mapping = format!("{}:/dev/own", folder.display());
    let script = "ls /dev/own /dev/own/deeper; head -c 3 /dev/own/deeper/zeros | wc -c";
    let said = machine.docker(["run", "--rm", "--device", &mapping, "busybox", "sh", "-c", script]).ok();
    assert_eq!(said, "/dev/own:\ndeeper\nnothing\n\n/dev/own/deeper:\nzeros\n3");
}
