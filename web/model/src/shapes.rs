//! The topology drawing as a list of SVG elements, parents before what is in them. A key stands for the same thing
//! from one list to the next, so that what moves can be seen moving.

use crate::drawing::{CARD, ContainerBox, Drawing, HEADER, NodeBox, Rail, told};

#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    pub key: String,
    /// The key of the element it is in; the drawing itself when empty.
    pub inside: String,
    pub tag: &'static str,
    /// `style:NAME` is a style property, which may change gradually; other names are attributes.
    pub attributes: Vec<(&'static str, String)>,
    /// What a `text` says.
    pub text: String,
}

/// What a pressed key of the drawing means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chosen {
    Node(String),
    Container {
        node: String,
        id: String,
    },
    Network {
        node: String,
        id: String,
    },
    /// The way between two nodes.
    Link {
        node: String,
        other: String,
    },
}

impl Chosen {
    pub fn key(&self) -> String {
        match self {
            Self::Node(node) => format!("node/{node}"),
            Self::Container { node, id } => format!("container/{node}/{id}"),
            Self::Network { node, id } => format!("network/{node}/{id}"),
            Self::Link { node, other } => format!("link/{node}/{other}"),
        }
    }

    /// The instance it is on, or begins at.
    pub fn node(&self) -> &str {
        let (Self::Node(node)
        | Self::Container { node, .. }
        | Self::Network { node, .. }
        | Self::Link { node, .. }) = self;
        node
    }

    pub fn read(key: &str) -> Option<Self> {
        let mut parts = key.splitn(3, '/').map(str::to_owned);
        let kind = parts.next()?;
        let node = parts.next()?;
        match (kind.as_str(), parts.next()) {
            ("node", None) => Some(Self::Node(node)),
            ("container", Some(id)) => Some(Self::Container { node, id }),
            ("network", Some(id)) => Some(Self::Network { node, id }),
            ("link", Some(other)) => Some(Self::Link { node, other }),
            _ => None,
        }
    }
}

/// Everything of the drawing; `chosen` is marked.
pub fn shapes(drawing: &Drawing, chosen: Option<&Chosen>) -> Vec<Shape> {
    let mut list = List { shapes: Vec::new(), chosen: chosen.map(Chosen::key).unwrap_or_default() };
    let switch = drawing.switch;
    list.rect("switch", "", "switch-bar", [switch.x, switch.y, switch.width, switch.height], 6);
    let middle = (switch.x + switch.width / 2.0, switch.y + 19.0);
    list.text("switch-name", "", "switch-name", middle, "middle", "session network");
    list.along_switch(drawing);
    drawing.nodes.iter().for_each(|node| list.node(node));
    list.shapes
}

struct List {
    shapes: Vec<Shape>,
    chosen: String,
}

/// Whole pixels: half of one is not seen.
fn px(value: f64) -> String {
    (value.round() as i64).to_string()
}

fn moved(x: f64, y: f64) -> String {
    format!("translate({}px,{}px)", px(x), px(y))
}

impl List {
    fn push(&mut self, key: &str, inside: &str, tag: &'static str, attributes: Vec<(&'static str, String)>) {
        let (key, inside) = (key.to_owned(), inside.to_owned());
        self.shapes.push(Shape { key, inside, tag, attributes, text: String::new() });
    }

    fn group(&mut self, key: &str, inside: &str, class: &str) {
        self.push(key, inside, "g", vec![("class", class.to_owned())]);
    }

    /// `at` is x, y, width, height. Sizes are style properties, so that they change gradually.
    fn rect(&mut self, key: &str, inside: &str, class: &str, at: [f64; 4], round: u32) {
        let [x, y, width, height] = at;
        let size = |value: f64| format!("{}px", px(value.max(0.0)));
        let attributes = vec![
            ("class", class.to_owned()),
            ("x", px(x)),
            ("rx", round.to_string()),
            ("style:y", format!("{}px", px(y))),
            ("style:width", size(width)),
            ("style:height", size(height)),
        ];
        self.push(key, inside, "rect", attributes);
    }

    fn circle(&mut self, key: &str, inside: &str, class: &str, (x, y): (f64, f64), radius: &str) {
        let attributes =
            vec![("class", class.to_owned()), ("cx", px(x)), ("cy", px(y)), ("r", radius.to_owned())];
        self.push(key, inside, "circle", attributes);
    }

    fn text(&mut self, key: &str, inside: &str, class: &str, (x, y): (f64, f64), anchor: &str, text: &str) {
        let attributes =
            vec![("class", class.to_owned()), ("x", px(x)), ("y", px(y)), ("text-anchor", anchor.to_owned())];
        self.push(key, inside, "text", attributes);
        if let Some(shape) = self.shapes.last_mut() {
            text.clone_into(&mut shape.text);
        }
    }

    /// A group that can be pressed, and says what it is.
    fn button(&mut self, what: &Chosen, inside: &str, class: &str, label: String) -> String {
        let key = what.key();
        let class = if key == self.chosen { format!("{class} drawn-chosen") } else { class.to_owned() };
        let attributes = vec![
            ("class", class),
            ("role", "button".to_owned()),
            ("tabindex", "0".to_owned()),
            ("aria-label", label),
            ("data-key", key.clone()),
        ];
        self.push(&key, inside, "g", attributes);
        key
    }

    /// Overlays, and faults between nodes.
    fn along_switch(&mut self, drawing: &Drawing) {
        let switch = drawing.switch;
        for overlay in &drawing.overlays {
            let group = format!("overlay/{}", overlay.network);
            self.group(&group, "", &format!("rail hue-{}", overlay.hue));
            let line = [switch.x + 4.0, overlay.y - 1.5, switch.width - 8.0, 3.0];
            self.rect(&format!("{group}/line"), &group, "rail-line", line, 1);
            let at = (overlay.label_x, overlay.y - 5.0);
            self.text(&format!("{group}/name"), &group, "rail-name", at, "start", &overlay.name);
        }
        for row in &drawing.faults {
            let what = Chosen::Link { node: row.one.clone(), other: row.other.clone() };
            let class = if row.is_cut { "fault-row fault-cut" } else { "fault-row" };
            let key = self.button(&what, "", class, row.text.clone());
            let hit = [row.label_x - 8.0, row.y - 15.0, switch.width - row.label_x + switch.x, 20.0];
            self.rect(&format!("{key}/hit"), &key, "hit", hit, 5);
            let at = (row.label_x, row.y - 1.0);
            self.text(&format!("{key}/text"), &key, "fault-text", at, "start", &row.text);
        }
    }

    /// From the switch to the node: its cable, whole or not, and the overlays it is on.
    fn links(&mut self, node: &NodeBox, group: &str) {
        let of = |part: &str| format!("{group}/{part}");
        let (plug, width, left) = (HEADER / 2.0, 2.0 + node.weight, node.cable_x);
        let half = width / 2.0;
        self.rect(
            &of("down"),
            group,
            "cable",
            [left + 1.0 - half, node.cable_top, width, plug - node.cable_top],
            0,
        );
        match node.loss {
            0 => self.rect(&of("in"), group, "cable", [left, plug - half, -left, width], 0),
            // What is left of it sticks out at both ends.
            loss => {
                let class = if loss >= 100 { "cable-end cable-cut" } else { "cable-end" };
                self.rect(&of("here"), group, class, [left, plug - half, 4.0, width], 0);
                self.rect(&of("there"), group, class, [-4.0, plug - half, 4.0, width], 0);
                let mark = of("fault");
                let class = if loss >= 100 { "fault-mark fault-cut" } else { "fault-mark" };
                self.group(&mark, group, class);
                let (sign, size) = if loss >= 100 { ("✕", 4.5) } else { ("%", 4.0) };
                self.text(&of("fault/sign"), &mark, "fault-sign", (left / 2.0, plug + size), "middle", sign);
            }
        }
        for join in &node.joins {
            let key = of(&format!("join/{}", join.network));
            self.group(&key, group, &format!("rail hue-{}", join.hue));
            let down = [join.x - 1.0, join.top, 2.0, join.rail_y - join.top + 1.0];
            self.rect(&format!("{key}/down"), &key, "rail-line", down, 0);
            let across = [join.x - 1.0, join.rail_y - 1.0, join.rail_x - join.x + 1.0, 2.0];
            self.rect(&format!("{key}/in"), &key, "rail-line", across, 0);
        }
    }

    fn node(&mut self, node: &NodeBox) {
        let name = &node.name;
        let (frame, plug) = (node.frame, HEADER / 2.0);
        let group = format!("n/{name}");
        let attributes = vec![
            ("class", "drawn-node".to_owned()),
            ("data-state", node.state.clone()),
            ("style:transform", moved(frame.x, frame.y)),
        ];
        self.push(&group, "", "g", attributes);
        let of = |part: &str| format!("{group}/{part}");
        self.rect(&of("frame"), &group, "node-frame", [0.0, 0.0, frame.width, frame.height], 10);
        let links = of("links");
        self.group(&links, &group, "links");
        self.links(node, &links);
        self.circle(&of("plug"), &group, "plug", (0.0, plug), "4");
        let fault = if node.loss > 0 { format!("cable {}", told(node.loss)) } else { String::new() };
        let told = if fault.is_empty() { String::new() } else { format!(", {fault}") };
        let label = format!("{}, {}, {}{told}", node.hostname, node.ip, node.state);
        let plate = self.button(&Chosen::Node(name.clone()), &group, "node-name-plate", label);
        self.rect(&of("hit"), &plate, "hit", [4.0, 4.0, frame.width - 8.0, HEADER - 8.0], 8);
        self.text(&of("hostname"), &plate, "drawn-title", (16.0, 22.0), "start", &node.hostname);
        self.text(&of("ip"), &plate, "drawn-mono", (16.0, 39.0), "start", &node.ip);
        let right = frame.width - 14.0;
        self.text(&of("role"), &plate, "drawn-role", (right, 22.0), "end", &node.role);
        let beside = 26.0 + node.ip.len() as f64 * 7.0;
        self.text(&of("rate"), &plate, "drawn-rate", (beside, 39.0), "start", &node.rate);
        let (class, state) = match (node.loss, node.state.as_str()) {
            (100.., _) => ("drawn-fault fault-cut", fault.as_str()),
            (1.., _) => ("drawn-fault", fault.as_str()),
            (0, "ready") => ("drawn-soft", ""),
            (0, state) => ("drawn-soft", state),
        };
        self.text(&of("state"), &plate, class, (right, 39.0), "end", state);
        // Rails below, whatever came last.
        let (rails, cards) = (of("rails"), of("cards"));
        self.group(&rails, &group, "rails");
        self.group(&cards, &group, "cards");
        node.rails.iter().for_each(|rail| self.rail(name, rail, &rails, frame.width));
        node.containers.iter().for_each(|container| self.container(name, container, &cards, frame.width));
        if node.containers.is_empty() {
            self.text(
                &of("none"),
                &group,
                "drawn-soft",
                (16.0, frame.height - 14.0),
                "start",
                "no containers",
            );
        }
    }

    fn rail(&mut self, node: &str, rail: &Rail, inside: &str, width: f64) {
        let what = Chosen::Network { node: node.to_owned(), id: rail.network.clone() };
        let class = format!("rail hue-{}", rail.hue);
        let key = self.button(&what, inside, &class, format!("Network {} {}", rail.name, rail.about));
        let of = |part: &str| format!("{key}/{part}");
        let hit = [rail.label_x - 8.0, rail.top - 10.0, width - rail.label_x + 4.0, 20.0];
        self.rect(&of("hit"), &key, "hit", hit, 5);
        let (thick, half) = (3.0 + rail.weight, 1.5 + rail.weight / 2.0);
        let line = [rail.x - half, rail.top, thick, rail.bottom - rail.top];
        self.rect(&of("line"), &key, "rail-line", line, 1);
        let arm = [rail.x, rail.top - 1.5, rail.label_x - rail.x - 6.0, 3.0];
        self.rect(&of("arm"), &key, "rail-line", arm, 0);
        self.circle(&of("begin"), &key, "rail-begin", (rail.x, rail.top), "5");
        self.text(&of("name"), &key, "rail-name", (rail.label_x, rail.top + 4.0), "start", &rail.name);
        let about = if rail.is_busy { "drawn-rate" } else { "drawn-mono" };
        self.text(&of("about"), &key, about, (width - 14.0, rail.top + 4.0), "end", &rail.about);
    }

    fn container(&mut self, node: &str, container: &ContainerBox, inside: &str, width: f64) {
        let what = Chosen::Container { node: node.to_owned(), id: container.id.clone() };
        let group = format!("{}/group", what.key());
        let attributes = vec![
            ("class", "drawn-container".to_owned()),
            ("data-state", container.state.clone()),
            ("style:transform", moved(0.0, container.frame.y)),
        ];
        self.push(&group, inside, "g", attributes);
        let of = |part: &str| format!("{group}/{part}");
        let (left, card) = (container.frame.x, container.frame.width);
        for station in &container.stations {
            let (x, half) = (station.x, 1.5 + station.weight / 2.0);
            let rail = format!("{group}/on/{}", px(x));
            self.group(&rail, &group, &format!("rail hue-{}", station.hue));
            let arm = [x, CARD / 2.0 - half, left - x, 2.0 * half];
            self.rect(&format!("{rail}/arm"), &rail, "rail-line", arm, 0);
            self.circle(&format!("{rail}/station"), &rail, "station", (x, CARD / 2.0), "4.5");
        }
        if !container.ports.is_empty() {
            let line = [left + card, CARD / 2.0 - 1.0, width - left - card, 2.0];
            self.rect(&of("port"), &group, "port-line", line, 0);
            self.circle(&of("port-plug"), &group, "port-plug", (width, CARD / 2.0), "4");
        }
        let label = format!("Container {}, {}, {}", container.name, container.image, container.state);
        let key = self.button(&what, &group, "container-card", label);
        self.rect(&of("frame"), &key, "card-frame", [left, 0.0, card, CARD], 7);
        self.circle(&of("dot"), &key, "card-state", (left + 13.0, 15.0), "3.5");
        let right = left + card - 12.0;
        self.text(&of("name"), &key, "card-name", (left + 23.0, 19.0), "start", &container.name);
        self.text(&of("ip"), &key, "drawn-mono", (right, 19.0), "end", &container.ip);
        self.text(&of("image"), &key, "drawn-soft", (left + 12.0, 36.0), "start", &container.image);
        self.text(&of("ports"), &key, "card-ports", (right, 36.0), "end", &container.ports);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drawing;
    use drydock_wire::topology::{Container, Endpoint, Fault, Network, Node, Topology};
    use std::collections::HashSet;

    fn picture() -> Vec<Shape> {
        let network = |id: &str| Network { id: id.into(), name: id.into(), ..Network::default() };
        let endpoint = |id: &str| Endpoint { network: id.into(), ..Endpoint::default() };
        let container = |id: &str| Container {
            id: id.into(),
            endpoints: vec![endpoint("one"), endpoint("two")],
            ..Container::default()
        };
        let node = |name: &str| Node {
            name: name.into(),
            hostname: name.into(),
            networks: vec![network("one"), network("two")],
            containers: vec![container("a"), container("b")],
            ..Node::default()
        };
        let topology = Topology { nodes: vec![node("x"), node("y")], ..Topology::default() };
        let drawing = drawing::draw(&topology, 500.0);
        shapes(&drawing, Some(&Chosen::Node("x".into())))
    }

    #[test]
    fn a_cut_cable_does_not_reach_its_node_and_a_fault_between_nodes_can_be_pressed() {
        let node = |name: &str| Node { name: name.into(), hostname: name.into(), ..Node::default() };
        let mut topology = Topology { nodes: vec![node("x"), node("y")], ..Topology::default() };
        let drawn = |topology: &Topology| shapes(&drawing::draw(topology, 500.0), None);
        let has = |shapes: &[Shape], key: &str| shapes.iter().any(|shape| shape.key == key);
        assert!(has(&drawn(&topology), "n/x/links/in"));
        topology.faults = vec![
            Fault { one: "x".into(), other: None, loss: 100 },
            Fault { one: "x".into(), other: Some("y".into()), loss: 30 },
        ];
        let cut = drawn(&topology);
        assert!(!has(&cut, "n/x/links/in") && has(&cut, "n/y/links/in"));
        assert!(cut.iter().any(|shape| shape.key == "n/x/state" && shape.text == "cable cut"));
        let row = Chosen::Link { node: "x".into(), other: "y".into() };
        assert!(has(&cut, &row.key()));
        assert_eq!(Chosen::read(&row.key()), Some(row));
    }

    #[test]
    fn keys_are_unique_and_parents_come_first() {
        let mut seen = HashSet::from([String::new()]);
        for shape in picture() {
            assert!(seen.contains(&shape.inside), "{} is in {}", shape.key, shape.inside);
            assert!(seen.insert(shape.key.clone()), "{} twice", shape.key);
        }
    }

    #[test]
    fn what_can_be_pressed_has_a_name_and_means_something() {
        let shapes = picture();
        let value = |shape: &Shape, name: &str| {
            shape.attributes.iter().find(|(one, _)| *one == name).map(|(_, value)| value.clone())
        };
        let buttons: Vec<&Shape> = shapes.iter().filter(|shape| value(shape, "role").is_some()).collect();
        // Per node: itself, two networks, two containers.
        assert_eq!(buttons.len(), 10);
        for button in buttons {
            let key = value(button, "data-key").unwrap();
            assert_eq!(Chosen::read(&key).unwrap().key(), key);
            assert!(value(button, "aria-label").is_some_and(|label| !label.is_empty()));
        }
        let marked =
            shapes.iter().filter(|shape| value(shape, "class").is_some_and(|c| c.contains("drawn-chosen")));
        assert_eq!(marked.map(|shape| shape.key.as_str()).collect::<Vec<_>>(), ["node/x"]);
    }
}
