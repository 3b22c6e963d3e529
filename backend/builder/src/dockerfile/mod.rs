//! A Dockerfile's text → its stages and instructions, each with its position. Pure: it reads no file and knows no image.
//!
//! Three steps, one file each: [`lines`] joins physical lines, [`words`] takes an instruction's line apart, [`read`] gives
//! each instruction its meaning. The rules and the texts of errors are moby's; so are the oddities.

mod flags;
mod heredoc;
mod lines;
pub mod mount;
mod problem;
mod read;
mod words;

#[cfg(test)]
mod tests;

pub use heredoc::{Heredoc, parse as parse_heredoc};
pub use problem::{ParseError, Problem};
pub use words::Form;

use lines::Line;

/// A place in the file; both count from 1, columns in letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// `# escape=` and `# syntax=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directives {
    pub escape: char,
    pub syntax: Option<String>,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', syntax: None }
    }
}

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dockerfile {
    pub directives: Directives,
    /// `ARG`s before the first `FROM`.
    pub arguments: Vec<Command>,
    pub stages: Vec<Stage>,
    pub warnings: Vec<String>,
}

/// `FROM` and what follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// As it was written.
    pub code: String,
    pub at: Position,
    /// An image, an earlier stage, or `scratch`; may hold variables.
    pub base: String,
    /// In lower case.
    pub name: Option<String>,
    pub platform: Option<String>,
    pub commands: Vec<Command>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As it was written, on one line.
    pub code: String,
    pub at: Position,
    pub instruction: Instruction,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instruction {
    Add(Copy),
    Arg(Vec<Argument>),
    Cmd(Form),
    Copy(Copy),
    Entrypoint(Form),
    Env(Vec<Pair>),
    Expose(Vec<String>),
    Healthcheck(Healthcheck),
    Label { pairs: Vec<Pair>, expand: bool },
    Maintainer(String),
    Onbuild(String),
    Run(Run),
    Shell(Vec<String>),
    StopSignal(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
}

/// `KEY=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub key: String,
    pub value: String,
}

/// `ARG key` or `ARG key=value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    pub key: String,
    pub value: Option<String>,
}

/// `COPY`, and `ADD`, which can more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    pub sources: Vec<String>,
    pub inline: Vec<Inline>,
    pub destination: String,
    /// A stage or an image; empty for the context.
    pub from: String,
    pub chown: String,
    pub chmod: String,
    pub link: bool,
    pub parents: bool,
    pub exclude: Vec<String>,
    pub keep_git_dir: bool,
    pub checksum: String,
    pub unpack: Option<bool>,
}

/// A file whose content is in the Dockerfile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inline {
    pub name: String,
    pub content: String,
    pub expand: bool,
}

/// `RUN`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub form: Form,
    pub heredocs: Vec<Heredoc>,
    /// `--mount`, variables not replaced yet.
    pub mounts: Vec<String>,
    pub network: Option<Network>,
    pub insecure: bool,
}

/// `RUN --network=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    Default,
    None,
    Host,
}

/// `HEALTHCHECK`; times in nanoseconds, 0 for the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", …]`.
    pub test: Vec<String>,
    pub interval: i64,
    pub timeout: i64,
    pub start_period: i64,
    pub start_interval: i64,
    pub retries: i64,
}

impl Dockerfile {
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let read = lines::read(text)?;
        let mut file = Self {
            directives: read.directives,
            arguments: Vec::new(),
            stages: Vec::new(),
            warnings: read.warnings,
        };
        for line in &read.lines {
            file.take(line)?;
        }
        Ok(file)
    }

    fn take(&mut self, line: &Line) -> Result<(), ParseError> {
        let read = read::read(line, self.directives.escape).map_err(|fault| line.error(fault))?;
        let (code, at) = (line.text.trim().to_owned(), line.position(0));
        match (read, self.stages.last_mut()) {
            (read::Read::From(from), _) => self.stages.push(Stage {
                code,
                at,
                base: from.base,
                name: from.name,
                platform: from.platform,
                commands: Vec::new(),
            }),
            (read::Read::Other(instruction), Some(stage)) => {
                stage.commands.push(Command { code, at, instruction })
            }
            (read::Read::Other(instruction @ Instruction::Arg(_)), None) => {
                self.arguments.push(Command { code, at, instruction });
            }
            (read::Read::Other(_), None) => {
                return Err(line.error(problem::Fault { offset: 0, problem: Problem::NoStage }));
            }
        }
        Ok(())
    }

    /// The stage that `--target` names: by name, or by its number.
    pub fn stage(&self, target: &str) -> Option<usize> {
        let name = target.to_lowercase();
        let by_name = self.stages.iter().position(|stage| stage.name.as_deref() == Some(name.as_str()));
        by_name.or_else(|| target.parse().ok().filter(|index| *index < self.stages.len()))
    }
}

/// Reads instructions that stand alone: `ONBUILD`'s, and `docker commit --change`'s.
pub fn parse_commands(text: &str) -> Result<Vec<Command>, ParseError> {
    let read = lines::read(text)?;
    let commands = read.lines.iter().map(|line| {
        let (code, at) = (line.text.trim().to_owned(), line.position(0));
        match read::read(line, read.directives.escape).map_err(|fault| line.error(fault))? {
            read::Read::Other(instruction) => Ok(Command { code, at, instruction }),
            read::Read::From(_) => {
                let problem = Problem::OnbuildTrigger("FROM".to_owned());
                Err(line.error(problem::Fault { offset: 0, problem }))
            }
        }
    });
    commands.collect()
}
