//! The sessions this browser opened lately, newest first, as kept in its local storage.

use serde::Serialize;

use crate::reads;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Visit {
    pub session: String,
    /// What it was opened for: a template's or a lab's title.
    pub title: String,
    pub opened_at: i64,
    pub expires_at: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Recent {
    pub visits: Vec<Visit>,
}

reads! {
    Visit { session, title, opened_at, expires_at }
    Recent { visits }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Opened(Visit),
    Expires { session: String, at: i64 },
    Gone { session: String },
}

const MOST: usize = 6;

impl Recent {
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Opened(mut visit) => {
                let before = self.visits.iter().position(|old| old.session == visit.session);
                if let Some(old) = before.map(|at| self.visits.remove(at)) {
                    visit.opened_at = old.opened_at;
                    if visit.title.is_empty() {
                        visit.title = old.title;
                    }
                }
                self.visits.insert(0, visit);
                self.visits.truncate(MOST);
            }
            Event::Expires { session, at } => {
                if let Some(visit) = self.visits.iter_mut().find(|visit| visit.session == session) {
                    visit.expires_at = at;
                }
            }
            Event::Gone { session } => self.visits.retain(|visit| visit.session != session),
        }
    }

    /// Those that have not expired at `now`.
    pub fn alive(&self, now: i64) -> impl Iterator<Item = &Visit> {
        self.visits.iter().filter(move |visit| visit.expires_at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(session: &str, title: &str, at: i64) -> Visit {
        Visit { session: session.into(), title: title.into(), opened_at: at, expires_at: at + 100 }
    }

    #[test]
    fn a_session_is_listed_once_newest_first_and_keeps_its_title() {
        let mut recent = Recent::default();
        recent.apply(Event::Opened(visit("a", "Two nodes", 1)));
        recent.apply(Event::Opened(visit("b", "", 2)));
        recent.apply(Event::Opened(visit("a", "", 3)));
        assert_eq!(recent.visits.len(), 2);
        assert_eq!((recent.visits[0].title.as_str(), recent.visits[0].opened_at), ("Two nodes", 1));
    }

    #[test]
    fn expired_and_closed_sessions_are_not_offered() {
        let mut recent = Recent::default();
        recent.apply(Event::Opened(visit("a", "", 0)));
        recent.apply(Event::Opened(visit("b", "", 50)));
        assert_eq!(recent.alive(120).count(), 1);
        recent.apply(Event::Gone { session: "b".into() });
        assert_eq!(recent.alive(120).count(), 0);
    }

    #[test]
    fn the_list_stays_short() {
        let mut recent = Recent::default();
        (0..20).for_each(|at| recent.apply(Event::Opened(visit(&at.to_string(), "", at))));
        assert_eq!(recent.visits.len(), MOST);
        assert_eq!(recent.visits[0].session, "19");
    }
}
