//! The state machine, as openraft asks for it: agreed entries go into the store.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, ErrorSubject, ErrorVerb, OptionalSend, RaftSnapshotBuilder, StorageIOError};

use super::Replica;
use super::frames::FrameError;
use super::log::{Io, chain};
use super::snapshots::{Kept, Snapshots};
use super::types::{Entry, LogId, Outcome, Snapshot, SnapshotMeta, StorageError, StoredMembership, Types};

/// Applies entries to a [`Replica`]. Clones are one machine.
#[derive(Debug, Clone)]
pub struct Machine {
    replica: Replica,
    snapshots: Snapshots,
    applied: Arc<Mutex<Applied>>,
    io: Io,
}

#[derive(Debug, Clone, Default)]
struct Applied {
    last: Option<LogId>,
    membership: StoredMembership,
}

impl Machine {
    /// Begins with the snapshot on disk, when there is one.
    pub fn open(replica: Replica, snapshots: Snapshots, io: Io) -> Result<Self, FrameError> {
        let machine = Self { replica, snapshots, applied: Arc::default(), io };
        if let Some(kept) = machine.snapshots.load()? {
            machine.restore(&kept);
        }
        Ok(machine)
    }

    pub(super) fn last_applied(&self) -> Option<LogId> {
        self.applied().last
    }

    fn applied(&self) -> std::sync::MutexGuard<'_, Applied> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn restore(&self, kept: &Kept) {
        self.replica.restore(kept.store.clone());
        *self.applied() =
            Applied { last: kept.meta.last_log_id, membership: kept.meta.last_membership.clone() };
    }

    pub(super) fn apply_one(&self, entry: Entry) -> Outcome {
        let refusal = match entry.payload {
            EntryPayload::Normal(batch) => self.replica.apply(entry.log_id.index, &batch).err(),
            EntryPayload::Membership(membership) => {
                self.applied().membership = StoredMembership::new(Some(entry.log_id), membership);
                None
            }
            EntryPayload::Blank => None,
        };
        self.applied().last = Some(entry.log_id);
        Outcome { refusal }
    }

    /// Store and raft's position at one moment: the task that applies entries is the one that asks.
    fn now(&self) -> Kept {
        let applied = self.applied().clone();
        let last = applied.last;
        let snapshot_id =
            last.map_or_else(|| "empty".to_owned(), |last| format!("{}-{}", last.leader_id, last.index));
        let meta = SnapshotMeta { last_log_id: last, last_membership: applied.membership, snapshot_id };
        Kept { meta, store: self.replica.lock().save() }
    }

    async fn save(&self, kept: Kept) -> Result<Kept, FrameError> {
        let snapshots = self.snapshots.clone();
        let save = move || snapshots.save(&kept).map(|()| kept);
        if self.io == Io::Inline {
            return save();
        }
        let done = tokio::task::spawn_blocking(save).await;
        done.unwrap_or_else(|error| {
            Err(FrameError::Io {
                step: "wait for",
                path: "snap-v1-encrypted".into(),
                cause: io::Error::other(error),
            })
        })
    }
}

fn parcel(kept: &Kept) -> Snapshot {
    let bytes = serde_json::to_vec(&kept.store).expect("a snapshot is JSON: its maps have text for keys");
    Snapshot { meta: kept.meta.clone(), snapshot: Box::new(bytes) }
}

fn failed(verb: ErrorVerb, error: &FrameError) -> StorageError {
    StorageIOError::new(ErrorSubject::Snapshot(None), verb, openraft::AnyError::error(chain(error))).into()
}

/// A snapshot in the making, of the moment it was begun: entries go on being applied meanwhile. The objects are shared, not copied.
#[derive(Debug)]
pub struct Builder {
    machine: Machine,
    kept: Kept,
}

impl RaftSnapshotBuilder<Types> for Builder {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let kept =
            self.machine.save(self.kept.clone()).await.map_err(|error| failed(ErrorVerb::Write, &error))?;
        Ok(parcel(&kept))
    }
}

impl RaftStateMachine<Types> for Machine {
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let applied = self.applied();
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        Ok(entries.into_iter().map(|entry| self.apply_one(entry)).collect())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder { machine: self.clone(), kept: self.now() }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Vec<u8>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Vec<u8>>,
    ) -> Result<(), StorageError> {
        let store = serde_json::from_slice(&snapshot).map_err(|error| {
            StorageError::from(StorageIOError::new(
                ErrorSubject::Snapshot(None),
                ErrorVerb::Read,
                openraft::AnyError::new(&error),
            ))
        })?;
        let kept = Kept { meta: meta.clone(), store };
        let kept = self.save(kept).await.map_err(|error| failed(ErrorVerb::Write, &error))?;
        self.restore(&kept);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let kept = self.snapshots.load().map_err(|error| failed(ErrorVerb::Read, &error))?;
        Ok(kept.as_ref().map(parcel))
    }
}
