//! Who is alive. Pure: the time is an argument.
//!
//! ```text
//!  (leader elected) ─▶ awaited ── registers ─▶ alive ── three periods silent ─▶ gone
//!                         └────── three periods silent, at first twice that ─────▲
//! ```

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Code, Status};

/// A node is down when it was silent for so many periods.
const GRACE: u32 = 3;
/// Right after an election agents need time to find the new leader.
const ELECTION_GRACE: u32 = 2 * GRACE;

/// The nodes that have a session, and those that should.
#[derive(Debug)]
pub struct Sessions {
    period: Duration,
    nodes: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Empty while the node is awaited.
    session_id: String,
    deadline: Instant,
    /// Ends the streams of the session.
    end: CancellationToken,
}

impl Sessions {
    pub fn new(period: Duration) -> Self {
        Self { period, nodes: HashMap::new() }
    }

    pub fn period(&self) -> Duration {
        self.period
    }

    pub fn set_period(&mut self, period: Duration) {
        self.period = period;
    }

    /// The node was alive when this leader was elected: it has a while to register.
    pub fn await_node(&mut self, node_id: &str, now: Instant) {
        let deadline = now + self.period * ELECTION_GRACE;
        let entry = Entry { session_id: String::new(), deadline, end: CancellationToken::new() };
        self.nodes.entry(node_id.to_owned()).or_insert(entry);
    }

    /// Begins a session; one that the node had before ends. The token ends with the session.
    pub fn register(&mut self, node_id: &str, session_id: String, now: Instant) -> CancellationToken {
        let end = CancellationToken::new();
        let entry = Entry { session_id, deadline: now + self.period * GRACE, end: end.clone() };
        if let Some(before) = self.nodes.insert(node_id.to_owned(), entry) {
            before.end.cancel();
        }
        end
    }

    /// The node lives.
    pub fn beat(&mut self, node_id: &str, session_id: &str, now: Instant) -> Result<(), Status> {
        let deadline = now + self.period * GRACE;
        self.checked(node_id, session_id)?.deadline = deadline;
        Ok(())
    }

    /// The token of a session that the node really has.
    pub fn check(&mut self, node_id: &str, session_id: &str) -> Result<CancellationToken, Status> {
        self.checked(node_id, session_id).map(|entry| entry.end.clone())
    }

    fn checked(&mut self, node_id: &str, session_id: &str) -> Result<&mut Entry, Status> {
        let entry = self.nodes.get_mut(node_id).filter(|entry| !entry.session_id.is_empty());
        let entry = entry.ok_or_else(|| Status::new(Code::NotFound, "node not registered"))?;
        if entry.session_id != session_id {
            return Err(Status::invalid("session invalid"));
        }
        Ok(entry)
    }

    /// Ends the sessions of nodes that were silent for too long, and names them: whether each was only awaited.
    pub fn expire(&mut self, now: Instant) -> Vec<(String, bool)> {
        let gone: Vec<String> =
            self.nodes.iter().filter(|(_, entry)| entry.deadline <= now).map(|(id, _)| id.clone()).collect();
        let ended = gone.into_iter().filter_map(|id| {
            let entry = self.nodes.remove(&id)?;
            entry.end.cancel();
            Some((id, entry.session_id.is_empty()))
        });
        ended.collect()
    }

    /// Ends the node's session: it left, or was removed.
    pub fn end(&mut self, node_id: &str) {
        if let Some(entry) = self.nodes.remove(node_id) {
            entry.end.cancel();
        }
    }

    /// Ends all sessions.
    pub fn end_all(&mut self) {
        for (_, entry) in self.nodes.drain() {
            entry.end.cancel();
        }
    }

    /// When the next node will have been silent for too long.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.nodes.values().map(|entry| entry.deadline).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_node_is_gone_after_three_periods_and_its_streams_end() {
        let (mut sessions, start) = (Sessions::new(PERIOD), Instant::now());
        let end = sessions.register("node", "s1".into(), start);
        sessions.beat("node", "s1", start + PERIOD).unwrap();
        assert!(sessions.expire(start + PERIOD * 3).is_empty());
        assert_eq!(sessions.next_deadline(), Some(start + PERIOD * 4));
        assert_eq!(sessions.expire(start + PERIOD * 4), [("node".to_owned(), false)]);
        assert!(end.is_cancelled());
        assert!(sessions.beat("node", "s1", start + PERIOD * 4).is_err());
    }

    #[test]
    fn a_second_session_ends_the_first() {
        let (mut sessions, now) = (Sessions::new(PERIOD), Instant::now());
        let first = sessions.register("node", "s1".into(), now);
        let second = sessions.register("node", "s2".into(), now);
        assert!(first.is_cancelled() && !second.is_cancelled());
        assert_eq!(sessions.beat("node", "s1", now).unwrap_err().message, "session invalid");
        sessions.beat("node", "s2", now).unwrap();
    }

    #[test]
    fn after_an_election_nodes_have_longer_to_come_back() {
        let (mut sessions, start) = (Sessions::new(PERIOD), Instant::now());
        sessions.await_node("late", start);
        sessions.await_node("back", start);
        sessions.register("back", "s".into(), start + PERIOD * 5);
        assert!(sessions.expire(start + PERIOD * 5).is_empty());
        assert_eq!(sessions.expire(start + PERIOD * 6), [("late".to_owned(), true)]);
    }
}
