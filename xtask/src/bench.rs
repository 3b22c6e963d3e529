//! `cargo xtask bench`: runs the scripts in `bench/` against `dist/`.

use std::process::Command;

use anyhow::{Result, bail};

use crate::places;
use crate::stage::{run as run_command, stage};

/// `bench/NAME.sh` prints a table: figure, ours, peer where there is one, physical limit.
fn run_named(name: &str) -> Result<()> {
    let script = places::checkout().join("bench").join(name).with_extension("sh");
    stage(name, || {
        run_command(
            Command::new(&script).env("DIST", places::dist()).env("CARGO_TARGET_DIR", places::target()),
        )
    })
}

/// Each prints its figures with their limits; the other scripts in `bench/` are their tools.
const BENCHMARKS: [&str; 9] =
    ["runtime", "node", "engine", "images", "build", "network", "swarm", "templates", "terminal"];

/// Runs those that are named, or all. One that fails does not keep the others from theirs.
pub fn run(names: &[String]) -> Result<()> {
    if let Some(unknown) = names.iter().find(|name| !BENCHMARKS.contains(&name.as_str())) {
        bail!("there is no benchmark {unknown}; there are {}", BENCHMARKS.join(" "));
    }
    if !places::dist().join("bin/drydock").exists() {
        bail!("there is nothing to measure: run `cargo xtask dist` first");
    }
    let chosen =
        BENCHMARKS.into_iter().filter(|name| names.is_empty() || names.iter().any(|named| named == name));
    let failed: Vec<String> =
        chosen.filter_map(|name| run_named(name).err().map(|error| format!("{name}: {error:#}"))).collect();
    match failed.is_empty() {
        true => Ok(()),
        false => bail!("{}", failed.join("; ")),
    }
}
