//! What part each node has in a swarm, as the topology shows it.
//!
//! Every engine says itself whether it manages, works or is locked; who leads and who is reached is said by managers. While
//! somebody watches each engine is asked once a second: a ping, and a manager's list of nodes. A leader may change
//! without any engine's event.

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
        let seen = look(&engine).await;
        let (is_manager, is_worker) = (seen.part == Local::Manager, seen.part == Local::Worker);
        if instance.set_swarm(seen) {
            session.changed.notify_one();
        }
        let name = instance.name();
        let shown = json!({ "instance": name, "is_manager": is_manager, "is_worker": is_worker });
        session.events.publish_state("instance docker swarm status", name, vec![shown]);
        tokio::time::sleep(ROUND).await;
    }
}

async fn look(engine: &Engine) -> Seen {
    // An engine that does not answer is in no swarm that could be shown.
    let part = engine.swarm_part().await.unwrap_or_default();
    let nodes = match part {
        Local::Manager => engine.swarm_members().await.map_or(Nodes::Silent, Nodes::Listed),
        _ => Nodes::Unasked,
    };
    Seen { part, nodes }
}

/// Says of each node what part it has, and what is the matter with it.
pub fn mark<'a>(nodes: impl Iterator<Item = (&'a mut Node, &'a Seen)>, all: &[&Seen]) {
    for (node, seen) in nodes {
        let listed = listed(&node.hostname, all);
        node.swarm_role = role(seen.part, listed).to_owned();
        node.swarm_state = trouble(seen, listed).to_owned();
    }
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
        let manager = |nodes| Seen { part: Local::Manager, nodes };
        let worker = Seen { part: Local::Worker, nodes: Nodes::Unasked };
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
        let silent = Seen { part: Local::Manager, nodes: Nodes::Silent };
        let locked = Seen { part: Local::Locked, nodes: Nodes::Unasked };
        let worker = Seen { part: Local::Worker, nodes: Nodes::Unasked };
        let told = marked(&[("m1", silent), ("m2", locked), ("w1", worker)]);
        let told: Vec<_> = told.iter().map(|(role, state)| (role.as_str(), state.as_str())).collect();
        assert_eq!(told, [("manager", "no leader"), ("manager", "locked"), ("worker", "")]);
    }
}
