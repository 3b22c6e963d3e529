//! Log drivers, each against a receiver, and `docker logs`.

use std::process::{Child, Stdio};

use crate::machine::{Machine, certificates};
use crate::receivers;

/// The log files of a container: name and size.
fn files(machine: &Machine, name: &str, sub: &str) -> Vec<String> {
    let id = machine.inspect(name, "{{.Id}}");
    let folder = machine.path("data/containers").join(&id).join(sub);
    let names = std::fs::read_dir(folder).expect("its folder").flatten();
    let mut names: Vec<String> = names
        .map(|file| file.file_name().to_string_lossy().replace(&id, "ID"))
        .filter(|name| name.contains("log"))
        .collect();
    names.sort();
    names
}

/// `docker run -d` with these words before the image.
fn run(machine: &Machine, name: &str, options: &[&str], script: &str) -> crate::machine::Said {
    let mut command = machine.command(["run", "-d", "--name", name, "--network", "none"]);
    for option in options {
        command.args(option.split(' '));
    }
    command.args(["busybox", "sh", "-c", script]).output().expect("docker").into()
}

#[test]
fn what_a_driver_does_not_know_is_refused_and_where_it_leads_must_be_there() {
    let machine = Machine::new();
    let at_creation: &[(&[&str], &str)] = &[
        (&["--log-driver foo"], "error looking up logging plugin foo: plugin \"foo\" not found"),
        (&["--log-opt foo=1"], "unknown log opt 'foo' for json-file log driver"),
        (&["--log-driver local", "--log-opt labels=x"], "unknown log opt 'labels' for log driver local"),
        (&["--log-opt mode=x"], "logger: logging mode not supported: x"),
        (&["--log-driver gelf"], "gelf-address is a required parameter"),
    ];
    for (options, text) in at_creation {
        let said = run(&machine, "no", options, "true").fails(125);
        assert!(said.contains(&format!("Error response from daemon: {text}\n")), "{options:?}: {said}");
    }
    assert_eq!(machine.docker(["ps", "-aq"]).ok(), "", "nothing was created");
    let at_start: &[(&[&str], &str)] = &[
        (&["--log-opt max-size=x"], "invalid size: 'x'"),
        (
            &["--log-opt tag={{.Foo}}"],
            "template: log-tag:1:2: executing \"log-tag\" at <.Foo>: can't evaluate field Foo in type *logger.Info",
        ),
        (
            &["--log-driver syslog", "--log-opt syslog-address=tcp://127.0.0.1:1"],
            "dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            &["--log-driver gelf", "--log-opt gelf-address=tcp://127.0.0.1:1"],
            "gelf: cannot connect to GELF endpoint: 127.0.0.1:1 dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            &["--log-driver splunk", "--log-opt splunk-token=x", "--log-opt splunk-url=http://127.0.0.1:1"],
            "Options \"http://127.0.0.1:1/services/collector/event/1.0\": dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            &["--log-driver fluentd", "--log-opt fluentd-address=127.0.0.1:1"],
            "dial tcp 127.0.0.1:1: connect: connection refused",
        ),
        (
            &[
                "--log-driver syslog",
                "--log-opt syslog-address=tcp+tls://127.0.0.1:1",
                "--log-opt syslog-tls-ca-cert=/nope",
            ],
            "could not read CA certificate \"/nope\": open /nope: no such file or directory",
        ),
    ];
    for (options, text) in at_start {
        // The CLI's own reading of the text.
        let code = if text.ends_with("no such file or directory") { 127 } else { 125 };
        let said = run(&machine, "no", options, "true").fails(code);
        let text =
            format!("failed to create task for container: failed to initialize logging driver: {text}\n");
        assert!(said.contains(&text), "{options:?}: {said}");
        assert_eq!(machine.inspect("no", "{{.State.Status}}"), "created");
        machine.docker(["rm", "no"]).ok();
    }
    let drivers = machine.docker(["info", "--format", "{{json .Plugins.Log}}"]).ok();
    assert_eq!(drivers, r#"["fluentd","gelf","journald","json-file","local","splunk","syslog"]"#);
}

#[test]
fn a_json_file_is_rotated_compressed_and_says_what_it_was_asked_to() {
    let machine = Machine::new();
    let options = ["--log-opt max-size=1k", "--log-opt max-file=3", "--log-opt compress=true"];
    run(&machine, "many", &options, "seq 1 60").ok();
    assert_eq!(machine.docker(["wait", "many"]).ok(), "0");
    machine.until("its elders are compressed", |machine| {
        files(machine, "many", "") == ["ID-json.log", "ID-json.log.1.gz", "ID-json.log.2.gz"]
    });
    let kept = machine.docker(["logs", "many"]).ok();
    let numbers: Vec<u32> = kept.lines().map(|line| line.parse().expect("a number")).collect();
    assert!(numbers.len() < 60 && numbers.len() > 20, "{kept}");
    assert!(numbers.is_sorted() && numbers.last() == Some(&60), "{kept}");
    assert_eq!(machine.docker(["logs", "--tail", "30", "many"]).ok().lines().next(), Some("31"));
    let named = [
        "--label a=1",
        "--label io.x=2",
        "-e X=y",
        "--log-opt labels-regex=^(a|io)",
        "--log-opt env=X",
        "--log-opt tag={{.Name}}/{{.ImageName}}",
    ];
    run(&machine, "named", &named, "echo hello").ok();
    machine.docker(["wait", "named"]).ok();
    let detailed = machine.docker(["logs", "--details", "named"]).ok();
    assert_eq!(detailed, "X=y,a=1,io.x=2,tag=named%2Fbusybox hello");
    let path = machine.inspect("named", "{{.LogPath}}");
    let line = std::fs::read_to_string(path).expect("its log");
    assert!(
        line.starts_with(
            r#"{"log":"hello\n","stream":"stdout","attrs":{"X":"y","a":"1","io.x":"2","tag":"named/busybox"},"time":""#
        ),
        "{line}"
    );
}

#[test]
fn a_local_log_is_cut_stamped_and_read_from_its_rotated_files() {
    let machine = Machine::new();
    let options = ["--log-driver local", "--log-opt max-size=1k", "--log-opt max-file=4"];
    run(&machine, "log", &options, "seq 1 60; echo bad >&2; printf unfinished").ok();
    machine.docker(["wait", "log"]).ok();
    let said = machine.docker(["logs", "log"]);
    assert_eq!(said.err, "bad\n");
    assert!(said.out.ends_with("59\n60\nunfinished"), "{said:?}");
    assert_eq!(machine.docker(["logs", "--tail", "3", "log"]).out, "60\nunfinished");
    let stamped = machine.docker(["logs", "-t", "--tail", "1", "log"]).ok();
    let (time, text) = stamped.split_once(' ').expect("a time");
    assert_eq!((time.len(), text), ("2026-01-02T03:04:05.123456789Z".len(), "unfinished"));
    assert_eq!(machine.docker(["logs", "--since", time, "log"]).out, "unfinished");
    assert_eq!(machine.docker(["logs", "--until", "1h", "log"]).out, "");
    assert_eq!(machine.inspect("log", "{{.LogPath}}"), "");
    machine.until("its elders are compressed", |machine| {
        files(machine, "log", "local-logs").contains(&"container.log.1.gz".to_owned())
    });
    assert_eq!(machine.docker(["logs", "--tail", "3", "log"]).out, "60\nunfinished");
}

fn follow(machine: &Machine, name: &str) -> Child {
    let mut command = machine.command(["logs", "-f"]);
    command.arg(name).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("docker")
}

#[test]
fn a_log_is_followed_over_rotation_and_to_the_end_of_its_run() {
    let machine = Machine::new();
    for driver in ["json-file", "local"] {
        let driver = format!("--log-driver {driver}");
        let options =
            [driver.as_str(), "--log-opt max-size=2k", "--log-opt max-file=500", "--log-opt compress=true"];
        let script = "seq 1 50; while [ ! -e /go ]; do sleep 0.05; done; seq 51 2000; sleep 1000";
        run(&machine, "log", &options, script).ok();
        let follower = follow(&machine, "log");
        machine.docker(["exec", "log", "touch", "/go"]).ok();
        machine
            .until("it has spoken", |machine| machine.docker(["logs", "--tail", "1", "log"]).out == "2000\n");
        // It runs again, but what was followed is over.
        machine.docker(["restart", "-t", "0", "log"]).ok();
        let followed = follower.wait_with_output().expect("its end");
        let text = String::from_utf8(followed.stdout).expect("text");
        let first_run: Vec<u32> =
            text.lines().take(2000).map(|line| line.parse().expect("a number")).collect();
        assert!(first_run.iter().copied().eq(1..=2000), "{driver}: {} lines", first_run.len());
        machine.until("it speaks again", |machine| {
            let said = machine.docker(["logs", "log"]).out;
            said.starts_with("1\n") && said.contains("2000\n1\n")
        });
        machine.docker(["rm", "-f", "log"]).ok();
    }
}

#[test]
fn the_journal_has_every_line_with_its_fields() {
    let machine = Machine::new();
    let _journal = Journal::start(&machine);
    let options =
        ["--log-driver journald", "--label team=x", "--log-opt labels=team", "--log-opt tag=t-{{.Name}}"];
    let long = "head -c 20000 /dev/zero | tr '\\0' a";
    run(&machine, "log", &options, &format!("echo out; echo err >&2; {long}; echo")).ok();
    machine.docker(["wait", "log"]).ok();
    let id = machine.inspect("log", "{{.Id}}");
    let entries = || -> Vec<serde_json::Value> {
        let folder = std::fs::read_dir(machine.path("run/log/journal")).expect("a journal").flatten().next();
        let mut ask = machine.inside("journalctl");
        ask.arg("--directory").arg(folder.expect("a machine's journal").path());
        ask.args(["--all", "-o", "json", "CONTAINER_NAME=log"]);
        let output = ask.output().expect("journalctl");
        let lines = String::from_utf8(output.stdout).expect("text");
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    };
    machine.until("all four entries are there", |_| entries().len() == 4);
    let entries = entries();
    for entry in &entries {
        let field = |name: &str| entry[name].as_str().unwrap_or_default();
        assert_eq!((field("CONTAINER_ID_FULL"), field("CONTAINER_ID")), (id.as_str(), &id[..12]));
        assert_eq!((field("CONTAINER_TAG"), field("SYSLOG_IDENTIFIER")), ("t-log", "t-log"));
        assert_eq!((field("IMAGE_NAME"), field("TEAM")), ("busybox", "x"));
        assert!(field("SYSLOG_TIMESTAMP").ends_with('Z') && field("CONTAINER_LOG_EPOCH").len() == 64);
    }
    let mut short: Vec<(&str, &str)> = entries
        .iter()
        .filter(|entry| entry["CONTAINER_PARTIAL_ID"].is_null())
        .map(|entry| (entry["PRIORITY"].as_str().unwrap_or(""), entry["MESSAGE"].as_str().unwrap_or("")))
        .collect();
    short.sort_unstable();
    assert_eq!(short, [("3", "err"), ("6", "out")]);
    let pieces: Vec<_> = entries
        .iter()
        .filter(|entry| !entry["CONTAINER_PARTIAL_ID"].is_null())
        .map(|entry| {
            let length = entry["MESSAGE"].as_str().map_or(0, str::len);
            let ordinal = entry["CONTAINER_PARTIAL_ORDINAL"].as_str().unwrap_or("");
            (
                length,
                ordinal,
                entry["CONTAINER_PARTIAL_LAST"].as_str().unwrap_or(""),
                entry["CONTAINER_PARTIAL_MESSAGE"].as_str(),
            )
        })
        .collect();
    assert_eq!(pieces, [(16384, "1", "false", Some("true")), (3616, "2", "true", None)]);
    assert!(
        machine.docker(["logs", "log"]).ok().starts_with("out\n"),
        "docker logs reads the engine's own copy"
    );
}

/// systemd's own, with a `/run` that is the machine's alone.
struct Journal(Child);

impl Journal {
    fn start(machine: &Machine) -> Self {
        std::fs::create_dir_all(machine.path("run/systemd/journal")).expect("folders");
        std::fs::create_dir_all(machine.path("run/log/journal")).expect("folders");
        let mut bind = machine.inside("mount");
        assert!(bind.arg("--bind").arg(machine.path("run")).arg("/run").status().expect("mount").success());
        // A machine without a name has no journal.
        std::fs::write(machine.path("machine-id"), format!("{}\n", "0123456789abcdef".repeat(2)))
            .expect("write");
        let id = std::path::Path::new("/etc/machine-id");
        assert!(id.exists(), "no /etc/machine-id: apt-get install systemd makes one");
        let mut bind = machine.inside("mount");
        assert!(
            bind.arg("--bind").arg(machine.path("machine-id")).arg(id).status().expect("mount").success()
        );
        let program = "/usr/lib/systemd/systemd-journald";
        assert!(std::path::Path::new(program).exists(), "no {program}: apt-get install systemd");
        let child = machine.inside(program).stderr(Stdio::null()).spawn().expect("journald");
        let journal = Self(child);
        machine.until("the journal listens", |machine| machine.path("run/systemd/journal/socket").exists());
        journal
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// rsyslog, which writes what it understood as JSON, one message a line.
struct Syslog {
    child: Child,
    file: std::path::PathBuf,
}

impl Syslog {
    const UDP: u16 = 5140;
    const TCP: u16 = 5141;
    const TLS: u16 = 5142;

    fn start(machine: &Machine) -> Self {
        certificates(&machine.path(""));
        let at = |name: &str| machine.path(name).display().to_string();
        let (file, work, socket) = (at("syslog.json"), at("rsyslog"), at("log.sock"));
        std::fs::create_dir_all(&work).expect("a folder");
        let config = format!(
            r#"
global(workDirectory="{work}" maxMessageSize="64k" defaultNetstreamDriverCAFile="{ca}"
       defaultNetstreamDriverCertFile="{cert}" defaultNetstreamDriverKeyFile="{key}")
module(load="imudp") module(load="imtcp") module(load="imuxsock" sysSock.use="off")
input(type="imudp" address="127.0.0.1" port="{udp}" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="{tcp}" ruleset="all")
input(type="imtcp" address="127.0.0.1" port="{tls}" ruleset="all" streamDriver.name="gtls" streamDriver.mode="1"
      streamDriver.authMode="x509/certvalid")
input(type="imuxsock" socket="{socket}" ruleset="all" usePIDFromSystem="off" useSysTimeStamp="off"
      useSpecialParser="off" parseHostname="on")
template(name="seen" type="list" option.jsonf="on") {{
  property(outname="pri" name="pri" format="jsonf") property(outname="protocol" name="protocol-version" format="jsonf")
  property(outname="host" name="hostname" format="jsonf") property(outname="app" name="app-name" format="jsonf")
  property(outname="pid" name="procid" format="jsonf") property(outname="msgid" name="msgid" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="msg" name="msg" format="jsonf")
}}
ruleset(name="all") {{ action(type="omfile" file="{file}" template="seen") }}
"#,
            ca = at("ca.pem"),
            cert = at("server.pem"),
            key = at("server-key.pem"),
            udp = Self::UDP,
            tcp = Self::TCP,
            tls = Self::TLS,
        );
        std::fs::write(machine.path("rsyslog.conf"), config).expect("write");
        let log = std::fs::File::create(machine.path("rsyslog.log")).expect("a log");
        let child = machine
            .inside("rsyslogd")
            .args(["-n", "-i", "NONE", "-f", &at("rsyslog.conf")])
            .stdout(log.try_clone().expect("its log"))
            .stderr(log)
            .spawn()
            .expect("rsyslogd (apt-get install rsyslog rsyslog-gnutls)");
        machine.until("rsyslog listens", |machine| {
            let sockets = machine.inside("cat").arg("/proc/net/tcp").output().expect("cat");
            let sockets = String::from_utf8_lossy(&sockets.stdout).into_owned();
            let listens = |port: u16| sockets.contains(&format!(":{port:04X} 00000000:0000 0A"));
            listens(Self::TCP) && listens(Self::TLS) && machine.path("log.sock").exists()
        });
        Self { child, file: file.into() }
    }

    /// The messages with this tag.
    fn seen(&self, tag: &str) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let messages =
            text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        messages.filter(|message| message["app"] == tag).collect()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn rsyslog_understands_every_format_on_every_way() {
    let machine = Machine::new();
    let syslog = Syslog::start(&machine);
    let at = |name: &str| machine.path(name).display().to_string();
    let (udp, tcp, tls) = (
        format!("udp://127.0.0.1:{}", Syslog::UDP),
        format!("tcp://127.0.0.1:{}", Syslog::TCP),
        format!("tcp+tls://127.0.0.1:{}", Syslog::TLS),
    );
    let unixgram = format!("unixgram://{}", at("log.sock"));
    let files = format!(
        "--log-opt syslog-tls-ca-cert={} --log-opt syslog-tls-cert={} --log-opt syslog-tls-key={}",
        at("ca.pem"),
        at("client.pem"),
        at("client-key.pem")
    );
    let mut number = 0;
    for (address, more) in [(&udp, ""), (&tcp, ""), (&tls, files.as_str()), (&unixgram, "")] {
        for format in ["", "rfc3164", "rfc5424", "rfc5424micro"] {
            number += 1;
            let tag = format!("tag{number}");
            let words = format!(
                "--log-driver syslog --log-opt syslog-address={address} --log-opt tag={tag} \
                 --log-opt syslog-facility=local3 --log-opt syslog-format={format} {more}"
            );
            run(&machine, &tag, &[words.trim()], "echo out; echo err >&2").ok();
            machine.docker(["wait", &tag]).ok();
            machine.until(&format!("both lines came over {address} as {format:?}"), |_| {
                syslog.seen(&tag).len() == 2
            });
            let mut seen = syslog.seen(&tag);
            seen.sort_by_key(|message| message["pri"].to_string());
            for (message, (priority, text)) in seen.iter().zip([("155", "err"), ("158", "out")]) {
                assert_eq!(
                    (message["pri"].as_str(), message["msg"].as_str().map(str::trim)),
                    (Some(priority), Some(text))
                );
                let version = if format.starts_with("rfc5424") { "1" } else { "0" };
                assert_eq!(message["protocol"], version, "{message}");
                if version == "1" {
                    assert_eq!(message["msgid"], tag.as_str(), "{message}");
                }
                assert!(message["pid"].as_str().is_some_and(|pid| pid.parse::<u32>().is_ok()), "{message}");
            }
            assert_eq!(machine.docker(["logs", &tag]).ok(), "out", "the engine keeps a copy");
        }
    }
    let unknown =
        format!("--log-driver syslog --log-opt syslog-address={tls} {}", "--log-opt syslog-tls-ca-cert=");
    let said = run(&machine, "stranger", &[&format!("{unknown}{}", at("stranger.pem"))], "true").fails(125);
    assert!(
        said.contains("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        "{said}"
    );
}

#[test]
fn graylog_gets_messages_whole_whatever_their_size_and_packing() {
    let machine = Machine::new();
    let (address, mailbox) = receivers::gelf_udp(&machine);
    for packing in ["", "gzip", "zlib", "none"] {
        let chosen = format!("--log-opt gelf-compression-type={packing}");
        let address = format!("--log-opt gelf-address=udp://{address}");
        let mut options = vec!["--log-driver gelf", &address, "-e A=b", "--log-opt env=A"];
        if !packing.is_empty() {
            options.push(&chosen);
        }
        // What cannot be packed: several chunks.
        let script = "echo short; echo err >&2; head -c 9000 /dev/urandom | base64 | tr -d '\\n'; echo";
        run(&machine, "log", &options, script).ok();
        machine.docker(["wait", "log"]).ok();
        let id = machine.inspect("log", "{{.Id}}");
        let mut seen: Vec<_> = (0..3).map(|_| mailbox.next()).collect();
        seen.sort_by_key(|fields| fields["short_message"].as_str().map_or(0, str::len));
        let field = |index: usize, name: &str| seen[index][name].as_str().unwrap_or_default().to_owned();
        assert_eq!((field(0, "short_message"), seen[0]["level"].as_i64()), ("err".into(), Some(3)));
        assert_eq!((field(1, "short_message"), seen[1]["level"].as_i64()), ("short".into(), Some(6)));
        assert_eq!(field(2, "short_message").len(), 12000);
        assert_eq!((field(1, "_container_id"), field(1, "_container_name")), (id.clone(), "log".into()));
        assert_eq!((field(1, "_image_name"), field(1, "_tag")), ("busybox".into(), id[..12].to_owned()));
        assert!(field(1, "_command").starts_with("sh -c echo short") && field(1, "_created").ends_with('Z'));
        assert_eq!(field(1, "_A"), "b");
        machine.docker(["rm", "log"]).ok();
    }
}

#[test]
fn a_stream_to_graylog_that_breaks_is_begun_again() {
    let machine = Machine::new();
    let (address, mailbox) = receivers::gelf_tcp(&machine, 1);
    let address = format!("--log-opt gelf-address=tcp://{address}");
    let options = [
        "--log-driver gelf",
        &address,
        "--log-opt gelf-tcp-reconnect-delay=0",
        "--log-opt gelf-tcp-max-reconnect=9",
    ];
    // Lines are apart from each other, so that the break is seen before the next.
    run(&machine, "log", &options, "for n in 1 2 3 4 5 6; do echo $n; sleep 0.2; done").ok();
    let first = mailbox.next();
    assert_eq!(first["short_message"], "1");
    // TCP tells of a break with the write after the one that was lost: that is all that may be missing.
    let mut seen = vec![1];
    while *seen.last().expect("one") < 5 {
        seen.push(
            mailbox.next()["short_message"].as_str().and_then(|text| text.parse().ok()).expect("a number"),
        );
    }
    assert!(seen.is_sorted() && seen.len() >= 3, "{seen:?}");
    machine.docker(["wait", "log"]).ok();
}

#[test]
fn splunk_gets_events_in_its_formats_and_refuses_before_the_start() {
    let machine = Machine::new();
    let (address, mailbox) = receivers::collector(&machine, "right", Some);
    let url = format!("--log-opt splunk-url=http://{address}");
    let common =
        ["--log-driver splunk", &url, "--log-opt splunk-token=right", "--label a=1", "--log-opt labels=a"];
    let options = [
        &common[..],
        &["--log-opt splunk-source=src", "--log-opt splunk-sourcetype=st", "--log-opt splunk-index=main"],
    ]
    .concat();
    let script = "echo '{\"x\":1}'; echo err >&2; echo ' '";
    run(&machine, "inline", &options, script).ok();
    let asked = mailbox.next();
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("OPTIONS", "/services/collector/event/1.0"));
    let id = machine.inspect("inline", "{{.Id}}");
    let posted = mailbox.next();
    assert_eq!((posted.method.as_str(), posted.headers["authorization"].as_str()), ("POST", "Splunk right"));
    assert_eq!(posted.events.len(), 3);
    for event in &posted.events {
        assert_eq!(
            (&event["source"], &event["sourcetype"], &event["index"]),
            (&"src".into(), &"st".into(), &"main".into())
        );
        assert!(
            event["host"].is_string() && event["time"].as_str().is_some_and(|time| time.contains('.')),
            "{event}"
        );
        assert_eq!((&event["event"]["tag"], &event["event"]["attrs"]["a"]), (&id[..12].into(), &"1".into()));
    }
    let lines = |source: &str| -> Vec<&serde_json::Value> {
        let events = posted.events.iter().map(|event| &event["event"]);
        events.filter(|event| event["source"] == source).map(|event| &event["line"]).collect()
    };
    assert_eq!(
        (lines("stdout"), lines("stderr")),
        (vec![&"{\"x\":1}".into(), &" ".into()], vec![&"err".into()])
    );

    let packed =
        ["--log-opt splunk-format=json", "--log-opt splunk-gzip=true", "--log-opt splunk-gzip-level=9"];
    run(&machine, "json", &[&common[..], &packed].concat(), "echo '{\"x\":1}'; echo '{x'").ok();
    mailbox.next();
    let posted = mailbox.next();
    assert_eq!(posted.headers["content-encoding"], "gzip");
    assert_eq!(
        (&posted.events[0]["event"]["line"]["x"], &posted.events[1]["event"]["line"]),
        (&1.into(), &"{x".into())
    );

    let raw = [
        "--log-opt splunk-format=raw",
        "--log-opt tag={{.Name}}",
        "--log-opt splunk-verify-connection=false",
        "--log-opt splunk-index-acknowledgment=true",
    ];
    run(&machine, "raw", &[&common[..], &raw].concat(), "echo hi; echo ' '").ok();
    let posted = mailbox.next();
    assert_eq!(posted.headers["x-splunk-request-channel"].len(), 36);
    assert_eq!(posted.events.iter().map(|event| &event["event"]).collect::<Vec<_>>(), ["raw a=1 hi"]);
    machine.docker(["wait", "raw"]).ok();
    assert_eq!(machine.docker(["logs", "raw"]).ok(), "hi");
}

#[test]
fn splunk_over_tls_is_believed_only_with_its_authority() {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto::ring};
    let machine = Machine::new();
    certificates(&machine.path(""));
    let chain = CertificateDer::pem_file_iter(machine.path("server.pem")).expect("a certificate");
    let chain = chain.collect::<Result<_, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(machine.path("server-key.pem")).expect("a key");
    let config = ServerConfig::builder_with_provider(std::sync::Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a configuration");
    let config = std::sync::Arc::new(config);
    let (address, mailbox) = receivers::collector(&machine, "right", move |mut stream| {
        let mut connection = ServerConnection::new(config.clone()).expect("a connection");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).ok()?;
        }
        Some(StreamOwned::new(connection, stream))
    });
    let url = format!("--log-opt splunk-url=https://{address}");
    let ca = format!("--log-opt splunk-capath={}", machine.path("ca.pem").display());
    let common = ["--log-driver splunk", &url, "--log-opt splunk-token=right"];
    let said = run(&machine, "no", &common, "true").fails(125);
    let text = format!(
        "Options \"https://{address}/services/collector/event/1.0\": tls: failed to verify certificate: x509: \
         certificate signed by unknown authority"
    );
    assert!(said.contains(&text), "{said}");
    for trust in [ca.as_str(), "--log-opt splunk-insecureskipverify=true"] {
        run(&machine, "yes", &[&common[..], &[trust]].concat(), "echo hi").ok();
        assert_eq!(mailbox.next().method, "OPTIONS");
        assert_eq!(mailbox.next().events[0]["event"]["line"], "hi");
        machine.docker(["rm", "-f", "yes"]).ok();
    }
}

#[test]
fn fluentd_gets_records_and_acknowledges_them() {
    let machine = Machine::new();
    let (address, mailbox) = receivers::fluentd(&machine);
    let address = format!("--log-opt fluentd-address={address}");
    let common =
        ["--log-driver fluentd", &address, "-e A=b", "--log-opt env=A", "--log-opt tag=docker.{{.Name}}"];
    for more in [
        "--log-opt fluentd-request-ack=true",
        "--log-opt fluentd-sub-second-precision=true --log-opt fluentd-async=true",
    ] {
        run(&machine, "log", &[&common[..], &[more]].concat(), "echo out; sleep 0.1; echo err >&2").ok();
        for (source, text) in [("stdout", "out"), ("stderr", "err")] {
            let forwarded = mailbox.next();
            assert_eq!(forwarded.tag, "docker.log");
            let field = |name: &str| forwarded.record[name].as_str();
            assert_eq!((field("source"), field("log"), field("A")), (source, text, "b"));
            assert_eq!((field("container_name"), field("container_id").len()), ("/log", 64));
        }
        machine.docker(["rm", "-f", "log"]).ok();
    }
}

#[test]
fn a_receiver_that_does_not_take_holds_a_container_back_only_if_it_is_to() {
    let machine = Machine::new();
    let (address, listener) = receivers::deaf(&machine);
    let address = format!("--log-driver syslog --log-opt syslog-address=tcp://{address}");
    // Far more than all sockets on the way together hold.
    let script =
        "yes 0123456789012345678901234567890123456789 | head -c 12000000; echo done > /done; exec sleep 1000";
    let is_done = |name: &str| machine.docker(["exec", name, "ls", "/done"]).code == 0;
    run(
        &machine,
        "free",
        &[&address, "--log-opt mode=non-blocking", "--log-opt max-buffer-size=100k"],
        script,
    )
    .ok();
    machine.until("it is done, whoever listens", |_| is_done("free"));
    run(&machine, "held", &[&address], script).ok();
    machine.until("it is held back by its pipe", |machine| {
        let pids = machine.docker(["top", "held", "-eo", "pid,wchan:20"]).out;
        pids.contains("pipe")
    });
    assert!(!is_done("held"));
    // The receiver dies: what was meant for it is lost, and the container goes on.
    drop(listener);
    machine.until("it is done without one", |_| is_done("held"));
    machine.docker(["rm", "-f", "held"]).ok();
}

#[test]
fn no_copy_is_kept_where_none_is_wanted() {
    let machine = Machine::new();
    let (address, mailbox) = receivers::gelf_udp(&machine);
    let address = format!("--log-driver gelf --log-opt gelf-address=udp://{address}");
    run(&machine, "none", &[&address, "--log-opt cache-disabled=true"], "echo hi").ok();
    assert_eq!(mailbox.next()["short_message"], "hi");
    let complaint = "configured logging driver does not support reading";
    assert!(machine.docker(["logs", "none"]).fails(1).contains(complaint));
    let small = [
        &address,
        "--log-opt cache-max-size=1k",
        "--log-opt cache-max-file=2",
        "--log-opt cache-compress=false",
    ];
    run(&machine, "small", &small, "seq 1 200").ok();
    machine.docker(["wait", "small"]).ok();
    assert_eq!(files(&machine, "small", ""), ["container-cached.log", "container-cached.log.1"]);
    assert!(machine.docker(["logs", "small"]).ok().ends_with("\n199\n200"));
    run(&machine, "quiet", &["--log-driver none"], "echo hi").ok();
    assert!(machine.docker(["logs", "quiet"]).fails(1).contains(complaint));
}

#[test]
fn logging_goes_on_without_an_engine() {
    let mut machine = Machine::new();
    let (address, mailbox) = receivers::gelf_udp(&machine);
    let address = format!("--log-driver gelf --log-opt gelf-address=udp://{address}");
    let script = "echo before; while [ ! -e /v/go ]; do sleep 0.05; done; echo alone; exec sleep 1000";
    run(&machine, "log", &[&address, "-v vol:/v"], script).ok();
    assert_eq!(mailbox.next()["short_message"], "before");
    let volume = machine.inspect("log", "{{(index .Mounts 0).Source}}");
    machine.kill_engine();
    std::fs::write(format!("{volume}/go"), "").expect("write");
    assert_eq!(mailbox.next()["short_message"], "alone");
    machine.start_engine();
    assert_eq!(machine.docker(["logs", "log"]).ok(), "before\nalone");
}
