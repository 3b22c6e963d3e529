//! `cargo xtask test`: all that must hold, from formatting to the browser. Nothing is skipped: what cannot run fails.

use std::process::Command;

use anyhow::{Result, bail};

use crate::stage::{cargo, run as run_command, stage, succeeds};
use crate::{compose, dist, e2e, machine, packages, places, web};

type Stage = (&'static str, fn() -> Result<()>);

/// In the order in which a mistake is cheapest to find.
const STAGES: &[Stage] = &[
    ("format", format),
    ("lints", lints),
    ("dist", dist::build),
    ("units", units),
    ("labs", labs),
    ("e2e", browser),
];

pub fn run(wanted: &[String]) -> Result<()> {
    if let Some(unknown) = wanted.iter().find(|name| !STAGES.iter().any(|(stage, _)| stage == name)) {
        let known: Vec<&str> = STAGES.iter().map(|(name, _)| *name).collect();
        bail!("`{unknown}` is not a stage of `test`; the stages are {}", known.join(" "));
    }
    stage("look at the machine", || {
        packages::ensure(packages::SERVE)?;
        machine::check()?;
        packages::ensure(packages::BUILD)?;
        packages::ensure(packages::TEST)?;
        compose::ensure(&places::cache())?;
        ensure_nextest()
    })?;
    for (name, work) in
        STAGES.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|want| want == name))
    {
        stage(name, work)?;
    }
    Ok(())
}

fn format() -> Result<()> {
    run_cargo(&["fmt", "--all", "--check"])
}

/// What is for the browser alone is linted for it.
fn lints() -> Result<()> {
    let mut arguments = vec!["clippy", "--workspace", "--all-targets"];
    web::PACKAGES.iter().for_each(|package| arguments.extend(["--exclude", package]));
    arguments.extend(["--", "-D", "warnings"]);
    run_cargo(&arguments)?;
    web::lint(&places::cache())
}

/// Unit, kernel and engine tests. Each test is a process of its own (nextest): namespaces belong to processes.
fn units() -> Result<()> {
    let mut arguments = vec!["nextest", "run", "--workspace", "--cargo-profile", "release", "--no-fail-fast"];
    web::PACKAGES.iter().for_each(|package| arguments.extend(["--exclude", package]));
    run_cargo(&arguments)
}

fn labs() -> Result<()> {
    let program = places::dist().join("bin/drydock");
    run_command(Command::new(program).args(["lab", "test"]).arg(places::checkout().join("labs")))
}

fn browser() -> Result<()> {
    e2e::run(&places::dist(), &places::cache())
}

fn run_cargo(arguments: &[&str]) -> Result<()> {
    run_command(
        cargo().args(arguments).env("CARGO_TARGET_DIR", places::target()).current_dir(places::checkout()),
    )
}

fn ensure_nextest() -> Result<()> {
    if succeeds(cargo().args(["nextest", "--version"])) {
        return Ok(());
    }
    stage("install cargo-nextest", || run_command(cargo().args(["install", "--locked", "cargo-nextest"])))
}
