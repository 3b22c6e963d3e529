//! Times a Docker engine through its API, side by side with a peer: `drydock-bench engine IMAGE NAME=SOCKET…`.
//!
//! Runs are interleaved (A B A B …), since these machines are shared and their speed drifts: trust the ratios.
#![forbid(unsafe_code)]

mod engine;
mod http;
mod table;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == "engine" && rest.len() >= 2 => {
            engine::compare(&rest[0], &rest[1..])
        }
        _ => bail!("usage: drydock-bench engine IMAGE NAME=SOCKET…"),
    }
}
