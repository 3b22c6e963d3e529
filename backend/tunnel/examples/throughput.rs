//! Measures what passes an encrypted overlay between two hosts on one cable, in fresh network namespaces: run as root with
//! `cargo run --release -p drydock-tunnel --example throughput`. Both hosts share the machine's processors.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use drydock_networks::bridge::Plug;
use drydock_networks::netlink::{Changes, Mac, NewLink, Route};
use drydock_networks::overlay::{Overlay, PORT, Peer, Switch};
use drydock_networks::{Cidr, NetNs};
use drydock_tunnel::{Key, Neighbour, OVERHEAD, Place, Tunnel, address_of};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const SECONDS: u64 = 5;
const NODES: [&str; 2] = ["one", "two"];

fn main() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    [false, true].into_iter().try_for_each(|is_encrypted| {
        let measured = measure(folder.path(), is_encrypted);
        for entry in std::fs::read_dir(folder.path())? {
            NetNs::remove(&entry?.path())?;
        }
        println!("{}: {:.2} Gbit/s", if is_encrypted { "encrypted" } else { "in clear" }, measured?);
        Ok(())
    })
}

fn underlay(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, at as u8 + 1)
}

fn measure(folder: &Path, is_encrypted: bool) -> Fallible<f64> {
    let hosts = [NetNs::create(&folder.join("host0"))?, NetNs::create(&folder.join("host1"))?];
    Route::open_in(&hosts[0])?.apply(Changes::new().add_link(&NewLink::veth(
        "eth0",
        "eth0",
        Some(&hosts[1]),
    )))?;
    let (mut tunnels, mut containers) = (Vec::new(), Vec::new());
    for (at, host) in hosts.iter().enumerate() {
        let mut route = Route::open_in(host)?;
        let eth0 = route.index_of("eth0")?;
        route
            .apply(Changes::new().set_up(eth0).add_address(eth0, format!("{}/24", underlay(at)).parse()?))?;
        if is_encrypted {
            tunnels.push(tunnel(host, at)?);
        }
        containers.push(container(folder, host, at, is_encrypted)?);
    }
    let sink = containers[1].run(|| TcpListener::bind("0.0.0.0:80"))??;
    let counter = std::thread::spawn(move || {
        let (mut bytes, mut buffer) = (0, vec![0; 1 << 18]);
        let mut stream = sink.accept()?.0;
        let start = Instant::now();
        loop {
            match stream.read(&mut buffer)? {
                0 => {
                    return Ok::<_, std::io::Error>(bytes as f64 * 8.0 / start.elapsed().as_secs_f64() / 1e9);
                }
                length => bytes += length,
            }
        }
    });
    let mut stream = containers[0].connect_tcp("10.77.0.3:80".parse()?, Duration::from_secs(10))?;
    let (end, bytes) = (Instant::now() + Duration::from_secs(SECONDS), vec![0; 1 << 18]);
    while Instant::now() < end {
        stream.write_all(&bytes)?;
    }
    drop(stream);
    let rate = counter.join().map_err(|_| "the receiver failed")??;
    Ok(rate)
}

fn tunnel(host: &NetNs, at: usize) -> Fallible<Tunnel> {
    let place = Place { node: NODES[at].to_owned(), local: underlay(at), port: PORT, underlay_mtu: 1500 };
    let tunnel = Tunnel::open(NetNs::open(host.path())?, place)?;
    let neighbours = [0, 1].map(|at| Neighbour { node: NODES[at].to_owned(), host: underlay(at) });
    tunnel.connect(&neighbours, &[Key { number: 1, secret: vec![1; 16] }]);
    Ok(tunnel)
}

fn container(folder: &Path, host: &NetNs, at: usize, is_encrypted: bool) -> Fallible<NetNs> {
    let place = |at: usize| -> IpAddr {
        if is_encrypted { address_of(NODES[at]).into() } else { underlay(at).into() }
    };
    let address = |at: usize| Ipv4Addr::new(10, 77, 0, at as u8 + 2);
    let overlay = Overlay {
        id: 4097,
        gateways: vec!["10.77.0.1/24".parse()?],
        local: place(at),
        port: PORT,
        underlay_mtu: if is_encrypted { 1500 - OVERHEAD } else { 1500 },
    };
    let switch = Switch::create(host, &folder.join(format!("switch{at}")), &overlay)?;
    let container = NetNs::create(&folder.join(format!("container{at}")))?;
    let own: Cidr = format!("{}/24", address(at)).parse()?;
    let mac = Mac::of_ipv4(address(at));
    let plug = Plug { host_name: "veth0", name: "eth0", mac, addresses: &[own], gateways: &[] };
    switch.attach(&container, &plug)?;
    let other = address(1 - at);
    switch.add_peer(&Peer { ip: other.into(), mac: Mac::of_ipv4(other), host: place(1 - at) })?;
    Ok(container)
}
