//! `--change` of `docker import` and `docker commit`: instructions that set an image's configuration and run nothing.

use crate::arguments::Arguments;
use crate::configure::{Around, configure, expose};
use crate::dockerfile::{Instruction, parse_commands};
use crate::error::BuildError;
use crate::expand::Lex;
use crate::image::Config;
use crate::patterns::clean;

/// A change cannot be made; the texts are moby's.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("{0} is not a valid change command")]
    Command(String),
    #[error("{0}")]
    Parse(String),
    #[error(transparent)]
    Apply(#[from] BuildError),
}

const ALLOWED: [&str; 11] = [
    "cmd",
    "entrypoint",
    "healthcheck",
    "env",
    "expose",
    "label",
    "onbuild",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// Applies the changes one after another, each seeing what those before it set.
pub fn apply_changes(config: &mut Config, changes: &[String]) -> Result<(), ChangeError> {
    // A Dockerfile without instructions is a mistake; no change is none.
    if changes.is_empty() {
        return Ok(());
    }
    let text = changes.join("\n");
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let word = line.split_whitespace().next().unwrap_or_default();
        // Lines that go on from the one before are no commands of their own; reading them says what is wrong.
        let is_word = word.chars().all(|letter| letter.is_ascii_alphabetic());
        if is_word
            && !ALLOWED.contains(&word.to_ascii_lowercase().as_str())
            && changes.len() == text.lines().count()
        {
            return Err(ChangeError::Command(word.to_owned()));
        }
    }
    let commands = parse_commands(&text).map_err(|error| ChangeError::Parse(error.problem.to_string()))?;
    let (mut around, mut arguments) = (Around::default(), Arguments::new(std::collections::BTreeMap::new()));
    let lex = Lex::new('\\');
    for command in &commands {
        let env = config.env.clone();
        let variables = |name: &str| {
            let own = env.iter().rev().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            own.map(str::to_owned)
        };
        let expand = |word: &str| lex.word(word, &variables);
        match &command.instruction {
            Instruction::Expose(words) => drop(expose(config, words, &lex, &variables)?),
            Instruction::Workdir(path) => {
                let path = expand(path).map_err(BuildError::from)?;
                if path.is_empty() {
                    return Err(BuildError::EmptyWorkdir.into());
                }
                let base = if path.starts_with('/') { "" } else { config.working_dir.as_str() };
                config.working_dir = format!("/{}", clean(&format!("{base}/{path}")));
            }
            other => {
                if configure(config, &mut around, &mut arguments, other, &expand)?.is_none() {
                    let word = command.code.split_whitespace().next().unwrap_or_default();
                    return Err(ChangeError::Command(word.to_owned()));
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(changes: &[&str]) -> Result<Config, String> {
        let mut config = Config::default();
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        apply_changes(&mut config, &changes).map(|()| config).map_err(|error| error.to_string())
    }

    #[test]
    fn changes_read_as_dockerfile_lines() {
        let config = apply(&[
            "CMD [\"a\", \"b\"]",
            "ENV A=\"1 2\"",
            "EXPOSE 80 81/udp",
            "LABEL one=\"a b\" two=c",
            "VOLUME /data",
            "WORKDIR /w",
            "WORKDIR x",
            "ENV B=1 C=\"2 3\" A=4",
            "ENV D=$A/x",
            "USER web",
            "STOPSIGNAL SIGINT",
            "ONBUILD RUN x",
            "HEALTHCHECK CMD true",
        ])
        .unwrap();
        assert_eq!(config.cmd.unwrap(), ["a", "b"]);
        assert_eq!(config.env, ["A=4", "B=1", "C=2 3", "D=4/x"]);
        assert!(config.exposed_ports.contains_key("80/tcp") && config.exposed_ports.contains_key("81/udp"));
        assert_eq!(config.labels.unwrap()["one"], "a b");
        assert_eq!((config.working_dir.as_str(), config.user.as_str()), ("/w/x", "web"));
        assert_eq!((config.stop_signal.as_str(), config.on_build.unwrap().len()), ("SIGINT", 1));
        assert_eq!(config.healthcheck.unwrap().test, ["CMD-SHELL", "true"]);
        let shell = apply(&["ENTRYPOINT run it", "CMD x"]).unwrap();
        assert_eq!(shell.entrypoint.unwrap(), ["/bin/sh", "-c", "run it"]);
    }

    #[test]
    fn what_is_no_change_is_refused_in_mobys_words() {
        for (change, expected) in [
            ("RUN x", "RUN is not a valid change command"),
            ("bogus x", "bogus is not a valid change command"),
            ("FROM x", "FROM is not a valid change command"),
            ("ENV", "ENV requires at least one argument"),
        ] {
            assert_eq!(apply(&[change]).unwrap_err(), expected, "{change}");
        }
        assert_eq!(apply(&[]).unwrap(), Config::default());
    }
}
