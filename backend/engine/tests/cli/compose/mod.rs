//! What the genuine `docker compose` does with the engine. Each test is a project in a folder of its machine.

mod files;
mod life;
mod links;
mod streams;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::machine::{Machine, Said};

/// A machine with one project in its folder `app`.
struct Project {
    machine: Machine,
}

impl Project {
    fn new(compose_yaml: &str) -> Self {
        let machine = Machine::new();
        let plugins = machine.path("docker-config/cli-plugins");
        std::fs::create_dir_all(&plugins).expect("a folder");
        std::os::unix::fs::symlink(plugin(), plugins.join("docker-compose")).expect("a link");
        let project = Self { machine };
        project.write("compose.yaml", compose_yaml);
        project
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    fn folder(&self) -> PathBuf {
        self.machine.path("app")
    }

    fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = self.machine.command(["compose", "--ansi", "never", "--progress", "plain"]);
        // As a node has it: the engine speaks the classic builder's API.
        command.args(arguments).env("DOCKER_BUILDKIT", "0").env("FROM_OUTSIDE", "outside");
        // It keeps one lock for all projects of a name that are watched.
        command.env("XDG_RUNTIME_DIR", self.machine.path("")).env("HOME", self.machine.path(""));
        command.current_dir(self.folder()).stdin(Stdio::null());
        command
    }

    fn compose<const N: usize>(&self, arguments: [&str; N]) -> Said {
        self.command(arguments).output().expect("docker (apt-get install docker-cli)").into()
    }

    /// Without the code by which compose clears the line on a terminal, sent even when it writes to none.
    #[track_caller]
    fn logs<const N: usize>(&self, arguments: [&str; N]) -> String {
        self.compose(arguments).ok().replace("\u{1b}[2K", "").trim_end().to_owned()
    }

    /// A field of the first container of `service`.
    #[track_caller]
    fn inspect(&self, service: &str, format: &str) -> String {
        self.machine.inspect(&format!("app-{service}-1"), format)
    }

    /// What a shell in the first container of `service` prints.
    #[track_caller]
    fn shell(&self, service: &str, script: &str) -> String {
        self.compose(["exec", "-T", service, "sh", "-c", script]).ok()
    }

    /// Names of services in this state.
    #[track_caller]
    fn services(&self, state: &str) -> Vec<String> {
        let said = self.compose(["ps", "-a", "--status", state, "--format", "{{.Service}}"]).ok();
        let mut names: Vec<String> = said.lines().map(str::to_owned).collect();
        names.sort();
        names
    }
}

/// Debian's, where `cargo xtask test` unpacks it, else the one that is installed.
fn plugin() -> PathBuf {
    let home = std::env::var_os("HOME").unwrap_or_else(|| "/root".into());
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| Path::new(&home).join(".cache"), PathBuf::from);
    let place = "usr/libexec/docker/cli-plugins/docker-compose";
    let places = [cache.join("drydock/tools/compose").join(place), Path::new("/").join(place)];
    let found = places.iter().find(|path| path.exists());
    found.expect("docker compose: `cargo xtask test` unpacks it").clone()
}
