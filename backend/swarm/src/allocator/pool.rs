//! Numbers in a range, given one after the other.

use std::collections::BTreeSet;

/// Those in use between `first` and `last`, both included.
#[derive(Debug)]
pub struct Pool {
    first: u32,
    last: u32,
    used: BTreeSet<u32>,
}

impl Pool {
    pub fn new(first: u32, last: u32) -> Self {
        Self { first, last, used: BTreeSet::new() }
    }

    /// Counts the number as in use. `false` when it was already.
    pub fn take(&mut self, number: u32) -> bool {
        self.used.insert(number)
    }

    /// The lowest that is free.
    pub fn take_lowest(&mut self) -> Option<u32> {
        let number = (self.first..=self.last).find(|number| !self.used.contains(number))?;
        self.used.insert(number);
        Some(number)
    }

    /// The one after the highest in use, or the lowest free one when that was the last.
    pub fn take_next(&mut self) -> Option<u32> {
        let highest = self.used.range(self.first..=self.last).next_back().copied();
        let next = match highest {
            Some(highest) => highest.checked_add(1).filter(|next| *next <= self.last),
            None => (self.first <= self.last).then_some(self.first),
        };
        match next {
            Some(next) => {
                self.used.insert(next);
                Some(next)
            }
            None => self.take_lowest(),
        }
    }
}
