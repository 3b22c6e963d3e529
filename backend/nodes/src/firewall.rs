//! The host's own firewall, where it drops what it does not know.
//!
//! Docker, ufw and others set the policy of `FORWARD` to drop, and a packet passes only when no table drops it: our own
//! table cannot speak for it. Rules that name our links alone are put first in that chain with the tool its owner uses;
//! what nodes may reach is still decided by our own table. A firewall that is none of iptables' is left to its owner.

use std::io;
use std::process::{Command, Output};

#[derive(Debug, thiserror::Error)]
pub enum FirewallError {
    #[error("cannot start iptables")]
    Start { source: io::Error },
    #[error(
        "the host's firewall drops forwarded packets, so nodes do not reach the internet; iptables would not let them \
         through ({said}). Run: iptables -I FORWARD -i {links} -j ACCEPT; iptables -I FORWARD -o {links} -j ACCEPT"
    )]
    Refused { links: String, said: String },
    #[error(
        "the host's firewall ({chain}) drops forwarded packets, so nodes do not reach the internet. Run: \
         nft insert rule {chain} iifname '\"{links}*\"' accept; nft insert rule {chain} oifname '\"{links}*\"' accept"
    )]
    Foreign { chain: String, links: String },
}

/// Lets packets from and to links whose names begin with `prefix` through, if they would be dropped.
pub fn admit(prefix: &str) -> Result<(), FirewallError> {
    if let Some(listed) = iptables(&["--list-rules", "FORWARD"])?
        && drops(&listed)
    {
        for rule in rules(prefix) {
            let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
            if run(&[&["--check", "FORWARD"], rule.as_slice()].concat())?
                .is_some_and(|check| check.status.success())
            {
                continue;
            }
            let inserted = run(&[&["--insert", "FORWARD"], rule.as_slice()].concat())?;
            if let Some(failed) = inserted.filter(|output| !output.status.success()) {
                let said = String::from_utf8_lossy(&failed.stderr).trim().to_owned();
                return Err(FirewallError::Refused { links: format!("{prefix}+"), said });
            }
        }
    }
    match foreign() {
        Some(chain) => Err(FirewallError::Foreign { chain, links: prefix.to_owned() }),
        None => Ok(()),
    }
}

/// Takes those rules back; no error when there are none.
pub fn retire(prefix: &str) -> Result<(), FirewallError> {
    // Looked first: a command that changes may make a table where there was none.
    if !iptables(&["--list-rules", "FORWARD"])?.is_some_and(|listed| listed.contains(prefix)) {
        return Ok(());
    }
    for rule in rules(prefix) {
        let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
        // It fails once there is none left.
        while run(&[&["--delete", "FORWARD"], rule.as_slice()].concat())?
            .is_some_and(|deleted| deleted.status.success())
        {}
    }
    Ok(())
}

/// What leaves sessions, and the answers to it.
fn rules(prefix: &str) -> [Vec<String>; 2] {
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    [
        words(format!("--in-interface {prefix}+ --jump ACCEPT")),
        words(format!(
            "--out-interface {prefix}+ --match conntrack --ctstate ESTABLISHED,RELATED --jump ACCEPT"
        )),
    ]
}

fn drops(listed: &str) -> bool {
    listed.lines().any(|line| matches!(line, "-P FORWARD DROP" | "-P FORWARD REJECT"))
}

/// What a command of iptables prints; nothing where it is not installed, or fails (no kernel part, no such chain).
fn iptables(arguments: &[&str]) -> Result<Option<String>, FirewallError> {
    let output = run(arguments)?.filter(|output| output.status.success());
    Ok(output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn run(arguments: &[&str]) -> Result<Option<Output>, FirewallError> {
    match Command::new("iptables").arg("--wait").args(arguments).output() {
        Ok(output) => Ok(Some(output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FirewallError::Start { source }),
    }
}

/// The family, table and name of a chain of nftables' own that drops forwarded packets.
fn foreign() -> Option<String> {
    let listed = Command::new("nft").args(["--json", "list", "chains"]).output().ok()?;
    dropping_chain(&serde_json::from_slice(&listed.stdout).ok()?)
}

fn dropping_chain(listed: &serde_json::Value) -> Option<String> {
    let chains = listed["nftables"].as_array()?.iter().map(|entry| &entry["chain"]);
    let mut dropping =
        chains.filter(|chain| chain["hook"] == "forward" && chain["policy"] == "drop").filter_map(|chain| {
            let (family, table) = (chain["family"].as_str()?, chain["table"].as_str()?);
            let name = chain["name"].as_str()?;
            // The first is iptables' own and was seen to; IPv6 and bridges do not concern nodes.
            let concerns = matches!(family, "ip" | "inet") && (family, table) != ("ip", "filter");
            concerns.then(|| format!("{family} {table} {name}"))
        });
    dropping.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_drops_is_seen() {
        assert!(drops("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n"));
        assert!(!drops("-P FORWARD ACCEPT\n-A FORWARD -j DROP\n"));
    }

    #[test]
    fn a_foreign_chain_that_drops_is_named() {
        let chain = |family: &str, table: &str, hook: &str, policy: &str| serde_json::json!({ "chain": { "family": family, "table": table, "name": "c", "hook": hook, "policy": policy } });
        let listed = |chains: Vec<serde_json::Value>| serde_json::json!({ "nftables": chains });
        let found = dropping_chain(&listed(vec![
            chain("ip", "filter", "forward", "drop"),
            chain("ip6", "x", "forward", "drop"),
            chain("inet", "x", "input", "drop"),
            chain("inet", "mine", "forward", "drop"),
        ]));
        assert_eq!(found.as_deref(), Some("inet mine c"));
        assert_eq!(dropping_chain(&listed(vec![chain("inet", "x", "forward", "accept")])), None);
    }
}
