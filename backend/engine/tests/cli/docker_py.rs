//! What docker-py, Docker's own package for Python, sees of the engine. Each test is a program of `docker_py/`, run
//! by a Python that has the package and nothing else.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::machine::{Machine, Said};

/// What is installed. A change makes a new folder.
const PACKAGES: [&str; 3] = ["docker==7.1.0", "requests==2.32.5", "urllib3==2.5.0"];
/// In front of every program.
const PRELUDE: &str = include_str!("docker_py/prelude.py");

/// The Python of a folder in the cache, made by the first test that wants it.
fn python() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache")
    });
    let folder = base.join("drydock").join(PACKAGES.join("-").replace("==", "-"));
    std::fs::create_dir_all(&folder).expect("a folder in the cache");
    let lock = std::fs::File::create(folder.join("lock")).expect("a lock");
    lock.lock().expect("the only one who installs");
    let (whole, python) = (folder.join("whole"), folder.join("venv/bin/python"));
    if !whole.exists() {
        install(&folder.join("venv"), &python);
        std::fs::write(whole, "").expect("a mark");
    }
    python
}

fn install(folder: &Path, python: &Path) {
    let done = |command: &mut Command, needs: &str| {
        let output = command.stdin(Stdio::null()).output().expect(needs);
        assert!(output.status.success(), "{needs}: {output:?}");
    };
    done(
        Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder),
        "python3 with venv (apt-get install python3-venv)",
    );
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES);
    done(&mut pip, "docker-py of the Python Package Index");
}

fn run(machine: &Machine, program: &str) {
    let mut command = Command::new(python());
    command
        .args(["-c", &format!("{PRELUDE}\n{program}")])
        .env("DOCKER_HOST", format!("unix://{}", machine.path("docker.sock").display()))
        .env("HOME", machine.path("home"))
        .stdin(Stdio::null());
    Said::from(command.output().expect("the Python that was installed")).ok();
}

#[test]
fn streams_are_whole_from_their_first_byte() {
    run(&Machine::new(), include_str!("docker_py/streams.py"));
}

#[test]
fn fields_are_found_whatever_the_case_of_their_names() {
    run(&Machine::new(), include_str!("docker_py/case.py"));
}

#[test]
fn a_wait_ends_with_the_process_even_when_it_is_started_again() {
    run(&Machine::new(), include_str!("docker_py/wait.py"));
}

#[test]
fn linked_containers_know_each_other_until_they_are_unlinked() {
    run(&Machine::new(), include_str!("docker_py/links.py"));
}

#[test]
fn a_link_on_a_network_leads_to_whoever_has_the_name() {
    run(&Machine::new(), include_str!("docker_py/network_links.py"));
}

#[test]
fn a_chosen_mac_address_outlives_a_stop() {
    run(&Machine::new(), include_str!("docker_py/mac.py"));
}

#[test]
fn refusals_are_mobys_and_come_where_moby_puts_them() {
    run(&Machine::new(), include_str!("docker_py/refusals.py"));
}

#[test]
fn a_service_can_be_updated_as_soon_as_it_is_made() {
    run(&Machine::new(), include_str!("docker_py/swarm.py"));
}
