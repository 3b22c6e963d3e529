//! Messages that wait until whoever is to have them takes them.
//!
//! Blocking, the container is held back as long as anything waits; what waits is then at most what one read gave.
//! Otherwise what finds no room is dropped, and the container never waits (moby's `daemon/logger/ring.go`).

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use drydock_shim::config::Delivery;

/// Where messages go, whole, one at a time.
pub trait Carrier {
    fn send(&mut self, message: &[u8]) -> Sent;
    /// Becomes writable when it takes more.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    Yes,
    /// Not now.
    Wait,
    /// Never: the message is lost.
    Lost,
}

#[derive(Debug)]
pub struct Outbox<C> {
    pub carrier: C,
    delivery: Delivery,
    queue: VecDeque<Message>,
    /// Bytes of the container's output in the queue.
    waiting: u64,
    lost: u64,
}

#[derive(Debug)]
struct Message {
    bytes: Vec<u8>,
    line: u64,
}

impl<C: Carrier> Outbox<C> {
    pub fn new(carrier: C, delivery: Delivery) -> Self {
        Self { carrier, delivery, queue: VecDeque::new(), waiting: 0, lost: 0 }
    }

    /// Takes a message for `line` bytes of output.
    pub fn put(&mut self, bytes: Vec<u8>, line: usize) {
        let line = line as u64;
        if let Delivery::NonBlocking { max_buffer } = self.delivery
            && self.waiting + line > max_buffer
            && !self.queue.is_empty()
        {
            return self.lose();
        }
        self.waiting += line;
        self.queue.push_back(Message { bytes, line });
    }

    /// Sends as much as is taken now.
    pub fn flush(&mut self) {
        while let Some(first) = self.queue.front() {
            match self.carrier.send(&first.bytes) {
                Sent::Wait => return,
                Sent::Yes => {}
                Sent::Lost => self.lose(),
            }
            if let Some(message) = self.queue.pop_front() {
                self.waiting -= message.line;
            }
        }
        self.queue.shrink_to(16);
    }

    /// Said once for a thousand, so that a driver that is down does not fill the disk with complaints.
    fn lose(&mut self) {
        if self.lost.is_multiple_of(1000) {
            eprintln!(
                "drydock-shim: the log driver does not take messages; {} were lost before this",
                self.lost
            );
        }
        self.lost += 1;
    }

    /// The container's output is not to be read.
    pub fn holds_back(&self) -> bool {
        self.delivery == Delivery::Blocking && !self.queue.is_empty()
    }

    /// What to wait for, while something waits.
    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        if self.queue.is_empty() { None } else { self.carrier.fd() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes as many messages as it has room for.
    #[derive(Default)]
    struct Shelf {
        room: usize,
        taken: Vec<Vec<u8>>,
        broken: bool,
    }

    impl Carrier for Shelf {
        fn send(&mut self, message: &[u8]) -> Sent {
            match (self.broken, self.taken.len() < self.room) {
                (true, _) => Sent::Lost,
                (false, false) => Sent::Wait,
                (false, true) => {
                    self.taken.push(message.to_vec());
                    Sent::Yes
                }
            }
        }

        fn fd(&self) -> Option<BorrowedFd<'_>> {
            None
        }
    }

    #[test]
    fn blocking_holds_back_until_everything_is_taken_and_loses_nothing() {
        let mut outbox = Outbox::new(Shelf { room: 1, ..Shelf::default() }, Delivery::Blocking);
        for word in [b"1", b"2", b"3"] {
            outbox.put(word.to_vec(), 1);
            outbox.flush();
        }
        assert!(outbox.holds_back());
        outbox.carrier.room = 9;
        outbox.flush();
        assert!(!outbox.holds_back() && outbox.queue.is_empty());
        assert_eq!(outbox.carrier.taken, [b"1", b"2", b"3"]);
    }

    #[test]
    fn without_blocking_what_finds_no_room_is_dropped() {
        let delivery = Delivery::NonBlocking { max_buffer: 10 };
        let mut outbox = Outbox::new(Shelf::default(), delivery);
        // The first is taken whatever its size, as in moby.
        for (word, size) in [(b"a", 11), (b"b", 1)] {
            outbox.put(word.to_vec(), size);
        }
        assert!(!outbox.holds_back());
        outbox.carrier.room = 9;
        outbox.flush();
        for (word, size) in [(b"c", 6), (b"d", 4), (b"e", 1)] {
            outbox.put(word.to_vec(), size);
        }
        outbox.flush();
        assert_eq!(outbox.carrier.taken, [b"a", b"c", b"d"]);
    }

    #[test]
    fn a_driver_that_is_gone_holds_nobody_back() {
        let mut outbox = Outbox::new(Shelf { broken: true, ..Shelf::default() }, Delivery::Blocking);
        outbox.put(b"x".to_vec(), 1);
        outbox.flush();
        assert!(!outbox.holds_back() && outbox.queue.is_empty());
    }
}
