//! What stands in the files, and where it arrives: options, storage, secrets, builds, files made of several.

use super::Project;
use crate::registry::Registry;

#[test]
fn options_of_a_service_reach_its_process() {
    let project = Project::new(
        "x-base: &base {image: busybox, init: true, command: sleep 1000}\n\
         services:\n\
         \x20 app:\n\
         \x20   <<: *base\n\
         \x20   user: '33:33'\n\
         \x20   group_add: ['7']\n\
         \x20   working_dir: /data\n\
         \x20   read_only: true\n\
         \x20   cap_drop: [ALL]\n\
         \x20   cap_add: [NET_ADMIN]\n\
         \x20   security_opt: ['no-new-privileges:true']\n\
         \x20   ulimits: {nofile: {soft: 100, hard: 200}}\n\
         \x20   sysctls: {net.core.somaxconn: 100}\n\
         \x20   tmpfs: ['/tmp:size=1m']\n\
         \x20   shm_size: 32m\n\
         \x20   extra_hosts: ['one:1.2.3.4']\n\
         \x20   labels: {own.label: value}\n\
         \x20   logging: {driver: json-file, options: {max-size: 10k, max-file: '2'}}\n\
         \x20   restart: on-failure:3\n\
         \x20   stop_signal: SIGUSR1\n\
         \x20   deploy: {resources: {limits: {cpus: '0.5', memory: 64M, pids: 77}}}\n\
         \x20 plain: *base\n\
         \x20 wide: {<<: *base, privileged: true, network_mode: host, pid: host}\n",
    );
    project.compose(["up", "-d"]).ok();
    let said = project.shell(
        "app",
        "id; pwd; ulimit -n; cat /proc/sys/net/core/somaxconn; grep -E 'CapEff|NoNewPrivs' /proc/self/status; \
         mount | grep -oE ' /(tmp|dev/shm) .*size=[0-9]*k'; grep one /etc/hosts; touch /x 2>&1; true",
    );
    for expected in [
        "uid=33(web) gid=33(web) groups=7,33(web)",
        "\n/data\n100\n100\n",
        "NoNewPrivs:\t1",
        "size=1024k",
        "size=32768k",
        "1.2.3.4\tone",
        "Read-only file system",
    ] {
        assert!(said.contains(expected), "no {expected} in {said}");
    }
    let host = project.inspect(
        "app",
        "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}} {{.HostConfig.RestartPolicy.Name}} \
         {{.HostConfig.LogConfig.Config}} {{.Config.StopSignal}} {{index .Config.Labels \"own.label\"}}",
    );
    assert_eq!(host, "67108864 500000000 77 on-failure map[max-file:2 max-size:10k] SIGUSR1 value");
    assert_eq!(project.inspect("plain", "{{.HostConfig.RestartPolicy.Name}}"), "no");
    assert_eq!(
        project.inspect(
            "wide",
            "{{.HostConfig.Privileged}} {{.HostConfig.NetworkMode}} {{.HostConfig.PidMode}}"
        ),
        "true host host"
    );
}

#[test]
fn volumes_secrets_and_configs_are_where_the_file_puts_them() {
    let project = Project::new(
        "services:\n\
         \x20 app:\n\
         \x20   image: busybox\n\
         \x20   init: true\n\
         \x20   command: sleep 1000\n\
         \x20   volumes:\n\
         \x20     - named:/named\n\
         \x20     - ./folder:/folder:ro\n\
         \x20     - {type: tmpfs, target: /quick, tmpfs: {size: 1000000}}\n\
         \x20     - {type: volume, source: named, target: /again, read_only: true, volume: {nocopy: true}}\n\
         \x20   secrets: [by_file, {source: by_environment, target: other}]\n\
         \x20   configs: [{source: by_file, target: /etc/by_file}, by_text]\n\
         volumes: {named: {labels: {kind: own}}}\n\
         secrets: {by_file: {file: secret}, by_environment: {environment: FROM_OUTSIDE}}\n\
         configs: {by_file: {file: config}, by_text: {content: 'text of ${FROM_OUTSIDE}'}}\n",
    );
    project.write("secret", "hidden\n");
    project.write("config", "open\n");
    project.write("folder/file", "bound\n");
    project.compose(["up", "-d"]).ok();
    let read = "cat /run/secrets/by_file /etc/by_file /folder/file; cat /run/secrets/other; echo; cat /by_text; echo";
    assert_eq!(project.shell("app", read), "hidden\nopen\nbound\noutside\ntext of outside");
    assert_eq!(project.shell("app", "echo kept > /named/x; cat /again/x"), "kept");
    for place in ["/folder/x", "/again/x", "/run/secrets/by_file"] {
        let denied = project.compose(["exec", "-T", "app", "sh", "-c", &format!("echo > {place}")]);
        assert!(denied.err.contains("Read-only file system"), "{place}: {denied:?}");
    }
    assert!(project.shell("app", "mount | grep ' /quick '").contains("size="));
    assert_eq!(
        project.machine.docker(["volume", "inspect", "-f", "{{.Labels.kind}}", "app_named"]).ok(),
        "own"
    );
    project.compose(["up", "-d", "-t", "1", "--force-recreate"]).ok();
    assert_eq!(project.shell("app", "cat /named/x"), "kept");
}

#[test]
fn a_service_is_built_from_its_dockerfile_and_again_when_asked() {
    let project = Project::new(
        "services:\n\
         \x20 app:\n\
         \x20   build: {context: src, args: {WORD: one}, target: middle, labels: {made: here}}\n\
         \x20   image: own/app:v1\n\
         \x20   init: true\n\
         \x20   command: sleep 1000\n",
    );
    let dockerfile =
        "FROM busybox AS middle\nARG WORD\nRUN echo $WORD > /word\nFROM middle\nRUN echo last > /word\n";
    project.write("src/Dockerfile", dockerfile);
    project.compose(["build"]).ok();
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.shell("app", "cat /word"), "one");
    assert_eq!(project.machine.inspect("own/app:v1", "{{.Config.Labels.made}}"), "here");
    project.write("src/Dockerfile", &dockerfile.replace("echo $WORD", "echo new"));
    project.compose(["up", "-d", "-t", "1"]).ok();
    assert_eq!(project.shell("app", "cat /word"), "one");
    project.compose(["up", "-d", "-t", "1", "--build"]).ok();
    assert_eq!(project.shell("app", "cat /word"), "new");
    project.compose(["down", "-t", "1", "--rmi", "all"]).ok();
    assert!(project.machine.docker(["image", "inspect", "own/app:v1"]).code != 0);
}

#[test]
fn files_override_extend_and_include_each_other_and_profiles_wait_to_be_asked() {
    let project = Project::new(
        "include: [more/compose.yaml]\n\
         services:\n\
         \x20 app:\n\
         \x20   extends: {file: base.yaml, service: base}\n\
         \x20   environment: {WHO: file}\n\
         \x20   env_file: [own.env]\n\
         \x20 tool: {image: busybox, command: echo tool, profiles: [tools]}\n",
    );
    project.write(
        "base.yaml",
        "services: {base: {image: busybox, init: true, command: sleep 1000, environment: {BASE: '1'}}}\n",
    );
    project.write("compose.override.yaml", "services: {app: {environment: {WHO: override}}}\n");
    project.write("own.env", "WHO=env_file\nMORE=of-it\n");
    project.write(".env", "DOTTED=dot\n");
    project.write(
        "more/compose.yaml",
        "services: {included: {image: busybox, init: true, command: sleep 1000, labels: {dot: '${DOTTED}'}}}\n",
    );
    project.compose(["up", "-d"]).ok();
    assert_eq!(project.services("running"), ["app", "included"]);
    assert_eq!(project.shell("app", "echo $BASE $WHO $MORE"), "1 override of-it");
    assert_eq!(project.compose(["config", "--services"]).ok().lines().count(), 2);
    assert!(project.compose(["config"]).ok().contains("dot: dot"));
    project.compose(["--profile", "tools", "up", "-d"]).ok();
    project.machine.until("the tool has run", |_| project.services("exited") == ["tool"]);
    project.compose(["-f", "compose.yaml", "up", "-d", "-t", "1", "app"]).ok();
    assert_eq!(project.shell("app", "echo $WHO"), "file");
    project.compose(["--profile", "*", "down", "-t", "1"]).ok();
    assert_eq!(project.machine.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn what_is_built_is_pushed_and_pulled_by_its_service() {
    let project = Project::new(
        "services:\n\
         \x20 made: {build: ., image: 'localhost:5000/made:1'}\n\
         \x20 plain: {image: busybox, command: 'true'}\n",
    );
    project.write("Dockerfile", "FROM busybox\nRUN echo made > /made\nCMD cat /made\n");
    let _registry = Registry::start(&project.machine);
    let refused = project.compose(["push"]).fails(1);
    assert!(
        refused.contains("An image does not exist locally with the tag: localhost:5000/made"),
        "{refused}"
    );
    project.compose(["build"]).ok();
    let id = project.machine.docker(["image", "inspect", "-f", "{{.Id}}", "localhost:5000/made:1"]).ok();
    project.compose(["push"]).ok();
    project.machine.docker(["rmi", "localhost:5000/made:1"]).ok();
    project.compose(["pull", "made"]).ok();
    assert_eq!(
        project.machine.docker(["image", "inspect", "-f", "{{.Id}}", "localhost:5000/made:1"]).ok(),
        id
    );
    assert!(project.compose(["run", "--rm", "made"]).ok().contains("made"));
    project.compose(["pull", "--ignore-buildable", "made"]).ok();
    let unknown = project.compose(["pull", "nobody"]).fails(1);
    assert!(unknown.contains("no such service: nobody"), "{unknown}");
}
