//! Who has which name, address and id block on this host, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use crate::boot::BootError;
use crate::config::NodeSpec;
use crate::faults::{Cable, Ends, FaultError};
use crate::id::{NodeId, SessionId};
use crate::names::Names;
use crate::node::Node;
use crate::record::{NodeRecord, Stage};
use crate::session::Session;
use crate::table;

#[derive(Debug, Default)]
pub struct State {
    pub sessions: BTreeMap<SessionId, (Session, Names)>,
    pub nodes: BTreeMap<NodeId, Entry>,
}

/// ```text
/// Making ──▶ Running ──▶ Ending ──▶ (forgotten)
///    ╰───────────────────────▲
/// ```
#[derive(Debug)]
pub enum Entry {
    Making(NodeRecord),
    Running(Node),
    Ending(NodeRecord),
}

/// What became of the wish to end a node.
#[derive(Debug)]
pub enum BeginEnd {
    /// It is the caller's to remove.
    Begun(NodeRecord),
    /// It is being made, or somebody else is removing it: ask again when that is over.
    NotYet,
    Nothing,
}

impl Entry {
    pub fn record(&self) -> &NodeRecord {
        match self {
            Self::Making(record) | Self::Ending(record) => record,
            Self::Running(node) => node.record(),
        }
    }
}

impl State {
    /// Gives a node its name, address and id block, all at once.
    pub fn reserve(&mut self, spec: NodeSpec) -> Result<(NodeRecord, Session), BootError> {
        if self.nodes.contains_key(&spec.id) {
            return Err(BootError::Exists(spec.id));
        }
        let session = self.sessions.get(&spec.session).map(|(session, _)| session.clone());
        let session = session.ok_or_else(|| BootError::NoSession(spec.session.clone()))?;
        let address = self.address(&spec, &session)?;
        let blocks = self.nodes.values().map(|entry| entry.record().block).collect();
        let block = table::free_block(&blocks).ok_or(BootError::NoIds)?;
        let record = NodeRecord { spec, address, block, stage: Stage::Making };
        self.nodes.insert(record.spec.id.clone(), Entry::Making(record.clone()));
        self.name(&record);
        Ok((record, session))
    }

    /// Marks a running node as ending.
    pub fn begin_end(&mut self, id: &NodeId) -> BeginEnd {
        let Some(entry) = self.nodes.get_mut(id) else { return BeginEnd::Nothing };
        let Entry::Running(node) = entry else { return BeginEnd::NotYet };
        let record = node.record().clone();
        *entry = Entry::Ending(record.clone());
        BeginEnd::Begun(record)
    }

    /// Frees everything a node had; all of it must be gone.
    pub fn forget(&mut self, id: &NodeId) {
        if let Some(entry) = self.nodes.remove(id) {
            self.unname(entry.record());
        }
    }

    pub fn nodes_of(&self, session: &SessionId) -> Vec<NodeId> {
        let records = self.nodes.values().map(Entry::record);
        records
            .filter(|record| record.spec.session == *session)
            .map(|record| record.spec.id.clone())
            .collect()
    }

    /// The node of a session that has this address, or had it until it is gone.
    pub fn node_at(&self, session: &SessionId, address: Ipv4Addr) -> Option<NodeId> {
        let mut records = self.nodes.values().map(Entry::record);
        records
            .find(|record| record.spec.session == *session && record.address == address)
            .map(|record| record.spec.id.clone())
    }

    /// Where a cable's ends are; its nodes must run in this session.
    pub fn ends(&self, session: &SessionId, cable: &Cable) -> Result<Ends, FaultError> {
        let address = |id: &NodeId| match self.nodes.get(id) {
            Some(Entry::Running(node)) if node.session() == session => Ok(node.address()),
            _ => Err(FaultError::NoCable { cable: cable.clone(), session: session.clone() }),
        };
        match cable {
            Cable::Of(node) => Ok(Ends::of(address(node)?)),
            Cable::Between(one, other) => {
                Ends::between(address(one)?, address(other)?).ok_or(FaultError::Loop)
            }
        }
    }

    fn address(&self, spec: &NodeSpec, session: &Session) -> Result<Ipv4Addr, BootError> {
        let of_session = self.nodes.values().map(Entry::record);
        let of_session = of_session.filter(|record| record.spec.session == spec.session);
        let taken: BTreeSet<Ipv4Addr> = of_session.map(|record| record.address).collect();
        match spec.address {
            None => session.addresses().free_address(&taken).ok_or(BootError::NoAddress),
            Some(address) if taken.contains(&address) || !session.addresses().may_have(address) => {
                Err(BootError::Address(address))
            }
            Some(address) => Ok(address),
        }
    }

    fn names_of(&self, session: &SessionId) -> Option<&Names> {
        self.sessions.get(session).map(|(_, names)| names)
    }

    pub fn name(&self, record: &NodeRecord) {
        if let Some(mut names) = self.names_of(&record.spec.session).and_then(|names| names.write().ok()) {
            names.insert(record.spec.hostname.to_ascii_lowercase(), record.address);
        }
    }

    fn unname(&self, record: &NodeRecord) {
        if let Some(mut names) = self.names_of(&record.spec.session).and_then(|names| names.write().ok()) {
            names.retain(|_, address| *address != record.address);
        }
    }
}
