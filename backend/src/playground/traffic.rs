//! What passes the links that the topology draws, sampled with the stats.
//!
//! The kernel's counters are read from outside the node. A student can name an interface as the engine names one and
//! send what they like through it: what is shown then is theirs, and bounded as everything of the topology is.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use drydock_nodes::Counters;
use drydock_wire::topology::{self, Traffic};
use serde_json::json;

use super::create::chain;
use super::{Instance, Session};

/// Bytes in a second, both ways, below which a link is idle: neighbours ask for each other all the time.
const IDLE: u64 = 64;
/// What a node calls its link to the switch.
const UPLINK: &str = "eth0";

/// Counters of a node's links, and when they were read.
#[derive(Debug)]
pub struct Sample {
    links: HashMap<String, (u64, u64)>,
    at: Instant,
}

/// Reads a node's counters, and tells the session what passed since `before`.
pub async fn sample(session: &Session, instance: &Instance, before: Option<Sample>) -> Option<Sample> {
    let node = instance.node.clone();
    let read = tokio::task::spawn_blocking(move || node.traffic()).await.ok()?;
    let links = match read {
        Ok(links) => links,
        Err(error) => {
            tracing::debug!(node.id = instance.name(), error = %chain(&error), "its links are not read");
            return None;
        }
    };
    let drawn = drawn(&instance.observed());
    let now = Sample::of(links, &drawn, Instant::now());
    let passed = before.map(|before| rates(&before, &now)).unwrap_or_default();
    let shown = json!({ "instance": instance.name(), "links": passed });
    session.events.publish_state("instance traffic", instance.name(), vec![shown]);
    Some(now)
}

impl Sample {
    fn of(links: Vec<Counters>, drawn: &BTreeSet<String>, at: Instant) -> Self {
        let links = links.into_iter().filter(|link| drawn.contains(&link.link));
        Self { links: links.map(|link| (link.link, (link.received, link.sent))).collect(), at }
    }
}

/// The interfaces of a node that the topology has a line for.
fn drawn(node: &topology::Node) -> BTreeSet<String> {
    let networks = node.networks.iter().map(|network| network.interface.clone());
    let endpoints = node.containers.iter().flat_map(|container| &container.endpoints);
    let endpoints = endpoints.map(|endpoint| endpoint.interface.clone());
    let all = networks.chain(endpoints).chain([UPLINK.to_owned()]);
    all.filter(|interface| !interface.is_empty()).collect()
}

/// Links that are not idle, by name. A link that was made anew counts from nothing again.
fn rates(before: &Sample, now: &Sample) -> Vec<Traffic> {
    let elapsed_ms = now.at.duration_since(before.at).as_millis().max(1) as u64;
    let rate = |from: u64, to: u64| to.saturating_sub(from).saturating_mul(1_000) / elapsed_ms;
    let mut passed: Vec<Traffic> = now
        .links
        .iter()
        .filter_map(|(interface, (received, sent))| {
            let (received_before, sent_before) = before.links.get(interface)?;
            Some(Traffic {
                interface: interface.clone(),
                received: rate(*received_before, *received),
                sent: rate(*sent_before, *sent),
            })
        })
        .filter(|link| link.received.saturating_add(link.sent) >= IDLE)
        .collect();
    passed.sort_by(|a, b| a.interface.cmp(&b.interface));
    passed
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(links: &[(&str, u64, u64)], at: Instant) -> Sample {
        let counters = |(link, received, sent): &(&str, u64, u64)| Counters {
            link: (*link).to_owned(),
            received: *received,
            sent: *sent,
        };
        let drawn = ["eth0", "docker0"].map(str::to_owned).into();
        Sample::of(links.iter().map(counters).collect(), &drawn, at)
    }

    #[test]
    fn counters_become_rates_of_the_links_that_are_drawn_and_busy() {
        let start = Instant::now();
        let before = sample(&[("eth0", 1_000, 0), ("docker0", 500, 500), ("mine", 0, 0)], start);
        let after = sample(
            &[("eth0", 201_000, 3_000), ("docker0", 500, 510), ("mine", u64::MAX, 0)],
            start + Duration::from_secs(2),
        );
        let busy = Traffic { interface: "eth0".to_owned(), received: 100_000, sent: 1_500 };
        assert_eq!(rates(&before, &after), [busy]);
        // Made anew, or new: nothing is told of what was not seen twice.
        assert_eq!(rates(&after, &sample(&[("eth0", 5, 5)], start + Duration::from_secs(4))), []);
        assert_eq!(rates(&sample(&[], start), &after), []);
        // No time between them divides by nothing.
        assert_eq!(rates(&before, &sample(&[("eth0", 1_100, 0)], start))[0].received, 100_000);
    }
}
