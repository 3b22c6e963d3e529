//! Cables of a session's switch that lose packets, or all of them: for labs on failure.
//!
//! A fault is a rule of one nf_tables table (`bridge drydock-faults`) in the session's namespace, which sees frames, so
//! that ARP and IPv6 are lost as well. It is recorded beside the session and set again when the session is adopted, and
//! forgotten with the node it is about: a later node may have its address.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use drydock_networks::NetNs;
use drydock_networks::netlink::NetlinkError;
use drydock_networks::nft::{Batch, ChainType, Family, Hook, HookPoint, Nft, Rule, Verdict};
use serde::{Deserialize, Serialize};

use crate::id::{NodeId, SessionId};
use crate::record;
use crate::session::port_name;

const TABLE: &str = "drydock-faults";
/// Before the bridge's own work: `NF_BR_PRI_FILTER_BRIDGED`.
const PRIORITY: i32 = -200;

/// How much a cable loses, each way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Loss(u8);

impl Loss {
    pub const CUT: Self = Self(100);

    /// 1 to 100; losing nothing is no fault.
    pub fn percent(percent: u8) -> Option<Self> {
        (1..=100).contains(&percent).then_some(Self(percent))
    }

    pub fn as_percent(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Loss {
    type Error = BadLoss;

    fn try_from(percent: u8) -> Result<Self, BadLoss> {
        Self::percent(percent).ok_or(BadLoss(percent))
    }
}

impl From<Loss> for u8 {
    fn from(loss: Loss) -> Self {
        loss.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} % is no loss: 1 to 100")]
pub struct BadLoss(u8);

/// What a fault is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cable {
    /// From the node to the switch: all it says and hears, but what its agent and engine say to the host.
    Of(NodeId),
    /// The way between two nodes, whatever else either reaches.
    Between(NodeId, NodeId),
}

impl fmt::Display for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(node) => write!(f, "the cable of {node}"),
            Self::Between(one, other) => write!(f, "the way between {one} and {other}"),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FaultError {
    #[error("there is no session {0}")]
    NoSession(SessionId),
    #[error("{cable} is not in session {session}")]
    NoCable { cable: Cable, session: SessionId },
    #[error("a node has no way to itself")]
    Loop,
    #[error("cannot set the rules of the session's switch (nf_tables)")]
    Rules { source: NetlinkError },
    #[error("cannot record the session's faults in {path}")]
    Record { path: PathBuf, source: io::Error },
}

/// A cable by what is constant while its nodes live: one node's address, or two in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ends {
    one: Ipv4Addr,
    other: Option<Ipv4Addr>,
}

impl Ends {
    pub fn of(node: Ipv4Addr) -> Self {
        Self { one: node, other: None }
    }

    pub fn between(one: Ipv4Addr, other: Ipv4Addr) -> Option<Self> {
        (one != other).then(|| Self { one: one.min(other), other: Some(one.max(other)) })
    }

    fn has(&self, node: Ipv4Addr) -> bool {
        self.one == node || self.other == Some(node)
    }

    /// The node's address, and the other's if it is a way between two.
    pub fn addresses(&self) -> (Ipv4Addr, Option<Ipv4Addr>) {
        (self.one, self.other)
    }
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Recorded {
    #[serde(flatten)]
    ends: Ends,
    loss: Loss,
}

/// The faults of one session, in the kernel as they are here.
#[derive(Debug)]
pub struct Faults {
    path: PathBuf,
    set: BTreeMap<Ends, Loss>,
}

impl Faults {
    /// What is recorded in `path`; none when nothing is.
    pub fn read(path: PathBuf) -> Self {
        let recorded: Vec<Recorded> = record::read(&path).unwrap_or_default();
        Self { path, set: recorded.into_iter().map(|fault| (fault.ends, fault.loss)).collect() }
    }

    pub fn list(&self) -> Vec<(Ends, Loss)> {
        self.set.iter().map(|(ends, loss)| (*ends, *loss)).collect()
    }

    pub fn put(&mut self, switch: &NetNs, ends: Ends, loss: Option<Loss>) -> Result<(), FaultError> {
        let mut set = self.set.clone();
        match loss {
            Some(loss) => set.insert(ends, loss),
            None => set.remove(&ends),
        };
        self.change_to(switch, set)
    }

    /// Forgets the faults of nodes that are gone, and sets the others' rules whatever they are now.
    pub fn restore(&mut self, switch: &NetNs, is_there: impl Fn(Ipv4Addr) -> bool) -> Result<(), FaultError> {
        let whole = |ends: &Ends| is_there(ends.one) && ends.other.is_none_or(&is_there);
        let set: BTreeMap<Ends, Loss> =
            self.set.iter().filter(|(ends, _)| whole(ends)).map(|(ends, loss)| (*ends, *loss)).collect();
        commit(switch, &set)?;
        self.change_to(switch, set)
    }

    pub fn forget(&mut self, switch: &NetNs, node: Ipv4Addr) -> Result<(), FaultError> {
        let mut set = self.set.clone();
        set.retain(|ends, _| !ends.has(node));
        self.change_to(switch, set)
    }

    /// Rules first: what is recorded and not in force is set at the next adoption, what is in force and not recorded
    /// would be lost then.
    fn change_to(&mut self, switch: &NetNs, set: BTreeMap<Ends, Loss>) -> Result<(), FaultError> {
        if set == self.set {
            return Ok(());
        }
        commit(switch, &set)?;
        let recorded: Vec<Recorded> = set.iter().map(|(&ends, &loss)| Recorded { ends, loss }).collect();
        if let Err(source) = record::write(&self.path, &recorded) {
            // The first failure is the one to tell.
            let _ = commit(switch, &self.set);
            return Err(FaultError::Record { path: self.path.clone(), source });
        }
        self.set = set;
        Ok(())
    }
}

/// Makes the table anew in one transaction, or takes it away when there is nothing to lose.
fn commit(switch: &NetNs, faults: &BTreeMap<Ends, Loss>) -> Result<(), FaultError> {
    let batch = batch(faults);
    let commit = Nft::open_in(switch).and_then(|mut nft| nft.commit(batch));
    commit.map_err(|source| FaultError::Rules { source })
}

fn batch(faults: &BTreeMap<Ends, Loss>) -> Batch {
    let table = Batch::of(Family::Bridge, TABLE).delete_table();
    if faults.is_empty() {
        return table;
    }
    let hook = |at| Some(Hook { chain_type: ChainType::Filter, at, priority: PRIORITY });
    let table = table
        .create_table()
        .add_chain("in", hook(HookPoint::Prerouting))
        .add_chain("between", hook(HookPoint::Forward))
        .add_chain("out", hook(HookPoint::Postrouting));
    faults.iter().fold(table, |table, (ends, loss)| {
        let one = port_name(ends.one);
        let (from, to) =
            (|port: &str| Rule::new().arrives_on(port), |rule: Rule, port: &str| rule.leaves_by(port));
        match ends.other.map(port_name) {
            None => table
                .add_rule("in", &lose(from(&one), *loss))
                .add_rule("out", &lose(to(Rule::new(), &one), *loss)),
            Some(other) => table
                .add_rule("between", &lose(to(from(&one), &other), *loss))
                .add_rule("between", &lose(to(from(&other), &one), *loss)),
        }
    })
}

fn lose(rule: Rule, loss: Loss) -> Rule {
    let drawn = if loss == Loss::CUT { rule } else { rule.by_chance(loss.0) };
    drawn.verdict(Verdict::Drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_between_two_nodes_is_the_same_from_both_ends_and_none_leads_to_itself() {
        let (one, other) = (Ipv4Addr::new(10, 64, 0, 2), Ipv4Addr::new(10, 64, 0, 3));
        assert_eq!(Ends::between(one, other), Ends::between(other, one));
        assert_eq!(Ends::between(one, one), None);
    }

    #[test]
    fn a_loss_is_a_part_of_a_hundred_and_not_nothing() {
        assert_eq!(Loss::percent(0), None);
        assert_eq!(Loss::percent(101), None);
        assert_eq!(Loss::percent(100), Some(Loss::CUT));
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let ends = Ends::of(Ipv4Addr::new(10, 64, 0, 2));
        let text = serde_json::to_string(&[Recorded { ends, loss: Loss::CUT }]).unwrap();
        let read: Vec<Recorded> = serde_json::from_str(&text).unwrap();
        assert_eq!((read[0].ends, read[0].loss), (ends, Loss::CUT), "{text}");
        assert!(serde_json::from_str::<Vec<Recorded>>(&text.replace("100", "0")).is_err());
    }
}
