//! From what a stream printed to entries: cut at newlines, and where a line is too long (moby's `daemon/logger/copier.go`).

use std::time::{SystemTime, UNIX_EPOCH};

use drydock_shim::entry::{Entry, Partial, Source};

/// moby's `defaultBufSize`. A longer line is logged in pieces.
pub const LINE_LIMIT: usize = 16 * 1024;

/// Unfinished lines of both streams.
#[derive(Debug, Default)]
pub struct Copier {
    pending: [Pending; 2],
    clock: Clock,
}

#[derive(Debug, Default)]
struct Pending {
    line: Vec<u8>,
    /// There after the first piece of a line that was too long.
    pieces: Option<Pieces>,
}

#[derive(Debug)]
struct Pieces {
    id: String,
    time_nano: i64,
    next: i32,
}

/// Gives every entry a time of its own: a reader that has seen one knows which come after it.
#[derive(Debug, Default)]
struct Clock {
    last: i64,
}

impl Clock {
    fn tick(&mut self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last = (now.as_nanos() as i64).max(self.last + 1);
        self.last
    }
}

impl Copier {
    /// Takes what a stream printed, and passes on every line or piece that is complete with it.
    pub fn take(&mut self, source: Source, mut bytes: &[u8], mut to: impl FnMut(&Entry<'_>)) {
        let (pending, clock) = (&mut self.pending[source as usize], &mut self.clock);
        while !bytes.is_empty() {
            let room = LINE_LIMIT - pending.line.len();
            let window = &bytes[..bytes.len().min(room)];
            match window.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    pending.end_line(source, &window[..end], clock, &mut to);
                    bytes = &bytes[end + 1..];
                }
                None => {
                    pending.line.extend_from_slice(window);
                    bytes = &bytes[window.len()..];
                    if pending.line.len() == LINE_LIMIT {
                        pending.piece(source, clock, &mut to);
                    }
                }
            }
        }
    }

    /// The stream has ended: what it left unfinished is a piece that nothing follows.
    pub fn finish(&mut self, source: Source, mut to: impl FnMut(&Entry<'_>)) {
        let pending = &mut self.pending[source as usize];
        if !pending.line.is_empty() {
            pending.piece(source, &mut self.clock, &mut to);
        }
    }
}

impl Pending {
    fn end_line(&mut self, source: Source, rest: &[u8], clock: &mut Clock, to: &mut impl FnMut(&Entry<'_>)) {
        let pieces = self.pieces.take();
        let partial =
            pieces.as_ref().map(|pieces| Partial { id: &pieces.id, ordinal: pieces.next, last: true });
        let time_nano = pieces.as_ref().map_or_else(|| clock.tick(), |pieces| pieces.time_nano);
        // The common line was read in one piece, and need not be copied.
        if self.line.is_empty() {
            to(&Entry { source, time_nano, line: rest, partial });
            return;
        }
        self.line.extend_from_slice(rest);
        to(&Entry { source, time_nano, line: &self.line, partial });
        self.clear();
    }

    fn piece(&mut self, source: Source, clock: &mut Clock, to: &mut impl FnMut(&Entry<'_>)) {
        let pieces = self.pieces.get_or_insert_with(|| Pieces {
            id: super::random_id(),
            time_nano: clock.tick(),
            next: 1,
        });
        let partial = Some(Partial { id: &pieces.id, ordinal: pieces.next, last: false });
        to(&Entry { source, time_nano: pieces.time_nano, line: &self.line, partial });
        pieces.next += 1;
        self.clear();
    }

    /// A long line must not keep its memory for ever.
    fn clear(&mut self) {
        self.line.clear();
        self.line.shrink_to(1024);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = (Source, String, Option<(i32, bool)>);

    fn collect(seen: &mut Vec<Seen>) -> impl FnMut(&Entry<'_>) {
        |entry| {
            let text = String::from_utf8_lossy(entry.line).into_owned();
            seen.push((entry.source, text, entry.partial.map(|partial| (partial.ordinal, partial.last))));
        }
    }

    #[test]
    fn lines_are_whole_wherever_the_reads_were_cut() {
        let (mut copier, mut seen) = (Copier::default(), Vec::new());
        copier.take(Source::Stdout, b"one\n\ntw", collect(&mut seen));
        copier.take(Source::Stderr, b"err\n", collect(&mut seen));
        copier.take(Source::Stdout, b"o\nend", collect(&mut seen));
        copier.finish(Source::Stdout, collect(&mut seen));
        copier.finish(Source::Stderr, collect(&mut seen));
        let line = |source, text: &str| (source, text.to_owned(), None);
        let expected = [
            line(Source::Stdout, "one"),
            line(Source::Stdout, ""),
            line(Source::Stderr, "err"),
            line(Source::Stdout, "two"),
            (Source::Stdout, "end".to_owned(), Some((1, false))),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_long_line_is_cut_into_numbered_pieces_of_one_time() {
        let (mut copier, mut times, mut ids, mut seen) =
            (Copier::default(), Vec::new(), Vec::new(), Vec::new());
        let mut keep = |entry: &Entry<'_>| {
            times.push(entry.time_nano);
            ids.push(entry.partial.map(|partial| partial.id.to_owned()).unwrap_or_default());
            collect(&mut seen)(entry);
        };
        copier.take(Source::Stdout, &[b'a'; LINE_LIMIT + 3], &mut keep);
        copier.take(Source::Stdout, b"b\nnext\n", &mut keep);
        let pieces: Vec<_> = seen.iter().map(|(_, text, partial)| (text.len(), *partial)).collect();
        assert_eq!(pieces, [(LINE_LIMIT, Some((1, false))), (4, Some((2, true))), (4, None)]);
        assert_eq!(times[0], times[1]);
        assert!(times[2] > times[1] && ids[0] == ids[1] && ids[0].len() == 64, "{ids:?}");
    }

    #[test]
    fn no_two_entries_have_the_same_time() {
        let (mut copier, mut times) = (Copier::default(), Vec::new());
        copier.take(Source::Stdout, &b"x\n".repeat(1000), |entry| times.push(entry.time_nano));
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
