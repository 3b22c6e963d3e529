//! Asks a node's engine, over its socket on the host, and believes nothing it says: the engine belongs to the
//! student. Answers are bounded in size and time, texts in length, lists in number.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drydock_wire::topology::{Container, Endpoint, Network, Port};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Of one answer, bytes.
const LARGEST: usize = 4 * 1024 * 1024;
/// Of one line of the event stream, bytes.
const LONGEST_LINE: usize = 256 * 1024;
const ANSWER: Duration = Duration::from_secs(10);
/// Containers and networks that are drawn, of each.
const MOST: usize = 200;
/// Of one text, characters.
const LONGEST: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot connect to the engine")]
    Connect(#[source] io::Error),
    #[error("the engine broke off")]
    Exchange(#[source] hyper::Error),
    #[error("the engine answered {0}")]
    Status(StatusCode),
    #[error("the engine's answer does not end, or is too large")]
    Endless,
    #[error("the engine did not answer in time")]
    Silent,
    #[error("the engine's answer does not parse")]
    Parse(#[source] serde_json::Error),
}

/// A node's engine, by the host path of its socket.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: PathBuf,
}

/// What an engine holds, as the topology shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    pub networks: Vec<Network>,
    pub containers: Vec<Container>,
    /// `manager`, `worker` or empty.
    pub swarm_role: String,
}

/// The engine's events; what they say does not matter, only that something changed.
#[derive(Debug)]
pub struct Changes {
    body: Incoming,
    line: BytesMut,
}

impl Engine {
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Follows the engine's events. A connection to an engine that is not up waits until it is.
    pub async fn changes(&self) -> Result<Changes, EngineError> {
        let response = self.send("/events").await?;
        Ok(Changes { body: response.into_body(), line: BytesMut::new() })
    }

    pub async fn inventory(&self) -> Result<Inventory, EngineError> {
        let (containers, networks, info) = tokio::join!(
            self.get::<Vec<ContainerRow>>("/containers/json?all=1"),
            self.get::<Vec<NetworkRow>>("/networks"),
            self.get::<Info>("/info"),
        );
        Ok(Inventory {
            networks: networks?.into_iter().take(MOST).map(NetworkRow::shown).collect(),
            containers: containers?.into_iter().take(MOST).map(ContainerRow::shown).collect(),
            // An engine that knows no swarm is in none.
            swarm_role: info.map(|info| info.swarm.role().to_owned()).unwrap_or_default(),
        })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let whole = async {
            let response = self.send(path).await?;
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            body.map(|body| body.to_bytes()).map_err(|_| EngineError::Endless)
        };
        let body = timeout(ANSWER, whole).await.map_err(|_| EngineError::Silent)??;
        serde_json::from_slice(&body).map_err(EngineError::Parse)
    }

    async fn send(&self, path: &str) -> Result<Response<Incoming>, EngineError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(EngineError::Connect)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(EngineError::Exchange)?;
        // Ends with the body or its drop; an error of it shows at the body's reader.
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::get(path)
            .header(http::header::HOST, "docker")
            .body(Empty::<Bytes>::new())
            .expect("constant parts make a request");
        let response = sender.send_request(request).await.map_err(EngineError::Exchange)?;
        match response.status() {
            StatusCode::OK => Ok(response),
            other => Err(EngineError::Status(other)),
        }
    }
}

impl Changes {
    /// Waits for the next event. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<(), EngineError> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line = self.line.split_to(end + 1);
                if !is_noise(&line) {
                    return Ok(());
                }
                continue;
            }
            if self.line.len() > LONGEST_LINE {
                return Err(EngineError::Endless);
            }
            let frame =
                self.body.frame().await.ok_or(EngineError::Endless)?.map_err(EngineError::Exchange)?;
            if let Ok(data) = frame.into_data() {
                self.line.extend_from_slice(&data);
            }
        }
    }
}

/// Events that change nothing the topology shows, and come in numbers: health checks and lab checks make them.
fn is_noise(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default, rename = "Action")]
        action: String,
    }
    serde_json::from_slice::<Event>(line).is_ok_and(|event| {
        ["exec_", "top", "attach", "resize"].iter().any(|noise| event.action.starts_with(noise))
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ContainerRow {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    state: String,
    status: String,
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
struct NetworkRow {
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

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Info {
    swarm: Swarm,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Swarm {
    local_node_state: String,
    control_available: bool,
}

impl Swarm {
    fn role(&self) -> &'static str {
        match (self.local_node_state.as_str(), self.control_available) {
            ("active", true) => "manager",
            ("active", false) => "worker",
            _ => "",
        }
    }
}

impl ContainerRow {
    fn shown(self) -> Container {
        let name = self.names.and_then(|names| names.into_iter().next()).unwrap_or_default();
        let networks = self.network_settings.networks.unwrap_or_default();
        let mut ports: Vec<Port> =
            self.ports.unwrap_or_default().into_iter().take(MOST).map(PortRow::shown).collect();
        // The same port is listed for IPv4 and for IPv6.
        ports.sort_by(|a, b| key(a).cmp(&key(b)));
        ports.dedup();
        Container {
            id: short(self.id),
            name: short(name.trim_start_matches('/').to_owned()),
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
    fn shown(self) -> Network {
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

fn short(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
    }
    text
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
        assert_eq!(short("é".repeat(1000)).chars().count(), LONGEST);
    }

    #[test]
    fn what_checks_do_is_noise_and_what_students_do_is_not() {
        for (line, noise) in [
            (r#"{"Type":"container","Action":"exec_create: ls"}"#, true),
            (r#"{"Type":"container","Action":"start"}"#, false),
            (r#"{"Type":"network","Action":"connect"}"#, false),
            ("garbage", false),
        ] {
            assert_eq!(is_noise(line.as_bytes()), noise, "{line}");
        }
    }
}
