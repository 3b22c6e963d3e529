//! Packets caught on a link, as lines: the last of them.

use drydock_wire::capture::Caught;

/// Lines that are kept.
const MOST: usize = 500;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Catch {
    pub runs: bool,
    lines: Vec<String>,
    /// Lines that came, and that the server left out because they came too fast.
    came: u32,
    left_out: u32,
}

impl Catch {
    /// Nothing caught yet.
    pub fn begun() -> Self {
        Self { runs: true, ..Self::default() }
    }

    pub fn take(&mut self, caught: Caught) {
        self.came += caught.lines.len() as u32 + caught.left_out;
        self.left_out += caught.left_out;
        self.lines.extend(caught.lines);
        if let Some(why) = caught.over {
            self.runs = false;
            self.lines.push(why);
        }
        let surplus = self.lines.len().saturating_sub(MOST);
        self.lines.drain(..surplus);
    }

    pub fn stop(&mut self) {
        self.runs = false;
    }

    pub fn text(&self) -> String {
        self.lines.join("\n")
    }

    /// `12 lines`, `9000 lines, 8000 left out`.
    pub fn summary(&self) -> String {
        let came = format!("{} {}", self.came, if self.came == 1 { "line" } else { "lines" });
        match self.left_out {
            0 => came,
            left_out => format!("{came}, {left_out} left out"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caught(lines: usize, left_out: u32) -> Caught {
        Caught { lines: (0..lines).map(|at| at.to_string()).collect(), left_out, over: None }
    }

    #[test]
    fn the_last_lines_are_kept_and_all_are_counted() {
        let mut catch = Catch::begun();
        catch.take(caught(1, 0));
        assert_eq!((catch.text().as_str(), catch.summary().as_str()), ("0", "1 line"));
        catch.take(caught(MOST + 7, 12));
        assert_eq!(catch.lines.len(), MOST);
        assert!(catch.text().starts_with("7\n"));
        assert_eq!(catch.summary(), format!("{} lines, 12 left out", MOST + 20));
        assert!(catch.runs);
    }

    #[test]
    fn the_end_says_why_and_is_the_end() {
        let mut catch = Catch::begun();
        catch.take(Caught { over: Some("tcpdump: syntax error".to_owned()), ..Caught::default() });
        assert_eq!((catch.runs, catch.text().as_str()), (false, "tcpdump: syntax error"));
    }
}
