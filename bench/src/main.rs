//! Times a Docker engine through its API, or an OCI runtime by its command line, side by side with peers: `drydock-bench
//! engine IMAGE BARE_MICROSECONDS NAME=SOCKET…`, `drydock-bench runtime BUNDLE BARE_MICROSECONDS NAME=PROGRAM…`.
//!
//! Runs are interleaved (A B A B …), since these machines are shared and their speed drifts: trust the ratios.
#![forbid(unsafe_code)]

mod engine;
mod http;
mod runtime;
mod table;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == "engine" && rest.len() >= 3 => {
            engine::compare(&rest[0], rest[1].parse::<f64>()? / 1e3, &rest[2..])
        }
        Some((command, rest)) if command == "runtime" && rest.len() >= 3 => {
            runtime::compare(rest[0].as_ref(), rest[1].parse::<f64>()? / 1e3, &rest[2..])
        }
        _ => bail!(
            "usage: drydock-bench engine IMAGE BARE_MICROSECONDS NAME=SOCKET…, or runtime BUNDLE BARE_MICROSECONDS NAME=PROGRAM…"
        ),
    }
}
