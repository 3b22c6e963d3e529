//! Options of dockerd that would have no effect here. Each is refused, with what to do instead: a setting that does
//! nothing is worse than none.

use super::options::by_flag;
use super::parse::Given;
use super::settings::Settings;

/// An option this engine cannot honour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} would have no effect: {why}")]
pub struct Unserved {
    /// As the user wrote it: a flag or a key of `daemon.json`.
    option: String,
    why: &'static str,
}

/// When an option asks for something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// With any value but the empty one, zero and false.
    Something,
    /// To switch off what is on.
    Off,
    /// With any number but zero and dockerd's default.
    OtherThan(i64),
}

const NO_SWARM: &str = "this engine is not a member of a swarm; remove it";
const NO_CONTAINERD: &str =
    "there is no containerd: each container is kept by a drydock-shim of its own; remove it";
const NO_REALTIME: &str = "no real-time budget is given to the containers' parent cgroup; remove it, and set limits with docker run --cpus";
const RULES: &str = "networks and published ports are packet rules of the engine's own table (nft list table inet drydock); \
                     remove it, and run containers with --network none or host to do without";

const UNSERVED: [(&str, Asks, &str); 20] = [
    (
        "allow-direct-routing",
        Asks::Something,
        "containers are reached from outside at published ports alone; remove it, and publish ports",
    ),
    (
        "authorization-plugin",
        Asks::Something,
        "this engine loads no plugins; remove it, and admit only holders of a certificate with --tlsverify",
    ),
    ("cdi-spec-dir", Asks::Something, "no CDI device can be given to a container; remove it"),
    ("containerd", Asks::Something, NO_CONTAINERD),
    ("containerd-namespace", Asks::Something, NO_CONTAINERD),
    ("containerd-plugins-namespace", Asks::Something, NO_CONTAINERD),
    ("cpu-rt-period", Asks::Something, NO_REALTIME),
    ("cpu-rt-runtime", Asks::Something, NO_REALTIME),
    ("cri-containerd", Asks::Something, NO_CONTAINERD),
    ("init-path", Asks::Something, "drydock-shim itself is the init of a container with --init; remove it"),
    ("ip6tables", Asks::Off, RULES),
    ("iptables", Asks::Off, RULES),
    ("network-control-plane-mtu", Asks::OtherThan(1500), NO_SWARM),
    ("network-diagnostic-port", Asks::Something, NO_SWARM),
    ("node-generic-resource", Asks::Something, NO_SWARM),
    ("rootless", Asks::Something, "the engine sees by itself that it runs in a user namespace; remove it"),
    ("selinux-enabled", Asks::Something, "containers get no SELinux labels; remove it"),
    ("swarm-default-advertise-addr", Asks::Something, NO_SWARM),
    ("userland-proxy-path", Asks::Something, "no program of that kind is started; remove it"),
    (
        "userns-remap",
        Asks::Something,
        "containers have the engine's own ids; remove it, and start the engine in a user namespace, which remaps all \
         of it",
    ),
];

/// Answers the first that asks for something.
pub fn check(all: &Settings, given: &Given) -> Result<(), Unserved> {
    for (flag, asks, why) in UNSERVED {
        let is_asked = match asks {
            Asks::Something => all.is_something(flag),
            Asks::Off => all.truth(flag) == Some(false),
            Asks::OtherThan(usual) => ![0, usual].contains(&all.number(flag)),
        };
        if is_asked {
            return Err(Unserved { option: name(flag, given), why });
        }
    }
    features(all, given)?;
    ipv6(all, given)?;
    all.list("exec-opt").iter().try_for_each(|text| exec_opt(text, given))
}

fn features(all: &Settings, given: &Given) -> Result<(), Unserved> {
    let on = all.features();
    for (feature, why) in [
        ("cdi", "no CDI device can be given to a container; remove it"),
        ("containerd-snapshotter", "images are in the engine's own store; remove it"),
    ] {
        if on.get(feature) == Some(&true) {
            return Err(Unserved { option: format!("{} {feature}", name("feature", given)), why });
        }
    }
    Ok(())
}

fn ipv6(all: &Settings, given: &Given) -> Result<(), Unserved> {
    let flags = ["bip6", "fixed-cidr-v6", "default-gateway-v6"];
    match flags.into_iter().find(|flag| !all.is_true("ipv6") && all.is_something(flag)) {
        None => Ok(()),
        Some(flag) => Err(Unserved {
            option: name(flag, given),
            why: "the default bridge has no IPv6; remove it, or set ipv6 as well",
        }),
    }
}

/// Its form was checked before.
fn exec_opt(text: &str, given: &Given) -> Result<(), Unserved> {
    match text.split_once('=') {
        Some((_, driver)) if driver.trim() != "cgroupfs" => Err(Unserved {
            option: format!("{} {text}", name("exec-opt", given)),
            why: "the engine makes cgroups by itself; remove it, or say native.cgroupdriver=cgroupfs",
        }),
        _ => Ok(()),
    }
}

/// `builder` is a key of the file alone.
pub fn builder() -> Unserved {
    Unserved {
        option: "builder".to_owned(),
        why: "it is for BuildKit, and this engine builds with the classic builder; remove it",
    }
}

fn name(flag: &str, given: &Given) -> String {
    match by_flag(flag) {
        Some(opt) if !given.has(flag) => opt.key().to_owned(),
        _ => format!("--{flag}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &str) -> String {
        let given = Given::parse(line.split_whitespace().map(str::to_owned)).expect(line);
        let all = Settings::new(given.set.clone(), &Default::default());
        check(&all, &given).map_or_else(|error| error.to_string(), |()| "served".to_owned())
    }

    #[test]
    fn what_would_do_nothing_is_refused_by_its_name() {
        for line in [
            "--allow-direct-routing",
            "--authorization-plugin x",
            "--cdi-spec-dir /x",
            "--containerd /x",
            "--cpu-rt-period 1",
            "--cpu-rt-runtime 1",
            "--cri-containerd",
            "--exec-opt native.cgroupdriver=systemd",
            "--feature cdi",
            "--feature containerd-snapshotter",
            "--init-path /x",
            "--ip6tables=false",
            "--iptables=false",
            "--network-control-plane-mtu 1400",
            "--node-generic-resource a=b",
            "--rootless",
            "--selinux-enabled",
            "--swarm-default-advertise-addr 1.2.3.4",
            "--userland-proxy-path /x",
            "--userns-remap default",
            "--bip6 fd00::1/64",
            "--fixed-cidr-v6 fd00::/64",
        ] {
            let flag = line.split([' ', '=']).next().unwrap_or_default();
            let said = said(line);
            assert!(said.starts_with(flag) && said.contains("would have no effect: "), "{line}: {said}");
            assert!(said.contains("remove it"), "{line}: {said}");
        }
    }

    #[test]
    fn what_asks_for_nothing_else_is_let_be() {
        for line in [
            "",
            "--exec-opt native.cgroupdriver=cgroupfs",
            "--feature buildkit=false",
            "--feature cdi=false",
            "--iptables",
            "--network-control-plane-mtu 1500",
            "--selinux-enabled=false",
            "--userland-proxy=false",
            "--raw-logs",
            "--ipv6 --fixed-cidr-v6 fd00::/64",
        ] {
            assert_eq!(said(line), "served", "{line}");
        }
    }
}
