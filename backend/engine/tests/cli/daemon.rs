//! The engine's own sockets and settings.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::machine::{Machine, Said};

/// Makes an authority, and certificates of it for `server` and `client`.
fn certificates(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(openssl.status().expect("openssl (apt-get install openssl)").success(), "{arguments:?}");
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let authority =
        ["req", "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem"];
    openssl(&[&authority[..], &key].concat());
    let stranger = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=stranger",
        "-keyout",
        "stranger-key.pem",
        "-out",
        "stranger.pem",
    ];
    openssl(&[&stranger[..], &key].concat());
    for (name, purpose) in [("server", "serverAuth"), ("client", "clientAuth")] {
        let [key_file, request, certificate, extensions] =
            ["-key.pem", ".csr", ".pem", ".cnf"].map(|end| format!("{name}{end}"));
        let text = format!("extendedKeyUsage={purpose}\nsubjectAltName=IP:127.0.0.1\n");
        std::fs::write(folder.join(&extensions), text).expect("write");
        let subject = format!("/CN={name}");
        let ask = ["req", "-new", "-subj", &subject, "-keyout", &key_file, "-out", &request];
        openssl(&[&ask[..], &key].concat());
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-key.pem",
            "-CAcreateserial",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
    }
}

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
