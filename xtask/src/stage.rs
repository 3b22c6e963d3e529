//! A stage of a command: says that it begins, runs, says how long it took.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs `work` under a heading and prints its time in seconds.
pub fn stage<T>(title: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("▸ {title}");
    let begun = Instant::now();
    let outcome = work().with_context(|| title.to_owned())?;
    println!("✓ {title} ({:.1} s)", begun.elapsed().as_secs_f32());
    Ok(outcome)
}

/// Runs a program with this terminal's streams; a failure names the command line.
pub fn run(command: &mut Command) -> Result<()> {
    let line = line(command);
    let status = command.status().with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// cargo as a shell would start it. The cargo that runs this program describes its package in variables, and build scripts
/// that look at them (ring's) would run anew, with all that depends on them, at every change between the two.
pub fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    let is_of_package = |name: &str| {
        name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || name == "CARGO_PRIMARY_PACKAGE"
    };
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_package) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Whether a program runs and exits with 0; what it prints is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
