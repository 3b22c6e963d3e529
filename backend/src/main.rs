//! `drydock`: see `drydock help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match drydock::cli::run(drydock::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // One line: what failed, then why.
            eprintln!("drydock: {error:#}");
            ExitCode::FAILURE
        }
    }
}
