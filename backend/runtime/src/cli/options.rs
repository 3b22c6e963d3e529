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
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error("{0} is not a number: {1:?}")]
    Number(&'static str, String),
    #[error("unknown log format {0:?}")]
    LogFormat(String),
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("container {id}")]
    Container {
        id: ContainerId,
        #[source]
        source: StateError,
    },
    #[error("--console-socket needs a terminal in the configuration")]
    SocketWithoutTerminal,
    #[error("a detached container with a terminal needs --console-socket")]
    TerminalWithoutSocket,
}

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
        text.parse().map_err(|_| UsageError::Number(what, text))
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
    pub fn only_id(&mut self) -> Result<ContainerId, UsageError> {
        let mut id = None;
        while let Some(word) = self.next()? {
            match word {
                Word::Value(value) if id.is_none() => id = Some(parse_id(&value)?),
                Word::Value(value) => return Err(lexopt::Error::UnexpectedArgument(value).into()),
                Word::Option(name) => return Err(self.unexpected(&name)),
            }
        }
        id.ok_or(UsageError::Missing("the container id"))
    }
}

#[derive(Debug)]
pub enum Word {
    /// Without its dashes.
    Option(String),
    Value(OsString),
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
        StateDir::open(&self.root, id).map_err(|source| UsageError::Container { id: id.clone(), source })
    }
}

/// `--bundle`, or the current directory.
pub fn bundle_dir(given: Option<&Path>) -> PathBuf {
    given.unwrap_or(Path::new(".")).to_owned()
}
