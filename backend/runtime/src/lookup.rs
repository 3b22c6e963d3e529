//! Finding the program to execute, with the words Go's `exec` has for it: clients compare them.

use std::ffi::CString;
use std::io;

use rustix::fs::{Access, AtFlags, CWD, FileType};

use crate::failure::Kind;

#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("exec: {0:?}: executable file not found in $PATH")]
    NotInPath(String),
    #[error("exec: {program:?}: stat {program}: {reason}")]
    Stat { program: String, reason: String, kind: Kind },
    #[error("exec: {0:?}: is a directory")]
    Directory(String),
    #[error("exec: {0:?}: permission denied")]
    Permission(String),
    #[error("the program's name, an argument or a variable holds a NUL byte")]
    Nul,
}

impl LookupError {
    pub fn kind(&self) -> Kind {
        match self {
            LookupError::NotInPath(_) => Kind::NotFound,
            LookupError::Stat { kind, .. } => *kind,
            LookupError::Directory(_) | LookupError::Permission(_) => Kind::Permission,
            LookupError::Nul => Kind::Other,
        }
    }
}

/// The file to execute for `program`, as the calling process, in its own root and working directory, finds it.
pub fn find(program: &str, env: &[String]) -> Result<CString, LookupError> {
    if program.contains('/') {
        return check(program);
    }
    let path = env.iter().rev().find_map(|variable| variable.strip_prefix("PATH=")).unwrap_or("");
    let mut denied = false;
    for dir in path.split(':') {
        let dir = if dir.is_empty() { "." } else { dir };
        match check(&format!("{dir}/{program}")) {
            Ok(file) => return Ok(file),
            Err(LookupError::Permission(_)) => denied = true,
            Err(_) => {}
        }
    }
    if denied {
        return Err(LookupError::Permission(program.to_owned()));
    }
    Err(LookupError::NotInPath(program.to_owned()))
}

fn check(file: &str) -> Result<CString, LookupError> {
    let owned = || file.to_owned();
    let stat = rustix::fs::stat(file).map_err(|error| stat_error(file, error))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(LookupError::Directory(owned()));
    }
    // With the effective ids and capabilities, which are those the program will have.
    if rustix::fs::accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS).is_err() {
        return Err(LookupError::Permission(owned()));
    }
    CString::new(file).map_err(|_| LookupError::Nul)
}

fn stat_error(file: &str, error: rustix::io::Errno) -> LookupError {
    let kind = match error {
        rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR => Kind::NotFound,
        rustix::io::Errno::ACCESS => return LookupError::Permission(file.to_owned()),
        _ => Kind::Other,
    };
    let reason = match error {
        rustix::io::Errno::NOENT => "no such file or directory".to_owned(),
        rustix::io::Errno::NOTDIR => "not a directory".to_owned(),
        other => io::Error::from(other).to_string(),
    };
    LookupError::Stat { program: file.to_owned(), reason, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_and_what_is_not_a_program_are_told_apart() {
        let env = ["PATH=/nonexistent:/bin".to_owned()];
        assert_eq!(find("sh", &env).unwrap().to_str().unwrap(), "/bin/sh");
        for (program, kind, text) in [
            ("no-such-program", Kind::NotFound, "executable file not found in $PATH"),
            ("/no/such", Kind::NotFound, "stat /no/such: no such file or directory"),
            ("/etc", Kind::Permission, "is a directory"),
            ("/etc/passwd", Kind::Permission, "permission denied"),
        ] {
            let error = find(program, &env).unwrap_err();
            assert_eq!(error.kind(), kind, "{program}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
