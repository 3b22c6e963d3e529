//! Containers and networks as an engine lists them, and as the topology shows them.

use std::collections::BTreeMap;

use drydock_wire::topology::{Container, Endpoint, Network, Port};
use serde::Deserialize;

use super::{MOST, short};

/// What a container that is a service's task is labelled with.
const TASK_ID: &str = "com.docker.swarm.task.id";

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ContainerRow {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    state: String,
    status: String,
    labels: Option<BTreeMap<String, String>>,
    ports: Option<Vec<PortRow>>,
    network_settings: NetworkSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NetworkSettings {
    networks: Option<BTreeMap<String, EndpointRow>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EndpointRow {
    #[serde(rename = "NetworkID")]
    network: String,
    #[serde(rename = "EndpointID")]
    endpoint: String,
    #[serde(rename = "IPAddress")]
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct PortRow {
    private_port: u16,
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    protocol: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NetworkRow {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Driver")]
    driver: String,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    #[serde(rename = "Options")]
    options: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Ipam {
    config: Option<Vec<Pool>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Pool {
    subnet: String,
}

impl ContainerRow {
    pub fn shown(self) -> Container {
        let name = self.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
        let name = name.trim_start_matches('/');
        let labels = self.labels.unwrap_or_default();
        let networks = self.network_settings.networks.unwrap_or_default();
        let mut ports: Vec<Port> =
            self.ports.unwrap_or_default().into_iter().take(MOST).map(PortRow::shown).collect();
        // The same port is listed for IPv4 and for IPv6.
        ports.sort_by(|a, b| key(a).cmp(&key(b)));
        ports.dedup();
        Container {
            id: short(self.id),
            name: short(as_task(name, labels.get(TASK_ID)).to_owned()),
            image: short(self.image),
            state: short(self.state),
            status: short(self.status),
            endpoints: networks
                .into_values()
                .take(MOST)
                .filter(|endpoint| !endpoint.network.is_empty())
                .map(EndpointRow::shown)
                .collect(),
            ports,
        }
    }
}

/// `web.2`, for a task whose container is named `web.2.<its id>`.
fn as_task<'n>(name: &'n str, task: Option<&String>) -> &'n str {
    task.and_then(|task| name.strip_suffix(task.as_str())?.strip_suffix('.')).unwrap_or(name)
}

impl EndpointRow {
    fn shown(self) -> Endpoint {
        // As the engine names the node's end of a container's link.
        let digits =
            self.endpoint.get(..8).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        Endpoint {
            network: short(self.network),
            ip: short(self.ip),
            interface: digits.map(|digits| format!("veth{digits}")).unwrap_or_default(),
        }
    }
}

fn key(port: &Port) -> (u16, Option<u16>, &str) {
    (port.container_port, port.host_port, &port.protocol)
}

impl PortRow {
    fn shown(self) -> Port {
        let host_port = self.public_port.filter(|port| *port != 0);
        Port { protocol: short(self.protocol), container_port: self.private_port, host_port }
    }
}

impl NetworkRow {
    pub fn shown(self) -> Network {
        let named = self.options.unwrap_or_default().remove("com.docker.network.bridge.name");
        let interface = match (self.driver.as_str(), named) {
            ("bridge", Some(name)) => name,
            ("bridge", None) => format!("br-{}", self.id.chars().take(12).collect::<String>()),
            _ => String::new(),
        };
        let subnet = self.ipam.config.and_then(|pools| pools.into_iter().next()).unwrap_or_default().subnet;
        Network {
            id: short(self.id),
            name: short(self.name),
            driver: short(self.driver),
            subnet: short(subnet),
            interface: short(interface),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_read_as_docker_lists_it() {
        let row: ContainerRow = serde_json::from_str(
            r#"{"Id":"abc","Names":["/web"],"Image":"nginx","State":"running","Status":"Up 3 seconds",
                "Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
                         {"IP":"::","PrivatePort":80,"PublicPort":8080,"Type":"tcp"},
                         {"PrivatePort":443,"Type":"tcp"}],
                "NetworkSettings":{"Networks":{"bridge":{"NetworkID":"n1","IPAddress":"172.17.0.2",
                    "EndpointID":"0123456789abcdef"},"odd":{"NetworkID":"n2","EndpointID":"../../etc"}}}}"#,
        )
        .unwrap();
        let container = row.shown();
        assert_eq!(container.name, "web");
        let endpoint = |network: &str, ip: &str, interface: &str| Endpoint {
            network: network.into(),
            ip: ip.into(),
            interface: interface.into(),
        };
        let (link, none) = (endpoint("n1", "172.17.0.2", "veth01234567"), endpoint("n2", "", ""));
        assert_eq!(container.endpoints, [link, none]);
        let port = |container_port, host_port| Port { protocol: "tcp".into(), container_port, host_port };
        assert_eq!(container.ports, [port(80, Some(8080)), port(443, None)]);
    }

    #[test]
    fn a_task_is_named_by_its_service_and_slot() {
        for (name, label, shown) in [
            ("/web.2.t1", r#"{"com.docker.swarm.task.id":"t1"}"#, "web.2"),
            ("/web.2.t1", "{}", "web.2.t1"),
            ("/own", r#"{"com.docker.swarm.task.id":"t1"}"#, "own"),
        ] {
            let json = format!(r#"{{"Names":["{name}"],"Labels":{label}}}"#);
            assert_eq!(serde_json::from_str::<ContainerRow>(&json).unwrap().shown().name, shown);
        }
    }

    #[test]
    fn a_network_names_its_bridge() {
        for (json, interface, subnet) in [
            (
                r#"{"Id":"0123456789abcdef","Name":"bridge","Driver":"bridge","IPAM":{"Config":[{"Subnet":"172.17.0.0/16"}]},
                    "Options":{"com.docker.network.bridge.name":"docker0"}}"#,
                "docker0",
                "172.17.0.0/16",
            ),
            (
                r#"{"Id":"0123456789abcdef","Driver":"bridge","IPAM":{"Config":null},"Options":null}"#,
                "br-0123456789ab",
                "",
            ),
            (r#"{"Id":"0123456789abcdef","Driver":"host"}"#, "", ""),
        ] {
            let network = serde_json::from_str::<NetworkRow>(json).unwrap().shown();
            assert_eq!((network.interface.as_str(), network.subnet.as_str()), (interface, subnet));
        }
    }

    #[test]
    fn a_missing_or_long_text_does_no_harm() {
        let row: ContainerRow = serde_json::from_str(r#"{"Names":null,"Ports":null}"#).unwrap();
        assert_eq!(row.shown(), Container::default());
        assert_eq!(short("é".repeat(1000)).chars().count(), super::super::LONGEST);
    }
}
