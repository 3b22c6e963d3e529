//! `docker build`: every instruction, every flag, every kind of context, and what goes wrong.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::machine::{Machine, Said};

/// A machine with a folder to build.
struct Bench {
    machine: Machine,
    folder: PathBuf,
}

impl Bench {
    fn new(dockerfile: &str) -> Self {
        Self::with(Machine::new(), dockerfile)
    }

    fn with(machine: Machine, dockerfile: &str) -> Self {
        let bench = Self { folder: machine.path("context"), machine };
        bench.write("Dockerfile", dockerfile);
        bench
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("write");
    }

    /// `docker build FLAGS context`.
    fn build<const N: usize>(&self, flags: [&str; N]) -> Said {
        let mut command = self.machine.command(["build"]);
        let output = command.args(flags).arg(&self.folder).stdin(Stdio::null()).output();
        output.expect("docker (apt-get install docker-cli)").into()
    }

    /// What a build prints, with the numbers that differ from run to run replaced.
    #[track_caller]
    fn steps<const N: usize>(&self, flags: [&str; N]) -> Vec<String> {
        self.build(flags).ok().lines().skip(1).map(masked).collect()
    }

    /// What a command in the image says.
    #[track_caller]
    fn says(&self, image: &str, command: &str) -> String {
        self.machine.docker(["run", "--rm", image, "sh", "-c", command]).ok()
    }
}

/// Ids of twelve digits become `ID`.
fn masked(line: &str) -> String {
    let is_id = |word: &&str| word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    line.split(' ').map(|word| if is_id(&word) { "ID" } else { word }).collect::<Vec<_>>().join(" ")
}

#[test]
fn steps_are_printed_as_the_classic_builder_prints_them_and_cached_the_next_time() {
    let bench =
        Bench::new("FROM busybox\nENV A=1\nRUN echo said\nCOPY file /file\nCMD [\"cat\", \"/file\"]\n");
    bench.write("file", "content\n");
    let first = [
        "Step 1/5 : FROM busybox",
        " ---> ID",
        "Step 2/5 : ENV A=1",
        " ---> Running in ID",
        " ---> Removed intermediate container ID",
        " ---> ID",
        "Step 3/5 : RUN echo said",
        " ---> Running in ID",
        "said",
        " ---> Removed intermediate container ID",
        " ---> ID",
        "Step 4/5 : COPY file /file",
        " ---> ID",
        "Step 5/5 : CMD [\"cat\", \"/file\"]",
        " ---> Running in ID",
        " ---> Removed intermediate container ID",
        " ---> ID",
        "Successfully built ID",
        "Successfully tagged one:latest",
        "Successfully tagged registry.local/two:tag",
    ];
    assert_eq!(bench.steps(["-t", "one", "-t", "registry.local/two:tag"]), first);
    let again = bench.steps(["-t", "one"]);
    assert_eq!(again.iter().filter(|line| *line == " ---> Using cache").count(), 4, "{again:?}");
    assert_eq!(bench.machine.docker(["run", "--rm", "one"]).ok(), "content");
    assert_eq!(bench.machine.docker(["ps", "-aq"]).ok(), "", "no container is left");
    let id = bench.machine.inspect("one", "{{.Id}}");
    let file = bench.machine.path("iid").display().to_string();
    assert_eq!(bench.build(["-q", "--iidfile", &file]).ok(), id);
    assert_eq!(std::fs::read_to_string(file).expect("the id").trim_end(), id);
    let history = bench.machine.docker(["history", "--no-trunc", "--format", "{{.CreatedBy}}", "one"]).ok();
    let history: Vec<&str> = history.lines().collect();
    assert_eq!(history[0], "/bin/sh -c #(nop)  CMD [\"cat\" \"/file\"]");
    assert!(history[1].starts_with("/bin/sh -c #(nop) COPY file:") && history[1].ends_with(" in /file "));
    assert_eq!(history[2..4], ["/bin/sh -c echo said", "/bin/sh -c #(nop)  ENV A=1"]);
}

#[test]
fn every_instruction_reaches_the_image() {
    let bench = Bench::new(
        r#"FROM busybox
MAINTAINER ann@example.com
ENV ONE=1 TWO="a b"
ENV OLD the old form
LABEL org.example=x "with space"="$ONE"
EXPOSE 80 5000-5001/udp
VOLUME ["/vol"]
WORKDIR /app
WORKDIR sub
USER web:web
STOPSIGNAL SIGINT
SHELL ["/bin/sh", "-ec"]
HEALTHCHECK --interval=5s --timeout=2s --retries=4 CMD test -e /x
ENTRYPOINT ["/bin/echo"]
CMD $ONE
"#,
    );
    bench.build(["-t", "all", "--label", "given=1"]).ok();
    let inspect = |format: &str| bench.machine.inspect("all", format);
    assert_eq!(inspect("{{.Author}}"), "ann@example.com");
    let env = inspect("{{join .Config.Env \"|\"}}");
    assert!(env.ends_with("|ONE=1|TWO=a b|OLD=the old form") && env.starts_with("PATH="), "{env}");
    assert_eq!(inspect("{{json .Config.Labels}}"), r#"{"given":"1","org.example":"x","with space":"1"}"#);
    assert_eq!(inspect("{{json .Config.ExposedPorts}}"), r#"{"5000/udp":{},"5001/udp":{},"80/tcp":{}}"#);
    assert_eq!(inspect("{{json .Config.Volumes}}"), r#"{"/vol":{}}"#);
    assert_eq!(
        inspect("{{.Config.WorkingDir}} {{.Config.User}} {{.Config.StopSignal}}"),
        "/app/sub web:web SIGINT"
    );
    assert_eq!(inspect("{{json .Config.Shell}}"), r#"["/bin/sh","-ec"]"#);
    assert_eq!(inspect("{{json .Config.Healthcheck.Test}}"), r#"["CMD-SHELL","test -e /x"]"#);
    assert_eq!(
        inspect(
            "{{.Config.Healthcheck.Interval}} {{.Config.Healthcheck.Timeout}} {{.Config.Healthcheck.Retries}}"
        ),
        "5s 2s 4"
    );
    assert_eq!(
        inspect("{{json .Config.Entrypoint}}{{json .Config.Cmd}}"),
        r#"["/bin/echo"]["/bin/sh","-ec","$ONE"]"#
    );
    assert_eq!(bench.machine.docker(["run", "--rm", "all", "hello"]).ok(), "hello");
}

#[test]
fn copy_and_add_put_files_where_docker_puts_them() {
    let bench = Bench::new(
        "FROM busybox
WORKDIR /work
COPY a.txt renamed
COPY a.txt b.txt folder/
COPY *.txt globbed/
COPY tree /tree
COPY --chown=web:33 tree/in /owned/
COPY --chown=5:6 a.txt /owned/five
COPY --chmod=741 a.txt /mode
COPY --exclude=*.txt . /excluded/
COPY --parents tree/in/deep /parents/
COPY [\"with space\", \"/sp ace/\"]
ADD made.tar /made/
ADD made.tar.gz /gz/
COPY made.tar /plain/
",
    );
    for (name, content) in [("a.txt", "a"), ("b.txt", "b"), ("tree/in/deep", "deep"), ("with space", "s")] {
        bench.write(name, content);
    }
    std::os::unix::fs::symlink("in/deep", bench.folder.join("tree/link")).expect("a link");
    let archive = archive(&[("x/file", b"from an archive")]);
    bench.write("made.tar", &archive);
    let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zip.write_all(&archive).expect("compress");
    bench.write("made.tar.gz", zip.finish().expect("compress"));
    bench.build(["-t", "copied"]).ok();
    let says = |command: &str| bench.says("copied", command);
    assert_eq!(says("cd /work; cat renamed folder/a.txt folder/b.txt; ls globbed"), "aaba.txt\nb.txt");
    assert_eq!(says("cat /tree/link /tree/in/deep"), "deepdeep");
    assert_eq!(says("test -h /tree/link && echo link"), "link");
    let owners = says("ls -lnd /owned /owned/deep /owned/five /tree /work/renamed");
    let owners: Vec<Vec<&str>> =
        owners.lines().map(|line| line.split_whitespace().skip(2).take(2).collect()).collect();
    assert_eq!(owners, [["33", "33"], ["33", "33"], ["5", "6"], ["0", "0"], ["0", "0"]]);
    assert!(says("ls -l /mode").starts_with("-rwxr----x"));
    assert_eq!(says("ls /excluded"), "Dockerfile\nmade.tar\nmade.tar.gz\ntree\nwith space");
    assert_eq!(says("cat /parents/tree/in/deep '/sp ace/with space'"), "deeps");
    assert_eq!(says("cat /made/x/file"), "from an archive");
    assert_eq!(says("cat /gz/x/file; ls /plain"), "from an archivemade.tar");
}

#[test]
fn the_cache_knows_contents_and_commands_and_no_times() {
    let bench = Bench::new("FROM busybox\nCOPY file /file\nRUN echo x > /made\n");
    bench.write("file", "one");
    let id = bench.build(["-q"]).ok();
    let cached = |flags| bench.steps(flags).iter().filter(|line| line.ends_with("Using cache")).count();
    std::fs::File::open(bench.folder.join("file"))
        .and_then(|file| file.set_modified(std::time::UNIX_EPOCH))
        .expect("another time");
    assert_eq!((cached([]), bench.build(["-q"]).ok()), (2, id.clone()));
    bench.write("file", "two");
    assert_eq!(cached([]), 0, "what follows a changed file is made anew");
    bench.write("file", "one");
    assert_eq!(bench.build(["-q"]).ok(), id, "and what was made before is found again");
    assert_ne!(bench.build(["-q", "--no-cache"]).ok(), id);
    bench.write("Dockerfile", "FROM busybox\nCOPY file /file\nRUN echo y > /made\n");
    assert_eq!(cached([]), 1);
}

#[test]
fn the_history_of_a_loaded_image_serves_as_cache() {
    let bench = Bench::new("FROM busybox\nENV A=1\nRUN echo x > /made\n");
    bench.build(["-t", "source"]).ok();
    let file = bench.machine.path("saved.tar").display().to_string();
    bench.machine.docker(["save", "-o", &file, "source"]).ok();
    bench.machine.docker(["rmi", "source"]).ok();
    bench.machine.docker(["load", "-i", &file]).ok();
    let cached =
        |flags: [&str; 2]| bench.steps(flags).iter().filter(|line| line.ends_with("Using cache")).count();
    assert_eq!(cached(["--label", "a=b"]), 0, "an image from elsewhere is no cache by itself");
    assert_eq!(cached(["--cache-from", "source"]), 2);
}

#[test]
fn stages_are_named_numbered_and_copied_from() {
    let bench = Bench::new(
        "FROM busybox AS First
RUN echo first > /one
FROM busybox
RUN echo second > /two
FROM scratch AS files
COPY --from=first /one /
COPY --from=1 /two /
FROM first AS last
COPY --from=files / /all/
COPY --from=busybox /data/seed /seed
FROM last AS beyond
RUN false
",
    );
    bench.build(["-t", "last", "--target", "LAST"]).ok();
    assert_eq!(bench.says("last", "cat /all/one /all/two /seed"), "first\nsecond\nseeded");
    bench.build(["-t", "files", "--target", "2"]).ok();
    let size = bench.machine.docker(["images", "--format", "{{.Size}}", "files"]).ok();
    assert_eq!(size, "13B", "nothing but what was copied");
    let complaint = bench.build(["--target", "none"]).fails(1);
    assert!(complaint.contains("target stage \"none\" could not be found"), "{complaint}");
    for (copy, text) in [
        ("COPY --from=5 /x /", "invalid from flag value 5: index out of bounds"),
        ("COPY --from=0 /x /", "invalid from flag value 0: refers to current build stage"),
        (
            "COPY nowhere /",
            "COPY failed: file not found in build context or excluded by .dockerignore: stat nowhere: file does not exist",
        ),
        (
            "COPY Dockerfile Dockerfile /x",
            "When using COPY with more than one source file, the destination must be a directory and end with a /",
        ),
        ("COPY http://localhost/x /", "source can't be a URL for COPY"),
        ("COPY --chown=nobody9 Dockerfile /", "no such user: nobody9"),
        ("STOPSIGNAL SIGWHAT", "invalid signal: SIGWHAT"),
        ("EXPOSE web", "invalid containerPort: web"),
    ] {
        bench.write("Dockerfile", format!("FROM busybox\n{copy}\n"));
        let complaint = bench.build([]).fails(1);
        assert!(complaint.contains(text), "{copy}: {complaint}");
    }
}

#[test]
fn stages_run_side_by_side_and_print_in_order() {
    let meet = |own: &str, other: &str| {
        format!(
            "RUN --mount=type=cache,target=/c,id=meet touch /c/{own}; for i in $(seq 600); do test -e /c/{other} && exit; sleep 0.1; done; false\n"
        )
    };
    let bench = Bench::new(&format!(
        "FROM busybox AS one\n{}RUN echo one > /one\nFROM busybox AS two\n{}RUN echo two > /two\n\
         FROM busybox\nCOPY --from=one /one /\nCOPY --from=two /two /\n",
        meet("a", "b"),
        meet("b", "a"),
    ));
    let said = bench.build(["-t", "met"]).ok();
    let steps: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix("Step ")).collect();
    let numbers: Vec<&str> = steps.iter().filter_map(|step| step.split('/').next()).collect();
    assert_eq!(numbers, ["1", "2", "3", "4", "5", "6", "7", "8", "9"], "{said}");
    assert_eq!(bench.says("met", "cat /one /two"), "one\ntwo");
    // A stage that fails does not wait for one that goes on.
    bench.write(
        "Dockerfile",
        "FROM busybox AS long\nRUN sleep 1000\nFROM busybox\nRUN exit 3\nCOPY --from=long / /\n",
    );
    let said = bench.build([]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("The command '/bin/sh -c exit 3' returned a non-zero code: 3"), "{said:?}");
    let failed = said.out.find("RUN exit 3");
    assert!(failed.is_some(), "the failed step is shown: {said:?}");
}

#[test]
fn build_arguments_are_seen_where_they_are_named() {
    let bench = Bench::new(
        "ARG BASE=busybox
ARG SHARED=global
FROM $BASE
RUN echo \"[$SHARED]\" > /before
ARG SHARED
ARG WHO=nobody
ARG TARGETARCH
RUN echo \"$SHARED $WHO ${MISSING:-none} $http_proxy $TARGETARCH\" > /said
ENV WHO=env
RUN echo \"$WHO\" > /env
",
    );
    let said = bench.build([
        "-t",
        "args",
        "--build-arg",
        "WHO=me",
        "--build-arg",
        "http_proxy=p",
        "--build-arg",
        "LOST=1",
    ]);
    let said = said.ok();
    assert!(said.contains("[Warning] One or more build-args [LOST] were not consumed"), "{said}");
    let here = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    assert_eq!(bench.says("args", "cat /before /said /env"), format!("[]\nglobal me none p {here}\nenv"));
    let history = bench.machine.docker(["history", "--no-trunc", "--format", "{{.CreatedBy}}", "args"]).ok();
    assert!(
        history.contains("|3 SHARED=global TARGETARCH=") && !history.contains("http_proxy=p"),
        "{history}"
    );
    let complaint = bench.build(["--build-arg", "BASE=nosuchimage.local/x"]).fails(1);
    assert!(complaint.contains("nosuchimage.local"), "{complaint}");
}

#[test]
fn a_failed_run_names_its_command_and_leaves_the_last_good_image() {
    let bench = Bench::new("FROM busybox\nRUN echo good > /good\nRUN echo bad >&2; exit 7\n");
    let said = bench.build(["-t", "never"]);
    assert_eq!(said.code, 7);
    assert!(
        said.err.contains("The command '/bin/sh -c echo bad >&2; exit 7' returned a non-zero code: 7"),
        "{said:?}"
    );
    assert!(said.out.contains("bad"), "{said:?}");
    let good = said.out.lines().filter_map(|line| line.strip_prefix(" ---> ")).rfind(|id| id.len() == 12);
    assert_eq!(bench.says(good.expect("an image"), "cat /good"), "good");
    assert!(bench.machine.docker(["image", "inspect", "never"]).code != 0);
    let left = bench.machine.docker(["ps", "-aq"]).ok();
    assert_eq!(left.lines().count(), 1, "the failed container can be looked into");
    bench.machine.docker(["rm", &left]).ok();
    bench.build(["--force-rm"]).fails(7);
    assert_eq!(bench.machine.docker(["ps", "-aq"]).ok(), "");
    bench.write("Dockerfile", "FROM busybox\nENV A=1\nRUN true\n");
    bench.build(["--rm=false"]).ok();
    assert_eq!(bench.machine.docker(["ps", "-aq"]).ok().lines().count(), 2, "--rm=false keeps containers");
}

#[test]
fn a_bad_dockerfile_is_refused_with_its_line_and_column() {
    let bench = Bench::new("");
    for (text, complaint) in [
        (
            "FROM busybox\n\n  RUNN x\n",
            "dockerfile parse error on line 3: unknown instruction: RUNN (did you mean RUN?)\nDockerfile:3:3:   RUNN x",
        ),
        (
            "FROM busybox\nCOPY --frm=x a \\\n b\n",
            "dockerfile parse error on line 2: unknown flag: --frm (did you mean from?)\nDockerfile:2:6: COPY --frm=x a \\",
        ),
        ("RUN x\n", "no build stage in current context"),
        ("FROM busybox\nENV A\n", "failed to parse Dockerfile: ENV must have two arguments"),
        ("# nothing\n", "file with no instructions"),
        ("FROM busybox AS a\nFROM busybox AS a\n", "a stage name already used"),
        ("FROM $NONE\n", "base name ($NONE) should not be blank"),
        ("FROM --platform=x/y/z/w busybox\n", "failed to parse platform x/y/z/w"),
    ] {
        bench.write("Dockerfile", text);
        let said = bench.build([]).fails(1);
        assert!(said.contains(complaint), "{text}: {said}");
    }
}

#[test]
fn a_context_comes_from_stdin_from_elsewhere_and_without_what_is_ignored() {
    let bench = Bench::new("FROM busybox\nCOPY . /all/\n");
    let said = bench
        .machine
        .docker_with_input(["build", "-t", "piped", "-"], b"FROM busybox\nRUN echo piped > /p\n");
    said.ok();
    assert_eq!(bench.says("piped", "cat /p"), "piped");
    let tar = archive(&[("Dockerfile", b"FROM busybox\nADD f /f\n"), ("f", b"in a tar")]);
    bench.machine.docker_with_input(["build", "-t", "tarred", "-"], &tar).ok();
    assert_eq!(bench.says("tarred", "cat /f"), "in a tar");
    let outside = bench.machine.path("Outside.Dockerfile");
    std::fs::write(&outside, "FROM busybox\nCOPY kept /kept\n").expect("write");
    bench.write("kept", "kept");
    bench.build(["-t", "outside", "-f", &outside.display().to_string()]).ok();
    assert_eq!(bench.says("outside", "cat /kept"), "kept");
    bench.write(
        ".dockerignore",
        "# comment\n*.log\n**/tmp\nDockerfile\n.dockerignore\nother\n!other/needed\n",
    );
    for name in ["a.log", "tmp/x", "deep/tmp/y", "deep/a.log", "other/left", "other/needed"] {
        bench.write(name, name);
    }
    bench.build(["-t", "ignored"]).ok();
    let all = bench.says("ignored", "cd /all; for f in * */*; do test -f $f && echo $f; done; true");
    assert_eq!(all, "kept\ndeep/a.log\nother/needed");
}

#[test]
fn a_context_comes_from_a_url_and_from_git() {
    let bench = Bench::new("FROM busybox\n");
    let served = bench.machine.path("served");
    std::fs::create_dir_all(&served).expect("a folder");
    std::fs::write(served.join("plain.txt"), "FROM busybox\nADD http://127.0.0.1:8000/file /got/\n")
        .expect("write");
    std::fs::write(served.join("file"), "served").expect("write");
    let tar = archive(&[("Dockerfile", b"FROM busybox\nCOPY f /f\n"), ("f", b"fetched")]);
    std::fs::write(served.join("context.tar"), tar).expect("write");
    let _server = Server::http(&bench.machine, &served);
    let said = post(&bench.machine, "/build?t=plain&remote=http://127.0.0.1:8000/plain.txt", b"");
    assert!(said.contains("Successfully tagged plain:latest"), "{said}");
    assert_eq!(
        bench.says("plain", "cat /got/file; ls -l /got/file").split_whitespace().next(),
        Some("served-rw-------")
    );
    let said = post(&bench.machine, "/build?t=fetched&remote=http://127.0.0.1:8000/context.tar", b"");
    assert!(said.contains("Successfully tagged fetched:latest"), "{said}");
    assert_eq!(bench.says("fetched", "cat /f"), "fetched");
    let said = post(&bench.machine, "/build?remote=http://127.0.0.1:8000/none", b"");
    assert!(said.contains("404"), "{said}");

    let repository = bench.machine.path("git/repo");
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.args([
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            "-c",
            "init.defaultBranch=main",
        ]);
        let output =
            command.args(arguments).current_dir(&repository).output().expect("git (apt-get install git)");
        assert!(output.status.success(), "{output:?}");
    };
    std::fs::create_dir_all(repository.join("sub")).expect("a folder");
    git(&["init", "-q"]);
    std::fs::write(repository.join("sub/Dockerfile"), "FROM busybox\nCOPY f /f\n").expect("write");
    std::fs::write(repository.join("sub/f"), "from git").expect("write");
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    let _daemon = Server::git(&bench.machine, &bench.machine.path("git"));
    let said = post(&bench.machine, "/build?t=git&remote=git://127.0.0.1/repo%23main:sub", b"");
    assert!(said.contains("Successfully tagged git:latest"), "{said}");
    assert_eq!(bench.says("git", "cat /f"), "from git");
    let said = post(&bench.machine, "/build?remote=git://127.0.0.1/repo%23main:../..", b"");
    assert!(said.contains("error setting git context") || said.contains("Cannot locate"), "{said}");
}

#[test]
fn heredocs_and_mounts_work_in_run() {
    let bench = Bench::new(
        "FROM busybox AS tools
RUN echo tool > /tool
FROM busybox
ARG WHO=me
RUN <<EOF
echo one $WHO
echo two > /two
EOF
RUN cat <<A > /a && cat <<'B' > /b
a $WHO
A
b $WHO
B
RUN <<EOF
#!/bin/sh -e
echo script > /script
EOF
COPY <<-INLINE <<\"RAW\" /files/
\tinline \"$WHO\"
INLINE
raw $WHO
RAW
RUN --mount=type=cache,target=/cache,id=shared echo x >> /cache/lines
RUN --mount=type=cache,target=/other,id=shared echo y >> /other/lines && cat /other/lines > /lines
RUN --mount=type=bind,source=sub,target=/mnt/context --mount=type=bind,from=tools,source=/tool,target=/mnt/tool cat /mnt/context/file /mnt/tool > /bound
RUN --mount=type=tmpfs,target=/mem,size=1m echo gone > /mem/file && mount | grep ' /mem '
RUN --mount=type=secret,id=none test ! -e /run/secrets/none
RUN --network=none test ! -e /sys/class/net/eth0
",
    );
    bench.write("sub/file", "context\n");
    let said = bench.build(["-t", "run"]).ok();
    assert!(said.contains("one me\n"), "{said}");
    assert_eq!(bench.says("run", "cat /two /a /b /script"), "two\na me\nb $WHO\nscript");
    assert_eq!(bench.says("run", "cat /files/INLINE /files/RAW"), "inline \"me\"\nraw $WHO");
    assert_eq!(bench.says("run", "cat /lines /bound"), "x\ny\ncontext\ntool");
    assert_eq!(
        bench.says("run", "ls -d /cache /mem /mnt 2>/dev/null; true"),
        "",
        "no mount leaves its place behind"
    );
    bench.write("sub/file", "changed\n");
    bench.build(["-t", "run"]).ok();
    assert_eq!(bench.says("run", "head -n 1 /bound"), "changed", "what was mounted counts for the cache");
    bench.write("Dockerfile", "FROM busybox\nRUN --mount=type=secret,id=x,required true\n");
    assert!(bench.build([]).fails(1).contains("secret x: not found"));
    let freed = bench.machine.docker(["builder", "prune", "-f"]);
    assert!(freed.out.contains("Total"), "{freed:?}");
}

#[test]
fn triggers_fire_in_the_next_build() {
    let bench = Bench::new("FROM busybox\nONBUILD COPY file /file\nONBUILD RUN echo fired > /fired\n");
    bench.build(["-t", "base"]).ok();
    bench.write("Dockerfile", "FROM base\nCMD true\n");
    bench.write("file", "taken");
    let said = bench.build(["-t", "child"]).ok();
    assert!(said.contains("# Executing 2 build triggers\n"), "{said}");
    assert_eq!(bench.says("child", "cat /file /fired"), "takenfired");
    assert_eq!(bench.machine.inspect("child", "{{json .Config.OnBuild}}"), "null");
}

#[test]
fn limits_and_networks_reach_the_processes() {
    let bench = Bench::new(
        "FROM busybox
RUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; ulimit -n; mount | grep shm; grep added /etc/hosts; ls /sys/class/net
",
    );
    let said = bench
        .build([
            "--memory",
            "64m",
            "--ulimit",
            "nofile=123:123",
            "--shm-size",
            "1m",
            "--add-host",
            "added:10.1.2.3",
            "--network",
            "none",
            "--cpu-shares",
            "512",
        ])
        .ok();
    for text in ["67108864", "123", "size=1024k", "10.1.2.3\tadded"] {
        assert!(said.contains(text), "{text}: {said}");
    }
    assert!(!said.contains("eth0"), "{said}");
}

#[test]
fn squash_makes_one_layer_where_the_engine_is_experimental() {
    let file = "FROM busybox\nRUN echo 1 > /one\nRUN rm /one /data/seed && echo 2 > /two\nENV A=1\n";
    let bench = Bench::with(Machine::prepared(|_| vec!["--experimental".to_owned()]), file);
    bench.build(["--squash", "-t", "flat"]).ok();
    assert_eq!(bench.machine.inspect("flat", "{{len .RootFS.Layers}}"), "2");
    assert_eq!(bench.says("flat", "ls /one /data/seed 2>/dev/null; cat /two; echo $A"), "2\n1");
}

#[test]
fn nothing_in_a_context_or_an_image_leads_out_of_the_image() {
    let bench = Bench::new(
        "FROM busybox
RUN mkdir /a && cd /a && ln -s /../../../../tmp/escaped out 2>/dev/null || true
COPY link /l
COPY sub /a/
",
    );
    let outside = bench.machine.path("outside");
    std::fs::create_dir(&outside).expect("a folder");
    let marker = outside.join("marker");
    // Links in the context to the host, and a copy through a link that an earlier step copied.
    std::fs::create_dir_all(bench.folder.join("sub")).expect("a folder");
    std::os::unix::fs::symlink(&outside, bench.folder.join("sub/host")).expect("a link");
    std::os::unix::fs::symlink("/etc/passwd", bench.folder.join("link")).expect("a link");
    bench.write("marker", "x");
    let complaint = bench.build([]).fails(1);
    assert!(complaint.contains("COPY failed"), "the context has no /etc/passwd: {complaint}");
    bench.write(
        "Dockerfile",
        "FROM busybox\nCOPY sub /a/\nCOPY marker /a/host/\nCOPY marker /a/host/deep/er/\n",
    );
    bench.build(["-t", "inside"]).ok();
    assert!(!marker.exists() && !outside.join("deep").exists(), "a link in the image led to the host");
    let seen = bench.says("inside", &format!("cat {}", marker.display()));
    assert_eq!(seen, "x", "the same path inside the image has it");
    // Archives that name places outside.
    for (name, link) in [("../evil", None), ("/abs/../../evil", None), ("dir", Some("/"))] {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        match link {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, name, target).expect("append");
                append_raw(&mut archive, &format!("{name}{}", marker.display()), b"escaped");
            }
            None => append_raw(&mut archive, name, b"escaped"),
        }
        append_raw(&mut archive, "Dockerfile", b"FROM busybox\n");
        let said = post(&bench.machine, "/build", &archive.into_inner().expect("an archive"));
        assert!(!marker.exists(), "{name}: {said}");
    }
}

#[test]
fn a_client_that_goes_away_ends_the_build() {
    let bench = Bench::new("FROM busybox\nRUN echo begun && sleep 1000\n");
    let mut command = bench.machine.command(["build"]);
    let mut child =
        command.arg(&bench.folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("docker");
    let mut said = String::new();
    let mut out = child.stdout.take().expect("its output");
    let mut byte = [0];
    while !said.ends_with("begun\n") && out.read(&mut byte).expect("read") == 1 {
        said.push(byte[0] as char);
    }
    assert_eq!(bench.machine.docker(["ps", "-q"]).ok().lines().count(), 1, "{said}");
    child.kill().expect("kill");
    child.wait().expect("its end");
    bench.machine.until("its container is gone", |machine| machine.docker(["ps", "-aq"]).ok().is_empty());
}

#[test]
fn an_engine_killed_in_a_build_leaves_nothing_half_done() {
    let mut bench =
        Bench::new("FROM busybox\nRUN echo kept > /kept\nCOPY Dockerfile /d\nRUN echo begun && sleep 1000\n");
    let mut command = bench.machine.command(["build"]);
    let mut child =
        command.arg(&bench.folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("docker");
    let mut out = child.stdout.take().expect("its output");
    let (mut said, mut byte) = (String::new(), [0]);
    while !said.ends_with("begun\n") && out.read(&mut byte).expect("read") == 1 {
        said.push(byte[0] as char);
    }
    bench.machine.kill_engine();
    child.wait().expect("its end");
    bench.machine.start_engine();
    let left = bench.machine.docker(["ps", "-aq"]).ok();
    bench.machine.docker(["rm", "-f", &left]).ok();
    let snapshots = std::fs::read_dir(bench.machine.path("data/images/snapshots")).expect("snapshots");
    assert_eq!(snapshots.count(), 0, "no draft is left");
    assert!(!bench.machine.path("data/builder/tmp").exists(), "nor a context");
    bench.write("Dockerfile", "FROM busybox\nRUN echo kept > /kept\nCOPY Dockerfile /d\n");
    let steps = bench.steps(["-t", "after"]);
    assert!(steps.contains(&" ---> Using cache".to_owned()), "finished steps are still there: {steps:?}");
    assert_eq!(bench.says("after", "cat /kept"), "kept");
}

/// A tar archive of these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    files.iter().for_each(|(name, content)| append_raw(&mut archive, name, content));
    archive.into_inner().expect("an archive")
}

/// Appends a file under any name, also one that no honest program would write.
fn append_raw(archive: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    archive.append(&header, content).expect("append");
}

/// A request that the command line never makes.
fn post(machine: &Machine, path: &str, body: &[u8]) -> String {
    let mut stream = UnixStream::connect(machine.path("docker.sock")).expect("the engine");
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: engine\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("send");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).expect("an answer");
    String::from_utf8_lossy(&said).into_owned()
}

/// A server in the machine's network, ended with the test.
struct Server(std::process::Child);

impl Server {
    fn http(machine: &Machine, folder: &Path) -> Self {
        let mut command = machine.inside("busybox");
        command.args(["httpd", "-f", "-p", "127.0.0.1:8000", "-h"]).arg(folder);
        Self::start(machine, command, 8000)
    }

    fn git(machine: &Machine, folder: &Path) -> Self {
        // Not `git daemon`, which would leave its child behind.
        let programs = std::process::Command::new("git").arg("--exec-path").output().expect("git");
        let programs = String::from_utf8(programs.stdout).expect("a path");
        let mut command = machine.inside(Path::new(programs.trim()).join("git-daemon"));
        command.args(["--export-all", "--listen=127.0.0.1", "--reuseaddr"]);
        command.arg(format!("--base-path={}", folder.display())).arg(folder);
        Self::start(machine, command, 9418)
    }

    fn start(machine: &Machine, mut command: std::process::Command, port: u16) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a server");
        let server = Self(child);
        let listening = format!(":{port:04X} 00000000:0000 0A");
        let path = format!("/proc/{}/net/tcp", server.0.id());
        machine.until("the server listens", |_| {
            std::fs::read_to_string(&path).is_ok_and(|text| text.contains(&listening))
        });
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
