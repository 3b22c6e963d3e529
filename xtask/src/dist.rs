//! `dist/`: everything that `drydock serve` needs, in one folder.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::stage::{cargo, run, stage};
use crate::{images, places, web};

/// The programs that `dist/bin` holds.
pub const PROGRAMS: &[&str] =
    &["drydock", "drydock-agent", "drydock-engine", "drydock-logger", "drydock-runtime", "drydock-shim"];

/// Builds all parts; each is skipped quickly when its sources are as they were.
pub fn build() -> Result<()> {
    let dist = places::dist();
    stage("build the programs", || programs(&dist))?;
    stage("build the page", || web::build(&dist, &places::cache()))?;
    stage("make the images", || images::build(&dist, &places::cache()))?;
    stage("lay out the labs", || labs(&dist))
}

fn programs(dist: &Path) -> Result<()> {
    let mut cargo = cargo();
    cargo.args(["build", "--release", "--bins"]).env("CARGO_TARGET_DIR", places::target());
    for package in PROGRAMS.iter().chain(&["drydock-image-programs"]) {
        cargo.args(["--package", package]);
    }
    run(cargo.current_dir(places::checkout()))?;
    let bin = dist.join("bin");
    fs::create_dir_all(&bin).with_context(|| format!("cannot make {}", bin.display()))?;
    for program in PROGRAMS {
        place(&places::release().join(program), &bin.join(program))?;
    }
    Ok(())
}

/// Strips line tables on the way (they are for the debugger, in the target directory); replaces by rename, since a
/// running node may hold the old file; leaves a file alone that is newer than its source.
fn place(from: &Path, to: &Path) -> Result<()> {
    let built = modified(from).with_context(|| format!("cannot read {}", from.display()))?;
    if modified(to).is_ok_and(|placed| placed > built) {
        return Ok(());
    }
    let partial = to.with_extension("partial");
    run(Command::new("strip").arg("--strip-debug").arg("-o").arg(&partial).arg(from))?;
    fs::rename(&partial, to).with_context(|| format!("cannot write {}", to.display()))
}

fn modified(file: &Path) -> std::io::Result<SystemTime> {
    fs::metadata(file)?.modified()
}

fn labs(dist: &Path) -> Result<()> {
    let fresh = dist.join("labs.partial");
    let place = dist.join("labs");
    for old in [&fresh, &place] {
        if old.exists() {
            fs::remove_dir_all(old).with_context(|| format!("cannot clear {}", old.display()))?;
        }
    }
    run(Command::new("cp").arg("--recursive").arg(places::checkout().join("labs")).arg(&fresh))?;
    fs::rename(&fresh, &place).with_context(|| format!("cannot write {}", place.display()))
}

/// Becomes `dist/bin/NAME`; returns only when that fails.
pub fn run_program(name: &str, arguments: &[String]) -> Result<()> {
    let program = places::dist().join("bin").join(name);
    let error = Command::new(&program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {}: run `cargo xtask dist` first", program.display()))
}
