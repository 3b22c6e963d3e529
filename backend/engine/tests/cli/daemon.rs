//! The engine's own sockets and settings.

use crate::machine::{Machine, Said, certificates};

#[test]
fn only_clients_with_a_certificate_are_served_over_tls() {
    let machine = Machine::prepared(|folder| {
        certificates(folder);
        let file = |name: &str| folder.join(name).display().to_string();
        let words = [
            "-H",
            "tcp://127.0.0.1:2376",
            "--tlsverify",
            "--tlscacert",
            &file("ca.pem"),
            "--tlscert",
            &file("server.pem"),
            "--tlskey",
            &file("server-key.pem"),
        ];
        words.map(str::to_owned).to_vec()
    });
    let ask = |certificate: Option<&str>| -> Said {
        let mut docker = machine.inside("docker");
        docker
            .arg("--host")
            .arg("tcp://127.0.0.1:2376")
            .arg("--tls")
            .env("DOCKER_CONFIG", machine.path("docker-config"));
        docker.arg("--tlsverify").arg("--tlscacert").arg(machine.path("ca.pem"));
        if let Some(name) = certificate {
            docker.arg("--tlscert").arg(machine.path(&format!("{name}.pem")));
            docker.arg("--tlskey").arg(machine.path(&format!("{name}-key.pem")));
        }
        docker
            .args(["version", "--format", "{{.Server.Os}}"])
            .output()
            .expect("nsenter, of util-linux")
            .into()
    };
    assert_eq!(ask(Some("client")).ok(), "linux");
    for certificate in [None, Some("stranger")] {
        let said = ask(certificate);
        assert!(said.code != 0 && said.out.trim().is_empty(), "{certificate:?}: {said:?}");
    }
    // Nor without encryption.
    let mut plain = machine.inside("curl");
    let plain =
        plain.args(["--silent", "--show-error", "http://127.0.0.1:2376/version"]).output().expect("curl");
    assert!(!String::from_utf8_lossy(&plain.stdout).contains("ApiVersion"), "{plain:?}");
}
