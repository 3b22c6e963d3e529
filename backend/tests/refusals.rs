//! What `drydock serve` says when it cannot serve: one line with what to do, and nothing left behind.

mod support;

use std::path::Path;
use std::process::Command;

use support::dist;
use support::process::Process;

/// Runs `serve` in `wrapper` (a program and its arguments) and returns the line it ends with.
fn refused(wrapper: &[&str], data: &Path, listen: &str) -> String {
    let serve = env!("CARGO_BIN_EXE_drydock");
    let mut words = wrapper.iter().copied().chain([serve]);
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args(["--log", "warn", "serve", "--offline", "--listen", listen, "--data-dir"])
        .arg(data)
        .arg("--dist")
        .arg(dist())
        .args(["--image-store", concat!(env!("CARGO_TARGET_TMPDIR"), "/image-store")])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    assert!(said.starts_with("drydock: "), "{said}");
    said
}

#[track_caller]
fn says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

#[tokio::test]
async fn whoever_is_not_root_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    says(&refused(&["unshare", "--user"], &data, "127.0.0.1:0"), &["only root", "sudo"]);
    assert!(!data.exists());
}

#[tokio::test]
async fn a_missing_kernel_feature_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let hidden = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs none /dev && exec \"$@\"", "sh"];
    let said = refused(&hidden, &folder.path().join("data"), "127.0.0.1:0");
    says(&said, &["loop devices", "modprobe loop"]);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&["env"], &folder.path().join("data"), &address);
    says(&said, &[&address, "taken", "--listen"]);
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let said = refused(&["env"], &file.join("data"), "127.0.0.1:0");
    says(&said, &[file.to_str().unwrap(), "--data-dir"]);
}

#[tokio::test]
async fn a_database_of_no_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("drydock.db");
    std::fs::write(
        &database,
        "this is no database, and was never one; it is long enough to be looked at".repeat(99),
    )
    .unwrap();
    let said = refused(&["env"], folder.path(), "127.0.0.1:0");
    says(&said, &[database.to_str().unwrap(), "move it away", "--data-dir"]);
}

#[tokio::test]
async fn a_disk_without_room_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let serve = env!("CARGO_BIN_EXE_drydock");
    // A disk of 64 MiB, seen by this server alone.
    let script = format!(
        "mount -t tmpfs -o size=64m none {place} && exec {serve} --log warn serve --offline --listen 127.0.0.1:0 \
         --data-dir {place}/data --dist {}",
        dist().display()
    );
    let output = Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.trim_end().lines().count(), 1, "{said}");
    says(&said, &["64 MiB", "needed", "--data-dir"]);
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let first = Process::start(tempfile::tempdir().unwrap()).await;
    let said = refused(&["env"], &first.data(), "127.0.0.1:0");
    says(&said, &["another drydock uses", first.data().to_str().unwrap(), "stop it"]);
    first.end();
}
