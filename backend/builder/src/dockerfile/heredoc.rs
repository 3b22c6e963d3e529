//! `<<EOF`, `<<-EOF`, `<<"EOF"`: text of a file inside the Dockerfile.

use super::problem::Problem;
use crate::expand::Lex;

/// One heredoc.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heredoc {
    /// Its word, which also ends it.
    pub name: String,
    /// The number before `<<`.
    pub descriptor: u64,
    /// The word was not quoted: variables in the text are replaced.
    pub expand: bool,
    /// `<<-`: leading tabs are taken off.
    pub chomp: bool,
    /// The text as it was written.
    pub content: String,
}

impl Heredoc {
    pub(super) fn is_ended_by(&self, physical: &str) -> bool {
        let line = physical.trim_end_matches(['\r', '\n']);
        let line = if self.chomp { line.trim_start_matches('\t') } else { line };
        line == self.name
    }

    /// The text, without leading tabs where `-` asks for it.
    pub fn text(&self) -> String {
        if !self.chomp {
            return self.content.clone();
        }
        self.content.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect()
    }
}

/// Whether the instruction, or the one that `ONBUILD` keeps, takes heredocs.
pub(super) fn may_have(line: &str, escape: char) -> bool {
    if !line.contains("<<") {
        return false;
    }
    let mut command = super::words::split_command(line, 0, escape);
    if command.name.eq_ignore_ascii_case("onbuild") {
        command = super::words::split_command(command.arguments.text, 0, escape);
    }
    let is_taker = ["add", "copy", "run"].iter().any(|name| command.name.eq_ignore_ascii_case(name));
    is_taker && super::words::json_list(command.arguments.text).is_err()
}

/// The heredocs that a line begins.
pub(super) fn find(line: &str) -> Result<Vec<Heredoc>, Problem> {
    let lex = Lex { raw_quotes: true, raw_escapes: true, keep_unset: true, escape: '\\' };
    // Unbalanced quotes are the shell's business.
    let words = lex.words(line, &|_| None).unwrap_or_default();
    words.iter().filter_map(|word| parse(word).transpose()).collect()
}

/// Reads one word; `None` when it begins no heredoc.
pub fn parse(word: &str) -> Result<Option<Heredoc>, Problem> {
    let Some((descriptor, rest)) = word.split_once("<<") else { return Ok(None) };
    if !descriptor.bytes().all(|byte| byte.is_ascii_digit()) || rest.contains('<') {
        return Ok(None);
    }
    let (chomp, rest) = match rest.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let rest = rest.trim_start();
    let read = |raw_quotes| {
        let lex = Lex { raw_quotes, keep_unset: true, ..Lex::new('\\') };
        lex.words(rest, &|_| None).map_err(Problem::Expand)
    };
    let (plain, raw) = (read(false)?, read(true)?);
    let ([name], [raw]) = (plain.as_slice(), raw.as_slice()) else { return Ok(None) };
    let quotes = |word: &str| word.matches(['"', '\'']).count();
    Ok(Some(Heredoc {
        name: name.clone(),
        descriptor: descriptor.parse().unwrap_or(0),
        expand: quotes(name) == quotes(raw),
        chomp,
        content: String::new(),
    }))
}
