//! Placement constraints: `node.labels.disk == ssd`, `engine.labels.zone != a`.
//!
//! Values are compared whole and without regard to case, as swarmkit does; `node.ip` also takes a
//! subnet.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::objects::{Node, NodeDescription, ObservedRole, TaskSpec};

pub const NODE_LABEL: &str = "node.labels.";
pub const ENGINE_LABEL: &str = "engine.labels.";

/// One condition on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constraint {
    key: String,
    wanted: bool,
    value: String,
}

/// Why a constraint cannot be read, in swarmkit's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadConstraint {
    #[error("constraint expected one operator from ==, !=")]
    NoOperator,
    #[error("key '{0}' is invalid")]
    Key(String),
    #[error("value '{0}' is invalid")]
    Value(String),
}

/// The constraints a spec names.
pub fn of(spec: &TaskSpec) -> &[String] {
    spec.placement.as_ref().and_then(|placement| placement.constraints.as_deref()).unwrap_or_default()
}

pub fn parse(texts: &[String]) -> Result<Vec<Constraint>, BadConstraint> {
    texts.iter().map(|text| parse_one(text)).collect()
}

fn parse_one(text: &str) -> Result<Constraint, BadConstraint> {
    let (key, value, wanted) = if let Some((key, value)) = text.split_once("==") {
        (key, value, true)
    } else if let Some((key, value)) = text.split_once("!=") {
        (key, value, false)
    } else {
        return Err(BadConstraint::NoOperator);
    };
    let (key, value) = (key.trim(), value.trim());
    if !is_key(key) {
        return Err(BadConstraint::Key(key.to_owned()));
    }
    if value.is_empty() || !value.chars().all(is_value_character) {
        return Err(BadConstraint::Value(value.to_owned()));
    }
    Ok(Constraint { key: key.to_owned(), wanted, value: value.to_owned() })
}

/// A letter or underscore and at least one more character.
fn is_key(key: &str) -> bool {
    let mut characters = key.chars();
    let first = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    first && key.len() > 1 && characters.all(|it| it.is_ascii_alphanumeric() || "-_.".contains(it))
}

fn is_value_character(it: char) -> bool {
    it.is_ascii_alphanumeric() || it.is_ascii_whitespace() || ":-_.*()?+[]\\^$|/".contains(it)
}

/// Whether the node meets all of them. A key that swarm does not know is met by none.
pub fn matches(constraints: &[Constraint], node: &Node) -> bool {
    constraints.iter().all(|constraint| constraint.is_met_by(node))
}

impl Constraint {
    fn is_met_by(&self, node: &Node) -> bool {
        let description = node.description.as_ref();
        match self.key.to_ascii_lowercase().as_str() {
            "node.id" => self.is(node.id.as_str()),
            "node.hostname" => self.is(node.hostname()),
            "node.role" => self.is(role(node)),
            "node.platform.os" => self.is(platform(description).0),
            "node.platform.arch" => self.is(platform(description).1),
            "node.ip" => self.is_address(&node.status.addr),
            _ => match label(&self.key, node) {
                Some(value) => self.is(value),
                None => false,
            },
        }
    }

    fn is(&self, found: &str) -> bool {
        self.value.eq_ignore_ascii_case(found) == self.wanted
    }

    fn is_address(&self, found: &str) -> bool {
        let address = found.parse::<IpAddr>().ok();
        if let Ok(wanted) = self.value.parse::<IpAddr>() {
            return (address == Some(wanted)) == self.wanted;
        }
        let Some((network, bits)) = subnet(&self.value) else { return false };
        address.is_some_and(|address| is_within(address, network, bits)) == self.wanted
    }
}

/// The label a key or a spread descriptor names; empty when the node lacks it. `None` when it
/// names no label.
pub(super) fn label<'a>(key: &str, node: &'a Node) -> Option<&'a str> {
    let engine = node.description.as_ref().and_then(|description| description.engine.as_ref());
    let (labels, name) = if let Some(name) = after(key, NODE_LABEL) {
        (node.spec.labels.as_ref(), name)
    } else {
        (engine.and_then(|engine| engine.labels.as_ref()), after(key, ENGINE_LABEL)?)
    };
    Some(value_of(labels, name))
}

fn value_of<'a>(labels: Option<&'a HashMap<String, String>>, name: &str) -> &'a str {
    labels.and_then(|labels| labels.get(name)).map_or("", String::as_str)
}

/// What follows the prefix, whose case does not matter; something has to follow.
fn after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    (head.eq_ignore_ascii_case(prefix) && !tail.is_empty()).then_some(tail)
}

fn role(node: &Node) -> &'static str {
    match node.observed_role {
        ObservedRole::Manager => "manager",
        ObservedRole::Worker => "worker",
    }
}

fn platform(description: Option<&NodeDescription>) -> (&str, &str) {
    let Some(platform) = description.and_then(|description| description.platform.as_ref()) else {
        return ("", "");
    };
    (platform.os.as_deref().unwrap_or_default(), platform.architecture.as_deref().unwrap_or_default())
}

/// Whether a subnet holds an address. `None` when the text is no subnet.
pub(crate) fn contains(text: &str, address: IpAddr) -> Option<bool> {
    subnet(text).map(|(network, bits)| is_within(address, network, bits))
}

fn subnet(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits) = (address.parse::<IpAddr>().ok()?, bits.parse::<u32>().ok()?);
    let most = if address.is_ipv4() { 32 } else { 128 };
    (bits <= most).then_some((address, bits))
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}
