//! `docker trust` and `DOCKER_CONTENT_TRUST=1`: the command line's own work, against Debian's `notary-server` and
//! `docker-registry`; the engine's part is to pull by digest and to name what it pushed.

use std::process::{Child, Stdio};

use crate::machine::{Machine, Said};
use crate::registry::{Keys, Registry};

const SERVER: &str = "127.0.0.1:4443";

struct Notary(Child);

impl Notary {
    fn start(machine: &Machine) -> Self {
        let keys = Keys::of(machine);
        let config = serde_json::json!({
            "server": {"http_addr": SERVER, "tls_cert_file": keys.certificate(), "tls_key_file": keys.key()},
            "trust_service": {"type": "local", "hostname": "", "port": "", "key_algorithm": "ed25519"},
            "logging": {"level": "error"},
            "storage": {"backend": "memory"},
        });
        let path = machine.path("notary.json");
        std::fs::write(&path, config.to_string()).expect("write");
        let trusted = machine.path("docker-config").join("tls").join(SERVER);
        std::fs::create_dir_all(&trusted).expect("a folder");
        std::fs::copy(keys.authority(), trusted.join("ca.crt")).expect("copy");
        let mut serve = machine.inside("notary-server");
        serve.arg("-config").arg(path).stdout(Stdio::null()).stderr(Stdio::null());
        let notary = Self(serve.spawn().expect("nsenter, of util-linux"));
        let url = format!("https://{SERVER}/_notary_server/health");
        machine.until("the notary answers (apt-get install notary)", |machine| {
            let mut ask = machine.inside("curl");
            ask.args(["--silent", "--insecure", &url]).stdout(Stdio::null());
            ask.status().is_ok_and(|status| status.success())
        });
        notary
    }
}

impl Drop for Notary {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The command line with the notary at hand; it signs, and takes signed images only, where `trust` is 1.
fn docker(machine: &Machine, trust: &str, arguments: &[&str]) -> Said {
    let mut docker = machine.inside("docker");
    docker
        .args(arguments)
        .env("DOCKER_HOST", format!("unix://{}", machine.path("docker.sock").display()))
        .env("DOCKER_CONFIG", machine.path("docker-config"))
        .env("DOCKER_CONTENT_TRUST", trust)
        .env("DOCKER_CONTENT_TRUST_SERVER", format!("https://{SERVER}"))
        .env("DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "a-root-passphrase")
        .env("DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE", "a-repository-passphrase")
        .stdin(Stdio::null());
    docker.output().expect("nsenter, of util-linux").into()
}

#[test]
fn signed_images_are_pushed_pulled_and_told_apart() {
    let machine = Machine::new();
    let (_registry, _notary) = (Registry::start(&machine), Notary::start(&machine));
    let (signed, unsigned) = ("127.0.0.1:5000/app:signed", "127.0.0.1:5000/app:unsigned");
    for name in [signed, unsigned] {
        machine.docker(["tag", "busybox", name]).ok();
    }
    docker(&machine, "0", &["push", unsigned]).ok();
    let nobody = docker(&machine, "0", &["trust", "inspect", signed]).fails(1);
    assert!(nobody.contains(&format!("no signatures or cannot access {signed}")), "{nobody}");
    let pushed = docker(&machine, "1", &["push", signed]).ok();
    assert!(pushed.contains(&format!("Successfully signed {signed}")), "{pushed}");
    let seen = docker(&machine, "0", &["trust", "inspect", "--pretty", "127.0.0.1:5000/app"]).ok();
    assert!(seen.contains("signed") && !seen.contains("unsigned"), "{seen}");

    let digest = machine.inspect(signed, "{{index .RepoDigests 0}}");
    machine.docker(["rmi", signed, unsigned]).ok();
    let pulled = docker(&machine, "1", &["pull", signed]).ok();
    assert!(pulled.starts_with(&format!("Pull (1 of 1): {signed}@")), "{pulled}");
    assert!(pulled.contains(&format!("{digest}: Pulling from app")), "{pulled}");
    assert_eq!(docker(&machine, "1", &["run", "--rm", signed, "echo", "trusted"]).ok(), "trusted");
    let refused = docker(&machine, "1", &["pull", unsigned]).fails(1);
    assert!(refused.contains("No valid trust data for unsigned"), "{refused}");
    let other = docker(&machine, "1", &["run", "--rm", "127.0.0.1:5000/other", "true"]).fails(125);
    assert!(other.contains("remote trust data does not exist for 127.0.0.1:5000/other"), "{other}");
}

#[test]
fn signatures_are_given_by_name_and_taken_back() {
    let machine = Machine::new();
    let (_registry, _notary) = (Registry::start(&machine), Notary::start(&machine));
    let name = "127.0.0.1:5000/app:1";
    machine.docker(["tag", "busybox", name]).ok();
    // A signer is called what the registry knows them by.
    machine.docker(["login", "-u", "ann", "-p", "secret", "127.0.0.1:5000"]).ok();
    let signed = docker(&machine, "0", &["trust", "sign", name]).ok();
    assert!(signed.contains(&format!("Successfully signed {name}")), "{signed}");
    let seen = docker(&machine, "0", &["trust", "inspect", name]).ok();
    assert!(seen.contains("\"SignedTag\": \"1\"") && seen.contains("\"ann\""), "{seen}");
    docker(&machine, "1", &["pull", name]).ok();
    docker(&machine, "0", &["trust", "revoke", "--yes", name]).ok();
    let refused = docker(&machine, "1", &["pull", name]).fails(1);
    assert!(refused.contains("No valid trust data for 1"), "{refused}");
}
