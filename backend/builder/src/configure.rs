//! Instructions that change an image's configuration and no file of it.

use crate::arguments::Arguments;
use crate::dockerfile::{Form, Instruction, Pair};
use crate::error::BuildError;
use crate::expand::{ExpandError, Lex};
use crate::image::{Config, Empty, Health};
use crate::{ports, signals};
use drydock_golang as go;

/// What instructions change beside the configuration.
#[derive(Debug, Default)]
pub struct Around {
    pub maintainer: String,
    /// This stage has a `CMD` of its own, which an `ENTRYPOINT` leaves alone.
    pub has_cmd: bool,
}

/// An instruction done: what its step is called, and a word for the user.
#[derive(Debug, Default)]
pub struct Configured {
    pub comment: String,
    pub note: Option<String>,
}

/// Replaces the variables of one word.
pub type Expand<'a> = &'a dyn Fn(&str) -> Result<String, ExpandError>;

/// Applies the instruction; `None` when it is not one of these.
pub fn configure(
    config: &mut Config,
    around: &mut Around,
    arguments: &mut Arguments,
    instruction: &Instruction,
    expand: Expand<'_>,
) -> Result<Option<Configured>, BuildError> {
    let mut note = None;
    let comment = match instruction {
        Instruction::Env(pairs) => env(config, &expand_pairs(pairs, expand)?),
        Instruction::Label { pairs, expand: true } => label(config, &expand_pairs(pairs, expand)?),
        Instruction::Label { pairs, expand: false } => label(config, pairs),
        Instruction::Maintainer(name) => {
            around.maintainer.clone_from(name);
            format!("MAINTAINER {name}")
        }
        Instruction::Cmd(form) => {
            let words = command_line(config, form);
            around.has_cmd |= !is_empty(form);
            let comment = format!("CMD {}", go::quote_list(&words));
            config.cmd = Some(words);
            comment
        }
        Instruction::Entrypoint(form) => {
            let words = if is_empty(form) { Vec::new() } else { command_line(config, form) };
            if !around.has_cmd {
                config.cmd = None;
            }
            let comment = format!("ENTRYPOINT {}", go::quote_list(&words));
            config.entrypoint = (!words.is_empty()).then_some(words);
            comment
        }
        Instruction::Healthcheck(check) => {
            let health = Health::from(check);
            let before = config.healthcheck.as_ref().map(|before| &before.test);
            note = before
                .filter(|test| !matches!(test.first().map(String::as_str), None | Some("NONE")))
                .map(|test| format!("Note: overriding previous HEALTHCHECK: {}\n", go::list(test)));
            let comment = format!("HEALTHCHECK {}", print_health(&health));
            config.healthcheck = Some(health);
            comment
        }
        Instruction::Onbuild(expression) => {
            config.on_build.get_or_insert_default().push(expression.clone());
            format!("ONBUILD {expression}")
        }
        Instruction::Shell(words) => {
            config.shell.clone_from(words);
            format!("SHELL {}", go::list(words))
        }
        Instruction::StopSignal(signal) => {
            let signal = expand(signal)?;
            if !signals::is_known(&signal) {
                return Err(BuildError::Signal(signal));
            }
            config.stop_signal.clone_from(&signal);
            format!("STOPSIGNAL {signal}")
        }
        Instruction::User(user) => {
            config.user = expand(user)?;
            format!("USER {}", config.user)
        }
        Instruction::Volume(paths) => {
            let paths = paths.iter().map(|path| expand(path)).collect::<Result<Vec<_>, _>>()?;
            if paths.iter().any(String::is_empty) {
                return Err(BuildError::EmptyVolume);
            }
            let volumes = config.volumes.get_or_insert_default();
            volumes.extend(paths.iter().map(|path| (path.clone(), Empty {})));
            format!("VOLUME {}", go::list(&paths))
        }
        Instruction::Arg(list) => {
            let mut words = Vec::new();
            for argument in list {
                let key = expand(&argument.key)?;
                let value = argument.value.as_ref().map(|value| expand(value)).transpose()?;
                words.push(match &value {
                    Some(value) => format!("{key}={value}"),
                    None => key.clone(),
                });
                arguments.add(&key, value);
            }
            format!("ARG {}", words.join(" "))
        }
        _ => return Ok(None),
    };
    Ok(Some(Configured { comment, note }))
}

/// `EXPOSE`: the only instruction whose words may become several.
pub fn expose(
    config: &mut Config,
    words: &[String],
    lex: &Lex,
    variables: &dyn Fn(&str) -> Option<String>,
) -> Result<Configured, BuildError> {
    let mut named = Vec::new();
    for word in words {
        named.extend(lex.words(word, variables)?);
    }
    for port in &named {
        config.exposed_ports.extend(ports::parse(port)?.into_iter().map(|port| (port, Empty {})));
    }
    Ok(Configured { comment: format!("EXPOSE {}", named.join(" ")), note: None })
}

fn expand_pairs(pairs: &[Pair], expand: Expand<'_>) -> Result<Vec<Pair>, ExpandError> {
    pairs.iter().map(|pair| Ok(Pair { key: expand(&pair.key)?, value: expand(&pair.value)? })).collect()
}

fn env(config: &mut Config, pairs: &[Pair]) -> String {
    pairs.iter().for_each(|pair| config.set_env(&pair.key, &pair.value));
    named("ENV", pairs)
}

fn label(config: &mut Config, pairs: &[Pair]) -> String {
    let labels = config.labels.get_or_insert_default();
    labels.extend(pairs.iter().map(|pair| (pair.key.clone(), pair.value.clone())));
    named("LABEL", pairs)
}

fn named(instruction: &str, pairs: &[Pair]) -> String {
    let pairs = pairs.iter().map(|pair| format!(" {}={}", pair.key, pair.value));
    std::iter::once(instruction.to_owned()).chain(pairs).collect()
}

fn is_empty(form: &Form) -> bool {
    match form {
        Form::Exec(words) => words.is_empty(),
        Form::Shell(text) => text.is_empty(),
    }
}

/// The words to execute: the shell's and the text, or the words themselves.
pub fn command_line(config: &Config, form: &Form) -> Vec<String> {
    match form {
        Form::Exec(words) => words.clone(),
        Form::Shell(text) => {
            let mut words = config.shell();
            words.extend((!text.is_empty()).then(|| text.clone()));
            words
        }
    }
}

/// Go's `%+v`.
fn print_health(health: &Health) -> String {
    format!(
        "&{{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        go::list(&health.test),
        go::units::print_duration(health.interval),
        go::units::print_duration(health.timeout),
        go::units::print_duration(health.start_period),
        go::units::print_duration(health.start_interval),
        health.retries
    )
}
