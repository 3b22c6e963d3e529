//! Parsers meet text that nobody would write: whatever it is given it answers, and points into the text.
//!
//! Files are grown from pieces that mean something to the parser and then damaged, by a generator with a fixed seed: what
//! fails once fails again, and the message carries the whole text.

use drydock_builder::dockerfile::{Dockerfile, Position, parse_commands};
use drydock_builder::expand::Lex;
use drydock_builder::patterns::Ignore;

const FILES: u32 = 60_000;

/// Words, quotes and line ends of the language, and what breaks careless readers of it.
const PIECES: &[&str] = &[
    "FROM ",
    "scratch",
    "alpine AS build",
    "RUN ",
    "COPY ",
    "ADD ",
    "ENV ",
    "ARG ",
    "LABEL ",
    "CMD ",
    "ENTRYPOINT ",
    "ONBUILD ",
    "HEALTHCHECK ",
    "SHELL ",
    "VOLUME ",
    "EXPOSE ",
    "WORKDIR ",
    "USER ",
    "STOPSIGNAL ",
    "MAINTAINER ",
    "NONE",
    "\n",
    "\r\n",
    "\n\n",
    "\\\n",
    "\\",
    "`\n",
    "`",
    "# escape=`\n",
    "# syntax=x\n",
    "#",
    " # no",
    "<<EOF",
    "<<-EOF",
    "<<\"EOF\"",
    "\nEOF\n",
    "EOF",
    "<<",
    "[",
    "]",
    "[\"a\", \"b\"]",
    "[\"a\"",
    "\"",
    "'",
    "=",
    "a=b",
    "a='b c'",
    "$",
    "${",
    "${a:-b}",
    "${a:+",
    "}",
    "--from=0 ",
    "--chown=1:2 ",
    "--mount=type=cache,target=/c ",
    "--mount=",
    "--interval=1s ",
    "--",
    "--x",
    ",",
    " ",
    "\t",
    "/",
    ".",
    "*",
    "é",
    "日本",
    "\u{feff}",
    "\u{0}",
    "\u{85}",
    "\u{2028}",
    "80/tcp",
    "1-",
    "-1",
    "99999999999999999999",
];

/// xorshift64*: good enough to wander, and the same everywhere.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    fn piece(&mut self) -> &'static str {
        PIECES[self.below(PIECES.len())]
    }

    fn file(&mut self) -> String {
        let begin = ["", "FROM scratch\n", "FROM a AS b\nRUN ", "ARG x=1\nFROM $x\nCOPY <<A <<B /\n"];
        let mut text = begin[self.below(begin.len())].to_owned();
        for _ in 0..self.below(24) {
            text.push_str(self.piece());
        }
        for _ in 0..self.below(3) {
            self.damage(&mut text);
        }
        text
    }

    /// Cuts a letter out, or puts a piece in, at any place.
    fn damage(&mut self, text: &mut String) {
        let mut at = self.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        match self.below(2) {
            0 if at < text.len() => drop(text.remove(at)),
            _ => text.insert_str(at, self.piece()),
        }
    }
}

/// Lines and columns of a place that is in the text, or right behind its last letter.
fn is_in(at: Position, text: &str) -> bool {
    let lines = text.matches('\n').count() + 1;
    let longest = text.split('\n').map(|line| line.chars().count()).max().unwrap_or(0);
    (1..=lines).contains(&at.line) && (1..=longest + 1).contains(&at.column)
}

#[test]
fn whatever_is_written_is_answered_with_a_place_in_it() {
    let mut numbers = Numbers(0x00D0_C4E5);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..FILES {
        let text = numbers.file();
        match Dockerfile::parse(&text) {
            Ok(file) => {
                read += 1;
                let commands =
                    file.stages.iter().flat_map(|stage| stage.commands.iter().map(|command| command.at));
                for at in file.stages.iter().map(|stage| stage.at).chain(commands) {
                    assert!(is_in(at, &text), "{at:?} in {text:?}");
                }
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "{text:?}");
                assert!(error.at == Position::default() || is_in(error.at, &text), "{error:?} in {text:?}");
            }
        }
        // `--change` of import and commit takes single instructions.
        _ = parse_commands(&text);
    }
    // The pieces make good files and bad ones, or this test tests nothing.
    assert!(read > FILES / 50 && refused > FILES / 50, "{read} read, {refused} refused");
}

#[test]
fn any_word_is_expanded_or_refused() {
    let mut numbers = Numbers(7);
    let known = |name: &str| (name.len() == 1).then(|| "a b\"'$c".to_owned());
    for _ in 0..FILES {
        let word = numbers.file();
        if let (Ok(whole), Ok(words)) =
            (Lex::new('\\').word(&word, &known), Lex::new('\\').words(&word, &known))
        {
            assert!(
                words.iter().map(String::len).sum::<usize>() <= whole.len(),
                "{word:?}: {words:?} of {whole:?}"
            );
        }
    }
}

#[test]
fn any_dockerignore_decides_or_is_refused() {
    let mut numbers = Numbers(11);
    for _ in 0..FILES / 4 {
        let text = numbers.file();
        let Ok(ignore) = Ignore::parse(&text) else { continue };
        for path in ["a", "a/b/c", ".git/config", "é/日本"] {
            // The last line decides: with one that keeps everything behind it, nothing is left out.
            let kept = Ignore::parse(&format!("{text}\n!**")).expect("a line more");
            assert!(!kept.leaves_out(path), "{path} by {text:?}");
            _ = ignore.leaves_out(path);
        }
    }
}
