//! `drydock lab test`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use drydock_labs::Lab;
use drydock_labs::library::{files, read};
use drydock_labs::rehearsal::{Outcome, rehearse};

use super::client::Client;
use super::gateway::Gateway;
use super::junit;

#[derive(Debug, Args)]
pub struct Test {
    /// Lab files, their folders, or folders of those.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// A gateway that runs already, with these labs; by default one is started for the purpose.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Play each lab a second time, in a fresh session.
    #[arg(long)]
    twice: bool,
    /// Write a report that build servers read.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

type Played = Vec<(String, Vec<Outcome>)>;

impl Test {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let mut chosen = Vec::new();
        for path in &self.paths {
            chosen.extend(files(path)?);
        }
        anyhow::ensure!(!chosen.is_empty(), "there is no lab.md in what was named");
        let labs = chosen.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
        let played = match &self.url {
            Some(url) => self.play(url, &labs).await?,
            None => self.play_alone(&chosen, &labs).await?,
        };
        if let Some(file) = &self.junit {
            std::fs::write(file, junit::report(&played))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        let steps = || played.iter().flat_map(|(_, outcomes)| outcomes);
        let failed = steps().filter(|outcome| outcome.failure.is_some()).count();
        println!("{} passed, {failed} failed", steps().count() - failed);
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// In a gateway of its own, which is ended whatever happens, an interrupt included.
    async fn play_alone(&self, files: &[PathBuf], labs: &[Lab]) -> anyhow::Result<Played> {
        let gateway = Gateway::start(files).await?;
        let played = tokio::select! {
            played = self.play(&gateway.url, labs) => played,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        };
        let failed = match &played {
            Ok(played) => played.iter().flat_map(|(_, steps)| steps).any(|step| step.failure.is_some()),
            Err(_) => true,
        };
        if failed {
            eprintln!("The gateway's log:\n{}", gateway.log());
        }
        gateway.end().await?;
        played
    }

    async fn play(&self, url: &str, labs: &[Lab]) -> anyhow::Result<Played> {
        let mut played = Vec::new();
        let times = if self.twice { 2 } else { 1 };
        for lab in labs {
            for time in 1..=times {
                let name = if time == 1 { lab.id.clone() } else { format!("{} (again)", lab.id) };
                println!("{name}");
                let mut client = Client::open(url, lab).await?;
                let outcomes = rehearse(lab, &mut client, print).await;
                client.close().await?;
                played.push((name, outcomes));
            }
        }
        Ok(played)
    }
}

fn print(outcome: &Outcome) {
    let mark = if outcome.failure.is_none() { '✓' } else { '✗' };
    println!("  {mark} {} ({:.1} s)", outcome.step, outcome.took.as_secs_f32());
    let Some(failure) = &outcome.failure else { return };
    println!("      {}", failure.miss);
    for (name, text) in &failure.terminals {
        println!("      {name}");
        text.lines().for_each(|line| println!("      │ {line}"));
    }
}
