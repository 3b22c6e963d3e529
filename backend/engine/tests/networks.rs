//! The network service in network namespaces of its own: each test is alone on its "host".

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use bollard_stubs::models::{
    EndpointIpamConfig, EndpointSettings, Ipam, IpamConfig, NetworkCreateRequest, PortBinding,
};
use drydock_engine::config::{self, Config, Environment, Given};
use drydock_engine::events::Events;
use drydock_engine::id::Id;
use drydock_engine::network::{Filters, Join, Joined, NetworkService, filters};
use drydock_networks::NetNs;
use drydock_networks::netlink::{Changes, LinkKind, NewLink, Route};

const LONG: Duration = Duration::from_secs(10);

/// A machine of its own: a network namespace, and folders for the engine.
struct Machine {
    folder: tempfile::TempDir,
    config: Config,
}

impl Machine {
    async fn open(&self, live: Vec<(Join, Joined)>) -> NetworkService {
        let service = NetworkService::open(&self.config, Events::default()).await.expect("open");
        service.restore(live).await;
        service
    }

    fn namespaces(&self) -> Vec<std::path::PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("run/netns")).expect("list namespaces");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for path in self.namespaces() {
            let _ = NetNs::remove(&path);
        }
    }
}

/// Runs a test on a thread in a fresh network namespace; the runtime's threads are born in it.
fn on_a_fresh_machine(test: impl AsyncFnOnce(&Machine) + Send + 'static) {
    assert!(nix::unistd::geteuid().is_root(), "network tests need root (cargo xtask test)");
    let tester = std::thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("a network namespace");
        Route::open().and_then(|mut route| route.bring_loopback_up()).expect("loopback");
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let words = [("--data-root", "data"), ("--exec-root", "run"), ("--config-file", "daemon.json")];
        let words = words.into_iter().flat_map(|(flag, name)| [flag.to_owned(), path(name)]);
        let given = Given::parse(words).expect("flags");
        std::fs::write(path("daemon.json"), "{}").expect("a configuration");
        let (config, _) = config::load(given, &Environment::default()).expect("a configuration");
        let machine = Machine { folder, config };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test(&machine));
    });
    if let Err(panic) = tester.join() {
        std::panic::resume_unwind(panic);
    }
}

fn request(name: &str) -> NetworkCreateRequest {
    NetworkCreateRequest { name: name.into(), ..Default::default() }
}

fn with_subnet(name: &str, subnet: &str) -> NetworkCreateRequest {
    let config = IpamConfig { subnet: Some(subnet.into()), ..Default::default() };
    NetworkCreateRequest {
        ipam: Some(Ipam { config: Some(vec![config]), ..Default::default() }),
        ..request(name)
    }
}

fn join(name: &str, networks: &[&str]) -> Join {
    Join {
        container: Id::random(),
        name: name.into(),
        hostname: format!("{name}-host"),
        networks: networks.iter().map(|name| ((*name).to_owned(), EndpointSettings::default())).collect(),
        ports: Default::default(),
        dns: Vec::new(),
        dns_options: Vec::new(),
        dns_search: Vec::new(),
        links: Vec::new(),
        sysctls: BTreeMap::new(),
    }
}

fn publishing(mut join: Join, port: &str, host_port: &str) -> Join {
    let binding = PortBinding { host_ip: None, host_port: Some(host_port.into()) };
    join.ports.insert(port.into(), Some(vec![binding]));
    join
}

fn address(joined: &Joined, network: &str) -> String {
    joined.endpoints[network].ip_address.clone().expect("an address")
}

/// Serves "here" once per caller, inside a sandbox.
fn serve(sandbox: &Path, address: &str) {
    let namespace = NetNs::open(sandbox).expect("the sandbox");
    let listener = namespace.run(|| TcpListener::bind(address)).expect("enter").expect("listen");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(b"here");
        }
    });
}

fn answers(stream: std::io::Result<TcpStream>) -> bool {
    let mut text = String::new();
    stream.is_ok_and(|mut stream| {
        stream.set_read_timeout(Some(LONG)).expect("a timeout");
        stream.read_to_string(&mut text).is_ok() && text == "here"
    })
}

fn host_answers(port: u16) -> bool {
    answers(TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), LONG))
}

fn links() -> Vec<String> {
    let links = Route::open().and_then(|mut route| route.links()).expect("links");
    links.into_iter().map(|link| link.name).collect()
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let patience = tokio::time::Instant::now() + LONG;
    while !holds() {
        assert!(tokio::time::Instant::now() < patience, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[test]
fn every_engine_has_three_networks() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let all = service.list(&Filters::default());
        let names: Vec<_> = all.iter().map(|network| (network.name.as_str(), network.driver)).collect();
        assert_eq!(names, [("bridge", "bridge"), ("host", "host"), ("none", "null")]);
        let bridge = service.inspect("bridge").expect("the bridge");
        let config = &bridge.ipam.config.expect("a subnet")[0];
        assert_eq!(
            (config.subnet.as_str(), config.gateway.as_deref()),
            ("172.17.0.0/16", Some("172.17.0.1"))
        );
        assert!(links().contains(&"docker0".to_owned()));
        let refused = service.remove("bridge").await.unwrap_err();
        assert_eq!(refused.to_string(), "bridge is a pre-defined network and cannot be removed");
        let id = bridge.id;
        drop(service);
        assert_eq!(machine.open(Vec::new()).await.inspect("bridge").expect("kept").id, id);
    });
}

#[test]
fn another_engines_bridge_is_left_alone() {
    on_a_fresh_machine(async |machine| {
        let mut route = Route::open().expect("a socket");
        route.apply(Changes::new().add_link(&NewLink::new("docker0", LinkKind::Bridge))).expect("docker0");
        let mut theirs = NewLink::veth("veth1234567", "peer", None);
        theirs.master = Some(route.index_of("docker0").expect("docker0"));
        route.apply(Changes::new().add_link(&theirs)).expect("a port");
        let service = machine.open(Vec::new()).await;
        let options = service.inspect("bridge").expect("bridge").options;
        assert_eq!(options["com.docker.network.bridge.name"], "drydock0");
        assert!(links().contains(&"veth1234567".to_owned()));
    });
}

#[test]
fn networks_are_made_kept_and_removed() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let first = service.create(request("first")).await.expect("create").id;
        service.create(with_subnet("second", "10.5.0.0/24")).await.expect("create");
        let config = service.inspect("first").expect("first").ipam.config.expect("a subnet");
        assert_eq!(config[0].subnet, "172.18.0.0/16");
        for (wanted, expected) in [
            (request("first"), "network with name first already exists"),
            (request("host"), "operation is not permitted on predefined host network "),
            (with_subnet("x", "10.5.0.0/16"), "Pool overlaps with other one on this address space"),
            (with_subnet("x", "10.6.0.1/24"), "invalid subnet 10.6.0.1/24: it should be 10.6.0.0/24"),
            (NetworkCreateRequest { driver: Some("x".into()), ..request("x") }, "plugin \"x\" not found"),
        ] {
            let refused = service.create(wanted).await.unwrap_err().to_string();
            assert!(refused.ends_with(expected), "{refused}");
        }
        let bridge = format!("br-{}", first.short());
        assert!(links().contains(&bridge));
        drop(service);
        let service = machine.open(Vec::new()).await;
        assert_eq!(service.resolve(&first.as_str()[..9]).expect("by prefix"), "first");
        let custom = filters(Some(r#"{"type":{"custom":true}}"#), &["type"]).expect("a filter");
        assert_eq!(service.list(&custom).len(), 2);
        service.remove("first").await.expect("remove");
        until("its bridge is gone", || !links().contains(&bridge)).await;
        assert_eq!(service.remove("first").await.unwrap_err().to_string(), "network first not found");
        assert_eq!(service.prune(Filters::default()).await, ["second"]);
        until("all bridges are gone", || !links().iter().any(|link| link.starts_with("br-"))).await;
    });
}

#[test]
fn a_container_gets_its_address_and_gives_everything_back() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let before = links();
        let web = join("web", &["bridge"]);
        let joined = service.join(web.clone()).await.expect("join");
        let endpoint = &joined.endpoints["bridge"];
        assert_eq!(endpoint.ip_address.as_deref(), Some("172.17.0.2"));
        assert_eq!(endpoint.mac_address.as_deref(), Some("02:42:ac:11:00:02"));
        assert_eq!(endpoint.gateway.as_deref(), Some("172.17.0.1"));
        assert_eq!(joined.hosts, [("172.17.0.2".to_owned(), vec!["web-host".to_owned()])]);
        assert!(!joined.resolv_conf.contains("127.0.0.11"), "no name server on the default bridge");
        let members = service.inspect("bridge").expect("bridge").containers;
        assert_eq!(members[web.container.as_str()].ipv4, "172.17.0.2/16");
        assert_eq!(
            address(&service.join(join("two", &["bridge"])).await.expect("join"), "bridge"),
            "172.17.0.3"
        );
        service.leave(&web.container).await.expect("leave");
        service.leave(&web.container).await.expect("leave twice");
        assert!(!service.inspect("bridge").expect("bridge").containers.contains_key(web.container.as_str()));
        let again = service.join(web.clone()).await.expect("join again");
        assert_eq!(address(&again, "bridge"), "172.17.0.2", "a restart keeps the address");
        service.leave(&web.container).await.expect("leave");
        until("the sandbox is gone", || !again.sandbox.exists()).await;
        until("its links are gone", || links().len() == before.len() + 1).await;
    });
}

#[test]
fn a_container_without_networks_has_only_its_loopback() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let joined = service.join(join("alone", &["none"])).await.expect("join");
        let inside = NetNs::open(&joined.sandbox).expect("the sandbox");
        let links = Route::open_in(&inside).and_then(|mut route| route.links()).expect("links");
        assert!(links.iter().filter(|link| link.is_up).all(|link| link.name == "lo"));
        assert_eq!(joined.endpoints["none"].ip_address.as_deref(), Some(""));
    });
}

#[test]
fn published_ports_answer_and_conflicts_are_told_before_anything_is_made() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let web = publishing(join("web", &["bridge"]), "80/tcp", "8080");
        let joined = service.join(web.clone()).await.expect("join");
        serve(&joined.sandbox, "0.0.0.0:80");
        assert!(host_answers(8080));
        let before = links();
        let refused = service.join(publishing(join("two", &["bridge"]), "80/tcp", "8080")).await.unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("driver failed programming external connectivity on endpoint two ("),
            "{refused}"
        );
        assert!(refused.ends_with("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{refused}");
        let _other = TcpListener::bind("0.0.0.0:8081").expect("a program of the host");
        let refused = service.join(publishing(join("two", &["bridge"]), "80/tcp", "8081")).await.unwrap_err();
        let refused = refused.to_string();
        assert!(refused.contains("failed to bind host port for 0.0.0.0:8081:172.17.0."), "{refused}");
        assert!(refused.ends_with(":80/tcp: address already in use"), "{refused}");
        assert_eq!(links(), before);
        service.leave(&web.container).await.expect("leave");
        assert!(TcpListener::bind("0.0.0.0:8080").is_ok(), "the port is free at once");
        let any = service.join(publishing(join("any", &["bridge"]), "80/tcp", "")).await.expect("join");
        let bound = any.ports["80/tcp"].as_ref().expect("bound")[0].host_port.clone().expect("a port");
        assert!(bound.parse::<u16>().expect("a number") >= 32768);
    });
}

#[test]
fn containers_of_a_user_network_find_each_other_by_name() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        service.create(request("front")).await.expect("create");
        let mut web = join("web", &["front"]);
        let aliases = Some(vec!["www".to_owned()]);
        web.networks.insert("front".into(), EndpointSettings { aliases, ..Default::default() });
        let web = service.join(web).await.expect("join");
        let client = join("client", &["front"]);
        let joined = service.join(client.clone()).await.expect("join");
        assert!(joined.resolv_conf.contains("nameserver 127.0.0.11\n"), "{}", joined.resolv_conf);
        for name in ["web", "WWW", "web.front"] {
            let found = look_up(&joined.sandbox, name).await;
            assert_eq!(found.map(|ip| ip.to_string()), Some(address(&web, "front")), "{name}");
        }
        service.rename(&client.container, "renamed");
        assert_eq!(look_up(&web.sandbox, "client").await, None);
        assert!(look_up(&web.sandbox, "renamed").await.is_some());
    });
}

/// Asks the sandbox's name server, without blocking the runtime that answers.
async fn look_up(sandbox: &Path, name: &str) -> Option<IpAddr> {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(label.len() as u8);
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let namespace = NetNs::open(sandbox).expect("the sandbox");
    let socket = namespace.run(|| UdpSocket::bind("127.0.0.1:0")).expect("enter").expect("bind");
    socket.set_nonblocking(true).expect("non-blocking");
    let socket = tokio::net::UdpSocket::from_std(socket).expect("a socket");
    socket.connect("127.0.0.11:53").await.expect("connect");
    socket.send(&question).await.expect("ask");
    let mut answer = [0; 512];
    let received = tokio::time::timeout(LONG, socket.recv(&mut answer)).await.expect("an answer");
    let length = received.expect("an answer");
    let count = u16::from_be_bytes([answer[6], answer[7]]);
    let octets: [u8; 4] = answer[..length][length - 4..].try_into().expect("four octets");
    (count > 0).then(|| IpAddr::from(octets))
}

#[test]
fn networks_can_be_connected_and_disconnected_while_a_container_runs() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        service.create(with_subnet("back", "10.7.0.0/24")).await.expect("create");
        let web = join("web", &["bridge"]);
        let joined = service.join(web.clone()).await.expect("join");
        let ipam_config =
            Some(EndpointIpamConfig { ipv4_address: Some("10.7.0.77".into()), ..Default::default() });
        let settings = EndpointSettings { ipam_config, ..Default::default() };
        let connected = service.connect(web.clone(), "back", settings).await.expect("connect");
        let address = connected.settings.ip_address.as_deref();
        assert_eq!((connected.network.as_str(), address), ("back", Some("10.7.0.77")));
        let refused = service.remove("back").await.unwrap_err().to_string();
        assert!(refused.contains("network back has active endpoints (name:\"web\" id:\""), "{refused}");
        let inside = NetNs::open(&joined.sandbox).expect("the sandbox");
        assert!(Route::open_in(&inside).expect("a socket").link("eth1").is_ok());
        assert!(look_up(&joined.sandbox, "web").await.is_some(), "a name server came with it");
        let default_route = || {
            let routes = Route::open_in(&inside).and_then(|mut route| route.routes()).expect("routes");
            routes.iter().find(|route| route.subnet.prefix() == 0).and_then(|route| route.gateway)
        };
        service.disconnect(web.clone(), "bridge").await.expect("disconnect");
        assert_eq!(default_route(), Some([10, 7, 0, 1].into()), "the other network leads out now");
        service.disconnect(web.clone(), "back").await.expect("disconnect");
        assert_eq!(default_route(), None);
        let refused = service.disconnect(web.clone(), "back").await.unwrap_err().to_string();
        assert!(refused.ends_with("is not connected to network back"), "{refused}");
        service.remove("back").await.expect("remove");
    });
}

#[test]
fn a_fixed_address_is_refused_where_it_cannot_be() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        service.create(request("auto")).await.expect("create");
        service.create(with_subnet("chosen", "10.7.0.0/24")).await.expect("create");
        let with = |network: &str, ip: &str| {
            let ipam_config =
                Some(EndpointIpamConfig { ipv4_address: Some(ip.into()), ..Default::default() });
            let mut join = join("web", &[]);
            join.networks.insert(network.into(), EndpointSettings { ipam_config, ..Default::default() });
            join
        };
        service.join(with("chosen", "10.7.0.5")).await.expect("join");
        for (network, ip, expected) in [
            ("auto", "172.18.0.9", "only when connecting to networks with user configured subnets"),
            ("bridge", "172.17.0.9", "user specified IP address is supported on user defined networks only"),
            ("chosen", "10.8.0.1", "no configured subnet or ip-range contain the IP address 10.8.0.1"),
            ("chosen", "10.7.0.5", "Address already in use"),
            ("absent", "10.8.0.1", "network absent not found"),
        ] {
            let refused = service.join(with(network, ip)).await.unwrap_err().to_string();
            assert!(refused.contains(expected), "{refused}");
        }
    });
}

#[test]
fn a_restarted_engine_takes_over_what_runs_and_sweeps_the_rest() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        service.create(request("front")).await.expect("create");
        let web = publishing(join("web", &["front"]), "80/tcp", "8080");
        let lost = publishing(join("lost", &["front"]), "80/tcp", "8081");
        let joined = service.join(web.clone()).await.expect("join");
        let lost = service.join(lost).await.expect("join");
        serve(&joined.sandbox, "0.0.0.0:80");
        let before = links().len();
        drop(service);
        assert!(host_answers(8080), "while no engine runs");
        let live = vec![(web.clone(), Joined { hosts: Vec::new(), ..joined.clone() })];
        let service = machine.open(live).await;
        assert!(host_answers(8080));
        assert!(look_up(&joined.sandbox, "web").await.is_some());
        assert!(TcpListener::bind("0.0.0.0:8080").is_err(), "its port is leased again");
        assert!(TcpListener::bind("0.0.0.0:8081").is_ok(), "the lost one's is free");
        assert!(!lost.sandbox.exists());
        assert_eq!(links().len(), before - 1);
        let next = service.join(join("next", &["front"])).await.expect("join");
        assert_ne!(address(&next, "front"), address(&joined, "front"));
        service.leave(&web.container).await.expect("leave");
        until("the sandbox is gone", || !joined.sandbox.exists()).await;
    });
}

#[test]
fn many_containers_come_and_go_at_once_and_nothing_is_left() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let before = links();
        let joins: Vec<_> =
            (0..24).map(|at| publishing(join(&format!("c{at}"), &["bridge"]), "80/tcp", "")).collect();
        let all = futures_util::future::join_all(joins.iter().map(|join| service.join(join.clone()))).await;
        let mut addresses: Vec<_> =
            all.into_iter().map(|joined| address(&joined.expect("join"), "bridge")).collect();
        addresses.sort_unstable();
        addresses.dedup();
        assert_eq!(addresses.len(), joins.len());
        for join in &joins {
            service.leave(&join.container).await.expect("leave");
        }
        until("all links are gone", || links().len() == before.len()).await;
        drop(service);
        until("all namespaces are gone", || machine.namespaces().is_empty()).await;
    });
}

#[test]
fn two_hundred_networks_come_and_go() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let before = links();
        let names: Vec<String> = (0..200).map(|at| format!("n{at}")).collect();
        for (at, name) in names.iter().enumerate() {
            let subnet = format!("10.{}.{}.0/24", at / 100, at % 100);
            service.create(with_subnet(name, &subnet)).await.expect("create");
        }
        let joined = service.join(join("last", &["n199"])).await.expect("join");
        assert_eq!(address(&joined, "n199"), "10.1.99.2");
        assert_eq!(links().iter().filter(|link| link.starts_with("br-")).count(), 200);
        drop(service);
        let service = machine.open(Vec::new()).await;
        assert_eq!(service.prune(Filters::default()).await.len(), 200);
        until("all bridges are gone", || links().len() == before.len()).await;
    });
}

#[test]
fn a_name_that_is_raced_for_is_one_networks() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let all = (0..16).map(|_| service.create(request("wanted")));
        let outcomes = futures_util::future::join_all(all).await;
        let refusals: Vec<String> =
            outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).map(ToString::to_string).collect();
        assert_eq!(refusals.len(), 15);
        assert!(refusals.iter().all(|refusal| refusal == "network with name wanted already exists"));
        assert_eq!(links().iter().filter(|link| link.starts_with("br-")).count(), 1);
    });
}

#[test]
fn pools_that_are_spent_are_told_and_subnets_come_back() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        // One of the 31 is the default bridge's.
        for at in 0..30 {
            service.create(request(&format!("n{at}"))).await.expect("create");
        }
        let refused = service.create(request("more")).await.unwrap_err();
        assert_eq!(refused.to_string(), "all predefined address pools have been fully subnetted");
        let gone = service.inspect("n7").expect("n7").ipam.config.expect("a subnet")[0].subnet.clone();
        service.remove("n7").await.expect("remove");
        service.create(request("more")).await.expect("create");
        assert_eq!(service.inspect("more").expect("more").ipam.config.expect("a subnet")[0].subnet, gone);
    });
}

#[test]
fn an_address_space_that_is_spent_is_told_and_nothing_is_left_of_the_attempt() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        service.create(with_subnet("tiny", "10.5.0.0/30")).await.expect("create");
        service.join(join("one", &["tiny"])).await.expect("join");
        let before = links();
        let refused = service.join(join("two", &["tiny"])).await.unwrap_err().to_string();
        assert!(
            refused.contains("no available IPv4 addresses on this network's address pools: tiny ("),
            "{refused}"
        );
        assert_eq!(links(), before);
    });
}

#[test]
fn a_network_may_have_the_settings_of_another() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let mut pattern = with_subnet("pattern", "10.20.0.0/24");
        pattern.config_only = Some(true);
        pattern.labels = Some([("of".to_owned(), "pattern".to_owned())].into());
        service.create(pattern).await.expect("create");
        let shown = service.inspect("pattern").expect("pattern");
        assert_eq!((shown.driver, shown.config_only), ("null", true));
        let from = |name: &str, pattern: &str| {
            let network = Some(pattern.to_owned());
            let config_from = Some(bollard_stubs::models::ConfigReference { network });
            NetworkCreateRequest { config_from, ..request(name) }
        };
        service.create(from("follower", "pattern")).await.expect("create");
        let shown = service.inspect("follower").expect("follower");
        assert_eq!(shown.ipam.config.expect("a subnet")[0].subnet, "10.20.0.0/24");
        assert_eq!(shown.labels["of"], "pattern");
        let refused = service.create(from("x", "follower")).await.unwrap_err();
        assert_eq!(refused.to_string(), "configuration network \"follower\" does not exist");
        let refused = service.remove("pattern").await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "error while removing network: configuration network \"pattern\" is in use"
        );
        let refused = service.join(join("c", &["pattern"])).await.unwrap_err().to_string();
        assert!(refused.ends_with("cannot create endpoint on configuration-only network"), "{refused}");
        service.remove("follower").await.expect("remove");
        service.remove("pattern").await.expect("remove");
    });
}

#[test]
fn ipv6_networks_have_local_subnets_and_addresses_that_reach_each_other() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        service
            .create(NetworkCreateRequest { enable_ipv6: Some(true), ..request("both") })
            .await
            .expect("create");
        let config = service.inspect("both").expect("both").ipam.config.expect("subnets");
        assert_eq!(config.len(), 2);
        assert!(
            config[1].subnet.starts_with("fd") && config[1].subnet.ends_with("/64"),
            "{}",
            config[1].subnet
        );
        let one = service.join(join("one", &["both"])).await.expect("join");
        let two = service.join(join("two", &["both"])).await.expect("join");
        serve(&two.sandbox, "[::]:80");
        let target: IpAddr = two.endpoints["both"]
            .global_ipv6_address
            .as_deref()
            .expect("an address")
            .parse()
            .expect("an address");
        let inside = NetNs::open(&one.sandbox).expect("the sandbox");
        assert!(answers(inside.connect_tcp((target, 80).into(), LONG)));
        let only =
            NetworkCreateRequest { enable_ipv4: Some(false), enable_ipv6: Some(true), ..request("six") };
        service.create(only).await.expect("create");
        let six = service.join(join("three", &["six"])).await.expect("join");
        assert_eq!(address(&six, "six"), "");
        serve(&six.sandbox, "[::]:80");
        let hidden = six.endpoints["six"].global_ipv6_address.as_deref().expect("an address");
        let hidden: IpAddr = hidden.parse().expect("an address");
        let stranger = inside.connect_tcp((hidden, 80).into(), Duration::from_millis(400));
        assert!(stranger.is_err(), "bridges are isolated under IPv6 too");
    });
}

#[test]
fn a_published_port_answers_under_ipv6_too() {
    on_a_fresh_machine(async |machine| {
        let service = machine.open(Vec::new()).await;
        let web = publishing(join("web", &["bridge"]), "80/tcp", "8080");
        let joined = service.join(web.clone()).await.expect("join");
        serve(&joined.sandbox, "0.0.0.0:80");
        let bound = joined.ports["80/tcp"].as_ref().expect("bound");
        let hosts: Vec<_> = bound.iter().map(|bound| bound.host_ip.as_deref().expect("an address")).collect();
        assert_eq!(hosts, ["0.0.0.0", "::"]);
        let loopback = std::net::Ipv6Addr::LOCALHOST;
        let ask = move || answers(TcpStream::connect_timeout(&(loopback, 8080).into(), LONG));
        assert!(tokio::task::spawn_blocking(ask).await.expect("asked"));
        service.leave(&web.container).await.expect("leave");
        until("the port is free", || TcpListener::bind((loopback, 8080)).is_ok()).await;
    });
}

#[test]
fn a_macvlan_container_has_an_address_on_the_hosts_link() {
    on_a_fresh_machine(async |machine| {
        let mut route = Route::open().expect("a socket");
        route.apply(Changes::new().add_link(&NewLink::new("lan0", LinkKind::Bridge))).expect("a link");
        let service = machine.open(Vec::new()).await;
        let mut wanted = with_subnet("lan", "10.44.0.0/24");
        wanted.driver = Some("macvlan".into());
        wanted.options = Some([("parent".to_owned(), "lan0".to_owned())].into());
        service.create(wanted).await.expect("create");
        let one = service.join(join("one", &["lan"])).await.expect("join");
        let two = join("two", &["lan"]);
        let joined = service.join(two.clone()).await.expect("join");
        assert_eq!(address(&joined, "lan"), "10.44.0.3");
        serve(&joined.sandbox, "0.0.0.0:80");
        let inside = NetNs::open(&one.sandbox).expect("the sandbox");
        let target = (Ipv4Addr::new(10, 44, 0, 3), 80).into();
        assert!(answers(inside.connect_tcp(target, LONG)));
        assert!(look_up(&one.sandbox, "two").await.is_some());
        // The same address, and so the same hardware address, again at once.
        for _ in 0..3 {
            service.leave(&two.container).await.expect("leave");
            assert_eq!(address(&service.join(two.clone()).await.expect("join"), "lan"), "10.44.0.3");
        }
        let mut alone = request("alone");
        alone.driver = Some("macvlan".into());
        let id = service.create(alone).await.expect("create").id;
        assert!(links().contains(&format!("dm-{}", id.short())));
        service.remove("alone").await.expect("remove");
        assert!(!links().contains(&format!("dm-{}", id.short())));
        assert!(links().contains(&"lan0".to_owned()));
    });
}
