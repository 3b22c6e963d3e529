//! The commands that only look: containers, and the processes in one.

use std::path::Path;
use std::process::ExitCode;

use drydock_runtime::state::{self, State, StateDir, Status};
use serde::Serialize;

use super::Outcome;
use super::options::{Global, UsageError, Word, Words, parse_id};

/// A state as runc prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: Status,
    bundle: &'a Path,
    rootfs: &'a Path,
    created: &'a str,
    #[serde(skip_serializing_if = "std::collections::HashMap::is_empty")]
    annotations: &'a std::collections::HashMap<String, String>,
    owner: &'a str,
}

impl<'a> Shown<'a> {
    pub fn of(dir: &StateDir, state: &'a State) -> Self {
        let status = dir.status(state);
        Self {
            oci_version: &state.oci_version,
            id: state.id.as_str(),
            pid: if status == Status::Stopped { 0 } else { state.pid },
            status,
            bundle: &state.bundle,
            rootfs: &state.rootfs,
            created: &state.created,
            annotations: &state.annotations,
            owner: &state.owner,
        }
    }
}

pub fn list(global: &Global, words: &mut Words) -> Outcome {
    let (mut format, mut quiet) = (Format::Table, false);
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "f" || name == "format" => format = Format::parse(&words.text()?)?,
            Word::Option(name) if name == "q" || name == "quiet" => quiet = words.switch(),
            Word::Option(name) => return Err(words.unexpected(&name).into()),
            Word::Value(_) => return Err(UsageError::Exactly { command: "list", wanted: 0 }.into()),
        }
    }
    let containers = state::list(&global.root)?;
    let shown: Vec<Shown<'_>> = containers.iter().map(|(dir, state)| Shown::of(dir, state)).collect();
    match format {
        _ if quiet => shown.iter().for_each(|shown| println!("{}", shown.id)),
        // As an empty list of Go's is written.
        Format::Json if shown.is_empty() => println!("null"),
        Format::Json => println!("{}", serde_json::to_string(&shown)?),
        Format::Table => print!("{}", table(&shown)),
    }
    Ok(ExitCode::SUCCESS)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Table,
    Json,
}

impl Format {
    fn parse(word: &str) -> Result<Self, UsageError> {
        match word {
            "table" => Ok(Format::Table),
            "json" => Ok(Format::Json),
            _ => Err(UsageError::Format),
        }
    }
}

/// Columns as wide as their widest cell and three more, at least twelve.
fn table(shown: &[Shown<'_>]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = shown.iter().map(|s| {
        let bundle = s.bundle.display().to_string();
        [
            s.id.to_owned(),
            s.pid.to_string(),
            s.status.to_string(),
            bundle,
            s.created.to_owned(),
            s.owner.to_owned(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(rows).collect();
    let width = |column: usize| {
        let widest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        (widest + 3).max(12)
    };
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<String>() + &row[5] + "\n"
    };
    rows.iter().map(line).collect()
}

/// `ps [--format json] ID [ps options]`.
pub fn ps(global: &Global, words: &mut Words) -> Outcome {
    let (mut id, mut format) = (None, Format::Table);
    let mut ps_options = Vec::new();
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "f" || name == "format" => format = Format::parse(&words.text()?)?,
            Word::Option(name) => return Err(words.unexpected(&name).into()),
            Word::Value(value) => {
                id = Some(parse_id(&value)?);
                ps_options = words.rest()?;
                break;
            }
        }
    }
    if let [option, word] = &ps_options[..]
        && (option == "--format" || option == "-f")
    {
        format = Format::parse(word)?;
        ps_options.clear();
    }
    let (_, state) = global.open(&id.ok_or(UsageError::AtLeast { command: "ps", wanted: 1 })?)?;
    let pids = state.cgroup.pids()?;
    if format == Format::Json {
        println!("{}", serde_json::to_string(&pids)?);
        return Ok(ExitCode::SUCCESS);
    }
    if ps_options.is_empty() {
        ps_options.push("-ef".to_owned());
    }
    let output = std::process::Command::new("ps").args(&ps_options).output()?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(PsError { status: output.status, text }.into());
    }
    print_rows(&String::from_utf8_lossy(&output.stdout), &pids)?;
    Ok(ExitCode::SUCCESS)
}

#[derive(Debug, thiserror::Error)]
#[error("{status}: {text}")]
struct PsError {
    status: std::process::ExitStatus,
    text: String,
}

#[derive(Debug, thiserror::Error)]
#[error("couldn't find PID field in ps output")]
struct NoPidColumn;

/// The header, and the rows whose PID column names one of the container's processes.
fn print_rows(table: &str, pids: &[i32]) -> Result<(), NoPidColumn> {
    let mut lines = table.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split_whitespace().position(|name| name == "PID").ok_or(NoPidColumn)?;
    println!("{header}");
    for line in lines {
        let pid = line.split_whitespace().nth(column).and_then(|word| word.parse::<i32>().ok());
        if pid.is_some_and(|pid| pids.contains(&pid)) {
            println!("{line}");
        }
    }
    Ok(())
}
