//! Times what a container's network costs, in a fresh network namespace: run as root with
//! `cargo run --release -p drydock-networks --example measure`.

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use drydock_networks::bridge::{Bridge, Host, Plug, Protocol, Publication, Reach};
use drydock_networks::netlink::Mac;
use drydock_networks::{Cidr, NetNs};

type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

const ROUNDS: usize = 50;

fn main() -> Fallible<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let host = Host::new(NetNs::create(&path("host"))?);
    host.enable_forwarding()?;
    host.write_rules(&[], &[])?;
    let measured = measure(&host, &path("container"));
    NetNs::remove(&path("host"))?;
    measured
}

fn measure(host: &Host, container: &std::path::Path) -> Fallible<()> {
    let bridge = Bridge {
        name: "br0".into(),
        gateway: Some("172.30.0.1/16".parse()?),
        gateway_v6: None,
        reach: Reach::OPEN,
        mtu: None,
    };
    let mut times: [Vec<Duration>; 7] = Default::default();
    let names = [
        "make a network namespace",
        "make a bridge with rules",
        "plug a container in",
        "publish a port",
        "unpublish it, silence the plug",
        "retire the bridge",
        "delete plug and bridge (nobody waits)",
    ];
    for _ in 0..ROUNDS {
        let mut clock = Clock::start(&mut times);
        let namespace = NetNs::create(container)?;
        clock.lap();
        host.create_bridge(&bridge)?;
        clock.lap();
        let address: Cidr = "172.30.0.2/16".parse()?;
        let plug = Plug {
            host_name: "veth0",
            name: "eth0",
            mac: Mac([2, 0x42, 172, 30, 0, 2]),
            addresses: &[address],
            gateways: &["172.30.0.1".parse()?],
        };
        host.attach("br0", &namespace, &plug)?;
        clock.lap();
        let port = [Publication::Translated {
            protocol: Protocol::Tcp,
            host: SocketAddrV4::new([0, 0, 0, 0].into(), 8080),
            container: SocketAddrV4::new([172, 30, 0, 2].into(), 80),
        }];
        host.publish(&port)?;
        clock.lap();
        host.unpublish(&port)?;
        host.silence(&["veth0".into()])?;
        clock.lap();
        host.retire_bridge(&bridge)?;
        clock.lap();
        host.delete_links(&["veth0".into(), "br0".into()])?;
        clock.lap();
        NetNs::remove(container)?;
    }
    for (name, mut times) in names.iter().zip(times) {
        times.sort_unstable();
        println!("{name:40} median {:8.3} ms", times[ROUNDS / 2].as_secs_f64() * 1e3);
    }
    Ok(())
}

/// One stopwatch; each lap goes to the next row.
struct Clock<'a> {
    rows: std::slice::IterMut<'a, Vec<Duration>>,
    since: Instant,
}

impl<'a> Clock<'a> {
    fn start(rows: &'a mut [Vec<Duration>]) -> Self {
        Self { rows: rows.iter_mut(), since: Instant::now() }
    }

    fn lap(&mut self) {
        if let Some(row) = self.rows.next() {
            row.push(self.since.elapsed());
        }
        self.since = Instant::now();
    }
}
