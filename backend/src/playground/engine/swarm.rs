//! The swarm's part of a node's engine: made, joined, looked at.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{Engine, EngineError, MOST, short, whole};

/// Where managers listen, as `docker swarm init` chooses.
const PORT: u16 = 2377;
/// Making and joining a swarm: keys are made, and a manager waits for the others to agree.
const FORMING: Duration = Duration::from_secs(30);
/// A manager that has no leader has nothing to tell.
const LOOK: Duration = Duration::from_secs(3);

/// What lets an engine join.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Tokens {
    pub worker: String,
    pub manager: String,
}

/// An engine's own part in a swarm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Local {
    #[default]
    Outside,
    /// On its way in, or in trouble.
    Pending,
    Locked,
    Worker,
    Manager,
}

/// A node as a manager lists it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Member {
    pub hostname: String,
    /// `ready`, `down`, `unknown`, `disconnected`.
    pub state: String,
    /// `active`, `pause`, `drain`.
    pub availability: String,
    pub is_leader: bool,
    /// A manager that the others do not reach.
    pub is_unreachable: bool,
}

impl Engine {
    /// Makes a swarm of this engine alone, which others join at `own`.
    pub async fn init_swarm(&self, own: Ipv4Addr) -> Result<Tokens, EngineError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Swarm {
            join_tokens: Tokens,
        }
        self.post("/swarm/init", &json!({ "ListenAddr": listen(), "AdvertiseAddr": own })).await?;
        self.get("/swarm").await.map(|swarm: Swarm| swarm.join_tokens)
    }

    /// Joins the swarm that a manager is in.
    pub async fn join_swarm(&self, own: Ipv4Addr, manager: Ipv4Addr, token: &str) -> Result<(), EngineError> {
        let asked = json!({
            "ListenAddr": listen(), "AdvertiseAddr": own, "RemoteAddrs": [format!("{manager}:{PORT}")],
            "JoinToken": token,
        });
        self.post("/swarm/join", &asked).await
    }

    /// Its part in a swarm, which a ping says.
    pub async fn swarm_part(&self) -> Result<Local, EngineError> {
        let answer = timeout(LOOK, self.send(Method::GET, "/_ping", None)).await;
        let answer = answer.map_err(|_| EngineError::Silent)??;
        let said = answer.headers().get("Swarm").and_then(|said| said.to_str().ok());
        Ok(Local::read(said.unwrap_or_default()))
    }

    /// The swarm's nodes, as a manager lists them.
    pub async fn swarm_members(&self) -> Result<Vec<Member>, EngineError> {
        let rows =
            timeout(LOOK, self.get::<Vec<NodeRow>>("/nodes")).await.map_err(|_| EngineError::Silent)??;
        Ok(rows.into_iter().take(MOST).map(NodeRow::shown).collect())
    }

    /// TCP ports at which all of its nodes answer, ascending.
    pub async fn swarm_ports(&self) -> Result<Vec<u16>, EngineError> {
        let rows = timeout(LOOK, self.get::<Vec<ServiceRow>>("/services"))
            .await
            .map_err(|_| EngineError::Silent)??;
        let mut ports: Vec<u16> = rows.into_iter().flat_map(ServiceRow::ports).collect();
        ports.sort_unstable();
        ports.dedup();
        ports.truncate(MOST);
        Ok(ports)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<(), EngineError> {
        let done = timeout(FORMING, async { whole(self.send(Method::POST, path, Some(body)).await?).await });
        done.await.map_err(|_| EngineError::Silent)?.map(drop)
    }
}

fn listen() -> String {
    format!("0.0.0.0:{PORT}")
}

impl Local {
    fn read(said: &str) -> Self {
        match said {
            "active/manager" => Self::Manager,
            "active/worker" => Self::Worker,
            "locked" => Self::Locked,
            "pending" | "error" => Self::Pending,
            _ => Self::Outside,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct NodeRow {
    description: Description,
    status: Status,
    spec: Spec,
    manager_status: Option<ManagerStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Description {
    hostname: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Status {
    state: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Spec {
    availability: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ManagerStatus {
    leader: bool,
    reachability: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ServiceRow {
    endpoint: ServiceEndpoint,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ServiceEndpoint {
    ports: Option<Vec<ServicePort>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct ServicePort {
    protocol: String,
    published_port: u16,
    publish_mode: String,
}

impl ServiceRow {
    /// Those of the routing mesh; a port of `mode=host` is its container's.
    fn ports(self) -> impl Iterator<Item = u16> {
        let is_shown = |port: &ServicePort| {
            port.protocol == "tcp" && port.publish_mode == "ingress" && port.published_port != 0
        };
        self.endpoint.ports.unwrap_or_default().into_iter().filter(is_shown).map(|port| port.published_port)
    }
}

impl NodeRow {
    fn shown(self) -> Member {
        let manager = self.manager_status.unwrap_or_default();
        Member {
            hostname: short(self.description.hostname),
            state: short(self.status.state),
            availability: short(self.spec.availability),
            is_leader: manager.leader,
            is_unreachable: manager.reachability == "unreachable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_read_as_docker_lists_it() {
        let row: NodeRow = serde_json::from_str(
            r#"{"ID":"n1","Spec":{"Role":"manager","Availability":"drain"},"Description":{"Hostname":"node1"},
                "Status":{"State":"down","Addr":"10.0.0.2"},
                "ManagerStatus":{"Leader":true,"Reachability":"unreachable","Addr":"10.0.0.2:2377"}}"#,
        )
        .unwrap();
        let shown = Member {
            hostname: "node1".into(),
            state: "down".into(),
            availability: "drain".into(),
            is_leader: true,
            is_unreachable: true,
        };
        assert_eq!(row.shown(), shown);
        assert_eq!(serde_json::from_str::<NodeRow>("{}").unwrap().shown(), Member::default());
    }

    #[test]
    fn of_a_services_ports_those_of_the_mesh_that_speak_tcp_are_taken() {
        let row: ServiceRow = serde_json::from_str(
            r#"{"ID":"s1","Endpoint":{"Ports":[
                {"Protocol":"tcp","TargetPort":80,"PublishedPort":8080,"PublishMode":"ingress"},
                {"Protocol":"udp","TargetPort":53,"PublishedPort":53,"PublishMode":"ingress"},
                {"Protocol":"tcp","TargetPort":80,"PublishedPort":8081,"PublishMode":"host"},
                {"Protocol":"tcp","TargetPort":81,"PublishMode":"ingress"}]}}"#,
        )
        .unwrap();
        assert_eq!(row.ports().collect::<Vec<_>>(), [8080]);
        assert_eq!(serde_json::from_str::<ServiceRow>("{}").unwrap().ports().count(), 0);
    }

    #[test]
    fn a_ping_says_what_part_an_engine_has() {
        for (said, part) in [
            ("inactive", Local::Outside),
            ("", Local::Outside),
            ("pending", Local::Pending),
            ("error", Local::Pending),
            ("locked", Local::Locked),
            ("active/worker", Local::Worker),
            ("active/manager", Local::Manager),
        ] {
            assert_eq!(Local::read(said), part, "{said}");
        }
    }
}
