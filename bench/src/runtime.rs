//! OCI runtimes by their command line, from one bundle: what a container and an exec cost, and how much memory.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::table::{Samples, row};

const RUNS: usize = 40;

struct Contestant {
    name: String,
    program: PathBuf,
    root: PathBuf,
    /// The id of a running container, which is also the name of its cgroup.
    sleeper: String,
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    limit: &'static str,
    /// How many bare containers one run costs at least.
    bare: f64,
    run: fn(&Contestant, &Path) -> Result<f64>,
}

const FIGURES: &[Figure] = &[
    Figure { name: "run of true", unit: "ms", limit: "aim 3.5", bare: 1.0, run: run_true },
    Figure { name: "create+start+wait+delete", unit: "ms", limit: "aim 6", bare: 1.0, run: whole_life },
    Figure { name: "exec of true", unit: "ms", limit: "aim 3.5", bare: 0.0, run: exec },
    Figure { name: "peak memory of run", unit: "KiB", limit: "aim 3000", bare: 0.0, run: memory },
];

/// Prints a row per figure; `bundle` is run as it is, `bare` is a bare container's milliseconds, `contestants` are
/// `NAME=PROGRAM`, ours first.
pub fn compare(bundle: &Path, bare: f64, contestants: &[String]) -> Result<()> {
    let contestants = contestants.iter().map(|word| contestant(word, bundle)).collect::<Result<Vec<_>>>()?;
    for contestant in &contestants {
        let mut run = contestant.command(&["run", "--detach", "--bundle"]);
        // It would hold our own stderr open for as long as it sleeps.
        let status =
            run.arg(bundle.join("sleeper")).arg(&contestant.sleeper).stderr(Stdio::null()).status()?;
        ensure!(status.success(), "{} does not run a sleeper: {status}", contestant.name);
    }
    for figure in FIGURES {
        let mut samples: Vec<(String, Samples)> =
            contestants.iter().map(|contestant| (contestant.name.clone(), Samples::default())).collect();
        let warm_up = RUNS / 10;
        for round in 0..warm_up + RUNS {
            for (contestant, (_, samples)) in contestants.iter().zip(&mut samples) {
                let value = (figure.run)(contestant, bundle)
                    .with_context(|| format!("{} by {}", figure.name, contestant.name))?;
                if round >= warm_up {
                    samples.push(value);
                }
            }
        }
        let floor = (figure.bare > 0.0).then_some(figure.bare * bare);
        println!("{}", row(figure.name, figure.unit, &samples, figure.limit, floor));
    }
    Ok(())
}

/// Whatever fails, no container stays.
impl Drop for Contestant {
    fn drop(&mut self) {
        for id in [&self.sleeper, "life", "once", "weighed"] {
            let _ = self.command(&["delete", "--force", id]).stderr(Stdio::null()).status();
        }
    }
}

fn contestant(word: &str, bundle: &Path) -> Result<Contestant> {
    let (name, program) = word.split_once('=').context("a contestant is NAME=PROGRAM")?;
    let root = bundle.join(format!("state-{name}"));
    let sleeper = format!("sleeper-{name}");
    Ok(Contestant { name: name.to_owned(), program: program.into(), root, sleeper })
}

impl Contestant {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.root).args(words);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    fn call(&self, words: &[&str], more: &[&Path]) -> Result<()> {
        let status = self.command(words).args(more).status()?;
        ensure!(status.success(), "{} {words:?}: {status}", self.name);
        Ok(())
    }
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn run_true(contestant: &Contestant, bundle: &Path) -> Result<f64> {
    timed(|| contestant.call(&["run", "--bundle"], &[bundle, "once".as_ref()]))
}

fn whole_life(contestant: &Contestant, bundle: &Path) -> Result<f64> {
    let pid_file = bundle.join("pid");
    timed(|| {
        contestant
            .call(&["create", "--pid-file"], &[&pid_file, "--bundle".as_ref(), bundle, "life".as_ref()])?;
        let pid = std::fs::read_to_string(&pid_file)?;
        contestant.call(&["start"], &["life".as_ref()])?;
        await_end(&pid)?;
        contestant.call(&["delete"], &["life".as_ref()])
    })
}

/// The container's process is nobody's child here: it is reaped, or a zombie of whoever adopted it.
fn await_end(pid: &str) -> Result<()> {
    let file = format!("/proc/{}/stat", pid.trim());
    while let Ok(text) = std::fs::read_to_string(&file) {
        let state = text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        if matches!(state, Some('Z' | 'X') | None) {
            break;
        }
        std::thread::yield_now();
    }
    Ok(())
}

fn exec(contestant: &Contestant, _: &Path) -> Result<f64> {
    timed(|| contestant.call(&["exec"], &[contestant.sleeper.as_ref(), "/bin/true".as_ref()]))
}

/// By way of busybox, which is small: a process inherits the peak of the one it was executed by. Busybox takes the
/// kernel's kilobytes for pages of four.
fn memory(contestant: &Contestant, bundle: &Path) -> Result<f64> {
    let mut command = Command::new("/bin/busybox");
    command.args(["time", "-v"]).arg(&contestant.program).arg("--root").arg(&contestant.root);
    command.args(["run", "--bundle"]).arg(bundle).arg("weighed").stdin(Stdio::null());
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.trim().strip_prefix("Maximum resident set size (kbytes): "));
    let told: f64 = line.with_context(|| format!("no peak in {text}"))?.trim().parse()?;
    Ok(told / 4.0)
}
