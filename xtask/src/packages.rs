//! Debian packages that each purpose needs; only what is missing is installed.

use std::process::Command;

use anyhow::{Result, bail};

use crate::stage::{run, stage, succeeds};

/// To build programs, page and images.
pub const BUILD: &[&str] = &[
    "build-essential",
    "ca-certificates",
    "curl",
    "debian-archive-keyring",
    "mmdebstrap",
    "busybox-static",
    "zstd",
    "brotli",
    "nodejs",
    "npm",
];

/// To serve nodes.
pub const SERVE: &[&str] = &["e2fsprogs", "iproute2", "nftables"];

/// To test: the browser, the tools that look at namespaces from outside, and servers that others wrote, of
/// which tests start their own.
pub const TEST: &[&str] = &[
    "chromium",
    "fonts-dejavu-core",
    "tcpdump",
    "bridge-utils",
    "iptables",
    "strace",
    "docker-registry",
    "notary",
    "openssl",
    "bzip2",
    "xz-utils",
    "rsyslog",
    "rsyslog-gnutls",
    "systemd",
    "python3-venv",
];

/// Installs those of `packages` that are missing.
pub fn ensure(packages: &[&str]) -> Result<()> {
    let missing: Vec<&str> = packages.iter().copied().filter(|package| !is_there(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !succeeds(Command::new("apt-get").arg("--version")) {
        bail!(
            "missing {}: this is not Debian or Ubuntu, so install them by hand and run again",
            missing.join(" ")
        );
    }
    stage(&format!("install {}", missing.join(" ")), || {
        run(Command::new("apt-get").args(["update", "-q"]))?;
        run(Command::new("apt-get")
            .args(["install", "-q", "-y", "--no-install-recommends"])
            .args(&missing)
            .env("DEBIAN_FRONTEND", "noninteractive"))
    })
}

/// Node.js and npm count when they are there from any source: other distributors pack them as one.
fn is_there(package: &str) -> bool {
    match package {
        "nodejs" => succeeds(Command::new("node").arg("--version")),
        "npm" => succeeds(Command::new("npm").arg("--version")),
        _ => {
            let output = Command::new("dpkg-query")
                .args(["--show", "--showformat=${db:Status-Status}", package])
                .output();
            output.is_ok_and(|output| output.stdout == b"installed")
        }
    }
}
