//! What the machine must offer before anything is built: each lack in one line, with what to do.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::stage::succeeds;

/// Gigabytes that a first build, the images and a few nodes take.
const DISK_GB: u64 = 12;

/// Fails with one line for each thing that is missing.
pub fn check() -> Result<()> {
    if user_id()? != 0 {
        bail!(
            "nodes are made with mounts, namespaces and loop devices, which only root may make: run `sudo -E env PATH=$PATH cargo xtask up`"
        );
    }
    let lacks: Vec<String> = PROBES
        .iter()
        .filter(|probe| !succeeds(Command::new("sh").args(["-c", probe.script])))
        .map(|probe| format!("  {}: {}", probe.feature, probe.remedy))
        .collect();
    if !lacks.is_empty() {
        bail!("this kernel or its set-up lacks\n{}", lacks.join("\n"));
    }
    Ok(())
}

/// Fails when less than [`DISK_GB`] is free where `place` lies or will lie.
pub fn check_disk(place: &Path) -> Result<()> {
    let existing = place.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let output = Command::new("df").args(["--output=avail", "--block-size=1G"]).arg(existing).output();
    let output = output.context("cannot start `df`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let free: u64 = text.lines().nth(1).unwrap_or("0").trim().parse().context("`df` gave no number")?;
    if free < DISK_GB {
        bail!(
            "{free} GB are free on the disk of {}, {DISK_GB} GB are needed: make room, or pass --data-dir on a larger disk",
            existing.display()
        );
    }
    Ok(())
}

/// Fails when another program listens on `address`.
pub fn check_listen(address: &str) -> Result<()> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(()),
        Err(error) => bail!(
            "cannot listen on {address}: {error}. End the program that has the port (`ss -ltnp` names it), or pass --listen with another"
        ),
    }
}

struct Probe {
    feature: &'static str,
    /// Exits with 0 where the feature works; leaves nothing behind.
    script: &'static str,
    remedy: &'static str,
}

const PROBES: &[Probe] = &[
    Probe {
        feature: "user namespaces",
        script: "unshare --user --map-root-user true",
        remedy: "set `sysctl user.max_user_namespaces=15000`; the kernel needs CONFIG_USER_NS",
    },
    Probe {
        feature: "overlay mounts in a user namespace",
        script: "d=$(mktemp -d) && chmod 755 $d && mkdir $d/l $d/t && unshare --user --map-root-user --mount sh -c \
                 \"mount -t tmpfs t $d/t && mkdir $d/t/u $d/t/w $d/t/m && \
                 mount -t overlay o -o lowerdir=$d/l,upperdir=$d/t/u,workdir=$d/t/w,userxattr $d/t/m\"; \
                 s=$?; rm -r $d; exit $s",
        remedy: "use Linux 5.11 or newer with overlayfs (`modprobe overlay`)",
    },
    Probe {
        feature: "bridges and veth pairs",
        script: "unshare --net sh -c 'ip link add name probe type bridge && ip link add name one type veth peer name two'",
        remedy: "`modprobe bridge veth`, or a kernel with CONFIG_BRIDGE and CONFIG_VETH",
    },
    Probe {
        feature: "nftables NAT",
        script: "unshare --net nft 'add table ip t; add chain ip t c { type nat hook postrouting priority 100; }; \
                 add rule ip t c masquerade'",
        remedy: "`modprobe nft_chain_nat nft_masq`, or a kernel with CONFIG_NF_TABLES and CONFIG_NFT_NAT",
    },
    Probe {
        feature: "loop devices",
        script: "test -c /dev/loop-control",
        remedy: "`modprobe loop`; in a container, pass /dev/loop-control and the loop devices in",
    },
    Probe {
        feature: "control groups for memory and processes",
        script: "grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null || \
                 { test -d /sys/fs/cgroup/memory && test -d /sys/fs/cgroup/pids; }",
        remedy: "boot with `cgroup_enable=memory`, and mount /sys/fs/cgroup",
    },
];

fn user_id() -> Result<u32> {
    let output = Command::new("id").arg("--user").output().context("cannot start `id`")?;
    String::from_utf8_lossy(&output.stdout).trim().parse().context("`id --user` gave no number")
}
