//! Pull, push, login and search, against Debian's registry and in moby's words.

use crate::machine::Machine;
use crate::registry::{ELSEWHERE, Guard, Keys, Registry, Tokens, Wire};

/// What a command printed, with what differs from run to run taken out.
fn masked(text: &str) -> String {
    let is_hex = |word: &str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mask = |word: &str| match word.trim_end_matches(':') {
        bare if bare.len() == 12 && is_hex(bare) => word.replace(bare, "ID"),
        bare => match bare.split_once("sha256:") {
            Some((before, digest)) if digest.len() == 64 => word.replace(bare, &format!("{before}DIGEST")),
            _ => word.to_owned(),
        },
    };
    let line = |line: &str| line.split(' ').map(mask).collect::<Vec<_>>().join(" ");
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn tag(machine: &Machine, names: &[&str]) {
    for name in names {
        machine.docker(["tag", "busybox", name]).ok();
    }
}

#[test]
fn a_push_and_a_pull_print_what_mobys_print() {
    let machine = Machine::new();
    let _registry = Registry::start(&machine);
    tag(&machine, &["127.0.0.1:5000/team/app:1", "127.0.0.1:5000/team/other", "127.0.0.1:5000/team/other:2"]);
    let push = |name: &str| masked(&machine.docker(["push", name]).ok());
    let head = |repository: &str| {
        format!("The push refers to repository [127.0.0.1:5000/{repository}]\nID: Preparing\n")
    };
    assert_eq!(
        push("127.0.0.1:5000/team/app:1"),
        format!("{}ID: Pushed\n1: digest: DIGEST size: 527", head("team/app"))
    );
    assert_eq!(
        push("127.0.0.1:5000/team/app:1"),
        format!("{}ID: Layer already exists\n1: digest: DIGEST size: 527", head("team/app"))
    );
    assert_eq!(
        push("127.0.0.1:5000/team/other"),
        format!(
            "Using default tag: latest\n{}ID: Mounted from team/app\nlatest: digest: DIGEST size: 527",
            head("team/other")
        )
    );
    assert_eq!(
        masked(&machine.docker(["push", "-a", "127.0.0.1:5000/team/other"]).ok()),
        format!(
            "{}ID: Layer already exists\n2: digest: DIGEST size: 527\nID: Preparing\nID: Layer already exists\nlatest: digest: DIGEST size: 527",
            head("team/other")
        )
    );
    let quiet = machine.docker(["push", "-q", "127.0.0.1:5000/team/other"]).ok();
    assert_eq!(quiet, "127.0.0.1:5000/team/other:latest");
    let digest = machine.inspect("127.0.0.1:5000/team/app:1", "{{index .RepoDigests 0}}");
    for name in
        ["127.0.0.1:5000/team/app:1", "127.0.0.1:5000/team/other", "127.0.0.1:5000/team/other:2", "busybox"]
    {
        machine.docker(["rmi", name]).ok();
    }

    let pull = |name: &str| masked(&machine.docker(["pull", name]).ok());
    let new = pull("127.0.0.1:5000/team/app:1");
    let lines: Vec<&str> = new.lines().collect();
    assert_eq!(lines[..2], ["1: Pulling from team/app", "ID: Pulling fs layer"]);
    assert_eq!(
        lines[lines.len() - 4..],
        [
            "ID: Pull complete",
            "Digest: DIGEST",
            "Status: Downloaded newer image for 127.0.0.1:5000/team/app:1",
            "127.0.0.1:5000/team/app:1"
        ]
    );
    assert!(lines.contains(&"ID: Download complete"), "{new}");
    assert_eq!(
        pull("127.0.0.1:5000/team/app:1"),
        "1: Pulling from team/app\nDigest: DIGEST\nStatus: Image is up to date for 127.0.0.1:5000/team/app:1\n127.0.0.1:5000/team/app:1"
    );
    assert_eq!(machine.docker(["pull", "-q", "127.0.0.1:5000/team/app:1"]).ok(), "127.0.0.1:5000/team/app:1");
    let all = masked(&machine.docker(["pull", "-a", "127.0.0.1:5000/team/other"]).ok());
    assert_eq!(
        all,
        "latest: Pulling from team/other\nDigest: DIGEST\n2: Pulling from team/other\nDigest: DIGEST\nStatus: Downloaded newer image for 127.0.0.1:5000/team/other\n127.0.0.1:5000/team/other"
    );
    let again = machine.docker(["pull", "-a", "127.0.0.1:5000/team/other"]).ok();
    assert!(again.contains("Status: Image is up to date for 127.0.0.1:5000/team/other\n"), "{again}");
    machine.docker(["rmi", "-f", "127.0.0.1:5000/team/app:1"]).ok();
    let said = machine.docker(["pull", &digest]).ok();
    assert_eq!(
        said,
        format!(
            "{digest}: Pulling from team/app\nDigest: {}\nStatus: Downloaded newer image for {digest}\n{digest}",
            digest.split('@').nth(1).expect("a digest")
        )
    );
}

#[test]
fn what_cannot_be_pushed_or_pulled_is_refused_in_mobys_words() {
    let machine = Machine::new();
    let _registry = Registry::start(&machine);
    machine.elsewhere();
    tag(&machine, &["127.0.0.1:5000/team/app:1"]);
    machine.docker(["push", "127.0.0.1:5000/team/app:1"]).ok();
    let none = format!("127.0.0.1:5000/team/app@sha256:{}", "a".repeat(64));
    let plain = format!("{ELSEWHERE}:5000/team/app:1");
    let closed = format!("{ELSEWHERE}:5999/app:1");
    for (command, name, expected) in [
        (
            "push",
            "127.0.0.1:5000/none:1",
            "An image does not exist locally with the tag: 127.0.0.1:5000/none",
        ),
        ("push", "127.0.0.1:5000/team/app:9", "tag does not exist: 127.0.0.1:5000/team/app:9"),
        (
            "pull",
            "127.0.0.1:5000/team/none:1",
            "Error response from daemon: manifest for 127.0.0.1:5000/team/none:1 not found: manifest unknown: manifest unknown",
        ),
        (
            "pull",
            none.as_str(),
            &format!(
                "Error response from daemon: manifest for {none} not found: manifest unknown: manifest unknown"
            ),
        ),
        ("pull", "scratch", "Error response from daemon: 'scratch' is a reserved name"),
        (
            "pull",
            "127.0.0.1:5999/x:1",
            "Error response from daemon: Get \"http://127.0.0.1:5999/v2/\": dial tcp 127.0.0.1:5999: connect: connection refused",
        ),
        (
            "pull",
            plain.as_str(),
            &format!(
                "Error response from daemon: Get \"https://{ELSEWHERE}:5000/v2/\": http: server gave HTTP response to HTTPS client"
            ),
        ),
        (
            "pull",
            closed.as_str(),
            &format!(
                "Error response from daemon: Get \"https://{ELSEWHERE}:5999/v2/\": dial tcp {ELSEWHERE}:5999: connect: connection refused"
            ),
        ),
    ] {
        assert_eq!(machine.docker([command, name]).fails(1).trim_end(), expected, "{command} {name}");
    }
    let all = machine.docker(["pull", "-a", "127.0.0.1:5000/team/none"]).fails(1);
    assert_eq!(
        all.trim_end(),
        "Error response from daemon: repository 127.0.0.1:5000/team/none not found: name unknown: repository name not known to registry"
    );
    let name = "127.0.0.1:5000/team/app:1";
    let arm = machine.docker(["pull", "--platform", "linux/arm64", name]).ok();
    let warning = format!(
        "WARNING: image with reference {name} was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)"
    );
    assert_eq!(arm.lines().nth_back(1), Some(warning.as_str()), "{arm}");
    let four = machine.docker(["pull", "--platform", "a/b/c/d", name]).fails(1);
    assert_eq!(
        four.trim_end(),
        "Error response from daemon: \"a/b/c/d\": cannot parse platform specifier: invalid argument"
    );
}

#[test]
fn a_password_is_asked_for_kept_by_the_client_and_needed_each_time() {
    let machine = Machine::new();
    let _registry = Registry::guarded(&machine, 5001, Guard::Password, Wire::Plain);
    tag(&machine, &["127.0.0.1:5001/app"]);
    let push = || machine.docker(["push", "127.0.0.1:5001/app"]);
    let login = |password: &str| machine.docker(["login", "-u", "ann", "-p", password, "127.0.0.1:5001"]);
    let last = |text: String| text.lines().last().unwrap_or_default().to_owned();
    assert_eq!(last(push().fails(1)), "no basic auth credentials");
    assert_eq!(
        last(login("wrong").fails(1)),
        "Error response from daemon: login attempt to http://127.0.0.1:5001/v2/ failed with status: 401 Unauthorized"
    );
    assert!(login("secret").ok().contains("Login Succeeded"));
    assert!(push().ok().contains(": Pushed"));
    let pull = || machine.docker(["pull", "127.0.0.1:5001/app"]);
    assert!(pull().ok().contains("Status: Image is up to date"));
    machine.docker(["logout", "127.0.0.1:5001"]).ok();
    assert_eq!(
        last(pull().fails(1)),
        "Error response from daemon: Head \"http://127.0.0.1:5001/v2/app/manifests/latest\": no basic auth credentials"
    );
    // A name that the engine has seen with the right password opens nothing with a wrong one.
    let header = |password: &str| {
        use base64::Engine as _;
        let json = format!("{{\"username\":\"ann\",\"password\":\"{password}\"}}");
        format!("X-Registry-Auth: {}", base64::engine::general_purpose::URL_SAFE.encode(json))
    };
    let api = |password: &str| {
        let mut curl = machine.inside("curl");
        curl.args([
            "--silent",
            "--write-out",
            "%{http_code}",
            "--request",
            "POST",
            "--header",
            &header(password),
        ]);
        curl.arg("--unix-socket").arg(machine.path("docker.sock"));
        let said = curl.arg("http://d/images/create?fromImage=127.0.0.1:5001/app&tag=latest").output();
        String::from_utf8_lossy(&said.expect("curl").stdout).into_owned()
    };
    assert!(api("secret").ends_with("200"));
    assert_eq!(api("wrong"), "{\"message\":\"unauthorized: authentication required\"}401");
}

#[test]
fn tokens_are_fetched_with_what_the_client_has() {
    let machine = Machine::new();
    Tokens::start(&machine);
    let _registry = Registry::guarded(&machine, 5004, Guard::Token, Wire::Plain);
    tag(&machine, &["127.0.0.1:5004/private/app", "127.0.0.1:5004/public/app"]);
    let last = |text: String| text.lines().last().unwrap_or_default().to_owned();
    let push = |name: &str| machine.docker(["push", name]);
    assert_eq!(
        last(push("127.0.0.1:5004/private/app").fails(1)),
        "denied: requested access to the resource is denied"
    );
    let login = |password: &str| machine.docker(["login", "-u", "ann", "-p", password, "127.0.0.1:5004"]);
    assert_eq!(
        last(login("wrong").fails(1)),
        "Error response from daemon: Get \"http://127.0.0.1:5004/v2/\": unauthorized: incorrect username or password"
    );
    assert!(login("secret").ok().contains("Login Succeeded"));
    // The server's identity token stands for the password from now on.
    let kept = std::fs::read_to_string(machine.path("docker-config").join("config.json")).expect("read");
    assert!(kept.contains("\"identitytoken\": \"refresh-ann\""), "{kept}");
    assert!(push("127.0.0.1:5004/private/app").ok().contains(": Pushed"));
    let mounted = push("127.0.0.1:5004/public/app").ok();
    assert!(mounted.contains("Mounted from private/app"), "{mounted}");
    machine.docker(["logout", "127.0.0.1:5004"]).ok();
    assert!(machine.docker(["pull", "127.0.0.1:5004/public/app"]).ok().contains("Status: "));
    assert_eq!(
        last(machine.docker(["pull", "127.0.0.1:5004/private/app"]).fails(1)),
        "Error response from daemon: pull access denied for 127.0.0.1:5004/private/app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied"
    );
}

#[test]
fn certificates_are_read_when_they_are_needed() {
    let machine = Machine::new();
    machine.elsewhere();
    let keys = Keys::of(&machine);
    let _tls = Registry::guarded(&machine, 5002, Guard::Password, Wire::Tls);
    let _mutual = Registry::guarded(&machine, 5005, Guard::Nobody, Wire::Mutual);
    let (one, two) = (format!("{ELSEWHERE}:5002"), format!("{ELSEWHERE}:5005"));
    let (first, second) = (format!("{one}/app"), format!("{two}/app"));
    tag(&machine, &[&first, &second]);
    let last = |text: String| text.lines().last().unwrap_or_default().to_owned();
    let login = || machine.docker(["login", "-u", "ann", "-p", "secret", &one]);
    assert_eq!(
        last(login().fails(1)),
        format!(
            "Error response from daemon: Get \"https://{one}/v2/\": tls: failed to verify certificate: x509: certificate signed by unknown authority"
        )
    );
    machine.certify(&one, "ca.crt", &keys.authority());
    assert!(login().ok().contains("Login Succeeded"), "the engine was not restarted");
    assert!(machine.docker(["push", &first]).ok().contains(": Pushed"));

    let push = || machine.docker(["push", &second]);
    machine.certify(&two, "ca.crt", &keys.authority());
    let refused = last(push().fails(1));
    assert!(refused.starts_with(&format!("Get \"https://{two}/v2/\": remote error: tls: ")), "{refused}");
    machine.certify(&two, "client.cert", &keys.certificate());
    assert_eq!(
        last(push().fails(1)),
        "Error response from daemon: missing key client.key for client certificate client.cert. CA certificates must use the extension .crt"
    );
    machine.certify(&two, "client.key", &keys.key());
    machine.uncertify(&two, "client.cert");
    assert_eq!(
        last(push().fails(1)),
        "Error response from daemon: missing client certificate client.cert for key client.key"
    );
    machine.certify(&two, "client.cert", &keys.certificate());
    assert!(push().ok().contains(": Pushed"));
    machine.uncertify(&two, "client.cert");
    machine.uncertify(&two, "client.key");
    // Who writes when the other has hung up already may learn of that first.
    let refused = last(push().fails(1));
    let is_refused = ["remote error: tls: ", "broken pipe", "connection reset"];
    assert!(is_refused.iter().any(|words| refused.contains(words)), "{refused}");
}

#[test]
fn insecure_registries_are_named_or_lie_in_a_range() {
    for rule in ["10.99.0.0/16", "10.99.0.1:5000"] {
        let machine = Machine::prepared(|_| vec!["--insecure-registry".to_owned(), rule.to_owned()]);
        machine.elsewhere();
        let _registry = Registry::start(&machine);
        let name = format!("{ELSEWHERE}:5000/app");
        tag(&machine, &[&name]);
        assert!(machine.docker(["push", &name]).ok().contains(": Pushed"), "{rule}");
    }
}

#[test]
fn a_mirror_is_asked_in_place_of_the_hub_and_searched() {
    let machine =
        Machine::prepared(|_| vec!["--registry-mirror".to_owned(), "http://127.0.0.1:5000".to_owned()]);
    let _registry = Registry::start(&machine);
    tag(&machine, &["127.0.0.1:5000/library/app:1", "127.0.0.1:5000/team/app:2", "127.0.0.1:5000/other:3"]);
    for name in ["127.0.0.1:5000/library/app:1", "127.0.0.1:5000/team/app:2", "127.0.0.1:5000/other:3"] {
        machine.docker(["push", name]).ok();
    }
    let pulled = machine.docker(["pull", "app:1"]).ok();
    assert!(
        pulled.ends_with("Status: Downloaded newer image for app:1\ndocker.io/library/app:1"),
        "{pulled}"
    );
    let search = |arguments: &[&str]| {
        let mut docker = machine.command(["search", "--format", "{{.Name}} {{.IsOfficial}}"]);
        let said: crate::machine::Said = docker.args(arguments).output().expect("docker").into();
        said.ok()
    };
    assert_eq!(search(&["app"]), "app [OK]\nteam/app");
    assert_eq!(search(&["--limit", "1", "app"]).lines().count(), 1);
    assert_eq!(search(&["--filter", "is-official=true", "app"]), "app [OK]");
    assert_eq!(search(&["--filter", "is-official=false", "app"]), "team/app");
    assert_eq!(search(&["--filter", "stars=3", "app"]), "");
    assert_eq!(search(&["nothing"]), "");
    // A registry without an index is asked for its catalogue.
    assert_eq!(search(&["127.0.0.1:5000/other"]), "other");
    for (arguments, expected) in [
        (["--limit", "101"], "limit 101 is outside the range of [1, 100]"),
        (["--filter", "foo=bar"], "invalid filter 'foo'"),
        (["--filter", "stars=x"], "invalid filter 'stars=x': strconv.Atoi: parsing \"x\": invalid syntax"),
        (["--filter", "is-official=maybe"], "invalid filter 'is-official=[maybe]'"),
    ] {
        let failed = machine.docker(["search", arguments[0], arguments[1], "app"]).fails(1);
        assert_eq!(failed.trim_end(), format!("Error response from daemon: {expected}"));
    }
    let scheme = machine.docker(["search", "http://x/y"]).fails(1);
    assert!(
        scheme.contains("invalid repository name: repository name (http://x/y) should not have a scheme")
    );
}

#[test]
fn manifests_are_made_annotated_and_pushed_by_the_command_line() {
    let machine = Machine::new();
    let _registry = Registry::start(&machine);
    machine
        .docker(["import", "--platform", "linux/arm64", "-c", "LABEL a=b", "/bin/busybox", "arm"])
        .fails(1);
    tag(&machine, &["127.0.0.1:5000/app:amd", "127.0.0.1:5000/app:arm"]);
    for name in ["127.0.0.1:5000/app:amd", "127.0.0.1:5000/app:arm"] {
        machine.docker(["push", name]).ok();
    }
    let list = "127.0.0.1:5000/app:all";
    machine
        .docker_inside([
            "manifest",
            "create",
            "--insecure",
            list,
            "127.0.0.1:5000/app:amd",
            "127.0.0.1:5000/app:arm",
        ])
        .ok();
    machine
        .docker_inside([
            "manifest",
            "annotate",
            "--arch",
            "arm64",
            "--variant",
            "v8",
            "--os",
            "linux",
            list,
            "127.0.0.1:5000/app:arm",
        ])
        .ok();
    machine.docker_inside(["manifest", "push", "--insecure", list]).ok();
    let seen = machine.docker_inside(["manifest", "inspect", "--insecure", list]).ok();
    assert!(seen.contains("manifest.list.v2+json") && seen.contains("\"architecture\": \"arm64\""), "{seen}");
    let said = machine.docker(["pull", "--platform", "linux/arm64", list]).ok();
    assert!(said.contains("Status: Downloaded newer image"), "{said}");
    let failed = machine.docker(["pull", "--platform", "linux/s390x", list]).fails(1);
    assert_eq!(failed.trim_end(), "no matching manifest for linux/s390x in the manifest list entries");
    let info =
        machine.docker_inside(["manifest", "inspect", "--insecure", "127.0.0.1:5000/app:none"]).fails(1);
    assert!(info.contains("no such manifest: 127.0.0.1:5000/app:none"), "{info}");
}
