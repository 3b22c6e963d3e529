//! One terminal's output: a stream addressed by offset, of which every byte is drawn exactly once, over as many
//! connections as it takes.

use drydock_wire::terminal::{ServerFrame, WINDOW};

/// What a frame asks the screen to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Draw `data`; when that is done, tell [`Stream::drawn`] `end`.
    Draw {
        data: &'a [u8],
        end: u64,
    },
    /// Someone else's size is the terminal's size now.
    Size {
        cols: u16,
        rows: u16,
    },
    /// Output between what was seen and what comes next is lost.
    Lost {
        bytes: u64,
    },
    ShellExited {
        code: i32,
    },
    Closed {
        reason: &'a str,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    /// Everything before it was received.
    next: u64,
    /// The server knows that everything before it was drawn.
    acknowledged: u64,
    /// Everything before it is on the screen.
    drawn: u64,
    /// Where the stream ended when this connection began: what is drawn before it is history.
    history: u64,
}

/// Often enough that the server's window never runs dry, seldom enough that keystrokes echo without a second frame.
const ACK_EVERY: u64 = WINDOW / 8;

impl Stream {
    /// From where to read on a new connection.
    pub fn resume_from(&self) -> u64 {
        self.next
    }

    /// A new connection begins: the server takes the asked offset as acknowledged.
    pub fn reconnecting(&mut self) {
        self.acknowledged = self.next;
    }

    pub fn apply<'a>(&mut self, frame: ServerFrame<'a>) -> Option<Effect<'a>> {
        match frame {
            ServerFrame::Hello { end, cols, rows } => {
                // A stream that is shorter than what was seen is another one: read on from its end.
                self.next = self.next.min(end);
                self.acknowledged = self.acknowledged.min(end);
                self.drawn = self.drawn.min(end);
                self.history = end;
                Some(Effect::Size { cols, rows })
            }
            ServerFrame::Output { offset, data } => self.output(offset, data),
            ServerFrame::Gap { resume } => {
                let bytes = resume.saturating_sub(self.next);
                let seen_before = self.next > 0;
                self.next = self.next.max(resume);
                self.acknowledged = self.acknowledged.max(resume);
                self.drawn = self.drawn.max(resume);
                // A first look that begins inside a long history has lost nothing.
                (seen_before && bytes > 0).then_some(Effect::Lost { bytes })
            }
            ServerFrame::Resized { cols, rows } => Some(Effect::Size { cols, rows }),
            ServerFrame::ShellExited { code } => Some(Effect::ShellExited { code }),
            ServerFrame::Closed { reason } => Some(Effect::Closed { reason }),
        }
    }

    fn output<'a>(&mut self, offset: u64, data: &'a [u8]) -> Option<Effect<'a>> {
        let end = offset + data.len() as u64;
        let seen = self.next.saturating_sub(offset).min(data.len() as u64) as usize;
        if seen == data.len() {
            return None;
        }
        self.next = end;
        Some(Effect::Draw { data: &data[seen..], end })
    }

    /// Everything before `offset` is on the screen; the offset to acknowledge, when it is time.
    pub fn drawn(&mut self, offset: u64) -> Option<u64> {
        self.drawn = self.drawn.max(offset);
        if offset < self.acknowledged + ACK_EVERY {
            return None;
        }
        self.acknowledged = offset;
        Some(offset)
    }

    /// Whether what the screen sends is to be typed. A program's questions (where is the cursor, what terminal is
    /// this) are in its output, and the screen answers them whenever it draws them; those in the history were answered
    /// long ago, and whatever reads the keyboard now would take the answers for keys.
    pub fn lets_through(&self, keys: &[u8]) -> bool {
        self.drawn >= self.history || !is_answer(keys)
    }
}

/// A report of the cursor (`CSI … R`), the device (`CSI … c`), its state (`CSI … n`) or a mode (`CSI … y`), or a string.
fn is_answer(keys: &[u8]) -> bool {
    match keys {
        [0x1b, b'[', .., last] => matches!(last, b'R' | b'c' | b'n' | b'y'),
        [0x1b, b']' | b'P', ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw<'a>(stream: &mut Stream, offset: u64, data: &'a [u8]) -> Option<&'a [u8]> {
        match stream.apply(ServerFrame::Output { offset, data }) {
            Some(Effect::Draw { data, .. }) => Some(data),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bytes_sent_twice_are_drawn_once() {
        let mut stream = Stream::default();
        assert_eq!(draw(&mut stream, 0, b"hello"), Some(&b"hello"[..]));
        stream.reconnecting();
        assert_eq!(stream.resume_from(), 5);
        assert_eq!(draw(&mut stream, 3, b"lo wor"), Some(&b" wor"[..]));
        assert_eq!(draw(&mut stream, 0, b"hello"), None);
        assert_eq!(draw(&mut stream, 9, b"ld"), Some(&b"ld"[..]));
        assert_eq!(stream.resume_from(), 11);
    }

    #[test]
    fn a_first_look_into_a_long_history_is_no_loss_but_a_later_gap_is() {
        let mut stream = Stream::default();
        assert_eq!(stream.apply(ServerFrame::Gap { resume: 100 }), None);
        draw(&mut stream, 100, b"x");
        assert_eq!(stream.apply(ServerFrame::Gap { resume: 111 }), Some(Effect::Lost { bytes: 10 }));
        assert_eq!(stream.resume_from(), 111);
    }

    #[test]
    fn a_shorter_stream_is_read_on_from_its_end() {
        let mut stream = Stream::default();
        draw(&mut stream, 0, b"hello");
        stream.reconnecting();
        stream.apply(ServerFrame::Hello { end: 2, cols: 80, rows: 24 });
        assert_eq!(draw(&mut stream, 2, b"new"), Some(&b"new"[..]));
    }

    #[test]
    fn questions_in_the_history_are_not_answered_again() {
        let answer = b"\x1b[4;5R";
        let mut stream = Stream::default();
        stream.apply(ServerFrame::Hello { end: 10, cols: 80, rows: 24 });
        draw(&mut stream, 0, b"/ # \x1b[6n");
        assert!(!stream.lets_through(answer));
        assert!(stream.lets_through(b"\x1b[A"), "a key is a key at any time");
        stream.drawn(8);
        draw(&mut stream, 8, b"ok");
        stream.drawn(10);
        draw(&mut stream, 10, b"/ # \x1b[6n");
        assert!(stream.lets_through(answer), "asked just now");
        stream.apply(ServerFrame::Hello { end: 18, cols: 80, rows: 24 });
        stream.drawn(18);
        assert!(stream.lets_through(answer), "a connection that missed nothing has no history");
    }

    #[test]
    fn the_server_hears_of_drawn_bytes_well_before_its_window_is_full() {
        let mut stream = Stream::default();
        let mut acks = Vec::new();
        let chunk = vec![0; 32 * 1024];
        for round in 0..64u64 {
            draw(&mut stream, round * chunk.len() as u64, &chunk);
            acks.extend(stream.drawn(stream.resume_from()));
        }
        assert!(acks.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(acks.windows(2).all(|pair| pair[1] - pair[0] <= WINDOW / 2));
        assert!(64 * chunk.len() as u64 - acks.last().unwrap() < WINDOW / 2);
        assert_eq!(Stream::default().drawn(12), None, "a keystroke's echo costs no second frame");
    }
}
