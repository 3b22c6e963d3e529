//! Words of the command line, one after the other.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use drydock_runtime::bundle::{ContainerId, InvalidId};
use drydock_runtime::state::{State, StateDir, StateError};
use lexopt::{Arg, Parser};

#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    #[error(transparent)]
    Syntax(#[from] lexopt::Error),
    #[error("unknown command {0:?}")]
    Command(String),
    #[error("{name}: {command:?} requires exactly {wanted} argument(s)", name = PROGRAM)]
    Exactly { command: &'static str, wanted: usize },
    #[error("{name}: {command:?} requires a minimum of {wanted} argument(s)", name = PROGRAM)]
    AtLeast { command: &'static str, wanted: usize },
    #[error("{name}: {command:?} requires a maximum of {wanted} argument(s)", name = PROGRAM)]
    AtMost { command: &'static str, wanted: usize },
    #[error("invalid value {value:?} for flag {flag}")]
    Number { flag: &'static str, value: String },
    #[error("invalid format option")]
    Format,
    #[error("unknown log-format {0:?}")]
    LogFormat(String),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot use console socket if {name} will not detach or allocate tty", name = PROGRAM)]
    SocketWithoutTerminal,
    #[error("cannot allocate tty if {name} will detach without setting console socket", name = PROGRAM)]
    TerminalWithoutSocket,
    #[error("{0} is not supported: it needs CRIU, which this runtime does not drive")]
    Checkpoint(&'static str),
}

/// What this program calls itself where runc would say `runc`.
pub const PROGRAM: &str = "drydock-runtime";

/// The words that are left.
#[derive(Debug)]
pub struct Words(Parser);

impl Words {
    pub fn from_env() -> Self {
        Self(Parser::from_env())
    }

    /// The next option or argument.
    pub fn next(&mut self) -> Result<Option<Word>, UsageError> {
        Ok(match self.0.next()? {
            None => None,
            Some(Arg::Short(letter)) => Some(Word::Option(letter.to_string())),
            Some(Arg::Long(name)) => Some(Word::Option(name.to_owned())),
            Some(Arg::Value(value)) => Some(Word::Value(value)),
        })
    }

    pub fn value(&mut self) -> Result<OsString, UsageError> {
        Ok(self.0.value()?)
    }

    pub fn path(&mut self) -> Result<PathBuf, UsageError> {
        Ok(self.0.value()?.into())
    }

    pub fn text(&mut self) -> Result<String, UsageError> {
        Ok(self.0.value()?.to_string_lossy().into_owned())
    }

    pub fn number(&mut self, what: &'static str) -> Result<u32, UsageError> {
        let text = self.text()?;
        text.parse().map_err(|_| UsageError::Number { flag: what, value: text })
    }

    /// A switch, which may still be written `--name=false`.
    pub fn switch(&mut self) -> bool {
        self.0.optional_value().is_none_or(|value| value != "false")
    }

    /// Everything left, whatever it looks like.
    pub fn rest(&mut self) -> Result<Vec<String>, UsageError> {
        Ok(self.0.raw_args()?.map(|word| word.to_string_lossy().into_owned()).collect())
    }

    /// What an option nobody knows is answered with.
    pub fn unexpected(&self, name: &str) -> UsageError {
        UsageError::Syntax(lexopt::Error::UnexpectedOption(name.to_owned()))
    }

    /// A command's only argument, where it has no options.
    pub fn only_id(&mut self, command: &'static str) -> Result<ContainerId, UsageError> {
        let mut ids = Ids::new(command);
        while let Some(word) = self.next()? {
            match word {
                Word::Value(value) => ids.take(value),
                Word::Option(name) => return Err(self.unexpected(&name)),
            }
        }
        ids.only()
    }
}

#[derive(Debug)]
pub enum Word {
    /// Without its dashes.
    Option(String),
    Value(OsString),
}

/// The arguments of a command that wants one container.
#[derive(Debug)]
pub struct Ids {
    command: &'static str,
    words: Vec<OsString>,
}

impl Ids {
    pub fn new(command: &'static str) -> Self {
        Self { command, words: Vec::new() }
    }

    pub fn take(&mut self, word: OsString) {
        self.words.push(word);
    }

    pub fn only(&self) -> Result<ContainerId, UsageError> {
        match &self.words[..] {
            [id] => parse_id(id),
            _ => Err(UsageError::Exactly { command: self.command, wanted: 1 }),
        }
    }
}

pub fn parse_id(word: &OsString) -> Result<ContainerId, UsageError> {
    Ok(ContainerId::parse(&word.to_string_lossy())?)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What stands before the command.
#[derive(Debug)]
pub struct Global {
    pub root: PathBuf,
    pub log: Option<PathBuf>,
    pub log_format: LogFormat,
    pub debug: bool,
    pub command: Option<String>,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            root: super::default_root(),
            log: None,
            log_format: LogFormat::Text,
            debug: false,
            command: None,
        }
    }
}

impl Global {
    pub fn take(words: &mut Words) -> Result<Self, UsageError> {
        let mut global = Self::default();
        while let Some(word) = words.next()? {
            match word {
                Word::Value(name) => {
                    global.command = Some(name.to_string_lossy().into_owned());
                    break;
                }
                Word::Option(name) => match name.as_str() {
                    "root" => global.root = words.path()?,
                    "log" => global.log = Some(words.path()?),
                    "log-format" => {
                        global.log_format = match words.text()?.as_str() {
                            "text" => LogFormat::Text,
                            "json" => LogFormat::Json,
                            other => return Err(UsageError::LogFormat(other.to_owned())),
                        }
                    }
                    "debug" => global.debug = words.switch(),
                    // A path either way, see cgroup::cgroups_path.
                    "systemd-cgroup" => drop(words.switch()),
                    // Nothing here works without root in its user namespace.
                    "rootless" => drop(words.value()?),
                    "v" | "version" => {
                        global.command = Some("version".to_owned());
                        break;
                    }
                    "h" | "help" => {
                        global.command = Some("help".to_owned());
                        break;
                    }
                    other => return Err(words.unexpected(other)),
                },
            }
        }
        Ok(global)
    }

    pub fn open(&self, id: &ContainerId) -> Result<(StateDir, State), UsageError> {
        Ok(StateDir::open(&self.root, id)?)
    }
}

/// `--bundle`, or the current directory.
pub fn bundle_dir(given: Option<&Path>) -> PathBuf {
    given.unwrap_or(Path::new(".")).to_owned()
}
