//! What every object carries: when it was made and changed, and at which version.

use std::collections::HashMap;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The index in the raft log at which an object was last written. Who updates an object says the
/// version that was read, and is refused when another write came between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Version {
    pub index: u64,
}

impl From<u64> for Version {
    fn from(index: u64) -> Self {
        Self { index }
    }
}

/// Nanoseconds since 1970: by a wall clock where it is shown, by the swarm's own time where it decides ([`Moment`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// Nanoseconds, as the specs count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub i64);

/// A moment by both clocks that a leader goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The swarm's own time, which decides: it goes on at an even pace, whatever is done to the clocks of its managers.
    pub clock: Timestamp,
    /// The leader's wall clock, which is shown.
    pub wall: Timestamp,
}

impl From<Timestamp> for Moment {
    /// For a swarm whose clocks agree.
    fn from(time: Timestamp) -> Self {
        Self { clock: time, wall: time }
    }
}

impl Duration {
    pub const ZERO: Self = Self(0);

    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000_000)
    }

    pub const fn milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds * 1_000_000)
    }
}

impl Timestamp {
    pub fn at(time: OffsetDateTime) -> Self {
        Self(i64::try_from(time.unix_timestamp_nanos()).unwrap_or(i64::MAX))
    }

    /// Whether no time was ever put down.
    pub fn is_unset(self) -> bool {
        self.0 == 0
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.0))
    }
}

impl Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.0))
    }
}

/// Written by the store alone, when it applies a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Meta {
    pub version: Version,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A name and labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Annotations {
    pub name: String,
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    pub labels: HashMap<String, String>,
}
