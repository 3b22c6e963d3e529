//! `features`: what this runtime supports.

use std::process::ExitCode;

use drydock_runtime::features::describe;

use super::Outcome;
use super::options::{UsageError, Word, Words};

pub fn features(words: &mut Words) -> Outcome {
    match words.next()? {
        None => {}
        Some(Word::Option(name)) => return Err(words.unexpected(&name).into()),
        Some(Word::Value(_)) => return Err(UsageError::Exactly { command: "features", wanted: 0 }.into()),
    }
    println!("{}", serde_json::to_string_pretty(&describe())?);
    Ok(ExitCode::SUCCESS)
}
