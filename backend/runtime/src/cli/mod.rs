//! runc's command line: global options, a command, its options, its arguments.

mod container;
mod events;
mod exec;
mod features;
mod foreground;
mod log;
mod options;
mod report;
mod spec;
mod statistics;
mod update;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use options::{Global, PROGRAM, UsageError, Words};

/// What a command ends with: an exit status of its own, or a failure.
type Outcome = Result<ExitCode, Box<dyn Error>>;

const USAGE: &str = "\
drydock-runtime - an OCI runtime

Usage: drydock-runtime [global options] command [options] [arguments]

Commands:
  create ID     make a container from a bundle, ready to start
  start ID      run the program of a created container
  run ID        create and start, and wait unless detached
  exec ID CMD   run another process in a container
  state ID      print a container's state as JSON
  list          list containers
  ps ID         list the processes of a container
  kill ID SIG   signal a container's first process, or all
  pause ID      freeze all processes
  resume ID     thaw them
  update ID     change limits
  events ID     print statistics as JSON lines
  delete ID     remove what is left of a stopped container
  checkpoint, restore
                always refused: CRIU is not driven
  spec          write an example config.json
  features      print what this runtime supports

Global options:
  --root DIR          where state is kept (default /run/drydock-runtime)
  --log FILE          where errors are also written
  --log-format FMT    text or json
  --debug             write more to the log
  --systemd-cgroup    take slice:prefix:name as cgroupsPath
  --version, --help
";

pub fn run() -> ExitCode {
    let mut words = Words::from_env();
    let global = match Global::take(&mut words) {
        Ok(global) => global,
        Err(error) => return fail(&Global::default(), &error),
    };
    match command(&global, words) {
        Ok(code) => code,
        Err(error) => fail(&global, error.as_ref()),
    }
}

/// With runc's statuses: 255 for an `exec` that did not come to its program, else 1.
fn fail(global: &Global, error: &dyn Error) -> ExitCode {
    let message = drydock_runtime::failure::chain(error);
    let (message, code) = match global.command.as_deref() {
        Some(verb @ ("create" | "run")) => (format!("{PROGRAM} {verb} failed: {message}"), 1),
        Some("exec") => (format!("exec failed: {message}"), 255),
        _ => (message, 1),
    };
    log::fail(global, &message);
    ExitCode::from(code)
}

fn command(global: &Global, mut words: Words) -> Outcome {
    let Some(name) = global.command.as_deref() else {
        print!("{USAGE}");
        return Ok(ExitCode::SUCCESS);
    };
    log::write(global, log::Level::Debug, name);
    match name {
        "create" => container::create(global, &mut words),
        "run" => container::run(global, &mut words),
        "start" => container::start(global, &mut words),
        "state" => container::state(global, &mut words),
        "kill" => container::kill(global, &mut words),
        "delete" => container::delete(global, &mut words),
        "pause" => container::pause(global, &mut words),
        "resume" => container::resume(global, &mut words),
        "exec" => exec::exec(global, &mut words),
        "ps" => report::ps(global, &mut words),
        "list" => report::list(global, &mut words),
        "events" => events::events(global, &mut words),
        "features" => features::features(&mut words),
        "spec" => spec::spec(&mut words),
        "update" => update::update(global, &mut words),
        "checkpoint" => Err(UsageError::Checkpoint("checkpoint").into()),
        "restore" => Err(UsageError::Checkpoint("restore").into()),
        "help" => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        "version" => {
            let spec = drydock_runtime::state::OCI_VERSION;
            println!("{PROGRAM} version {}\nspec: {spec}", env!("CARGO_PKG_VERSION"));
            Ok(ExitCode::SUCCESS)
        }
        unknown => Err(UsageError::Command(unknown.to_owned()).into()),
    }
}

fn default_root() -> PathBuf {
    drydock_runtime::state::DEFAULT_ROOT.into()
}
