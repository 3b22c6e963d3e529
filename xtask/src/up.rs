//! `cargo xtask up`: from a fresh machine to a served page.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::stage::stage;
use crate::{dist, machine, packages, places};

struct Options {
    listen: String,
    data_dir: PathBuf,
}

pub fn run(arguments: &[String]) -> Result<()> {
    let options = options(arguments)?;
    stage("look at the machine", || {
        packages::ensure(packages::SERVE)?;
        machine::check()?;
        machine::check_listen(&options.listen)?;
        if !places::dist().join("bin/drydock").exists() {
            machine::check_disk(&options.data_dir)?;
        }
        packages::ensure(packages::BUILD)
    })?;
    dist::build()?;
    println!("▸ serve on http://{}", options.listen.replace("127.0.0.1", "localhost"));
    let data_dir = options.data_dir.to_string_lossy().into_owned();
    dist::run_program(
        "drydock",
        &["serve".into(), "--listen".into(), options.listen, "--data-dir".into(), data_dir],
    )
}

fn options(arguments: &[String]) -> Result<Options> {
    let mut options =
        Options { listen: "127.0.0.1:8080".to_owned(), data_dir: PathBuf::from("/var/lib/drydock-host") };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| anyhow::anyhow!("{word} wants a value"));
        match word.as_str() {
            "--listen" => options.listen = value()?.clone(),
            "--data-dir" => options.data_dir = value()?.into(),
            unknown => {
                bail!("`{unknown}` is not an option of `up`; it takes --listen ADDR:PORT and --data-dir DIR")
            }
        }
    }
    Ok(options)
}
