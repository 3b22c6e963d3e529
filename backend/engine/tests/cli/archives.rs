//! `docker save`, `load` and `import`: what is in an archive, and what is made of broken ones.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::machine::Machine;

type Files = BTreeMap<String, Vec<u8>>;

fn files(archive: &[u8]) -> Files {
    let mut found = Files::new();
    for entry in tar::Archive::new(archive).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("read");
        found.insert(entry.path().expect("a path").display().to_string(), bytes);
    }
    found
}

fn archive(files: &Files) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files.iter().filter(|(path, _)| !path.ends_with('/')) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, bytes.as_slice()).expect("append");
    }
    archive.into_inner().expect("an archive")
}

fn saved(machine: &Machine, names: &[&str]) -> Vec<u8> {
    let mut docker = machine.command(["save"]);
    docker.args(names).output().expect("docker").stdout
}

fn json(files: &Files, path: &str) -> Value {
    serde_json::from_slice(&files[path]).expect(path)
}

/// What a compressor of the system makes of it.
fn compressed(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg("--stdout")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|_| panic!("{program} (apt-get install gzip bzip2 xz-utils zstd)"));
    let mut input = child.stdin.take().expect("its input");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || input.write_all(&bytes));
    let out = child.wait_with_output().expect("its end").stdout;
    writer.join().expect("a writer").expect("write");
    out
}

#[test]
fn an_archive_is_an_oci_layout_and_what_older_engines_read() {
    let machine = Machine::new();
    machine.docker(["tag", "busybox", "new:1"]).ok();
    let id = machine.inspect("busybox", "{{.Id}}");
    let layer = machine.inspect("busybox", "{{index .RootFS.Layers 0}}");
    let found = files(&saved(&machine, &["busybox", "new:1"]));
    let blob = |digest: &str| format!("blobs/sha256/{}", digest.trim_start_matches("sha256:"));
    assert!(found.contains_key("blobs/") && found.contains_key("blobs/sha256/"));
    let manifest = &json(&found, "manifest.json")[0];
    assert_eq!(manifest["Config"], blob(&id));
    assert_eq!(manifest["RepoTags"], serde_json::json!(["busybox:latest", "new:1"]));
    assert_eq!(manifest["Layers"], serde_json::json!([blob(&layer)]));
    assert_eq!(manifest["LayerSources"][&layer]["mediaType"], "application/vnd.oci.image.layer.v1.tar");
    assert_eq!(json(&found, "oci-layout"), serde_json::json!({"imageLayoutVersion": "1.0.0"}));
    let digits = layer.trim_start_matches("sha256:");
    assert_eq!(
        json(&found, "repositories"),
        serde_json::json!({"busybox": {"latest": digits}, "new": {"1": digits}})
    );
    let index = json(&found, "index.json");
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .expect("manifests")
        .iter()
        .filter_map(|one| one["annotations"]["io.containerd.image.name"].as_str())
        .collect();
    assert_eq!(names, ["docker.io/library/busybox:latest", "docker.io/library/new:1"]);
    let inner = json(&found, &blob(index["manifests"][0]["digest"].as_str().expect("a digest")));
    assert_eq!(inner["config"]["digest"], id);
    assert_eq!(inner["layers"][0]["digest"], layer);
    // By its id an image has no name in the archive.
    let nameless = files(&saved(&machine, &[&id]));
    assert_eq!(json(&nameless, "manifest.json")[0]["RepoTags"], Value::Null);
    assert!(!nameless.contains_key("repositories"));
    let out = machine.path("none.tar").display().to_string();
    for (name, expected) in [("none", "No such image: none"), ("none:1", "reference does not exist")] {
        let failed = machine.docker(["save", "-o", &out, name]).fails(1);
        assert_eq!(failed.trim_end(), format!("Error response from daemon: {expected}"));
    }
}

#[test]
fn archives_are_loaded_whatever_they_are_compressed_with() {
    let machine = Machine::new();
    let plain = saved(&machine, &["busybox"]);
    machine.docker(["rmi", "busybox"]).ok();
    let file = machine.path("archive").display().to_string();
    for program in ["gzip", "bzip2", "xz", "zstd"] {
        std::fs::write(&file, compressed(program, &plain)).expect("write");
        assert_eq!(machine.docker(["load", "-i", &file]).ok(), "Loaded image: busybox:latest", "{program}");
        assert_eq!(machine.docker(["run", "--rm", "busybox", "echo", program]).ok(), program);
        machine.docker(["rmi", "busybox"]).ok();
    }
    // The layers inside may be compressed as well.
    let mut found = files(&plain);
    let layer = json(&found, "manifest.json")[0]["Layers"][0].as_str().expect("a layer").to_owned();
    let zipped = compressed("zstd", &found[&layer]);
    found.insert(layer, zipped);
    std::fs::write(&file, archive(&found)).expect("write");
    machine.docker(["load", "-q", "-i", &file]).ok();
    assert_eq!(machine.docker(["run", "--rm", "busybox", "echo", "inside"]).ok(), "inside");
}

#[test]
fn who_waits_to_be_told_to_send_is_told() {
    let machine = Machine::new();
    let path = machine.path("saved.tar");
    std::fs::write(&path, saved(&machine, &["busybox"])).expect("write");
    let mut curl = machine.inside("curl");
    curl.args(["--silent", "--verbose", "--header", "Expect: 100-continue", "--request", "POST"]);
    curl.arg("--unix-socket").arg(machine.path("docker.sock")).arg("--upload-file").arg(path);
    let said: crate::machine::Said = curl.arg("http://d/images/load?quiet=1").output().expect("curl").into();
    assert!(said.err.contains("HTTP/1.1 100 Continue"), "{said:?}");
    assert!(said.ok().contains("Loaded image: busybox:latest"));
}

#[test]
fn a_name_that_is_taken_is_taken_over_and_said_so() {
    let machine = Machine::new();
    let file = machine.path("archive").display().to_string();
    std::fs::write(&file, saved(&machine, &["busybox"])).expect("write");
    machine.docker(["create", "--name", "maker", "busybox", "true"]).ok();
    let other = machine.docker(["commit", "-c", "LABEL a=b", "maker", "busybox"]).ok();
    let said = machine.docker(["load", "-i", &file]).ok();
    assert_eq!(
        said,
        format!(
            "The image busybox:latest already exists, renaming the old one with ID {other} to empty string\nLoaded image: busybox:latest"
        )
    );
}

#[test]
fn an_oci_layout_without_dockers_manifest_is_loaded_too() {
    let machine = Machine::new();
    let id = machine.inspect("busybox", "{{.Id}}");
    let mut found = files(&saved(&machine, &["busybox"]));
    found.remove("manifest.json");
    found.remove("repositories");
    machine.docker(["rmi", "busybox"]).ok();
    let said = machine.docker_with_input(["load"], &archive(&found)).ok();
    assert_eq!(said, "Loaded image: busybox:latest");
    assert_eq!(machine.inspect("busybox", "{{.Id}}"), id);
    let mut index = json(&found, "index.json");
    index["manifests"][0].as_object_mut().expect("an object").remove("annotations");
    found.insert("index.json".to_owned(), index.to_string().into_bytes());
    let said = machine.docker_with_input(["load"], &archive(&found)).ok();
    assert_eq!(said, format!("Loaded image ID: {id}"));
}

#[test]
fn broken_archives_change_nothing_and_are_refused_in_mobys_words() {
    let machine = Machine::new();
    let whole = saved(&machine, &["busybox"]);
    let found = files(&whole);
    let layer = json(&found, "manifest.json")[0]["Layers"][0].as_str().expect("a layer").to_owned();
    machine.docker(["rmi", "busybox"]).ok();
    let with = |changes: &[(&str, &str)]| {
        let mut files = found.clone();
        for (path, text) in changes {
            files.insert((*path).to_owned(), text.as_bytes().to_vec());
        }
        archive(&files)
    };
    let manifest = |key: &str, value: Value| {
        let mut manifest = json(&found, "manifest.json");
        manifest[0][key] = value;
        manifest.to_string()
    };
    let only = |path: &str, text: &str| archive(&Files::from([(path.to_owned(), text.as_bytes().to_vec())]));
    for (archive, expected) in [
        (b"garbage".to_vec(), "unexpected EOF"),
        (whole[..100_000].to_vec(), "unexpected EOF"),
        (only("manifest.json", "null"), "invalid manifest, manifest cannot be null (but can be [])"),
        (only("manifest.json", "{"), "unexpected EOF"),
        (only("manifest.json", r#"[{"Config":"c.json","Layers":[]}]"#), "/c.json: no such file or directory"),
        (only("other", ""), "/repositories: no such file or directory"),
        (
            with(&[("manifest.json", &manifest("Layers", serde_json::json!([])))]),
            "invalid manifest, layers length mismatch: expected 0, got 1",
        ),
        (with(&[(&layer, "no archive at all")]), ""),
        (
            with(&[("manifest.json", &manifest("Config", serde_json::json!("../../etc/passwd")))]),
            "evalSymlinksInScope",
        ),
    ] {
        let failed = machine.docker_with_input(["load"], &archive);
        assert!(failed.code == 1 && failed.err.contains(expected), "{expected}: {failed:?}");
    }
    // A layer whose bytes are another's.
    let other = {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        tar.append_data(&mut header, "other", std::io::empty()).expect("append");
        tar.into_inner().expect("an archive")
    };
    let mut files = found.clone();
    files.insert(layer.clone(), other);
    let failed = machine.docker_with_input(["load"], &archive(&files)).fails(1);
    assert!(failed.contains("invalid diffID for layer 0: expected \"sha256:"), "{failed}");
    let tmp = machine.path("data/images/tmp");
    assert_eq!(std::fs::read_dir(tmp).expect("a folder").count(), 0, "nothing of them is left");
    assert_eq!(machine.docker(["images", "-q"]).ok(), "");
    // With a name that is none the image is there, as with moby: it was made before its name was looked at.
    let nameless = with(&[("manifest.json", &manifest("RepoTags", serde_json::json!(["UP:1"])))]);
    let failed = machine.docker_with_input(["load"], &nameless).fails(1);
    assert!(
        failed.contains("invalid reference format: repository name (library/UP) must be lowercase"),
        "{failed}"
    );
    assert_eq!(machine.docker(["images", "-q", "--filter", "dangling=true"]).ok().lines().count(), 1);
}

#[test]
fn a_tree_is_imported_from_a_file_a_stream_and_a_url_with_its_changes() {
    let machine = Machine::new();
    let mut tree = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.set_mode(0o644);
    tree.append_data(&mut header, "hello", b"world".as_slice()).expect("append");
    let tree = tree.into_inner().expect("an archive");
    for (program, name) in [("gzip", "one"), ("xz", "two"), ("bzip2", "three")] {
        machine.docker_with_input(["import", "-", name], &compressed(program, &tree)).ok();
        assert_eq!(machine.inspect(name, "{{.Size}} {{.Comment}}"), "5 Imported from -");
    }
    let folder = machine.path("served");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("tree.tar"), &tree).expect("write");
    let mut serve = machine.inside("busybox");
    serve.args(["httpd", "-f", "-p", "127.0.0.1:8000", "-h"]).arg(&folder);
    let mut server = serve.spawn().expect("nsenter, of util-linux");
    machine.until("the server answers", |machine| {
        let mut ask = machine.inside("curl");
        ask.args(["--silent", "--output", "/dev/null", "http://127.0.0.1:8000/"]);
        ask.status().is_ok_and(|status| status.success())
    });
    let said = machine.docker(["import", "http://127.0.0.1:8000/tree.tar", "fetched:1"]);
    let missing = machine.docker(["import", "http://127.0.0.1:8000/none", "x"]);
    let _ = server.kill();
    let _ = server.wait();
    let said = said.ok();
    assert!(said.starts_with("Downloading from http://127.0.0.1:8000/tree.tar\n"), "{said}");
    assert_eq!(machine.inspect("fetched:1", "{{.Comment}}"), "Imported from http://127.0.0.1:8000/tree.tar");
    let missing = missing.fails(1);
    assert!(
        missing.contains("failed to GET http://127.0.0.1:8000/none with status 404 Not Found"),
        "{missing}"
    );
    let closed = machine.docker(["import", "http://127.0.0.1:5999/x", "x"]).fails(1);
    assert_eq!(
        closed.trim_end(),
        "Error response from daemon: Get \"http://127.0.0.1:5999/x\": dial tcp 127.0.0.1:5999: connect: connection refused"
    );

    let file = folder.join("tree.tar").display().to_string();
    machine.docker(["import", "--platform", "linux/arm64", &file, "arm"]).ok();
    assert_eq!(machine.inspect("arm", "{{.Os}}/{{.Architecture}}"), "linux/arm64");
    for (arguments, expected) in [
        (["-c", "RUN x"], "RUN is not a valid change command"),
        (["-c", "ENV"], "ENV requires at least one argument"),
        (["--platform", "windows/amd64"], "operating system is not supported"),
    ] {
        let failed = machine.docker(["import", arguments[0], arguments[1], &file]).fails(1);
        assert_eq!(failed.trim_end(), format!("Error response from daemon: {expected}"));
    }
    machine
        .docker([
            "import",
            "-c",
            "HEALTHCHECK CMD true",
            "-c",
            "WORKDIR /w",
            "-c",
            "ENTRYPOINT [\"x\"]",
            "-c",
            "ONBUILD RUN x",
            &file,
            "full",
        ])
        .ok();
    assert_eq!(
        machine.inspect(
            "full",
            "{{json .Config.Healthcheck.Test}} {{.Config.WorkingDir}} {{json .Config.OnBuild}}"
        ),
        "[\"CMD-SHELL\",\"true\"] /w [\"RUN x\"]"
    );
    let garbage = machine.docker_with_input(["import", "-", "x"], b"garbage").fails(1);
    assert_eq!(garbage.trim_end(), "Error response from daemon: unexpected EOF");
}
