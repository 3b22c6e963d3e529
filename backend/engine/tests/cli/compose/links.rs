//! Networks, names and addresses as a file gives them.

use super::Project;

#[test]
fn services_have_their_names_aliases_and_fixed_addresses_on_each_network() {
    let project = Project::new(
        "services:\n\
         \x20 db:\n\
         \x20   image: busybox\n\
         \x20   init: true\n\
         \x20   command: sleep 1000\n\
         \x20   hostname: store\n\
         \x20   domainname: example.org\n\
         \x20   networks: {back: {ipv4_address: 10.90.0.20, aliases: [database]}}\n\
         \x20 app: {image: busybox, init: true, command: sleep 1000, networks: [front, back], links: ['db:base'], depends_on: [db]}\n\
         \x20 door: {image: busybox, init: true, command: sleep 1000, networks: [front]}\n\
         networks:\n\
         \x20 front: {internal: true, labels: {side: front}}\n\
         \x20 back: {ipam: {config: [{subnet: 10.90.0.0/24, gateway: 10.90.0.1, ip_range: 10.90.0.128/25}]}}\n",
    );
    project.compose(["up", "-d"]).ok();
    for name in ["db", "database", "base", "app-db-1", "store"] {
        assert!(project.shell("app", &format!("ping -c1 -W5 {name}")).contains("10.90.0.20"), "{name}");
    }
    let alone = project.compose(["exec", "-T", "door", "ping", "-c1", "-W1", "db"]);
    assert!(alone.err.contains("bad address 'db'"), "{alone:?}");
    let back = "{{(index .NetworkSettings.Networks \"app_back\").IPAddress}}";
    assert_eq!(project.inspect("app", back), "10.90.0.128");
    let hosts = project.shell("db", "cat /etc/hosts");
    assert!(hosts.contains("10.90.0.20\tstore.example.org store"), "{hosts}");
    // The name server knows a link; a line in the file would outlive the address.
    assert!(!project.shell("app", "cat /etc/hosts").contains("base"));
    let network = |format| project.machine.docker(["network", "inspect", "-f", format, "app_front"]).ok();
    assert_eq!(network("{{.Internal}} {{.Labels.side}}"), "true front");
}

#[test]
fn networks_and_volumes_of_others_are_used_and_left() {
    let project = Project::new(
        "services:\n\
         \x20 app: {image: busybox, init: true, command: sleep 1000, networks: [shared], volumes: ['kept:/kept']}\n\
         networks: {shared: {external: true}}\n\
         volumes: {kept: {external: true, name: other}}\n",
    );
    let complaint = project.compose(["up", "-d"]).fails(1);
    assert!(
        complaint.contains("external volume \"other\" not found")
            || complaint.contains("network shared not found"),
        "{complaint}"
    );
    project.machine.docker(["network", "create", "shared"]).ok();
    project.machine.docker(["volume", "create", "other"]).ok();
    project.compose(["up", "-d"]).ok();
    assert_eq!(
        project.inspect("app", "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}"),
        "shared"
    );
    project.compose(["down", "-v", "-t", "1"]).ok();
    project.machine.docker(["network", "inspect", "shared"]).ok();
    project.machine.docker(["volume", "inspect", "other"]).ok();
}

#[test]
fn namespaces_are_shared_by_service_and_kept_by_id() {
    let project = Project::new(
        "services:\n\
         \x20 owner: {image: busybox, command: sleep 1000, init: true, ipc: shareable, volumes: ['/kept']}\n\
         \x20 guest:\n\
         \x20   image: busybox\n\
         \x20   init: true\n\
         \x20   command: sleep 1000\n\
         \x20   network_mode: service:owner\n\
         \x20   pid: service:owner\n\
         \x20   ipc: 'container:app-owner-1'\n\
         \x20   volumes_from: [owner]\n\
         \x20   depends_on: [owner]\n",
    );
    project.compose(["up", "-d"]).ok();
    let owner = format!("container:{}", project.inspect("owner", "{{.Id}}"));
    let modes = project
        .inspect("guest", "{{.HostConfig.NetworkMode}} {{.HostConfig.PidMode}} {{.HostConfig.IpcMode}}");
    assert_eq!(modes, [owner.as_str(); 3].join(" "));
    for namespace in ["net", "pid", "ipc"] {
        let own = |service| {
            project.shell(service, &format!("ls -l /proc/self/ns/{namespace} | grep -o '[0-9]*\\]'"))
        };
        assert_eq!(own("owner"), own("guest"), "{namespace}");
    }
    project.shell("guest", "echo seen > /kept/x");
    assert_eq!(project.shell("owner", "cat /kept/x"), "seen");
    assert_eq!(project.inspect("owner", "{{range .Mounts}}{{.Destination}} {{.Mode}}{{end}}"), "/kept z");
}
