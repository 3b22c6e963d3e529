//! What is known of the thing chosen in the drawing.

use drydock_model::session::Model;
use drydock_model::shapes::Chosen;
use drydock_model::units;
use drydock_wire::topology::{Container, Network, Node, Port};
use leptos::prelude::*;

use crate::component::icon::Glyph;
use crate::desk;
use crate::view::{icon_button, memo, part, view};

/// What the card says, read from the model.
#[derive(Debug, Clone, PartialEq)]
struct Facts {
    title: String,
    kind: &'static str,
    rows: Vec<(&'static str, String)>,
    /// The node's published ports that lead to it.
    ports: Vec<u16>,
    proxy_host: String,
}

#[component]
pub fn Card() -> impl IntoView {
    let desk = desk::current();
    let facts = memo(move || {
        let chosen = desk.chosen.get()?;
        desk.model.with(|model| facts(model, &chosen))
    });
    view! {
        <div class="card-place" aria-live="polite">
            {part(move || facts.get().map(|facts| {
                let Facts { title, kind, rows, ports, proxy_host } = facts;
                view! {
                    <aside class="details" aria-label="Details">
                        <header class="details-head">
                            <span class="details-kind">{kind}</span>
                            <h3 class="details-title">{title}</h3>
                            {icon_button("Close the details", Glyph::Close, move || desk.chosen.set(None))}
                        </header>
                        <dl class="details-rows">
                            {rows.into_iter().map(|(name, value)| view! {
                                <dt>{name}</dt>
                                <dd>{value}</dd>
                            }).collect_view()}
                        </dl>
                        <div class="node-ports">
                            {ports.into_iter().map(|port| view! {
                                <a
                                    class="port"
                                    href=desk.port_address(&proxy_host, port)
                                    target="_blank"
                                    rel="noopener"
                                >
                                    {format!("Open port {port}")}
                                </a>
                            }).collect_view()}
                        </div>
                    </aside>
                }
            }).into_any())}
        </div>
    }
}

fn facts(model: &Model, chosen: &Chosen) -> Option<Facts> {
    let (Chosen::Node(name) | Chosen::Container { node: name, .. } | Chosen::Network { node: name, .. }) =
        chosen;
    let picture = model.picture();
    let node = picture.nodes.iter().find(|node| node.name == *name)?;
    let proxy_host = model.node(name)?.proxy_host.clone();
    match chosen {
        Chosen::Node(_) => Some(of_node(node, proxy_host)),
        Chosen::Container { id, .. } => {
            let container = node.containers.iter().find(|container| container.id == *id)?;
            Some(of_container(node, container, proxy_host))
        }
        Chosen::Network { id, .. } => {
            let network = node.networks.iter().find(|network| network.id == *id)?;
            Some(of_network(node, network))
        }
    }
}

fn of_node(node: &Node, proxy_host: String) -> Facts {
    let mut rows = vec![("Address", node.ip.clone()), ("State", node.state.clone())];
    if !node.swarm_role.is_empty() {
        rows.push(("Swarm", node.swarm_role.clone()));
    }
    if let Some(stats) = node.stats {
        let of = |part, whole| format!("{} of {}", units::bytes(part), units::bytes(whole));
        rows.push(("CPU", format!("{} %", stats.cpu_percent.round() as i32)));
        rows.push(("Memory", of(stats.memory_bytes, stats.memory_limit_bytes)));
        rows.push(("Disk", of(stats.disk_bytes, stats.disk_limit_bytes)));
    }
    rows.push(("Containers", node.containers.len().to_string()));
    let ports = node.containers.iter().flat_map(|container| published(&container.ports)).collect();
    Facts { title: node.hostname.clone(), kind: "Node", rows, ports, proxy_host }
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
    for endpoint in &container.endpoints {
        let network = node.networks.iter().find(|network| network.id == endpoint.network);
        let name = network.map_or("", |network| &network.name);
        let said = if endpoint.ip.is_empty() { name.to_owned() } else { format!("{name} {}", endpoint.ip) };
        rows.push(("Network", said));
    }
    rows.extend(container.ports.iter().map(|port| ("Port", port_sentence(port))));
    Facts {
        title: container.name.clone(),
        kind: "Container",
        rows,
        ports: published(&container.ports),
        proxy_host,
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
    Facts { title: network.name.clone(), kind: "Network", rows, ports: Vec::new(), proxy_host: String::new() }
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
