//! Which capabilities a container has: moby's default set, `--cap-add`, `--cap-drop`, `--privileged`.

use std::collections::BTreeSet;

use drydock_runtime::capabilities::NAMES;

use crate::host::Host;

/// What moby leaves a container.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown capability: \"{0}\"")]
pub struct UnknownCapability(pub String);

/// The container's capabilities, without `CAP_`; never more than the engine itself may give.
pub fn effective(
    add: &[String],
    drop: &[String],
    privileged: bool,
    host: &Host,
) -> Result<BTreeSet<&'static str>, UnknownCapability> {
    let held: BTreeSet<&'static str> = NAMES
        .iter()
        .enumerate()
        .filter(|(number, _)| host.may_give_capability(*number))
        .map(|(_, name)| *name)
        .collect();
    if privileged {
        return Ok(held);
    }
    let (add, add_all) = parse(add)?;
    let (drop, drop_all) = parse(drop)?;
    let mut set: BTreeSet<&'static str> = match (add_all, drop_all) {
        (true, _) => held.clone(),
        (false, true) => BTreeSet::new(),
        (false, false) => DEFAULT.into_iter().collect(),
    };
    if !drop_all {
        set.retain(|name| !drop.contains(name));
    }
    set.extend(add);
    Ok(set.intersection(&held).copied().collect())
}

/// `CAP_…` in capitals, each once and in the order of its first mention; `ALL` stays a word of its own.
pub fn normalize(words: &[String]) -> Result<Vec<String>, UnknownCapability> {
    let mut names: Vec<String> = Vec::new();
    for word in words {
        let upper = word.to_ascii_uppercase();
        let name = match upper.as_str() {
            "ALL" => upper,
            _ if upper.starts_with("CAP_") => upper,
            _ => format!("CAP_{upper}"),
        };
        let known = name == "ALL" || name.strip_prefix("CAP_").is_some_and(|bare| NAMES.contains(&bare));
        if !known {
            return Err(UnknownCapability(name));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Names, and whether `ALL` was among them.
fn parse(words: &[String]) -> Result<(Vec<&'static str>, bool), UnknownCapability> {
    let mut names = Vec::new();
    let mut all = false;
    for word in words {
        let upper = word.to_ascii_uppercase();
        if upper == "ALL" {
            all = true;
            continue;
        }
        let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
        match NAMES.iter().find(|name| **name == bare) {
            Some(name) => names.push(*name),
            None => return Err(UnknownCapability(word.clone())),
        }
    }
    Ok((names, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(add: &[&str], drop: &[&str]) -> Vec<&'static str> {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let host = Host::with_capabilities(u64::MAX);
        effective(&words(add), &words(drop), false, &host).expect("known names").into_iter().collect()
    }

    #[test]
    fn adding_and_dropping_follow_moby() {
        assert_eq!(set(&[], &[]).len(), DEFAULT.len());
        assert!(set(&["net_admin"], &[]).contains(&"NET_ADMIN"));
        assert!(!set(&[], &["CAP_CHOWN"]).contains(&"CHOWN"));
        assert_eq!(set(&["KILL"], &["ALL"]), ["KILL"]);
        assert_eq!(set(&["ALL"], &["KILL"]).len(), NAMES.len() - 1);
    }

    #[test]
    fn a_capability_the_engine_lacks_is_never_given() {
        let host = Host::with_capabilities(1);
        let given = effective(&[], &[], true, &host).expect("privileged");
        assert_eq!(given.into_iter().collect::<Vec<_>>(), ["CHOWN"]);
    }
}
