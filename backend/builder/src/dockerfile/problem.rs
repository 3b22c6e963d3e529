//! What can be wrong with a Dockerfile, in moby's words.

use super::Position;
use crate::expand::ExpandError;
use drydock_golang as go;

/// A Dockerfile could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Where the mistake is.
    pub at: Position,
    /// Where its instruction begins: the line that moby names.
    pub line: usize,
    pub problem: Problem,
}

impl std::error::Error for ParseError {}

impl ParseError {
    /// The error as moby tells it of a file with another name than `Dockerfile`.
    pub fn of_file(&self, name: &str) -> String {
        match self.problem.is_about_lines() {
            true => format!("failed to parse {name}: {}", self.problem),
            false => self.to_string(),
        }
    }
}

impl std::fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.problem.is_about_lines() {
            write!(formatter, "failed to parse Dockerfile: {}", self.problem)
        } else if self.problem == Problem::NoStage {
            write!(formatter, "{}", self.problem)
        } else {
            write!(formatter, "dockerfile parse error on line {}: {}", self.line, self.problem)
        }
    }
}

/// A mistake at a byte of a logical line.
#[derive(Clone, Debug)]
pub struct Fault {
    pub offset: usize,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("file with no instructions")]
    NoInstructions,
    #[error("dockerfile line greater than max allowed size of 65535")]
    LineTooLong,
    #[error("only one {0} parser directive can be used")]
    RepeatedDirective(String),
    #[error("invalid escape token '{0}' does not match ` or \\")]
    EscapeToken(String),
    #[error("unterminated heredoc")]
    UnterminatedHeredoc,
    #[error("{0}")]
    Expand(#[source] ExpandError),
    #[error("when using JSON array syntax, arrays must be comprised of strings only")]
    NotStrings,
    #[error("{0} must have two arguments")]
    TwoArguments(&'static str),
    #[error("Syntax error - can't find = in {}. Must be of the form: name=value", go::quote(.0))]
    NoEquals(String),
    #[error("unknown instruction: {name}{}", did_you_mean(.hint))]
    UnknownInstruction { name: String, hint: Option<String> },
    #[error("no build stage in current context")]
    NoStage,
    #[error("{0} requires exactly one argument")]
    ExactlyOne(&'static str),
    #[error("{0} requires at least one argument")]
    AtLeastOne(&'static str),
    #[error(
        "{0} requires at least two arguments, but only one was provided. Destination could not be determined"
    )]
    NoDestination(&'static str),
    #[error("{0} names can not be blank")]
    BlankName(&'static str),
    #[error("{0} cannot accept a heredoc as a destination")]
    HeredocDestination(&'static str),
    #[error("{command} requires the arguments to be in JSON form")]
    JsonOnly { command: &'static str },
    #[error("FROM requires either one or three arguments")]
    From,
    #[error("invalid name for build stage: {}, name can't start with a number or contain symbols", go::quote(.0))]
    StageName(String),
    #[error("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")]
    OnbuildChain,
    #[error("{0} isn't allowed as an ONBUILD trigger")]
    OnbuildTrigger(String),
    #[error("HEALTHCHECK NONE takes no arguments")]
    HealthNone,
    #[error("Missing command after HEALTHCHECK CMD")]
    HealthCommand,
    #[error("Unknown type {} in HEALTHCHECK (try CMD)", go::quote(.0))]
    HealthType(String),
    #[error(transparent)]
    Duration(go::units::DurationError),
    #[error("Interval {} cannot be less than 1ms", go::quote(.0))]
    Interval(&'static str),
    #[error("strconv.ParseInt: parsing {}: invalid syntax", go::quote(.0))]
    Number(String),
    #[error("--retries cannot be negative ({0})")]
    Retries(i64),
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("unknown flag: --{name}{}", did_you_mean(.hint))]
    UnknownFlag { name: String, hint: Option<String> },
    #[error("duplicate flag specified: --{0}")]
    RepeatedFlag(String),
    #[error("missing a value on flag: --{0}")]
    FlagValue(String),
    #[error("expecting boolean value for flag --{name}, not: {value}")]
    FlagBoolean { name: String, value: String },
    #[error("invalid network mode {}", go::quote(.0))]
    Network(String),
    #[error("security {} is not valid", go::quote(.0))]
    Security(String),
    #[error("{0}")]
    Mount(#[source] super::mount::MountError),
}

impl Problem {
    /// Whether it is found before there are instructions.
    const fn is_about_lines(&self) -> bool {
        matches!(
            self,
            Self::NoInstructions
                | Self::LineTooLong
                | Self::RepeatedDirective(_)
                | Self::EscapeToken(_)
                | Self::UnterminatedHeredoc
                | Self::Expand(_)
                | Self::NotStrings
                | Self::TwoArguments(_)
                | Self::NoEquals(_)
        )
    }
}

/// ` (did you mean RUN?)`
pub fn did_you_mean(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!(" (did you mean {hint}?)")).unwrap_or_default()
}

/// The known word that is at most two letters off.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let distances = known.into_iter().map(|candidate| (distance(word, candidate), candidate));
    let nearest = distances.filter(|(distance, _)| (1..3).contains(distance)).min();
    nearest.map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    // Far longer words are far away whatever they say.
    if one.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (above, letter) in one.chars().enumerate() {
        let mut corner = above;
        row[0] = above + 1;
        for (place, candidate) in other.iter().enumerate() {
            let changed = corner + usize::from(letter != *candidate);
            corner = row[place + 1];
            row[place + 1] = changed.min(corner + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}
