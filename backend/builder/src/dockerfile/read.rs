//! One logical line → one instruction.

use super::flags::{Flags, Kind};
use super::heredoc::{self, Heredoc};
use super::lines::Line;
use super::problem::{Fault, Problem, nearest};
use super::words::{self, Command, Form, Slice, Word};
use super::{Argument, Copy, Healthcheck, Inline, Instruction, Network, Pair, Run, mount};
use drydock_golang as go;

/// What a line can be.
#[derive(Debug)]
pub enum Read {
    From(From),
    Other(Instruction),
}

#[derive(Debug)]
pub struct From {
    pub base: String,
    pub name: Option<String>,
    pub platform: Option<String>,
}

const NAMES: [&str; 18] = [
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "MAINTAINER",
    "ONBUILD",
    "RUN",
    "SHELL",
    "STOPSIGNAL",
    "USER",
    "VOLUME",
    "WORKDIR",
];

/// An instruction's line, taken apart.
struct Parts<'a> {
    line: &'a Line,
    command: Command<'a>,
    escape: char,
}

pub fn read(line: &Line, escape: char) -> Result<Read, Fault> {
    let command = words::split_command(&line.text, 0, escape);
    let name = command.name.to_ascii_uppercase();
    let parts = Parts { line, command, escape };
    let instruction = match name.as_str() {
        "FROM" => return parts.from().map(Read::From),
        "ADD" => parts.copy("ADD").map(Instruction::Add),
        "ARG" => parts.arg(),
        "CMD" => parts.no_flags().and_then(|()| parts.form()).map(Instruction::Cmd),
        "COPY" => parts.copy("COPY").map(Instruction::Copy),
        "ENTRYPOINT" => parts.no_flags().and_then(|()| parts.form()).map(Instruction::Entrypoint),
        "ENV" => parts.pairs("ENV").map(Instruction::Env),
        "EXPOSE" => parts.expose(),
        "HEALTHCHECK" => parts.healthcheck().map(Instruction::Healthcheck),
        "LABEL" => parts.pairs("LABEL").map(|pairs| Instruction::Label { pairs, expand: true }),
        "MAINTAINER" => parts.whole("MAINTAINER").map(Instruction::Maintainer),
        "ONBUILD" => parts.onbuild(),
        "RUN" => parts.run().map(Instruction::Run),
        "SHELL" => parts.shell(),
        "STOPSIGNAL" => parts.whole_with_any_flags("STOPSIGNAL").map(Instruction::StopSignal),
        "USER" => parts.whole("USER").map(Instruction::User),
        "VOLUME" => parts.volume(),
        "WORKDIR" => parts.whole("WORKDIR").map(Instruction::Workdir),
        _ => Err(parts.unknown()),
    };
    instruction.map(Read::Other)
}

impl Parts<'_> {
    fn arguments(&self) -> Slice<'_> {
        self.command.arguments
    }

    fn fault(&self, problem: Problem) -> Fault {
        Fault { offset: 0, problem }
    }

    fn unknown(&self) -> Fault {
        let name = self.command.name.to_owned();
        let hint = nearest(&name.to_ascii_uppercase(), NAMES);
        let is_small = name.starts_with(|letter: char| letter.is_lowercase());
        let hint = hint.map(|hint| if is_small { hint.to_ascii_lowercase() } else { hint });
        self.fault(Problem::UnknownInstruction { name, hint })
    }

    fn flags(&self, known: &[(&'static str, Kind)]) -> Result<Flags, Fault> {
        Flags::read(&self.command.flags, known)
    }

    fn no_flags(&self) -> Result<(), Fault> {
        self.flags(&[]).map(drop)
    }

    /// Exactly one argument, which may have spaces.
    fn whole(&self, name: &'static str) -> Result<String, Fault> {
        let whole = self.whole_with_any_flags(name)?;
        self.no_flags()?;
        Ok(whole)
    }

    fn whole_with_any_flags(&self, name: &'static str) -> Result<String, Fault> {
        match self.arguments().text {
            "" => Err(self.fault(Problem::ExactlyOne(name))),
            text => Ok(text.to_owned()),
        }
    }

    fn form(&self) -> Result<Form, Fault> {
        words::exec_or_shell(self.arguments())
    }

    fn words(&self) -> Vec<Word> {
        if self.arguments().text.is_empty() { Vec::new() } else { self.arguments().words() }
    }

    fn from(&self) -> Result<From, Fault> {
        let words = self.words();
        let (base, name) = match words.as_slice() {
            [base] => (base, None),
            [base, between, name] if between.text.eq_ignore_ascii_case("as") => {
                (base, Some(stage_name(name)?))
            }
            _ => return Err(self.fault(Problem::From)),
        };
        let flags = self.flags(&[("platform", Kind::Text)])?;
        let platform = flags.text("platform").map(|word| word.text.clone()).filter(|text| !text.is_empty());
        Ok(From { base: base.text.clone(), name, platform })
    }

    /// `ENV` and `LABEL`: `NAME=value …`, or the old `NAME value`.
    fn pairs(&self, name: &'static str) -> Result<Vec<Pair>, Fault> {
        let words = words::quoted_words(self.arguments(), self.escape);
        let Some(first) = words.first() else {
            self.no_flags()?;
            return Err(self.fault(Problem::AtLeastOne(name)));
        };
        let pairs = if first.text.contains('=') {
            words.iter().map(pair).collect::<Result<Vec<Pair>, Fault>>()?
        } else {
            let (key, value) = self.arguments().first();
            let value = value.ok_or_else(|| self.fault(Problem::TwoArguments(name)))?;
            vec![Pair { key: key.text.to_owned(), value: value.text.to_owned() }]
        };
        self.no_flags()?;
        match pairs.iter().any(|pair| pair.key.is_empty()) {
            true => Err(self.fault(Problem::BlankName(name))),
            false => Ok(pairs),
        }
    }

    fn arg(&self) -> Result<Instruction, Fault> {
        let words = words::quoted_words(self.arguments(), self.escape);
        if words.is_empty() {
            return Err(self.fault(Problem::AtLeastOne("ARG")));
        }
        let arguments = words.into_iter().map(|word| match word.text.split_once('=') {
            Some(("", _)) => Err(Fault { offset: word.offset, problem: Problem::BlankName("ARG") }),
            Some((key, value)) => Ok(Argument { key: key.to_owned(), value: Some(value.to_owned()) }),
            None => Ok(Argument { key: word.text, value: None }),
        });
        arguments.collect::<Result<_, _>>().map(Instruction::Arg)
    }

    fn expose(&self) -> Result<Instruction, Fault> {
        let mut ports: Vec<String> = self.words().into_iter().map(|word| word.text).collect();
        if ports.is_empty() {
            return Err(self.fault(Problem::AtLeastOne("EXPOSE")));
        }
        self.no_flags()?;
        ports.sort();
        Ok(Instruction::Expose(ports))
    }

    fn volume(&self) -> Result<Instruction, Fault> {
        let words = words::json_or_words(self.arguments())?;
        if words.is_empty() {
            return Err(self.fault(Problem::AtLeastOne("VOLUME")));
        }
        self.no_flags()?;
        let volumes = words.into_iter().map(|word| match word.text.trim() {
            "" => Err(Fault { offset: word.offset, problem: Problem::EmptyVolume }),
            volume => Ok(volume.to_owned()),
        });
        volumes.collect::<Result<_, _>>().map(Instruction::Volume)
    }

    fn shell(&self) -> Result<Instruction, Fault> {
        self.no_flags()?;
        match self.form()? {
            Form::Exec(words) if !words.is_empty() => Ok(Instruction::Shell(words)),
            Form::Shell(text) if !text.is_empty() => Err(self.fault(Problem::JsonOnly { command: "SHELL" })),
            _ => Err(self.fault(Problem::AtLeastOne("SHELL"))),
        }
    }

    fn onbuild(&self) -> Result<Instruction, Fault> {
        let arguments = self.arguments();
        if arguments.text.is_empty() {
            return Err(self.fault(Problem::AtLeastOne("ONBUILD")));
        }
        self.no_flags()?;
        let trigger = words::split_command(arguments.text, arguments.offset, self.escape);
        let name = trigger.name.to_ascii_uppercase();
        let fault = |problem| Fault { offset: arguments.offset, problem };
        match name.as_str() {
            "ONBUILD" => return Err(fault(Problem::OnbuildChain)),
            "MAINTAINER" | "FROM" => return Err(fault(Problem::OnbuildTrigger(name))),
            _ => {}
        }
        let mut expression = self.line.text.trim_start()[self.command.name.len()..].trim_start().to_owned();
        for heredoc in &self.line.heredocs {
            expression.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
        }
        Ok(Instruction::Onbuild(expression))
    }

    fn run(&self) -> Result<Run, Fault> {
        let flags =
            self.flags(&[("mount", Kind::Texts), ("network", Kind::Text), ("security", Kind::Text)])?;
        let form = self.form()?;
        for word in flags.texts("mount") {
            let fault = |error| Fault { offset: word.offset, problem: Problem::Mount(error) };
            mount::check(&word.text).map_err(fault)?;
        }
        let network = flags.text("network").map(|word| match word.text.as_str() {
            "default" => Ok(Network::Default),
            "none" => Ok(Network::None),
            "host" => Ok(Network::Host),
            other => Err(Fault { offset: word.offset, problem: Problem::Network(other.to_owned()) }),
        });
        let insecure = flags.text("security").map(|word| match word.text.as_str() {
            "insecure" => Ok(true),
            "sandbox" => Ok(false),
            other => Err(Fault { offset: word.offset, problem: Problem::Security(other.to_owned()) }),
        });
        Ok(Run {
            form,
            heredocs: self.line.heredocs.clone(),
            mounts: flags.texts("mount").map(|word| word.text.clone()).collect(),
            network: network.transpose()?,
            insecure: insecure.transpose()?.unwrap_or(false),
        })
    }

    fn copy(&self, name: &'static str) -> Result<Copy, Fault> {
        let mut words = words::json_or_words(self.arguments())?;
        let destination = match words.pop() {
            Some(word) if !words.is_empty() => word,
            _ => return Err(self.fault(Problem::NoDestination(name))),
        };
        let flags = self.flags(if name == "ADD" { &ADD } else { &COPY })?;
        if heredoc::parse(&destination.text).is_ok_and(|heredoc| heredoc.is_some()) {
            return Err(Fault { offset: destination.offset, problem: Problem::HeredocDestination(name) });
        }
        let (mut sources, mut inline) = (Vec::new(), Vec::new());
        for word in words {
            match heredoc::parse(&word.text) {
                Ok(Some(begun)) => inline.push(self.inline(&begun)),
                _ => sources.push(word.text),
            }
        }
        Ok(Copy {
            sources,
            inline,
            destination: destination.text,
            from: flags.value("from"),
            chown: flags.value("chown"),
            chmod: flags.value("chmod"),
            link: flags.switch("link").unwrap_or(false),
            parents: flags.switch("parents").unwrap_or(false),
            exclude: flags.texts("exclude").map(|word| word.text.clone()).collect(),
            keep_git_dir: flags.switch("keep-git-dir").unwrap_or(false),
            checksum: flags.value("checksum"),
            unpack: flags.switch("unpack"),
        })
    }

    fn inline(&self, begun: &Heredoc) -> Inline {
        let body = self.line.heredocs.iter().find(|heredoc| heredoc.name == begun.name);
        let content = body.map(Heredoc::text).unwrap_or_default();
        Inline { name: begun.name.clone(), content, expand: begun.expand }
    }

    fn healthcheck(&self) -> Result<Healthcheck, Fault> {
        let arguments = self.arguments();
        let (kind, rest) = match arguments.text.find(char::is_whitespace) {
            None => (arguments.text, ""),
            Some(end) => (&arguments.text[..end], arguments.text[end..].trim_start()),
        };
        if kind.is_empty() {
            return Err(self.fault(Problem::AtLeastOne("HEALTHCHECK")));
        }
        let offset = arguments.offset + arguments.text.len() - rest.len();
        let form = words::exec_or_shell(Slice { text: rest, offset })?;
        let kind = kind.to_ascii_uppercase();
        if kind == "NONE" {
            return match form {
                Form::Shell(text) if text.is_empty() => {
                    Ok(Healthcheck { test: vec![kind], ..Healthcheck::default() })
                }
                _ => Err(Fault { offset, problem: Problem::HealthNone }),
            };
        }
        let flags = self.flags(&HEALTHCHECK)?;
        if kind != "CMD" {
            return Err(Fault { offset: arguments.offset, problem: Problem::HealthType(kind) });
        }
        let test = match form {
            Form::Exec(words) if !words.is_empty() => [vec!["CMD".to_owned()], words].concat(),
            Form::Shell(text) if !text.is_empty() => vec!["CMD-SHELL".to_owned(), text],
            _ => return Err(self.fault(Problem::HealthCommand)),
        };
        Ok(Healthcheck {
            test,
            interval: duration(&flags, "interval")?,
            timeout: duration(&flags, "timeout")?,
            start_period: duration(&flags, "start-period")?,
            start_interval: duration(&flags, "start-interval")?,
            retries: retries(&flags)?,
        })
    }
}

const ADD: [(&str, Kind); 7] = [
    ("chown", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Switch),
    ("keep-git-dir", Kind::Switch),
    ("checksum", Kind::Text),
    ("unpack", Kind::Switch),
    ("exclude", Kind::Texts),
];

const COPY: [(&str, Kind); 6] = [
    ("chown", Kind::Text),
    ("from", Kind::Text),
    ("chmod", Kind::Text),
    ("link", Kind::Switch),
    ("exclude", Kind::Texts),
    ("parents", Kind::Switch),
];

const HEALTHCHECK: [(&str, Kind); 5] = [
    ("interval", Kind::Text),
    ("timeout", Kind::Text),
    ("start-period", Kind::Text),
    ("start-interval", Kind::Text),
    ("retries", Kind::Text),
];

fn stage_name(word: &Word) -> Result<String, Fault> {
    let name = word.text.to_lowercase();
    let mut letters = name.chars();
    let is_valid = letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|letter| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '_' | '.')
        });
    match is_valid {
        true => Ok(name),
        false => Err(Fault { offset: word.offset, problem: Problem::StageName(word.text.clone()) }),
    }
}

fn pair(word: &Word) -> Result<Pair, Fault> {
    match word.text.split_once('=') {
        Some((key, value)) => Ok(Pair { key: key.to_owned(), value: value.to_owned() }),
        None => Err(Fault { offset: word.offset, problem: Problem::NoEquals(word.text.clone()) }),
    }
}

fn duration(flags: &Flags, name: &'static str) -> Result<i64, Fault> {
    let Some(word) = flags.text(name).filter(|word| !word.text.is_empty()) else { return Ok(0) };
    let fault = |problem| Fault { offset: word.offset, problem };
    match go::units::parse_duration(&word.text) {
        Err(complaint) => Err(fault(Problem::Duration(complaint))),
        Ok(nanoseconds) if nanoseconds != 0 && nanoseconds < 1_000_000 => Err(fault(Problem::Interval(name))),
        Ok(nanoseconds) => Ok(nanoseconds),
    }
}

fn retries(flags: &Flags) -> Result<i64, Fault> {
    let Some(word) = flags.text("retries").filter(|word| !word.text.is_empty()) else { return Ok(0) };
    let fault = |problem| Fault { offset: word.offset, problem };
    match word.text.parse::<i32>() {
        Err(_) => Err(fault(Problem::Number(word.text.clone()))),
        Ok(retries) if retries < 0 => Err(fault(Problem::Retries(retries.into()))),
        Ok(retries) => Ok(retries.into()),
    }
}
