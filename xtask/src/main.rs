//! `cargo xtask`: the project's own commands, one file each.
//!
//! Begin with [`up`] (a fresh machine to a served page) and [`test`] (everything that must hold).
#![forbid(unsafe_code)]

mod bench;
mod compose;
mod dist;
mod e2e;
mod images;
mod machine;
mod packages;
mod places;
mod stage;
mod test;
mod up;
mod web;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask up [--listen ADDR:PORT] [--data-dir DIR]   install what is missing, build, make the images, serve
cargo xtask test [STAGE…]                              format, lints, units, labs, e2e; all of them without STAGE
cargo xtask dist                                       leave programs, page, images and labs in dist/
cargo xtask images                                     the images of dist/ alone
cargo xtask bench [NAME…]                              measure, each figure beside its limit
cargo xtask lab ARGUMENT…                              drydock lab ARGUMENT… from dist/
cargo xtask e2e                                        browser tests alone";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_str() {
        "up" => up::run(&rest),
        "test" => test::run(&rest),
        "dist" => packages::ensure(packages::BUILD).and_then(|()| dist::build()),
        "images" => images::build(&places::dist(), &places::cache()),
        "bench" => bench::run(&rest),
        "lab" => dist::run_program("drydock", &[&["lab".to_owned()], rest.as_slice()].concat()),
        "e2e" => test::run(&["e2e".to_owned()]),
        "" | "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        unknown => Err(anyhow::anyhow!("`{unknown}` is not a command of xtask\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
