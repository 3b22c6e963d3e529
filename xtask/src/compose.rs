//! Debian's docker compose, the one that nodes carry, for tests on a host whose own release has another or none.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::stage::{run, stage};

const PLUGIN: &str = "usr/libexec/docker/cli-plugins/docker-compose";
const MIRROR: &str = "http://deb.debian.org/debian";

/// Unpacks it into the cache, where `backend/engine/tests/cli/compose` looks; installs nothing.
pub fn ensure(cache: &Path) -> Result<()> {
    let place = cache.join("tools/compose");
    if place.join(PLUGIN).exists() {
        return Ok(());
    }
    stage("unpack docker compose", || {
        let fresh = place.with_extension("partial");
        for old in [&fresh, &place] {
            if old.exists() {
                fs::remove_dir_all(old).with_context(|| format!("cannot clear {}", old.display()))?;
            }
        }
        fs::create_dir_all(cache.join("tools"))
            .with_context(|| format!("cannot make folders in {}", cache.display()))?;
        run(Command::new("mmdebstrap")
            .args(["--quiet", "--variant=extract", "--include=docker-compose", "trixie"])
            .arg(&fresh)
            .arg(MIRROR))?;
        fs::rename(&fresh, &place).with_context(|| format!("cannot write {}", place.display()))
    })
}
