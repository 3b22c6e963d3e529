//! `drydock lab`: labs without a browser.

mod client;
mod gateway;
mod junit;
mod lint;
mod test;

use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Lab {
    /// Play labs from end to end, each in a real session of its own.
    Test(test::Test),
    /// Read labs and say what is wrong with them.
    Lint(lint::Lint),
}

impl Lab {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Test(test) => test.run().await,
            Self::Lint(lint) => lint.run(),
        }
    }
}
