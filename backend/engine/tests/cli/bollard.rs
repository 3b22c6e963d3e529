//! What bollard, the Docker client of the Rust world, sees of the engine.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Child, Stdio};

use bollard::auth::DockerCredentials;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, ContainerUpdateBody, NetworkCreateRequest, VolumeCreateOptions};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    DownloadFromContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    RenameContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, StatsOptionsBuilder,
    UploadToContainerOptionsBuilder,
};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::TryStreamExt;

use super::machine::Machine;

const PATIENCE_S: u64 = 60;

fn client(machine: &Machine) -> Docker {
    let path = machine.path("docker.sock");
    let path = path.to_str().expect("a path of ours");
    Docker::connect_with_unix(path, PATIENCE_S, API_DEFAULT_VERSION).expect("a client")
}

async fn create(docker: &Docker, name: &str, command: &[&str]) -> String {
    let options = CreateContainerOptionsBuilder::default().name(name).build();
    let body = ContainerCreateBody {
        image: Some("busybox".into()),
        cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
        ..ContainerCreateBody::default()
    };
    docker.create_container(Some(options), body).await.expect("a container").id
}

async fn started(docker: &Docker, name: &str, command: &[&str]) {
    create(docker, name, command).await;
    docker
        .start_container(name, None::<bollard::query_parameters::StartContainerOptions>)
        .await
        .expect("a start");
}

fn texts(output: &[LogOutput]) -> (String, String) {
    let (mut out, mut err) = (String::new(), String::new());
    for piece in output {
        match piece {
            LogOutput::StdErr { message } => err.push_str(&String::from_utf8_lossy(message)),
            piece => out.push_str(&String::from_utf8_lossy(piece.as_ref())),
        }
    }
    (out, err)
}

#[tokio::test]
async fn bollard_attaches_before_the_start_and_hears_everything() {
    let machine = Machine::new();
    let docker = client(&machine);
    create(&docker, "said", &["sh", "-c", "echo out; echo err >&2; exit 7"]).await;
    let options = AttachContainerOptionsBuilder::default().stdout(true).stderr(true).stream(true).build();
    let attached = docker.attach_container("said", Some(options)).await.expect("attached");
    docker
        .start_container("said", None::<bollard::query_parameters::StartContainerOptions>)
        .await
        .expect("a start");
    let heard: Vec<_> = attached.output.try_collect().await.expect("the stream");
    assert_eq!(texts(&heard), ("out\n".to_owned(), "err\n".to_owned()));
    let logs = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(true).build();
    let logs: Vec<_> = docker.logs("said", Some(logs)).try_collect().await.expect("the log");
    assert_eq!(texts(&logs), ("out\n".to_owned(), "err\n".to_owned()));
    // A code that is not 0 is an error to bollard.
    let ended = docker.wait_container("said", None::<bollard::query_parameters::WaitContainerOptions>);
    let ended = ended.try_collect::<Vec<_>>().await;
    assert!(
        matches!(ended, Err(bollard::errors::Error::DockerContainerWaitError { code: 7, .. })),
        "{ended:?}"
    );
}

#[tokio::test]
async fn bollard_runs_processes_beside_the_first_one() {
    let machine = Machine::new();
    let docker = client(&machine);
    started(&docker, "host", &["sleep", "600"]).await;
    for tty in [false, true] {
        for turn in 0..20 {
            let wanted = CreateExecOptions {
                cmd: Some(vec!["echo".to_owned(), format!("turn {turn}")]),
                attach_stdout: Some(true),
                attach_stderr: Some(true),
                tty: Some(tty),
                ..CreateExecOptions::default()
            };
            let exec = docker.create_exec("host", wanted).await.expect("an exec").id;
            let options = StartExecOptions { tty, ..StartExecOptions::default() };
            let StartExecResults::Attached { output, .. } =
                docker.start_exec(&exec, Some(options)).await.expect("its start")
            else {
                panic!("detached");
            };
            let heard: Vec<_> = output.try_collect().await.expect("the stream");
            let end = if tty { "\r\n" } else { "\n" };
            assert_eq!(texts(&heard).0, format!("turn {turn}{end}"));
            assert_eq!(docker.inspect_exec(&exec).await.expect("its state").exit_code, Some(0));
        }
    }
}

#[tokio::test]
async fn bollard_looks_into_a_container_and_changes_it() {
    let machine = Machine::new();
    let docker = client(&machine);
    started(&docker, "one", &["sleep", "600"]).await;
    assert!(docker.container_changes("one").await.expect("changes").is_none());
    let size = ResizeContainerTTYOptionsBuilder::default().h(50).w(50).build();
    docker.resize_container_tty("one", size).await.expect("no terminal is no mistake");
    let options = StatsOptionsBuilder::default().stream(false).build();
    let stats: Vec<_> = docker.stats("one", Some(options)).try_collect().await.expect("stats");
    assert_eq!(stats[0].name.as_deref(), Some("/one"));
    let top =
        docker.top_processes("one", None::<bollard::query_parameters::TopOptions>).await.expect("processes");
    assert!(top.processes.iter().flatten().any(|row| row.join(" ").contains("sleep 600")), "{top:?}");
    let limits = ContainerUpdateBody {
        memory: Some(314_572_800),
        memory_swap: Some(314_572_800),
        ..ContainerUpdateBody::default()
    };
    docker.update_container("one", limits).await.expect("an update");
    let name = RenameContainerOptionsBuilder::default().name("two").build();
    docker.rename_container("one", name).await.expect("a new name");
    let shown =
        docker.inspect_container("two", None::<bollard::query_parameters::InspectContainerOptions>).await;
    assert_eq!(shown.expect("the container").host_config.and_then(|host| host.memory), Some(314_572_800));
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    docker.remove_container("two", Some(options)).await.expect("gone");
}

#[tokio::test]
async fn bollard_copies_a_compressed_archive_in_and_out_again() {
    let machine = Machine::new();
    let docker = client(&machine);
    create(&docker, "target", &["true"]).await;
    let text = b"Hello from bollard";
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o744);
    archive.append_data(&mut header, "readme.txt", text.as_slice()).expect("an archive");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&archive.into_inner().expect("an archive")).expect("gzip");
    let body = bollard::body_full(gzip.finish().expect("gzip").into());
    let place = UploadToContainerOptionsBuilder::default().path("/data").build();
    docker.upload_to_container("target", Some(place), body).await.expect("an upload");
    let place = DownloadFromContainerOptionsBuilder::default().path("/data/readme.txt").build();
    let back: Vec<_> =
        docker.download_from_container("target", Some(place)).try_collect().await.expect("a download");
    let back = back.concat();
    let mut archive = tar::Archive::new(back.as_slice());
    let mut entry = archive.entries().expect("entries").next().expect("one").expect("whole");
    assert_eq!(entry.path().expect("a path").to_str(), Some("readme.txt"));
    assert_eq!(entry.header().mode().expect("a mode") & 0o777, 0o744);
    let mut found = Vec::new();
    std::io::Read::read_to_end(&mut entry, &mut found).expect("read");
    assert_eq!(found, text);
}

#[tokio::test]
async fn bollard_keeps_volumes_and_networks() {
    let machine = Machine::new();
    let docker = client(&machine);
    let labels = HashMap::from([("kind".to_owned(), "test".to_owned())]);
    let wanted = VolumeCreateOptions {
        name: Some("kept".into()),
        labels: Some(labels.clone()),
        ..VolumeCreateOptions::default()
    };
    let volume = docker.create_volume(wanted).await.expect("a volume");
    assert_eq!((volume.name.as_str(), volume.driver.as_str(), &volume.labels), ("kept", "local", &labels));
    docker.remove_volume("kept", None::<bollard::query_parameters::RemoveVolumeOptions>).await.expect("gone");
    let wanted = NetworkCreateRequest { name: "front".into(), ..NetworkCreateRequest::default() };
    docker.create_network(wanted).await.expect("a network");
    let found =
        docker.inspect_network("front", None::<bollard::query_parameters::InspectNetworkOptions>).await;
    assert_eq!(found.expect("the network").driver.as_deref(), Some("bridge"));
    docker.remove_network("front").await.expect("gone");
}

/// Debian's registry with one user: `bollard`, `secret`.
struct Registry(Child);

/// `htpasswd -nbB bollard secret`
const USERS: &str = "bollard:$2y$05$Z8V2v8Rzovq4.3SNo486/u2wW19PET4YZrqARtOgliPDV7YQ5iCbW\n";

impl Registry {
    fn start(machine: &Machine) -> Self {
        let at = |name: &str| machine.path(name).display().to_string();
        std::fs::write(machine.path("users"), USERS).expect("write");
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:5000}}\nauth: \
             {{htpasswd: {{realm: test, path: {}}}}}\n",
            at("registry"),
            at("users")
        );
        std::fs::write(machine.path("registry.yml"), text).expect("write");
        let mut serve = machine.inside("docker-registry");
        serve.arg("serve").arg(machine.path("registry.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Self(serve.spawn().expect("nsenter, of util-linux"));
        machine.until("the registry answers (apt-get install docker-registry)", |machine| {
            let mut ask = machine.inside("curl");
            ask.args(["--silent", "--output", "/dev/null", "http://127.0.0.1:5000/v2/"]);
            ask.status().is_ok_and(|status| status.success())
        });
        registry
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bollard writes `null` for what nobody said, and no tag means all of them.
#[tokio::test]
async fn bollard_logs_in_to_a_registry_and_pulls_every_tag() {
    let machine = Machine::new();
    let _registry = Registry::start(&machine);
    machine.docker(["login", "--username", "bollard", "--password", "secret", "127.0.0.1:5000"]).ok();
    for tag in ["one", "two"] {
        let name = format!("127.0.0.1:5000/team/app:{tag}");
        machine.docker(["tag", "busybox", &name]).ok();
        machine.docker(["push", &name]).ok();
        machine.docker(["rmi", &name]).ok();
    }
    let docker = client(&machine);
    let pull = async |credentials| {
        let options = CreateImageOptionsBuilder::default().from_image("127.0.0.1:5000/team/app").build();
        docker.create_image(Some(options), None, credentials).try_collect::<Vec<_>>().await
    };
    let stranger = pull(None).await.expect_err("a stranger");
    assert!(stranger.to_string().contains("no basic auth credentials"), "{stranger}");
    let credentials = DockerCredentials {
        username: Some("bollard".into()),
        password: Some("secret".into()),
        ..DockerCredentials::default()
    };
    pull(Some(credentials)).await.expect("a pull");
    for tag in ["one", "two"] {
        docker.inspect_image(&format!("127.0.0.1:5000/team/app:{tag}")).await.expect(tag);
    }
}
