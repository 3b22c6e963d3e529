//! The files of `/etc` that the engine writes for a container: hosts, hostname, resolv.conf.

use std::io;
use std::path::{Path, PathBuf};

use crate::container::{Container, Record};
use crate::network::{Connected, Joined};

const LOCALHOST: &str = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n\
fe00::\tip6-localnet\nff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

/// Writes them into `dir`; answers destinations and where they lie.
pub fn write(
    dir: &Path,
    record: &Record,
    joined: &Joined,
    gateways: &[String],
) -> io::Result<Vec<(&'static str, PathBuf)>> {
    let hosts = hosts(record, joined, gateways);
    let hostname = format!("{}\n", record.hostname());
    let files = [
        ("/etc/resolv.conf", "resolv.conf", joined.resolv_conf.as_str()),
        ("/etc/hostname", "hostname", hostname.as_str()),
        ("/etc/hosts", "hosts", hosts.as_str()),
    ];
    let mut written = Vec::with_capacity(files.len());
    for (destination, name, text) in files {
        let path = dir.join(name);
        // Written in place: a running container that shares it sees the change.
        std::fs::write(&path, text)?;
        written.push((destination, path));
    }
    Ok(written)
}

fn hosts(record: &Record, joined: &Joined, gateways: &[String]) -> String {
    // Who shares the host's network shares its names.
    let own = (record.network_mode() == "host").then(|| read("/etc/hosts")).filter(|text| !text.is_empty());
    let mut text = own.unwrap_or_else(|| LOCALHOST.to_owned());
    for entry in record.host_config.extra_hosts.iter().flatten() {
        // `name:address`; an IPv6 address has colons of its own.
        if let Some((name, address)) = entry.split_once([':', '=']) {
            let meant = if address == "host-gateway" { gateways.to_vec() } else { vec![address.to_owned()] };
            meant.iter().for_each(|address| text.push_str(&format!("{address}\t{name}\n")));
        }
    }
    for (address, names) in &joined.hosts {
        let names: Vec<String> = names.iter().map(|name| in_full(name, record)).collect();
        text.push_str(&format!("{address}\t{}\n", names.join(" ")));
    }
    text
}

/// The container's own name with its domain before it, and without.
fn in_full(name: &str, record: &Record) -> String {
    let domain = &record.config.domainname;
    match name.split_once('.') {
        _ if name != record.hostname() => name.to_owned(),
        Some((short, _)) => format!("{name} {short}"),
        None if !domain.is_empty() => format!("{name}.{domain} {name}"),
        None => name.to_owned(),
    }
}

/// A container that shares the host's network, or has none, is known to itself by name.
pub fn without_sandbox(host_network: bool) -> Joined {
    let resolv_conf = if host_network { read("/etc/resolv.conf") } else { String::new() };
    Joined { resolv_conf, ..Joined::default() }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A container that runs has one more network. Its files are bind mounts: they are written in place.
/// What cannot be written is told in the log alone, as the container is connected nevertheless.
pub fn connected(container: &Container, connected: &Connected) {
    let lines: String =
        connected.hosts.iter().map(|(address, names)| format!("{address}\t{}\n", names.join(" "))).collect();
    let append = |text: &str| -> std::io::Result<()> {
        use std::io::Write;
        let path = container.dir.join("hosts");
        std::fs::File::options().append(true).open(path)?.write_all(text.as_bytes())
    };
    let replace = |text: &String| std::fs::write(container.dir.join("resolv.conf"), text);
    let written = append(&lines).and_then(|()| connected.resolv_conf.as_ref().map_or(Ok(()), replace));
    if let Err(error) = written {
        tracing::warn!(container.id = %container.id, %error, "cannot tell a container of its new network");
    }
}
