//! Stages side by side: each waits for those it needs, and what they print comes in the file's order.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::BuildError;
use crate::host::{Image, Output};

/// Where stages leave their images and their lines.
pub struct Board<'a> {
    names: Vec<Option<String>>,
    output: &'a dyn Output,
    state: Mutex<State>,
    changed: Condvar,
}

/// Written under its lock by every stage.
struct State {
    /// What came of each stage that is done; the inner `None` is `FROM scratch` and nothing else.
    done: Vec<Option<Option<Arc<Image>>>>,
    /// The stage whose lines are printed as they come.
    turn: usize,
    /// Lines of later stages.
    held: Vec<Vec<Line>>,
    /// The first stage that failed: nobody else prints any more.
    failed: Option<usize>,
}

enum Line {
    Out(String),
    Err(String),
    Image(String),
}

impl Line {
    fn print(&self, output: &dyn Output) {
        match self {
            Self::Out(text) => output.stdout(text),
            Self::Err(text) => output.stderr(text),
            Self::Image(id) => output.image(id),
        }
    }
}

impl<'a> Board<'a> {
    pub fn new(names: Vec<Option<String>>, output: &'a dyn Output) -> Self {
        let state = State {
            done: names.iter().map(|_| None).collect(),
            turn: 0,
            held: names.iter().map(|_| Vec::new()).collect(),
            failed: None,
        };
        Self { names, output, state: Mutex::new(state), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stage is done: what later ones held back may be printed.
    pub fn finish(&self, index: usize, image: Option<Arc<Image>>) {
        let mut state = self.lock();
        state.done[index] = Some(image);
        while state.failed.is_none() && state.done.get(state.turn).is_some_and(Option::is_some) {
            state.turn += 1;
            let turn = state.turn;
            let lines = state.held.get_mut(turn).map(std::mem::take);
            lines.iter().flatten().for_each(|line| line.print(self.output));
        }
        self.changed.notify_all();
    }

    /// A stage failed. Answers whether it is the first: the build's error.
    pub fn fail(&self, index: usize) -> bool {
        let mut state = self.lock();
        let is_first = state.failed.is_none();
        if is_first {
            state.failed = Some(index);
            let lines = std::mem::take(&mut state.held[index]);
            lines.iter().for_each(|line| line.print(self.output));
        }
        self.changed.notify_all();
        is_first
    }

    fn print(&self, index: usize, line: Line) {
        let mut state = self.lock();
        match state.failed {
            Some(failed) if failed != index => {}
            Some(_) => line.print(self.output),
            None if state.turn == index => line.print(self.output),
            None => state.held[index].push(line),
        }
    }
}

/// The board as one stage sees it.
#[derive(Clone, Copy)]
pub struct Seat<'a> {
    pub board: &'a Board<'a>,
    /// The stage's own number.
    pub index: usize,
}

impl Seat<'_> {
    /// The number of an earlier stage with this name.
    pub fn named(&self, name: &str) -> Option<usize> {
        let name = name.to_lowercase();
        self.board.names[..self.index].iter().position(|other| other.as_deref() == Some(name.as_str()))
    }

    /// Waits for an earlier stage.
    pub fn image_of(&self, earlier: usize) -> Result<Option<Arc<Image>>, BuildError> {
        let mut state = self.board.lock();
        loop {
            if state.failed.is_some() {
                return Err(BuildError::Cancelled);
            }
            if let Some(done) = &state.done[earlier] {
                return Ok(done.clone());
            }
            state = self.board.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Output for Seat<'_> {
    fn stdout(&self, text: &str) {
        self.board.print(self.index, Line::Out(text.to_owned()));
    }

    fn stderr(&self, text: &str) {
        self.board.print(self.index, Line::Err(text.to_owned()));
    }

    fn image(&self, id: &str) {
        self.board.print(self.index, Line::Image(id.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Said(Mutex<Vec<String>>);

    impl Output for Said {
        fn stdout(&self, text: &str) {
            self.0.lock().expect("a lock").push(text.to_owned());
        }

        fn stderr(&self, text: &str) {
            self.stdout(text);
        }

        fn image(&self, id: &str) {
            self.stdout(id);
        }
    }

    #[test]
    fn lines_come_in_the_order_of_stages_and_a_failure_ends_them() {
        let said = Said::default();
        let board = Board::new(vec![Some("a".into()), None, None], &said);
        let seats: Vec<Seat<'_>> = (0..3).map(|index| Seat { board: &board, index }).collect();
        assert_eq!((seats[2].named("A"), seats[0].named("a")), (Some(0), None));
        seats[1].stdout("second");
        seats[0].stdout("first");
        seats[2].stdout("third");
        board.finish(1, None);
        board.finish(0, None);
        assert_eq!(*said.0.lock().expect("a lock"), ["first", "second", "third"]);
        assert!(seats[2].image_of(1).expect("done").is_none());
        assert!(board.fail(2) && !board.fail(1));
        seats[1].stdout("too late");
        seats[2].stderr("why");
        assert_eq!(said.0.lock().expect("a lock").last().map(String::as_str), Some("why"));
        assert!(matches!(seats[2].image_of(1), Err(BuildError::Cancelled)));
    }
}
