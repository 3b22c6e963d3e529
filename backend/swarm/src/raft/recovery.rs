//! `--force-new-cluster`: what is on this disk becomes a cluster of one.
//!
//! The log gets one more entry, which nobody voted on, that makes this manager the only member, in a term later than any it saw.
//! Entries that the lost majority may never have agreed on count as agreed from then on: that is what forcing means.

use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId, Membership, Vote};

use super::frames::FrameError;
use super::types::{Manager, RaftId};
use super::{Log, Machine};

/// Makes `id` the only member of the cluster in `log`. Before raft is started, never beside it.
pub fn force_new_cluster(
    log: &Log,
    machine: &Machine,
    id: RaftId,
    manager: Manager,
) -> Result<(), FrameError> {
    let last = log.last().max(machine.last_applied());
    let voted = log.vote().map_or(0, |vote| vote.leader_id().term);
    let term = voted.max(last.map_or(0, |last| last.leader_id.term)) + 1;
    let index = last.map_or(0, |last| last.index + 1);
    let entry = Entry {
        log_id: LogId::new(CommittedLeaderId::new(term, id), index),
        payload: EntryPayload::Membership(Membership::new(
            vec![[id].into()],
            std::collections::BTreeMap::from([(id, manager)]),
        )),
    };
    log.force(&entry, Vote::new(term, id))
}
