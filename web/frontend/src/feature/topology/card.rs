//! What is known of the thing chosen in the drawing.

use drydock_model::drawing;
use drydock_model::session::{self, Model};
use drydock_model::shapes::Chosen;
use drydock_model::units;
use drydock_wire::topology::{Container, Network, Node, Port};
use leptos::prelude::*;

use crate::component::icon::Glyph;
use crate::desk;
use crate::reactive::{Memo, memo};
use crate::view::{View, each, icon_button, part, press, text, view};

use super::capture::Target;
use super::faults::Faults;

/// What the card says, read from the model.
#[derive(Debug, Clone, PartialEq)]
struct Facts {
    title: String,
    kind: &'static str,
    rows: Vec<(&'static str, String)>,
    /// The node's published ports that lead to it.
    ports: Vec<u16>,
    proxy_host: String,
    /// Interfaces on which packets can be caught.
    captures: Vec<String>,
}

#[component]
pub fn Card() -> View {
    let desk = desk::current();
    let facts = memo(move || {
        let chosen = desk.chosen.get()?;
        desk.model.with(|model| facts(model, &chosen))
    });
    let is_there = memo(move || facts.with(Option::is_some));
    let keys = move |read: fn(&Facts) -> Vec<String>| {
        facts.with(|facts| facts.as_ref().map(read).unwrap_or_default())
    };
    let of =
        move |read: fn(&Facts) -> String| facts.with(|facts| facts.as_ref().map(read).unwrap_or_default());
    view! {
        <div class="card-place" aria-live="polite">
            {part(move || is_there.get().then(|| view! {
                <aside class="details" aria-label="Details">
                    <header class="details-head">
                        <span class="details-kind">{text(move || of(|facts| facts.kind.to_owned()))}</span>
                        <h3 class="details-title">{text(move || of(|facts| facts.title.clone()))}</h3>
                        {icon_button("Close the details", Glyph::Close, move || desk.chosen.set(None))}
                    </header>
                    <dl class="details-rows">
                        {each(move || keys(Facts::row_keys), move |key| view! { <Row key facts/> })}
                    </dl>
                    <div class="node-ports">
                        {each(
                            move || keys(|facts| facts.ports.iter().map(u16::to_string).collect()),
                            move |port| view! { <PortLink port facts/> },
                        )}
                    </div>
                    {(!desk.read_only).then(|| view! {
                        <div class="details-actions">
                            {each(
                                move || keys(|facts| facts.captures.clone()),
                                capture_here,
                            )}
                        </div>
                        <Faults/>
                    })}
                </aside>
            }))}
        </div>
    }
}

impl Facts {
    /// Places in the list, with their names: a value that changes leaves its row where it is.
    fn row_keys(&self) -> Vec<String> {
        self.rows.iter().enumerate().map(|(at, (name, _))| format!("{at} {name}")).collect()
    }
}

#[component]
fn Row(key: String, facts: Memo<Option<Facts>>) -> View {
    let (at, name) = key.split_once(' ').unwrap_or_default();
    let at: usize = at.parse().unwrap_or_default();
    let value = move || {
        let value = |facts: &Facts| Some(facts.rows.get(at)?.1.clone());
        facts.with(|facts| facts.as_ref().and_then(value).unwrap_or_default())
    };
    view! {
        <dt>{name}</dt>
        <dd>{text(value)}</dd>
    }
}

#[component]
fn PortLink(port: String, facts: Memo<Option<Facts>>) -> View {
    let desk = desk::current();
    let number: u16 = port.parse().unwrap_or_default();
    let address = move || {
        facts.with(|facts| {
            facts.as_ref().map(|facts| desk.port_address(&facts.proxy_host, number)).unwrap_or_default()
        })
    };
    view! {
        <a class="port" href=text(address) target="_blank" rel="noopener">{format!("Open port {port}")}</a>
    }
}

fn capture_here(interface: String) -> View {
    let desk = desk::current();
    let label = format!("Capture {interface}");
    let capture = move || {
        if let Some(chosen) = desk.chosen.get_untracked() {
            desk.capturing.set(Some(Target { node: chosen.node().to_owned(), interface: interface.clone() }));
            // The pane takes the card's place.
            desk.chosen.set(None);
        }
    };
    view! { <button class="button button-small" on:click=press(capture)>{label}</button> }
}

fn facts(model: &Model, chosen: &Chosen) -> Option<Facts> {
    let name = chosen.node();
    let picture = model.picture();
    let node = picture.nodes.iter().find(|node| node.name == name)?;
    let known = model.node(name)?;
    let proxy_host = known.proxy_host.clone();
    match chosen {
        Chosen::Node(_) => Some(of_node(node, known)),
        Chosen::Container { id, .. } => {
            let container = node.containers.iter().find(|container| container.id == *id)?;
            Some(of_container(node, container, proxy_host))
        }
        Chosen::Network { id, .. } => {
            let network = node.networks.iter().find(|network| network.id == *id)?;
            Some(of_network(node, network))
        }
        Chosen::Link { other, .. } => Some(of_link(model, node, model.node(other)?)),
    }
}

fn of_node(node: &Node, known: &session::Node) -> Facts {
    let mut rows = vec![("Address", node.ip.clone()), ("State", node.state.clone())];
    if !node.swarm_role.is_empty() {
        rows.push(("Swarm", node.swarm()));
    }
    if let Some(stats) = known.stats {
        let of = |part, whole| format!("{} of {}", units::bytes(part), units::bytes(whole));
        rows.push(("CPU", format!("{} %", stats.cpu_percent.round() as i32)));
        rows.push(("Memory", of(stats.memory_bytes, stats.memory_limit_bytes)));
        rows.push(("Disk", of(stats.disk_bytes, stats.disk_limit_bytes)));
    }
    rows.push(("Containers", node.containers.len().to_string()));
    Facts {
        title: node.hostname.clone(),
        kind: "Node",
        rows,
        ports: known.ports.clone(),
        proxy_host: known.proxy_host.clone(),
        captures: vec!["eth0".to_owned()],
    }
}

fn of_container(node: &Node, container: &Container, proxy_host: String) -> Facts {
    let mut rows = vec![
        ("ID", container.id.chars().take(12).collect()),
        ("Image", container.image.clone()),
        (
            "State",
            if container.status.is_empty() { container.state.clone() } else { container.status.clone() },
        ),
        ("Node", node.hostname.clone()),
    ];
    let mut captures = Vec::new();
    for endpoint in &container.endpoints {
        let network = node.networks.iter().find(|network| network.id == endpoint.network);
        let name = network.map_or("", |network| &network.name);
        let said = if endpoint.ip.is_empty() { name.to_owned() } else { format!("{name} {}", endpoint.ip) };
        rows.push(("Network", said));
        if !endpoint.interface.is_empty() {
            captures.push(endpoint.interface.clone());
        }
    }
    rows.extend(container.ports.iter().map(|port| ("Port", port_sentence(port))));
    Facts {
        title: container.name.clone(),
        kind: "Container",
        rows,
        ports: published(&container.ports),
        proxy_host,
        captures,
    }
}

fn of_network(node: &Node, network: &Network) -> Facts {
    let is_on =
        |container: &&Container| container.endpoints.iter().any(|endpoint| endpoint.network == network.id);
    let members: Vec<String> =
        node.containers.iter().filter(is_on).map(|container| container.name.clone()).collect();
    let rows = [
        ("ID", network.id.chars().take(12).collect()),
        ("Driver", network.driver.clone()),
        ("Subnet", network.subnet.clone()),
        ("Interface", network.interface.clone()),
        ("Containers", members.join(", ")),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    Facts {
        title: network.name.clone(),
        kind: "Network",
        rows,
        ports: Vec::new(),
        proxy_host: String::new(),
        captures: if network.interface.is_empty() { Vec::new() } else { vec![network.interface.clone()] },
    }
}

fn of_link(model: &Model, node: &Node, other: &session::Node) -> Facts {
    let loss = model.loss(&node.name, Some(&other.name));
    let said = if loss == 0 { "loses nothing".to_owned() } else { drawing::told(loss) };
    Facts {
        title: format!("{} ↔ {}", node.hostname, other.hostname),
        kind: "Link",
        rows: vec![("Packets", said)],
        ports: Vec::new(),
        proxy_host: String::new(),
        captures: Vec::new(),
    }
}

fn port_sentence(port: &Port) -> String {
    let inside = format!("{}/{}", port.container_port, port.protocol);
    match port.host_port {
        Some(host) => format!("{host} → {inside}"),
        None => inside,
    }
}

fn published(ports: &[Port]) -> Vec<u16> {
    let mut ports: Vec<u16> =
        ports.iter().filter(|port| port.protocol != "udp").filter_map(|port| port.host_port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
