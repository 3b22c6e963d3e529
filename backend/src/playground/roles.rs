//! What part each node has in a swarm, and at which ports all of them answer, as the topology shows it.
//!
//! Every engine says itself whether it manages, works or is locked; who leads, who is reached and what is published is said by
//! managers. While somebody watches each engine is asked once a second: a ping, and a manager's lists of nodes and
//! services. A leader may change without any engine's event.

use std::time::Duration;

use drydock_wire::topology::Node;
use serde_json::json;

use super::engine::{Engine, Local, Member};
use super::{Instance, Session};

const ROUND: Duration = Duration::from_secs(1);

/// What one engine said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    pub part: Local,
    pub nodes: Nodes,
    pub mesh: Mesh,
}

/// What services publish at every node of a swarm, as a manager last said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Mesh {
    pub hostnames: Vec<String>,
    /// TCP, ascending.
    pub ports: Vec<u16>,
}

/// A manager's list.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Nodes {
    #[default]
    Unasked,
    /// It has no leader.
    Silent,
    Listed(Vec<Member>),
}

/// Asks the engine until it is dropped.
pub async fn follow(session: &Session, instance: &Instance) {
    let engine = Engine::at(instance.node.docker_socket());
    let mut watchers = session.watchers();
    while watchers.wait_for(|watchers| *watchers > 0).await.is_ok() {
        let known = instance.swarm();
        let seen = look(&engine, known.mesh).await;
        tell(session, instance.name(), known.part, &seen);
        if instance.set_swarm(seen) {
            session.changed.notify_one();
        }
        tokio::time::sleep(ROUND).await;
    }
}

/// A manager without a leader does not say what is published: what it said before leads on.
async fn look(engine: &Engine, known: Mesh) -> Seen {
    // An engine that does not answer is in no swarm that could be shown.
    let part = engine.swarm_part().await.unwrap_or_default();
    if part != Local::Manager {
        return Seen { part, ..Seen::default() };
    }
    match tokio::join!(engine.swarm_members(), engine.swarm_ports()) {
        (Ok(members), Ok(ports)) => {
            let reached = members.iter().filter(|member| member.state != "down");
            let hostnames = reached.map(|member| member.hostname.clone()).collect();
            Seen { part, nodes: Nodes::Listed(members), mesh: Mesh { hostnames, ports } }
        }
        _ => Seen { part, nodes: Nodes::Silent, mesh: known },
    }
}

/// As play-with-docker does: a manager's nodes by their host names. One that manages no more takes back what it said.
fn tell(session: &Session, name: &str, before: Local, seen: &Seen) {
    let (is_manager, is_worker) = (seen.part == Local::Manager, seen.part == Local::Worker);
    let status = json!({ "instance": name, "is_manager": is_manager, "is_worker": is_worker });
    session.events.publish_state("instance docker swarm status", name, vec![status]);
    if !is_manager && before != Local::Manager {
        return;
    }
    let Mesh { hostnames, ports } = &seen.mesh;
    let mesh = json!({ "manager": name, "instances": hostnames, "ports": ports });
    session.events.publish_state("instance docker swarm ports", name, vec![mesh]);
}

/// Says of each node what part it has, and what is the matter with it.
pub fn mark<'a>(nodes: impl Iterator<Item = (&'a mut Node, &'a Seen)>, all: &[&Seen]) {
    for (node, seen) in nodes {
        let listed = listed(&node.hostname, all);
        node.swarm_role = role(seen.part, listed).to_owned();
        node.swarm_state = trouble(seen, listed).to_owned();
        node.swarm_ports = ports(&node.hostname, seen.part, all);
    }
}

/// What is published in the swarm that a node is in.
fn ports(hostname: &str, part: Local, all: &[&Seen]) -> Vec<u16> {
    if !matches!(part, Local::Manager | Local::Worker) {
        return Vec::new();
    }
    let meshes = all.iter().map(|seen| &seen.mesh);
    let own = meshes.filter(|mesh| mesh.hostnames.iter().any(|other| other == hostname));
    let mut ports: Vec<u16> = own.flat_map(|mesh| &mesh.ports).copied().collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// A node as managers list it; one that left and came back is listed twice.
fn listed<'a>(hostname: &str, all: &[&'a Seen]) -> Option<&'a Member> {
    let lists = all.iter().filter_map(|seen| match &seen.nodes {
        Nodes::Listed(members) => Some(members),
        Nodes::Unasked | Nodes::Silent => None,
    });
    lists.flatten().filter(|member| member.hostname == hostname).max_by_key(|member| member.state == "ready")
}

fn role(part: Local, listed: Option<&Member>) -> &'static str {
    match part {
        Local::Manager if listed.is_some_and(|member| member.is_leader) => "leader",
        Local::Manager | Local::Locked => "manager",
        Local::Worker => "worker",
        Local::Outside | Local::Pending => "",
    }
}

/// A word, or nothing while all is well.
fn trouble<'a>(seen: &Seen, listed: Option<&'a Member>) -> &'a str {
    match (seen.part, listed) {
        (Local::Outside | Local::Pending, _) => "",
        (Local::Locked, _) => "locked",
        (_, Some(member)) if member.is_unreachable => "unreachable",
        (_, Some(member)) if member.state != "ready" => &member.state,
        (_, Some(member)) if member.availability != "active" => &member.availability,
        (_, Some(_)) => "",
        (_, None) if seen.nodes == Nodes::Silent => "no leader",
        (_, None) => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(hostname: &str, state: &str) -> Member {
        Member {
            hostname: hostname.into(),
            state: state.into(),
            availability: "active".into(),
            ..Member::default()
        }
    }

    fn marked(seen: &[(&str, Seen)]) -> Vec<(String, String)> {
        let mut nodes: Vec<Node> = seen
            .iter()
            .map(|(hostname, _)| Node { hostname: (*hostname).into(), ..Node::default() })
            .collect();
        let all: Vec<&Seen> = seen.iter().map(|(_, seen)| seen).collect();
        mark(nodes.iter_mut().zip(all.iter().copied()), &all);
        nodes.into_iter().map(|node| (node.swarm_role, node.swarm_state)).collect()
    }

    #[test]
    fn managers_say_who_leads_and_who_is_reached() {
        let leader = Member { is_leader: true, ..member("m1", "ready") };
        let lost = Member { is_unreachable: true, ..member("m2", "down") };
        let drained = Member { availability: "drain".into(), ..member("w1", "ready") };
        let list = vec![leader, lost, member("w1", "down"), drained, member("w2", "down")];
        let manager = |nodes| Seen { part: Local::Manager, nodes, ..Seen::default() };
        let worker = Seen { part: Local::Worker, ..Seen::default() };
        let told = marked(&[
            ("m1", manager(Nodes::Listed(list))),
            ("m2", manager(Nodes::Silent)),
            ("w1", worker.clone()),
            ("w2", worker),
            ("out", Seen::default()),
        ]);
        let told: Vec<_> = told.iter().map(|(role, state)| (role.as_str(), state.as_str())).collect();
        let expected =
            [("leader", ""), ("manager", "unreachable"), ("worker", "drain"), ("worker", "down"), ("", "")];
        assert_eq!(told, expected);
    }

    #[test]
    fn without_a_quorum_no_manager_knows_who_leads() {
        let silent = Seen { part: Local::Manager, nodes: Nodes::Silent, ..Seen::default() };
        let locked = Seen { part: Local::Locked, ..Seen::default() };
        let worker = Seen { part: Local::Worker, ..Seen::default() };
        let told = marked(&[("m1", silent), ("m2", locked), ("w1", worker)]);
        let told: Vec<_> = told.iter().map(|(role, state)| (role.as_str(), state.as_str())).collect();
        assert_eq!(told, [("manager", "no leader"), ("manager", "locked"), ("worker", "")]);
    }

    #[test]
    fn every_node_of_a_swarm_has_its_services_ports_and_no_other_node_has() {
        let mesh = |hostnames: &[&str], ports: &[u16]| Mesh {
            hostnames: hostnames.iter().map(|name| (*name).to_owned()).collect(),
            ports: ports.to_vec(),
        };
        let manager = |mesh| Seen { part: Local::Manager, nodes: Nodes::Silent, mesh };
        // Two swarms, and a node that left the first one.
        let (one, two) = (manager(mesh(&["m1", "w1", "gone"], &[80, 8080])), manager(mesh(&["m2"], &[90])));
        let all = [&one, &two];
        assert_eq!(ports("m1", Local::Manager, &all), [80, 8080]);
        assert_eq!(ports("w1", Local::Worker, &[&one, &one]), [80, 8080]);
        assert_eq!(ports("m2", Local::Manager, &all), [90]);
        assert!(ports("gone", Local::Outside, &all).is_empty());
        assert!(ports("w2", Local::Worker, &all).is_empty());
    }
}
