//! The labs of a folder, as the server offers them: `DIR/<id>/lab.md`, and those of other platforms, translated as they
//! are read: `DIR/<id>/index.json` (Killercoda) and `DIR/<date>-<id>.markdown` (play-with-docker's posts).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::import::{Untranslatable, post, scenario};
use crate::lab::{LEVELS, Lab};
use crate::parse::{Problem, parse};

/// Labs in the order of their levels, then of the alphabet.
#[derive(Debug, Clone, Default)]
pub struct Library {
    labs: Vec<Arc<Lab>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("cannot list {}", path.display())]
    List { path: PathBuf, source: std::io::Error },
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not a lab: its name is not plain (small letters, digits and `-`)", path.display())]
    Name { path: PathBuf },
    #[error("{} is no lab of another platform either", path.display())]
    Foreign { path: PathBuf, source: Untranslatable },
    #[error("{} has mistakes:{}", path.display(), list(problems))]
    Mistakes { path: PathBuf, problems: Vec<Problem> },
}

impl Library {
    /// Reads every lab below `folder`; those that cannot be read come back beside the rest.
    pub fn open(folder: &Path) -> (Self, Vec<Unreadable>) {
        let mut labs = Vec::new();
        let mut broken = Vec::new();
        match files(folder) {
            Err(error) => broken.push(error),
            Ok(files) => {
                for file in files {
                    match read(&file) {
                        Ok(lab) => labs.push(Arc::new(lab)),
                        Err(error) => broken.push(error),
                    }
                }
            }
        }
        labs.sort_by_key(|lab| (LEVELS.iter().position(|level| *level == lab.level), lab.id.clone()));
        (Self { labs }, broken)
    }

    pub fn all(&self) -> &[Arc<Lab>] {
        &self.labs
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Lab>> {
        self.labs.iter().find(|lab| lab.id == id)
    }
}

/// What makes a folder a lab: ours, or a Killercoda scenario.
const OWN: &str = "lab.md";
const SCENARIO: &str = "index.json";
/// A play-with-docker post is a file among others.
const POST: &str = "markdown";

/// The lab files that a path names: itself, the one in it, or those in it and in the folders in it.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    if let Some(own) = lab_of(path) {
        return Ok(vec![own]);
    }
    let failed = |source| Unreadable::List { path: path.to_path_buf(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        match entry.extension() {
            Some(extension) if extension == POST => found.push(entry),
            _ => found.extend(lab_of(&entry)),
        }
    }
    found.sort();
    Ok(found)
}

fn lab_of(folder: &Path) -> Option<PathBuf> {
    [OWN, SCENARIO].iter().map(|name| folder.join(name)).find(|file| file.is_file())
}

/// Reads one lab: `<id>/lab.md`, a scenario's `<id>/index.json`, or a post.
pub fn read(file: &Path) -> Result<Lab, Unreadable> {
    let unread = |source| Unreadable::Read { path: file.to_path_buf(), source };
    let untranslatable = |source| Unreadable::Foreign { path: file.to_path_buf(), source };
    // `drydock lab test lab.md` inside the folder: its name is known from the whole path only.
    let whole = file.canonicalize().map_err(unread)?;
    let id = id(&whole).ok_or_else(|| Unreadable::Name { path: file.to_path_buf() })?;
    let text = std::fs::read_to_string(&whole).map_err(unread)?;
    let text = match whole.file_name().and_then(|name| name.to_str()) {
        Some(OWN) => text,
        Some(SCENARIO) => {
            let beside = |name: &str| std::fs::read_to_string(whole.with_file_name(name));
            scenario::translate(&text, beside).map_err(untranslatable)?
        }
        _ => post::translate(&text).map_err(untranslatable)?,
    };
    parse(&id, &text).map_err(|problems| Unreadable::Mistakes { path: file.to_path_buf(), problems })
}

/// The folder's name, or a post's own without the date; `None` when it is not plain.
fn id(whole: &Path) -> Option<String> {
    let named = match whole.file_name()?.to_str()? {
        OWN | SCENARIO => whole.parent()?.file_name()?.to_str()?.to_owned(),
        _ => {
            let stem = whole.file_stem()?.to_str()?;
            stem.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-').to_lowercase()
        }
    };
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (!named.is_empty() && named.chars().all(plain)).then_some(named)
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  line {problem}")).collect()
}
