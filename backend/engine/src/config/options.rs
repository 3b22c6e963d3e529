//! Every option of dockerd 28: its flag, its key in `daemon.json` and its help. Tables alone.

/// What kind of value an option has; it decides how text and JSON become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Text,
    List,
    /// `key=value`.
    Map,
    /// `name` or `name=bool`.
    Features,
    /// `root-key=key=value`.
    MapMap,
    /// A size with a unit.
    Bytes,
    Ulimits,
    Runtimes,
    Pools,
    Ip,
    Ips,
}

#[derive(Clone, Copy, Debug)]
pub struct Opt {
    pub flag: &'static str,
    /// In `daemon.json`, where it is not the flag's name.
    key: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    pub usage: &'static str,
    /// What the help shows after the usage.
    pub shown_default: &'static str,
    /// Said when it is used; it is not in the help.
    pub deprecated: Option<&'static str>,
    pub hidden: bool,
}

impl Opt {
    /// Its key in `daemon.json`.
    pub const fn key(&self) -> &'static str {
        if self.key.is_empty() { self.flag } else { self.key }
    }
}

const fn opt(flag: &'static str, kind: Kind, usage: &'static str) -> Opt {
    Opt { flag, key: "", short: None, kind, usage, shown_default: "", deprecated: None, hidden: false }
}

impl Opt {
    const fn key_is(self, key: &'static str) -> Self {
        Self { key, ..self }
    }

    const fn short_is(self, short: char) -> Self {
        Self { short: Some(short), ..self }
    }

    const fn default_is(self, shown_default: &'static str) -> Self {
        Self { shown_default, ..self }
    }

    const fn gone(self, why: &'static str) -> Self {
        Self { deprecated: Some(why), ..self }
    }

    const fn kept_quiet(self) -> Self {
        Self { hidden: true, ..self }
    }
}

use Kind::{Bool, Bytes, Features, Int, Ip, Ips, List, Map, MapMap, Pools, Runtimes, Text, Ulimits};

/// In the order of their names.
pub const OPTIONS: [Opt; 93] = [
    opt("add-runtime", Runtimes, "Register an additional OCI compatible runtime").key_is("runtimes").default_is("[]"),
    opt("allow-direct-routing", Bool, "Allow remote access to published ports on container IP addresses"),
    opt("allow-nondistributable-artifacts", List, "Allow push of nondistributable artifacts to registry")
        .gone("Pushing nondistributable artifacts is now enabled by default. "),
    opt("api-cors-header", Text, "Set CORS headers in the Engine API").gone(
        "accessing Docker API through a browser is insecure; use a reverse proxy if you need CORS headers",
    ),
    opt("authorization-plugin", List, "Authorization plugins to load").key_is("authorization-plugins"),
    opt("bip", Text, "IPv4 address for the default bridge"),
    opt("bip6", Text, "IPv6 address for the default bridge"),
    opt("bridge", Text, "Attach containers to a network bridge").short_is('b'),
    opt("cdi-spec-dir", List, "CDI specification directories to use").key_is("cdi-spec-dirs"),
    opt("cgroup-parent", Text, "Set parent cgroup for all containers"),
    opt("config-file", Text, "Daemon configuration file").default_is("\"/etc/docker/daemon.json\""),
    opt("containerd", Text, "containerd grpc address"),
    opt("containerd-namespace", Text, "Containerd namespace to use").default_is("\"moby\""),
    opt("containerd-plugins-namespace", Text, "Containerd namespace to use for plugins")
        .default_is("\"plugins.moby\""),
    opt(
        "cpu-rt-period",
        Int,
        "Limit the CPU real-time period in microseconds for the parent cgroup for all containers (not supported with \
         cgroups v2)",
    ),
    opt(
        "cpu-rt-runtime",
        Int,
        "Limit the CPU real-time runtime in microseconds for the parent cgroup for all containers (not supported with \
         cgroups v2)",
    ),
    opt("cri-containerd", Bool, "start containerd with cri"),
    opt("data-root", Text, "Root directory of persistent Docker state").default_is("\"/var/lib/docker\""),
    opt("debug", Bool, "Enable debug mode").short_is('D'),
    opt("default-address-pool", Pools, "Default address pools for node specific local networks")
        .key_is("default-address-pools"),
    opt("default-cgroupns-mode", Text, "Default mode for containers cgroup namespace (\"host\" | \"private\")")
        .default_is("\"private\""),
    opt("default-gateway", Ip, "Default gateway IPv4 address for the default bridge network"),
    opt("default-gateway-v6", Ip, "Default gateway IPv6 address for the default bridge network"),
    opt("default-ipc-mode", Text, "Default mode for containers ipc (\"shareable\" | \"private\")")
        .default_is("\"private\""),
    opt("default-network-opt", MapMap, "Default network options")
        .key_is("default-network-opts")
        .default_is("map[]"),
    opt("default-runtime", Text, "Default OCI runtime for containers").default_is("\"runc\""),
    opt("default-shm-size", Bytes, "Default shm size for containers").default_is("64MiB"),
    opt("default-ulimit", Ulimits, "Default ulimits for containers").key_is("default-ulimits").default_is("[]"),
    opt("dns", Ips, "DNS server to use").default_is("[]"),
    opt("dns-opt", List, "DNS options to use").key_is("dns-opts"),
    opt("dns-search", List, "DNS search domains to use"),
    opt("exec-opt", List, "Runtime execution options").key_is("exec-opts"),
    opt("exec-root", Text, "Root directory for execution state files").default_is("\"/var/run/docker\""),
    opt("experimental", Bool, "Enable experimental features"),
    opt("feature", Features, "Enable feature in the daemon").key_is("features").default_is("map[]"),
    opt("fixed-cidr", Text, "IPv4 subnet for the default bridge network"),
    opt("fixed-cidr-v6", Text, "IPv6 subnet for the default bridge network"),
    opt("group", Text, "Group for the unix socket").short_is('G').default_is("\"docker\""),
    opt("help", Bool, "Print usage"),
    opt("host", List, "Daemon socket(s) to connect to").key_is("hosts").short_is('H'),
    opt(
        "host-gateway-ip",
        List,
        "IP addresses that the special 'host-gateway' string in --add-host resolves to. Defaults to the IP addresses \
         of the default bridge",
    )
    .key_is("host-gateway-ips"),
    opt("http-proxy", Text, "HTTP proxy URL to use for outgoing traffic"),
    opt("https-proxy", Text, "HTTPS proxy URL to use for outgoing traffic"),
    opt("icc", Bool, "Enable inter-container communication for the default bridge network").default_is("true"),
    opt("init", Bool, "Run an init in the container to forward signals and reap processes"),
    opt("init-path", Text, "Path to the docker-init binary"),
    opt("insecure-registry", List, "Enable insecure registry communication").key_is("insecure-registries"),
    opt("ip", Ip, "Host IP for port publishing from the default bridge network").default_is("0.0.0.0"),
    opt("ip-forward", Bool, "Enable IP forwarding in system configuration").default_is("true"),
    opt("ip-forward-no-drop", Bool, "Do not set the filter-FORWARD policy to DROP when enabling IP forwarding"),
    opt("ip-masq", Bool, "Enable IP masquerading for the default bridge network").default_is("true"),
    opt("ip6tables", Bool, "Enable addition of ip6tables rules").default_is("true"),
    opt("iptables", Bool, "Enable addition of iptables rules").default_is("true"),
    opt("ipv6", Bool, "Enable IPv6 networking for the default bridge network"),
    opt("label", List, "Set key=value labels to the daemon").key_is("labels"),
    opt("live-restore", Bool, "Enable live restore of docker when containers are still running").default_is("true"),
    opt("log-driver", Text, "Default driver for container logs").default_is("\"json-file\""),
    opt("log-format", Text, "Set the logging format (\"text\"|\"json\")").default_is("\"text\""),
    opt("log-level", Text, "Set the logging level (\"debug\"|\"info\"|\"warn\"|\"error\"|\"fatal\")")
        .short_is('l')
        .default_is("\"info\""),
    opt("log-opt", Map, "Default log driver options for containers").key_is("log-opts").default_is("map[]"),
    opt("max-concurrent-downloads", Int, "Set the max concurrent downloads").default_is("3"),
    opt("max-concurrent-uploads", Int, "Set the max concurrent uploads").default_is("5"),
    opt("max-download-attempts", Int, "Set the max download attempts for each pull").default_is("5"),
    opt("metrics-addr", Text, "Set default address and port to serve the metrics api on"),
    opt("mtu", Int, "Set the MTU for the default \"bridge\" network").default_is("1500"),
    opt("network-control-plane-mtu", Int, "Network Control plane MTU").default_is("1500"),
    opt("network-diagnostic-port", Int, "TCP port number of the network diagnostic server").kept_quiet(),
    opt("no-new-privileges", Bool, "Set no-new-privileges by default for new containers"),
    opt("no-proxy", Text, "Comma-separated list of hosts or IP addresses for which the proxy is skipped"),
    opt("node-generic-resource", List, "Advertise user-defined resource").key_is("node-generic-resources"),
    opt("pidfile", Text, "Path to use for daemon PID file").short_is('p').default_is("\"/var/run/docker.pid\""),
    opt("raw-logs", Bool, "Full timestamps without ANSI coloring"),
    opt("registry-mirror", List, "Preferred Docker registry mirror").key_is("registry-mirrors"),
    opt("restart", Bool, "--restart on the daemon has been deprecated in favor of --restart policies on docker run")
        .short_is('r')
        .gone("Please use a restart policy on docker run"),
    opt("rootless", Bool, "Enable rootless mode; typically used with RootlessKit"),
    opt("seccomp-profile", Text, "Path to seccomp profile. Set to \"unconfined\" to disable the default seccomp profile")
        .default_is("\"builtin\""),
    opt("selinux-enabled", Bool, "Enable selinux support"),
    opt("shared-store", Text, "A read-only layer store shared by the host").kept_quiet(),
    opt("shim", Text, "The program that stays with each container").kept_quiet(),
    opt("shutdown-timeout", Int, "Set the default shutdown timeout").default_is("15"),
    opt("storage-driver", Text, "Storage driver to use").short_is('s'),
    opt("storage-opt", List, "Storage driver options").key_is("storage-opts"),
    opt(
        "swarm-default-advertise-addr",
        Text,
        "Set default address or interface for swarm advertised address",
    ),
    opt("tls", Bool, "Use TLS; implied by --tlsverify"),
    opt("tlscacert", Text, "Trust certs signed only by this CA").default_is("\"~/.docker/ca.pem\""),
    opt("tlscert", Text, "Path to TLS certificate file").default_is("\"~/.docker/cert.pem\""),
    opt("tlskey", Text, "Path to TLS key file").default_is("\"~/.docker/key.pem\""),
    opt("tlsverify", Bool, "Use TLS and verify the remote"),
    opt("userland-proxy", Bool, "Use userland proxy for loopback traffic").default_is("true"),
    opt("userland-proxy-path", Text, "Path to the userland proxy binary"),
    opt("userns-remap", Text, "User/Group setting for user namespaces"),
    opt("validate", Bool, "Validate daemon configuration and exit"),
    opt("version", Bool, "Print version information and quit").short_is('v'),
];

/// Keys of `daemon.json` without a flag.
pub const WITHOUT_FLAG: [&str; 2] = ["builder", "deprecated-key-path"];

/// By a flag's long name.
pub fn by_flag(name: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|opt| opt.flag == name)
}

pub fn by_short(short: char) -> Option<&'static Opt> {
    OPTIONS.iter().find(|opt| opt.short == Some(short))
}

/// By a key of `daemon.json`.
pub fn by_key(key: &str) -> Option<&'static Opt> {
    OPTIONS.iter().find(|opt| opt.key() == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_in_order_and_no_name_is_taken_twice() {
        assert!(OPTIONS.windows(2).all(|pair| pair[0].flag < pair[1].flag));
        let mut short: Vec<char> = OPTIONS.iter().filter_map(|opt| opt.short).collect();
        short.sort_unstable();
        assert!(short.windows(2).all(|pair| pair[0] != pair[1]), "{short:?}");
    }
}
