//! nf_tables over netlink: a [`Batch`] of changes to one table is one transaction, which the
//! kernel takes whole or not at all.
//!
//! Only tables of our own name are ever touched, one per family (`ip`, `ip6`, `bridge`), so that sweeping
//! up is one [`Batch::delete_table`] each. Begin with [`Batch`]; what a rule can say is in [`Rule`].

mod extension;
mod rule;
mod set;

use drydock_sys::netlink::Subsystem;

pub use rule::{Address, Port, Rule, Verdict};
pub use set::{Element, Field, Set, Value};

use crate::netlink::NetlinkError;
use crate::netlink::exchange::{Exchange, Step};
use crate::netlink::message::{Message, flag};
use crate::netns::NetNs;

const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFPROTO_IPV4`.
const IPV4: u8 = 2;

/// Whose packets a table sees; the kernel's numbers (`NFPROTO_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Ip = 2,
    /// Every frame that passes a bridge of the namespace, ARP's too.
    Bridge = 7,
    /// IPv6.
    Ip6 = 10,
}

/// `enum nf_tables_msg_types`.
#[derive(Clone, Copy)]
enum Kind {
    NewTable = 0,
    GetTable = 1,
    DeleteTable = 2,
    NewChain = 3,
    GetChain = 4,
    DeleteChain = 5,
    NewRule = 6,
    DeleteRule = 8,
    NewSet = 9,
    NewElement = 12,
    DeleteElement = 14,
}

/// Where and when a base chain is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// `filter`, `nat` or `route`.
    pub chain_type: ChainType,
    /// Which point of a packet's way.
    pub at: HookPoint,
    /// Lower is earlier; −300 raw, −100 DNAT, 0 filter, 100 SNAT.
    pub priority: i32,
}

/// What a base chain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainType {
    /// Accept, drop, change bytes.
    Filter,
    /// Asked once per connection; may translate addresses.
    Nat,
}

/// The five points of a packet's way through a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPoint {
    /// Arrived, not routed yet.
    Prerouting = 0,
    /// For this host.
    Input = 1,
    /// Passing through.
    Forward = 2,
    /// Made by this host.
    Output = 3,
    /// About to leave.
    Postrouting = 4,
}

/// A transaction on one table.
#[derive(Clone, Debug)]
#[must_use]
pub struct Batch {
    table: String,
    family: Family,
    steps: Vec<Step>,
}

impl Batch {
    /// An empty transaction on the IPv4 table `table`.
    pub fn new(table: &str) -> Self {
        Self::of(Family::Ip, table)
    }

    /// An empty transaction on the table `table` of a family.
    pub fn of(family: Family, table: &str) -> Self {
        Self { table: table.to_owned(), family, steps: Vec::new() }
    }

    /// Whether it would change nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    fn step(mut self, name: String, message: Message) -> Self {
        self.steps.push(Step { name, message });
        self
    }

    /// Makes the table if it is not there.
    pub fn create_table(self) -> Self {
        let mut message = self.request(Kind::NewTable, flag::CREATE);
        message.attr_str(1, &self.table);
        let name = format!("create table {}", self.table);
        self.step(name, message)
    }

    /// Deletes the table with all that is in it; no error when it is not there.
    pub fn delete_table(self) -> Self {
        let mut message = self.request(Kind::DeleteTable, 0);
        message.attr_str(1, &self.table);
        let name = format!("delete table {}", self.table);
        // Deleting is refused for what is absent: make it first, in the same transaction.
        self.create_table().step(name, message)
    }

    /// Adds a chain; one without a hook is only ever jumped to.
    pub fn add_chain(self, chain: &str, hook: Option<Hook>) -> Self {
        let mut message = self.request(Kind::NewChain, flag::CREATE);
        message.attr_str(1, &self.table).attr_str(3, chain);
        if let Some(hook) = hook {
            message.nest(4, |nest| {
                nest.attr_be32(1, hook.at as u32).attr(2, &hook.priority.to_be_bytes());
            });
            let name = match hook.chain_type {
                ChainType::Filter => "filter",
                ChainType::Nat => "nat",
            };
            message.attr_str(7, name);
        }
        self.step(format!("add chain {chain}"), message)
    }

    /// Empties a chain.
    pub fn flush_chain(self, chain: &str) -> Self {
        let mut message = self.request(Kind::DeleteRule, 0);
        message.attr_str(1, &self.table).attr_str(2, chain);
        self.step(format!("flush chain {chain}"), message)
    }

    /// Deletes an empty chain that nothing jumps to.
    pub fn delete_chain(self, chain: &str) -> Self {
        let mut message = self.request(Kind::DeleteChain, 0);
        message.attr_str(1, &self.table).attr_str(3, chain);
        self.step(format!("delete chain {chain}"), message)
    }

    /// Appends a rule to a chain.
    pub fn add_rule(self, chain: &str, rule: &Rule) -> Self {
        self.rule(flag::CREATE | flag::APPEND, chain, rule)
    }

    /// Puts a rule before all others of a chain.
    pub fn insert_rule(self, chain: &str, rule: &Rule) -> Self {
        self.rule(flag::CREATE, chain, rule)
    }

    fn rule(self, flags: u16, chain: &str, rule: &Rule) -> Self {
        let mut message = self.request(Kind::NewRule, flags);
        message.attr_str(1, &self.table).attr_str(2, chain);
        message.nest(4, |nest| {
            nest.raw(rule.expressions());
        });
        self.step(format!("add rule to chain {chain}"), message)
    }

    /// Adds a named set or map.
    pub fn add_set(self, set: &Set<'_>) -> Self {
        let mut message = self.request(Kind::NewSet, flag::CREATE);
        message.attr_str(1, &self.table);
        // An id unique in the transaction, by which the kernel tells new sets apart.
        let id = self.steps.len() as u32 + 1;
        set.describe(&mut message, id);
        self.step(format!("add set {}", set.name), message)
    }

    /// Puts elements in a set or map. An element that is there already is left as it is.
    pub fn add_elements(self, set: &str, elements: &[Element]) -> Self {
        self.elements(Kind::NewElement, flag::CREATE, "add to", set, elements)
    }

    /// Takes elements out of a set or map; refused when one is not there.
    pub fn delete_elements(self, set: &str, elements: &[Element]) -> Self {
        self.elements(Kind::DeleteElement, 0, "delete from", set, elements)
    }

    fn elements(mut self, kind: Kind, flags: u16, verb: &str, set: &str, elements: &[Element]) -> Self {
        // A nest is at most 64 KiB long.
        for some in elements.chunks(256) {
            let mut message = self.request(kind, flags);
            message.attr_str(1, &self.table).attr_str(2, set);
            message.nest(3, |list| some.iter().for_each(|element| element.describe(list)));
            self = self.step(format!("{verb} set {set}"), message);
        }
        self
    }

    fn request(&self, kind: Kind, flags: u16) -> Message {
        request(self.family, kind, flags)
    }
}

fn request(family: Family, kind: Kind, flags: u16) -> Message {
    Message::new((SUBSYSTEM << 8) | kind as u16, flags, &[family as u8, 0, 0, 0])
}

/// A socket to nf_tables, bound for life to the namespace it was opened in.
#[derive(Debug)]
pub struct Nft {
    exchange: Exchange,
}

impl Nft {
    /// Opens a socket in the calling thread's namespace.
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self { exchange: Exchange::open(Subsystem::Netfilter)? })
    }

    /// Opens a socket in `namespace`.
    pub fn open_in(namespace: &NetNs) -> Result<Self, NetlinkError> {
        namespace.run(Self::open).map_err(NetlinkError::Open)?
    }

    /// Commits the transaction. On an error nothing has changed.
    pub fn commit(&mut self, batch: Batch) -> Result<(), NetlinkError> {
        if batch.is_empty() {
            return Ok(());
        }
        let bracket = |kind| {
            let header = [0, 0, 0, SUBSYSTEM.to_be_bytes()[1]];
            Step { name: "nf_tables transaction".to_owned(), message: Message::new(kind, 0, &header) }
        };
        let mut steps = Vec::with_capacity(batch.steps.len() + 2);
        steps.push(bracket(BATCH_BEGIN));
        steps.extend(batch.steps);
        steps.push(bracket(BATCH_END));
        self.exchange.apply_as_one(steps)
    }

    /// Whether the IPv4 table `table` is there.
    pub fn has_table(&mut self, table: &str) -> Result<bool, NetlinkError> {
        let mut message = request(Family::Ip, Kind::GetTable, 0);
        message.attr_str(1, table);
        self.has(&format!("find table {table}"), message)
    }

    /// Whether the IPv4 table `table` has a chain `chain`.
    pub fn has_chain(&mut self, table: &str, chain: &str) -> Result<bool, NetlinkError> {
        let mut message = request(Family::Ip, Kind::GetChain, 0);
        message.attr_str(1, table).attr_str(3, chain);
        self.has(&format!("find chain {chain}"), message)
    }

    fn has(&mut self, step: &str, message: Message) -> Result<bool, NetlinkError> {
        match self.exchange.ask(step, message, |_, _| {}) {
            Ok(()) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
