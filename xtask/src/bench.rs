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

pub fn run(names: &[String]) -> Result<()> {
    let known = known()?;
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        bail!("there is no bench/{unknown}.sh; there are {}", known.join(" "));
    }
    let chosen = if names.is_empty() { &known } else { names };
    chosen.iter().try_for_each(|name| run_named(name))
}

fn known() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(places::checkout().join("bench"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "sh") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
