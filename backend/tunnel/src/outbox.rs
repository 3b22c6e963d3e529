//! Datagrams on their way out, in one buffer.

use drydock_sys::datagrams::{MOST, MOST_BYTES};

/// Filled by who seals, emptied by who sends.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Datagrams that one call sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run<'a> {
    pub bytes: &'a [u8],
    /// Bytes of each, but for a shorter last one.
    pub size: usize,
}

impl<'a> Run<'a> {
    pub fn is_of_many(self) -> bool {
        self.bytes.len() > self.size
    }

    /// Each by itself.
    pub fn single(self) -> impl Iterator<Item = Run<'a>> {
        self.bytes.chunks(self.size).map(|bytes| Run { bytes, size: bytes.len() })
    }
}

impl Outbox {
    pub fn push(&mut self, datagram: &[u8]) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push(self.bytes.len());
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether there is as much in it as one call sends.
    pub fn is_full(&self) -> bool {
        self.ends.len() >= MOST
    }

    #[cfg(test)]
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }

    /// All of it in order, as few runs as can be.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        let (mut ends, mut start) = (self.ends.as_slice(), 0);
        std::iter::from_fn(move || {
            let size = ends.first()? - start;
            let (count, end) = length_of_run(ends, start, size);
            let run = Run { bytes: &self.bytes[start..end], size };
            (ends, start) = (&ends[count..], end);
            Some(run)
        })
    }
}

/// How many datagrams go with the first, which has `size` bytes and begins at `start`, and where the last of them ends.
fn length_of_run(ends: &[usize], start: usize, size: usize) -> (usize, usize) {
    let (mut count, mut end) = (0, start);
    for next in ends.iter().take(MOST) {
        let length = next - end;
        if length > size || next - start > MOST_BYTES {
            break;
        }
        (count, end) = (count + 1, *next);
        if length < size {
            break;
        }
    }
    // A datagram that is larger than any may be is let go of when it is sent.
    if count == 0 { (1, start + size) } else { (count, end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes of datagrams, and of each run all and one.
    type Case = (&'static [usize], &'static [(usize, usize)]);

    fn runs(sizes: &[usize]) -> Vec<(usize, usize)> {
        let mut outbox = Outbox::default();
        sizes.iter().for_each(|size| outbox.push(&vec![0; *size]));
        outbox.runs().map(|run| (run.bytes.len(), run.size)).collect()
    }

    #[test]
    fn datagrams_of_one_size_and_a_shorter_last_make_a_run() {
        let cases: [Case; 6] = [
            (&[], &[]),
            (&[5], &[(5, 5)]),
            (&[5, 5, 3], &[(13, 5)]),
            (&[5, 3, 5], &[(8, 5), (5, 5)]),
            (&[3, 5, 5], &[(3, 3), (10, 5)]),
            (&[40_000, 40_000], &[(40_000, 40_000), (40_000, 40_000)]),
        ];
        for (sizes, expected) in cases {
            assert_eq!(runs(sizes), expected, "{sizes:?}");
        }
        assert_eq!(runs(&[10; MOST + 1]), [(10 * MOST, 10), (10, 10)], "no more than one call takes");
    }

    #[test]
    fn a_run_falls_into_its_datagrams() {
        let run = Run { bytes: &[1, 2, 3, 4, 5], size: 2 };
        let single: Vec<&[u8]> = run.single().map(|run| run.bytes).collect();
        assert_eq!(single, [&[1, 2][..], &[3, 4], &[5]]);
        assert!(run.is_of_many() && run.single().all(|run| !run.is_of_many()));
    }
}
