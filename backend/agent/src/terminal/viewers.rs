//! Who watches a terminal, how far each has come, and whom its output waits for. Pure: time is an argument.
//!
//! ```text
//!            makes no progress for PATIENCE while the terminal waits for it
//!   waited for ────────────────────────────────────────────────▶ left behind
//!        ▲                                                             │
//!        └──────────────────── makes progress ─────────────────────────┘
//! ```
//!
//! The terminal stops being read while anyone it waits for lags; one left behind cannot freeze the
//! others, and sees a gap when the scrollback has moved on without it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use drydock_agent::protocol::{Pacing, SCROLLBACK, Size, WINDOW};

/// How long the terminal waits for a viewer that takes nothing.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes a viewer may be behind before the terminal waits for it. With one drain of the terminal on
/// top it stays below the scrollback, so whoever is waited for loses nothing.
const LAG: u64 = SCROLLBACK as u64 / 2;

/// Bytes of one `OUTPUT` frame.
pub const PIECE: usize = 32 * 1024;

/// Notices waiting for one viewer; an older one gives way, since each tells the newest state.
const NOTICES: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewerId(u32);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Resized(Size),
    ShellExited { code: i32 },
}

#[derive(Debug)]
struct Viewer {
    /// Everything before it has been handed to the socket.
    sent: u64,
    /// Everything before it has been drawn; moves with `sent` when nobody acknowledges.
    drawn: u64,
    pacing: Pacing,
    /// Since when the terminal waits for it without seeing it make progress.
    awaited: Option<Instant>,
    left_behind: bool,
    size: Option<Size>,
    /// With the stream offset each belongs at.
    notices: VecDeque<(u64, Notice)>,
}

/// What a viewer should be sent next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Bytes from `from`, at most `limit`.
    Output {
        from: u64,
        limit: usize,
    },
    Gap {
        resume: u64,
    },
    Notice(Notice),
    Wait,
}

/// Whether the terminal may be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// Not before somebody makes progress, or until then.
    Until(Instant),
}

#[derive(Debug, Default)]
pub struct Viewers {
    all: BTreeMap<ViewerId, Viewer>,
    last: u32,
    /// Who typed last.
    driver: Option<ViewerId>,
}

impl Viewers {
    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn join(&mut self, from: u64, pacing: Pacing) -> ViewerId {
        self.last += 1;
        let id = ViewerId(self.last);
        let viewer = Viewer {
            sent: from,
            drawn: from,
            pacing,
            awaited: None,
            left_behind: false,
            size: None,
            notices: VecDeque::new(),
        };
        self.all.insert(id, viewer);
        id
    }

    pub fn leave(&mut self, id: ViewerId) {
        self.all.remove(&id);
        self.driver = self.driver.filter(|driver| *driver != id);
    }

    /// Whether output up to `end` may be followed by more.
    pub fn gate(&mut self, end: u64, now: Instant) -> Gate {
        let mut until = None;
        for viewer in self.all.values_mut().filter(|viewer| !viewer.left_behind) {
            if end.saturating_sub(viewer.drawn) <= LAG {
                continue;
            }
            let patience_ends = *viewer.awaited.get_or_insert(now) + PATIENCE;
            if patience_ends <= now {
                viewer.left_behind = true;
            } else {
                until = Some(until.map_or(patience_ends, |earlier: Instant| earlier.min(patience_ends)));
            }
        }
        until.map_or(Gate::Open, Gate::Until)
    }

    /// What to send now, given the bounds of the scrollback.
    pub fn step(&mut self, id: ViewerId, start: u64, end: u64) -> Step {
        let Some(viewer) = self.all.get_mut(&id) else { return Step::Wait };
        let window = match viewer.pacing {
            Pacing::Acknowledged => (viewer.drawn + WINDOW).saturating_sub(viewer.sent),
            Pacing::Socket => u64::MAX,
        };
        if viewer.notices.front().is_some_and(|(at, _)| *at <= viewer.sent) {
            return viewer.notices.pop_front().map_or(Step::Wait, |(_, notice)| Step::Notice(notice));
        }
        if window == 0 {
            return Step::Wait;
        }
        if viewer.sent < start {
            viewer.sent = start;
            viewer.drawn = viewer.drawn.max(start);
            return Step::Gap { resume: start };
        }
        let to = viewer.notices.front().map_or(end, |(at, _)| (*at).min(end));
        match (to - viewer.sent).min(window).min(PIECE as u64) {
            0 => Step::Wait,
            limit => Step::Output { from: viewer.sent, limit: limit as usize },
        }
    }

    /// Everything before `sent` went to the viewer's socket.
    pub fn sent(&mut self, id: ViewerId, sent: u64) {
        if let Some(viewer) = self.all.get_mut(&id) {
            viewer.sent = sent;
            if viewer.pacing == Pacing::Socket {
                viewer.progress_to(sent);
            }
        }
    }

    /// The viewer says that everything before `drawn` has been drawn; it cannot draw what it was not sent.
    pub fn drawn(&mut self, id: ViewerId, drawn: u64) {
        if let Some(viewer) = self.all.get_mut(&id) {
            viewer.progress_to(drawn.min(viewer.sent));
        }
    }

    pub fn notify(&mut self, notice: &Notice, at: u64) {
        self.all.values_mut().for_each(|viewer| viewer.notice(notice.clone(), at));
    }

    /// The viewer's own size changed. Returns the size the terminal shall take, if it is this one's to say.
    pub fn resized(&mut self, id: ViewerId, size: Size) -> Option<Size> {
        self.all.get_mut(&id)?.size = Some(size);
        let drives = self.driver.is_none_or(|driver| driver == id);
        drives.then_some(size)
    }

    /// The viewer typed. Returns the size the terminal shall take from now on, if the viewer has told its own.
    pub fn typed(&mut self, id: ViewerId) -> Option<Size> {
        self.driver = Some(id);
        self.all.get(&id)?.size
    }

    /// Tells everyone but its cause of a new size.
    pub fn announce_size(&mut self, size: Size, cause: ViewerId, at: u64) {
        for (_, viewer) in self.all.iter_mut().filter(|(id, _)| **id != cause) {
            viewer.notice(Notice::Resized(size), at);
        }
    }
}

impl Viewer {
    fn progress_to(&mut self, drawn: u64) {
        if drawn > self.drawn {
            self.drawn = drawn;
            self.awaited = None;
            self.left_behind = false;
        }
    }

    fn notice(&mut self, notice: Notice, at: u64) {
        if self.notices.len() == NOTICES {
            self.notices.pop_front();
        }
        self.notices.push_back((at, notice));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send_all(viewers: &mut Viewers, id: ViewerId, start: u64, end: u64) -> u64 {
        let mut total = 0;
        while let Step::Output { from, limit } = viewers.step(id, start, end) {
            total += limit as u64;
            viewers.sent(id, from + limit as u64);
        }
        total
    }

    #[test]
    fn an_acknowledging_viewer_gets_one_window_and_no_more() {
        let mut viewers = Viewers::default();
        let id = viewers.join(0, Pacing::Acknowledged);
        assert_eq!(send_all(&mut viewers, id, 0, 10 * WINDOW), WINDOW);
        viewers.drawn(id, 1000);
        assert_eq!(send_all(&mut viewers, id, 0, 10 * WINDOW), 1000);
        viewers.drawn(id, u64::MAX);
        assert_eq!(send_all(&mut viewers, id, 0, 10 * WINDOW), WINDOW);
    }

    #[test]
    fn a_viewer_that_takes_nothing_is_left_behind_and_caught_by_a_gap() {
        let begin = Instant::now();
        let mut viewers = Viewers::default();
        let id = viewers.join(0, Pacing::Acknowledged);
        assert_eq!(viewers.gate(LAG, begin), Gate::Open);
        assert_eq!(viewers.gate(LAG + 1, begin), Gate::Until(begin + PATIENCE));
        assert_eq!(viewers.gate(LAG + 1, begin + PATIENCE), Gate::Open);
        assert_eq!(send_all(&mut viewers, id, 0, LAG + 1), WINDOW);
        viewers.drawn(id, WINDOW);
        assert_eq!(viewers.step(id, 2 * LAG, 3 * LAG), Step::Gap { resume: 2 * LAG });
        assert_eq!(viewers.gate(4 * LAG, begin + PATIENCE), Gate::Until(begin + PATIENCE + PATIENCE));
    }

    #[test]
    fn a_notice_comes_at_its_place_in_the_stream() {
        let mut viewers = Viewers::default();
        let id = viewers.join(0, Pacing::Socket);
        viewers.notify(&Notice::ShellExited { code: 3 }, 10);
        assert_eq!(viewers.step(id, 0, 15), Step::Output { from: 0, limit: 10 });
        viewers.sent(id, 10);
        assert_eq!(viewers.step(id, 0, 15), Step::Notice(Notice::ShellExited { code: 3 }));
        assert_eq!(viewers.step(id, 0, 15), Step::Output { from: 10, limit: 5 });
    }

    #[test]
    fn the_terminal_takes_the_size_of_whoever_typed_last() {
        let (wide, tall) = (Size { cols: 200, rows: 24 }, Size { cols: 80, rows: 60 });
        let mut viewers = Viewers::default();
        let first = viewers.join(0, Pacing::Socket);
        let second = viewers.join(0, Pacing::Socket);
        assert_eq!(viewers.resized(first, wide), Some(wide));
        assert_eq!(viewers.typed(first), Some(wide));
        assert_eq!(viewers.resized(second, tall), None);
        assert_eq!(viewers.typed(second), Some(tall));
        viewers.leave(second);
        assert_eq!(viewers.resized(first, wide), Some(wide));
    }
}
