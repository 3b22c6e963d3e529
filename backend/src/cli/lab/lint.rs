//! `drydock lab lint`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use drydock_labs::library::{Unreadable, files, read};
use drydock_labs::lint::lint;

#[derive(Debug, Args)]
pub struct Lint {
    /// Lab files, their folders, or folders of those.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

impl Lint {
    /// Prints `FILE:LINE: what`, as compilers do.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let mut labs = 0;
        let mut found = 0;
        for path in &self.paths {
            for file in files(path)? {
                labs += 1;
                let problems = match read(&file) {
                    Ok(lab) => lint(&lab),
                    Err(Unreadable::Mistakes { problems, .. }) => problems,
                    Err(error) => {
                        found += 1;
                        println!("{:#}", anyhow::Error::from(error));
                        continue;
                    }
                };
                found += problems.len();
                problems.iter().for_each(|problem| println!("{}:{problem}", file.display()));
            }
        }
        anyhow::ensure!(labs > 0, "there is no lab.md in what was named");
        println!("{labs} labs, {found} problems");
        Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
