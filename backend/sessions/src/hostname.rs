//! Hostnames of nodes.

/// `node1`, `node2`, …: one more than the highest in use, so that the name of a node just deleted, which other
/// nodes may still know, does not come back at once with another address.
pub fn next<'a>(taken: impl Iterator<Item = &'a str>) -> String {
    let highest = taken.filter_map(number).max().unwrap_or(0);
    format!("node{}", highest + 1)
}

fn number(hostname: &str) -> Option<u32> {
    hostname.strip_prefix("node")?.parse().ok().filter(|number| *number < u32::MAX)
}

/// One DNS label: letters, digits and inner hyphens, at most 63 of them.
pub fn is_valid(hostname: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !hostname.is_empty()
        && hostname.len() <= 63
        && hostname.bytes().all(inner)
        && !hostname.starts_with('-')
        && !hostname.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_name_is_above_all_in_use() {
        for (taken, expected) in [
            (&[][..], "node1"),
            (&["node1", "node2"], "node3"),
            (&["node2"], "node3"),
            (&["manager", "node", "nodex"], "node1"),
            (&["node4294967295"], "node1"),
        ] {
            assert_eq!(next(taken.iter().copied()), expected, "{taken:?}");
        }
    }

    #[test]
    fn only_dns_labels_are_hostnames() {
        for (name, valid) in [
            ("node1", true),
            ("a-b", true),
            ("", false),
            ("-a", false),
            ("a-", false),
            ("a.b", false),
            ("A", false),
            ("a b", false),
            ("../x", false),
        ] {
            assert_eq!(is_valid(name), valid, "{name}");
        }
        assert!(!is_valid(&"a".repeat(64)));
    }
}
