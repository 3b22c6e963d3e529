//! Raft's log and vote, as openraft asks for them, in one file of frames.
//!
//! A frame holds records: a vote, entries, a cut of the newest entries (a leader's were never agreed on), or a purge of the oldest
//! (a snapshot has them). Entries are kept in memory as the JSON they are on disk, which is a fraction of their size as objects.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{ErrorSubject, ErrorVerb, LogState, OptionalSend, RaftLogId as _, RaftLogReader};
use serde::{Deserialize, Serialize};

use super::frames::{FrameError, Frames};
use super::types::{Entry, LogId, StorageError, Types, Vote};
use crate::identity::SealKey;

/// Beyond this many bytes of dead records the file is rewritten when entries are purged.
const GARBAGE_LIMIT: u64 = 64 * 1024;

/// What must be free on a disk that was full, bytes.
const ROOM: usize = 1024 * 1024;

/// Where the disk is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Io {
    /// On a thread of its own: a slow disk holds up no other task.
    Aside,
    /// In the task itself: a simulation's time stands still meanwhile.
    Inline,
}

/// The log. Clones are one log; openraft reads through them.
#[derive(Debug, Clone)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    io: Io,
}

#[derive(Debug)]
struct Inner {
    frames: Frames,
    state: State,
}

/// What the records say.
#[derive(Debug, Default)]
struct State {
    vote: Option<Vote>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Box<[u8]>>,
    /// Id of the newest entry, or of the last purged one when there is none.
    last: Option<LogId>,
}

/// One record of a frame. Entries stand in it as text, which is read only when an entry is wanted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Record {
    Vote(Vote),
    Entry {
        id: LogId,
        text: String,
    },
    /// Entries from this index on are void.
    Cut(u64),
    /// Entries up to this one are in a snapshot.
    Purge(LogId),
}

impl State {
    fn take(&mut self, record: Record) {
        match record {
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Entry { id, text } => {
                // Without what the text had room for: it was written into a buffer that doubled.
                self.entries.insert(id.index, text.into_bytes().into());
                self.last = Some(id);
            }
            Record::Cut(from) => {
                self.entries.split_off(&from);
                self.last = self.newest().or(self.purged);
            }
            Record::Purge(upto) => {
                self.entries = self.entries.split_off(&(upto.index + 1));
                self.purged = Some(upto);
                self.last = self.last.max(self.purged);
            }
        }
    }

    fn newest(&self) -> Option<LogId> {
        let (_, text) = self.entries.last_key_value()?;
        serde_json::from_slice::<Entry>(text).ok().map(|entry| *entry.get_log_id())
    }

    /// The records that make this state, for a file without dead ones.
    fn records(&self) -> Vec<Record> {
        let vote = self.vote.map(Record::Vote);
        let purge = self.purged.map(Record::Purge);
        let entries = self.entries.values().filter_map(|text| {
            let entry: Entry = serde_json::from_slice(text).ok()?;
            Some(Record::Entry { id: *entry.get_log_id(), text: String::from_utf8_lossy(text).into_owned() })
        });
        vote.into_iter().chain(purge).chain(entries).collect()
    }
}

impl Inner {
    fn append(&mut self, records: Vec<Record>) -> Result<(), FrameError> {
        self.frames.append(&encode(&records))?;
        for record in records {
            self.state.take(record);
        }
        Ok(())
    }

    fn purge(&mut self, upto: LogId) -> Result<(), FrameError> {
        let before = self.frames.len();
        self.append(vec![Record::Purge(upto)])?;
        let live: u64 = self.state.entries.values().map(|text| text.len() as u64).sum();
        if before > live + GARBAGE_LIMIT {
            self.compact(self.frames.key().clone())?;
        }
        Ok(())
    }

    fn compact(&mut self, key: SealKey) -> Result<(), FrameError> {
        let frames: Vec<Vec<u8>> = self.state.records().chunks(16).map(encode).collect();
        self.frames.rewrite(key, frames.iter().map(Vec::as_slice))
    }
}

fn encode(records: &[Record]) -> Vec<u8> {
    serde_json::to_vec(records).expect("records are JSON: their maps have text for keys")
}

impl Log {
    /// Opens the log in `folder`, or begins one.
    pub fn open(folder: &Path, key: SealKey, io: Io) -> Result<Self, FrameError> {
        let mut state = State::default();
        let mut unreadable = false;
        let path = folder.join("log-v1-encrypted");
        let frames = Frames::open(&path, key, |plain| match serde_json::from_slice::<Vec<Record>>(&plain) {
            Ok(records) => records.into_iter().for_each(|record| state.take(record)),
            Err(_) => unreadable = true,
        })?;
        if unreadable {
            return Err(FrameError::Damaged { path, offset: 0 });
        }
        Ok(Self { inner: Arc::new(Mutex::new(Inner { frames, state })), io })
    }

    /// Seals everything with another key from now on.
    pub fn rekey(&self, key: SealKey) -> Result<(), FrameError> {
        self.lock().compact(key)
    }

    /// Whether nothing was ever written.
    pub fn is_pristine(&self) -> bool {
        let inner = self.lock();
        inner.state.vote.is_none() && inner.state.last.is_none()
    }

    /// For a member that could not write: whether there is room again, in bytes that are more than any batch. It comes back
    /// as one that follows: a leader that finds itself in its own vote would be heard before it had written anything.
    pub(super) fn stand_back(&self) -> Result<(), FrameError> {
        let mut inner = self.lock();
        inner.frames.try_room(ROOM)?;
        if let Some(vote) = &mut inner.state.vote {
            vote.committed = false;
        }
        Ok(())
    }

    pub(super) fn last(&self) -> Option<LogId> {
        self.lock().state.last
    }

    pub(super) fn vote(&self) -> Option<Vote> {
        self.lock().state.vote
    }

    /// Writes behind raft's back: recovery alone does.
    pub(super) fn force(&self, entry: &Entry, vote: Vote) -> Result<(), FrameError> {
        self.lock().append(vec![record_of(entry), Record::Vote(vote)])
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work`, which waits for the disk.
    async fn on_disk<F>(&self, work: F) -> Result<(), FrameError>
    where
        F: FnOnce(&mut Inner) -> Result<(), FrameError> + Send + 'static,
    {
        if self.io == Io::Inline {
            return work(&mut self.lock());
        }
        let log = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&mut log.lock())).await;
        done.unwrap_or_else(|error| Err(aborted(error)))
    }
}

impl Inner {
    fn read(&self, range: impl RangeBounds<u64>) -> io::Result<Vec<Entry>> {
        let texts = self.state.entries.range((range.start_bound().cloned(), range.end_bound().cloned()));
        texts.map(|(_, text)| serde_json::from_slice(text).map_err(io::Error::other)).collect()
    }
}

fn record_of(entry: &Entry) -> Record {
    let text = serde_json::to_string(entry).expect("an entry is JSON: its maps have text for keys");
    Record::Entry { id: *entry.get_log_id(), text }
}

fn aborted(error: tokio::task::JoinError) -> FrameError {
    FrameError::Io { step: "wait for", path: "log-v1-encrypted".into(), cause: io::Error::other(error) }
}

fn storage(verb: ErrorVerb, error: impl std::error::Error + 'static) -> StorageError {
    StorageError::from_io_error(ErrorSubject::Logs, verb, io::Error::other(chain(&error)))
}

/// An error with its causes, as openraft keeps errors as text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> Result<Vec<Entry>, StorageError>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        self.lock().read(range).map_err(|error| storage(ErrorVerb::Read, error))
    }
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let inner = self.lock();
        Ok(LogState { last_purged_log_id: inner.state.purged, last_log_id: inner.state.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        let saved = self.on_disk(move |inner| inner.append(vec![Record::Vote(vote)])).await;
        saved.map_err(|error| {
            StorageError::from_io_error(ErrorSubject::Vote, ErrorVerb::Write, io::Error::other(chain(&error)))
        })
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.lock().state.vote)
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<Types>) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let records: Vec<Record> = entries.into_iter().map(|entry| record_of(&entry)).collect();
        self.on_disk(move |inner| inner.append(records))
            .await
            .map_err(|error| storage(ErrorVerb::Write, error))?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let cut = self.on_disk(move |inner| inner.append(vec![Record::Cut(log_id.index)])).await;
        cut.map_err(|error| storage(ErrorVerb::Delete, error))
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        self.on_disk(move |inner| inner.purge(log_id))
            .await
            .map_err(|error| storage(ErrorVerb::Delete, error))
    }
}
