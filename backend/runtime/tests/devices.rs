//! Device rules of a cgroup2 group, asked of the kernel.

use std::path::{Path, PathBuf};
use std::process::Command;

use drydock_runtime::cgroup::{Cgroup, Hierarchies, Hierarchy};

#[test]
fn a_unified_group_opens_only_the_devices_it_is_allowed() {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let mount = mounts.into_iter().find(|mount| mount.join("cgroup.procs").exists());
    let mount = mount.expect("this test needs cgroup2 mounted at /sys/fs/cgroup or /sys/fs/cgroup/unified");
    let hierarchies = Hierarchies {
        v1: Vec::new(),
        v2: Some(Hierarchy { controllers: Vec::new(), mount: mount.clone(), own: "/".into() }),
    };
    let resources = serde_json::from_str(
        r#"{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"}]}"#,
    )
    .unwrap();
    let path = format!("/drydock-test-devices-{}", std::process::id());
    let cgroup = Cgroup::create(&hierarchies, Path::new(&path), Some(&resources), None).unwrap();
    let script = format!(
        "echo $$ > {}{path}/cgroup.procs || exit 9; true < /dev/null && echo null; true < /dev/kmsg || echo refused",
        mount.display()
    );
    let output = Command::new("/bin/busybox").args(["sh", "-c", &script]).output().unwrap();
    cgroup.remove().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "null\nrefused\n", "{output:?}");
}
