//! A connection that comes back by itself.
//!
//! ```text
//! Connecting ──opened──▶ Up ──closed──▶ Waiting ──timer──▶ Connecting
//!      └───────closed────────────────────▲
//! any ──ended──▶ Over (the other side said that there is nothing left to connect to)
//! ```

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    #[default]
    Connecting,
    Up,
    /// Tried again after `delay` milliseconds.
    Waiting {
        delay: u32,
    },
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event {
    Opened,
    /// `jitter` is a random number in `0.0..1.0`, so that a class does not come back in one instant.
    Closed {
        jitter: f64,
    },
    TimerFired,
    Ended,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Link {
    state: State,
    failures: u32,
}

const FIRST_DELAY: f64 = 150.0;
const LONGEST_DELAY: f64 = 5_000.0;

impl Link {
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether the outage is long enough to tell the reader: a blink is not.
    pub fn is_noticeable(&self) -> bool {
        self.failures >= 2 && self.state != State::Over
    }

    /// How often in a row connecting has failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    pub fn apply(&mut self, event: Event) {
        if self.state == State::Over {
            return;
        }
        self.state = match event {
            Event::Opened => {
                self.failures = 0;
                State::Up
            }
            Event::Closed { jitter } => {
                let delay = (FIRST_DELAY * f64::from(1u32 << self.failures.min(10))).min(LONGEST_DELAY);
                self.failures += 1;
                State::Waiting { delay: (delay * (0.75 + jitter / 2.0)) as u32 }
            }
            Event::TimerFired => State::Connecting,
            Event::Ended => State::Over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_ceiling_and_start_over_after_success() {
        let mut link = Link::default();
        let mut delays = Vec::new();
        for _ in 0..8 {
            link.apply(Event::Closed { jitter: 0.5 });
            let State::Waiting { delay } = link.state() else { panic!("{link:?}") };
            delays.push(delay);
            link.apply(Event::TimerFired);
        }
        assert_eq!(delays, [150, 300, 600, 1_200, 2_400, 4_800, 5_000, 5_000]);
        assert!(link.is_noticeable());
        link.apply(Event::Opened);
        assert!(!link.is_noticeable());
        link.apply(Event::Closed { jitter: 0.5 });
        assert_eq!(link.state(), State::Waiting { delay: 150 });
    }

    #[test]
    fn what_is_over_stays_over() {
        let mut link = Link::default();
        link.apply(Event::Ended);
        link.apply(Event::Closed { jitter: 0.0 });
        assert_eq!(link.state(), State::Over);
    }
}
