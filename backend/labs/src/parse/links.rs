//! The text of a `link` block: a line for each thing done to cables.
//!
//! ```text
//! cut node1                            its cable to the session's switch
//! lose 30% node1 node2                 the cables of both
//! cut node1 node2 | node3 node4        each way from the left to the right
//! heal node1 | node2                   as it was
//! heal                                 every cable of the lab
//! ```

use super::Fault;
use crate::lab::{Link, Links};

pub(super) fn read(text: &str, nodes: &[String]) -> Result<Links, Fault> {
    let text = text.trim();
    let mut set = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        set.extend(order(line, nodes)?);
    }
    if set.is_empty() {
        return Err(Fault::Empty);
    }
    Ok(Links { text: text.to_owned(), set })
}

fn order(line: &str, nodes: &[String]) -> Result<Vec<Link>, Fault> {
    let bad = || Fault::LinkOrder { line: line.to_owned() };
    let (verb, ends) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (loss, ends) = match verb {
        "cut" => (100, ends),
        "heal" if ends.is_empty() => return Ok(all(nodes)),
        "heal" => (0, ends),
        "lose" => {
            let (part, ends) = ends.trim_start().split_once(char::is_whitespace).ok_or_else(bad)?;
            let percent = part.strip_suffix('%').and_then(|percent| percent.parse().ok());
            (percent.filter(|percent| (1..=100).contains(percent)).ok_or_else(bad)?, ends)
        }
        _ => return Err(bad()),
    };
    let (left, right) = match ends.split_once('|') {
        None => (named(ends, nodes)?, None),
        Some((left, right)) => (named(left, nodes)?, Some(named(right, nodes)?)),
    };
    if left.is_empty() || right.as_ref().is_some_and(|right| right.iter().any(|node| left.contains(node))) {
        return Err(bad());
    }
    match right {
        None => Ok(left.into_iter().map(|one| Link { one, other: None, loss }).collect()),
        Some(right) if right.is_empty() => Err(bad()),
        Some(right) => Ok(ways(&left, &right, loss)),
    }
}

fn named(text: &str, nodes: &[String]) -> Result<Vec<String>, Fault> {
    let known = |node: &str| match nodes.iter().any(|known| known == node) {
        true => Ok(node.to_owned()),
        false => Err(Fault::MissingNode { node: node.to_owned() }),
    };
    text.split_whitespace().map(known).collect()
}

fn ways(left: &[String], right: &[String], loss: u8) -> Vec<Link> {
    let way = |one: &String, other: &String| Link { one: one.clone(), other: Some(other.clone()), loss };
    left.iter().flat_map(|one| right.iter().map(move |other| way(one, other))).collect()
}

/// Heals everything that a lab can have done.
fn all(nodes: &[String]) -> Vec<Link> {
    let own = nodes.iter().map(|one| Link { one: one.clone(), other: None, loss: 0 });
    let between =
        nodes.iter().enumerate().flat_map(|(at, one)| ways(std::slice::from_ref(one), &nodes[at + 1..], 0));
    own.chain(between).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes() -> Vec<String> {
        ["node1", "node2", "node3"].map(str::to_owned).into()
    }

    /// `node1|node2=30`, or the fault.
    fn set(text: &str) -> Result<Vec<String>, String> {
        let shown = |link: &Link| {
            let other = link.other.as_ref().map(|other| format!("|{other}")).unwrap_or_default();
            format!("{}{other}={}", link.one, link.loss)
        };
        let links = read(text, &nodes()).map_err(|fault| fault.to_string())?;
        Ok(links.set.iter().map(shown).collect())
    }

    #[test]
    fn each_line_cuts_heals_or_lets_cables_lose() {
        for (text, expected) in [
            ("cut node1\n", &["node1=100"][..]),
            ("lose 30% node1 node2", &["node1=30", "node2=30"]),
            ("cut node1 | node2 node3", &["node1|node2=100", "node1|node3=100"]),
            ("heal node1|node2\n\n cut node3 ", &["node1|node2=0", "node3=100"]),
            ("heal", &["node1=0", "node2=0", "node3=0", "node1|node2=0", "node1|node3=0", "node2|node3=0"]),
        ] {
            assert_eq!(set(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_order_is_named() {
        for (text, said) in [
            ("", "the block is empty"),
            ("cut", "`cut` is"),
            ("cut node9", "no node `node9`"),
            ("cut node1 |", "`cut node1 |` is"),
            ("cut | node1", "is not one of"),
            ("cut node1 | node1", "is not one of"),
            ("lose node1", "is not one of"),
            ("lose 0% node1", "is not one of"),
            ("lose 101% node1", "is not one of"),
            ("break node1", "is not one of"),
        ] {
            let fault = set(text).unwrap_err();
            assert!(fault.contains(said), "{text}: {fault}");
        }
    }
}
