//! The newest bytes of a stream, addressed by their offset since the stream began.

use std::collections::VecDeque;

/// Grows as it fills, up to its capacity; then every new byte pushes out the oldest.
#[derive(Debug)]
pub struct Ring {
    bytes: VecDeque<u8>,
    capacity: usize,
    end: u64,
}

impl Ring {
    pub fn new(capacity: usize) -> Self {
        Self { bytes: VecDeque::new(), capacity, end: 0 }
    }

    /// Offset of the oldest byte kept.
    pub fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// Offset after the newest byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(self.capacity)..];
        let excess = (self.bytes.len() + kept.len()).saturating_sub(self.capacity);
        self.bytes.drain(..excess);
        self.bytes.extend(kept);
    }

    /// Appends to `into` what is kept from `from` on, at most `limit` bytes.
    pub fn read(&self, from: u64, limit: usize, into: &mut Vec<u8>) {
        let skip = from.saturating_sub(self.start()) as usize;
        let (first, second) = self.bytes.as_slices();
        let head = &first[skip.min(first.len())..];
        let head = &head[..limit.min(head.len())];
        let tail = &second[skip.saturating_sub(first.len()).min(second.len())..];
        into.extend_from_slice(head);
        into.extend_from_slice(&tail[..(limit - head.len()).min(tail.len())]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_from_any_offset_gives_what_was_written_there() {
        let mut ring = Ring::new(100);
        let mut all: Vec<u8> = Vec::new();
        for step in 0..60_usize {
            let piece: Vec<u8> = (0..step % 23).map(|n| (n * 7 + step) as u8).collect();
            ring.push(&piece);
            all.extend(&piece);
            assert_eq!(ring.end(), all.len() as u64);
            assert_eq!(ring.start(), all.len().saturating_sub(100) as u64);
            for from in ring.start()..=ring.end() {
                for limit in [0, 1, 50, 1000] {
                    let mut read = Vec::new();
                    ring.read(from, limit, &mut read);
                    let from = from as usize;
                    assert_eq!(read, all[from..(from + limit).min(all.len())], "{from} {limit}");
                }
            }
        }
    }

    #[test]
    fn one_push_beyond_the_capacity_keeps_its_end() {
        let mut ring = Ring::new(4);
        ring.push(b"abcdefgh");
        let mut read = Vec::new();
        ring.read(0, 10, &mut read);
        assert_eq!((ring.start(), read), (4, b"efgh".to_vec()));
    }
}
