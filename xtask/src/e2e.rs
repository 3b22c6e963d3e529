//! The browser tests of `e2e/`: Playwright from npm, Chromium from Debian. The tests start (and kill) their own gateway.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::places;
use crate::stage::run as run_command;

const CHROMIUM: &str = "/usr/bin/chromium";

/// Runs every test against the programs and the page in `dist`; screenshots and traces stay in `e2e/artifacts`.
pub fn run(dist: &Path, cache: &Path) -> Result<()> {
    if !Path::new(CHROMIUM).exists() {
        bail!("{CHROMIUM} is missing; `apt-get install chromium` installs it");
    }
    let e2e = places::checkout().join("e2e");
    let modules = modules(&e2e, &cache.join("e2e"))?;
    run_command(
        Command::new("node")
            .arg(modules.join("@playwright/test/cli.js"))
            .arg("test")
            .current_dir(&e2e)
            .env("DRYDOCK_DIST", dist)
            .env("DRYDOCK_CHROMIUM", CHROMIUM),
    )
}

/// Installs what `package-lock.json` locks, once for each version of that file, and links it beside the tests.
fn modules(e2e: &Path, cache: &Path) -> Result<PathBuf> {
    let modules = cache.join("node_modules");
    let lock = fs::read(e2e.join("package-lock.json")).context("e2e/package-lock.json")?;
    let installed = cache.join("installed.json");
    if fs::read(&installed).ok().as_ref() != Some(&lock) {
        fs::create_dir_all(cache).with_context(|| format!("cannot make {}", cache.display()))?;
        for name in ["package.json", "package-lock.json"] {
            fs::copy(e2e.join(name), cache.join(name)).with_context(|| format!("cannot copy e2e/{name}"))?;
        }
        run_command(
            Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund"])
                .current_dir(cache)
                .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1"),
        )?;
        // Last: a copy that was cut short is made again.
        fs::write(&installed, &lock).with_context(|| format!("cannot write {}", installed.display()))?;
    }
    link(&modules, &e2e.join("node_modules"))?;
    Ok(modules)
}

/// Node looks for modules beside the file that imports them.
fn link(target: &Path, name: &Path) -> Result<()> {
    if fs::read_link(name).is_ok_and(|known| known == target) {
        return Ok(());
    }
    if name.symlink_metadata().is_ok_and(|known| known.is_symlink()) {
        fs::remove_file(name).with_context(|| format!("cannot remove {}", name.display()))?;
    } else if name.exists() {
        bail!("{} is a folder of your own; remove it, the tests link to their own modules", name.display());
    }
    symlink(target, name).with_context(|| format!("cannot link {}", name.display()))
}
