//! The labs of a folder, as the server offers them: `DIR/<id>/lab.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::lab::Lab;
use crate::parse::{Problem, parse};

/// Labs by id, in the order of the alphabet.
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
    #[error("{} is not a lab: its folder has no plain name (small letters, digits and `-`)", path.display())]
    Name { path: PathBuf },
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
        (Self { labs }, broken)
    }

    pub fn all(&self) -> &[Arc<Lab>] {
        &self.labs
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Lab>> {
        self.labs.iter().find(|lab| lab.id == id)
    }
}

/// The `lab.md` files that a path names: itself, the one in it, or those of the folders in it.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    if path.is_file() {
        return Ok(vec![path.to_path_buf()]);
    }
    let own = path.join("lab.md");
    if own.is_file() {
        return Ok(vec![own]);
    }
    let failed = |source| Unreadable::List { path: path.to_path_buf(), source };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path().join("lab.md");
        if file.is_file() {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

/// Reads one `<id>/lab.md`.
pub fn read(file: &Path) -> Result<Lab, Unreadable> {
    let unnamed = || Unreadable::Name { path: file.to_path_buf() };
    let unread = |source| Unreadable::Read { path: file.to_path_buf(), source };
    // `drydock lab test lab.md` inside the folder: its name is known from the whole path only.
    let whole = file.canonicalize().map_err(unread)?;
    let id = whole.parent().and_then(Path::file_name).and_then(|name| name.to_str()).ok_or_else(unnamed)?;
    if !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Err(unnamed());
    }
    let text = std::fs::read_to_string(file).map_err(unread)?;
    parse(id, &text).map_err(|problems| Unreadable::Mistakes { path: file.to_path_buf(), problems })
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  line {problem}")).collect()
}
