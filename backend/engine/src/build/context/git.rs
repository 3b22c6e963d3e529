//! `https://host/repository.git#ref:folder`, checked out by `git`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A repository could not be checked out; moby's words.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("invalid refspec: {0}")]
    Reference(String),
    #[error("create {path}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("start git (apt-get install git)")]
    Start(#[source] io::Error),
    #[error("{step}: {said}: exit status {code}")]
    Failed { step: String, said: String, code: i32 },
    #[error("error setting git context, {0:?} not within git root")]
    Outside(String),
    #[error("error setting git context, not a directory: {0}")]
    NotFolder(String),
}

/// Whether a URL names a repository and not a file.
pub fn is_git(url: &str) -> bool {
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    let path = url.split('#').next().unwrap_or_default();
    (is_web && path.ends_with(".git"))
        || ["git://", "github.com/", "git@"].iter().any(|start| url.starts_with(start))
}

/// Checks out what `url` names below `scratch`; answers the folder to build.
pub fn check_out(url: &str, scratch: &Path) -> Result<PathBuf, GitError> {
    let root = scratch.join("repository");
    std::fs::create_dir(&root).map_err(|source| GitError::Folder { path: root.clone(), source })?;
    let wanted = parse(url)?;
    git(&root, &["init", "-q"], "failed to init repo")?;
    git(&root, &["remote", "add", "origin", &wanted.remote], "failed add origin repo")?;
    let shallow = git(&root, &["fetch", "--depth", "1", "origin", "--", &wanted.reference], "error fetching");
    if shallow.is_err() {
        // A server of plain files has no shallow copies, and a commit may not be for asking.
        git(&root, &["fetch", "origin", "--", &wanted.reference], "error fetching")?;
    }
    let step = format!("error checking out {}", wanted.reference);
    git(&root, &["checkout", "-q", &wanted.reference], &step)
        .or_else(|error| git(&root, &["checkout", "-q", "FETCH_HEAD"], &step).map_err(|_| error))?;
    let modules = ["submodule", "update", "--init", "--recursive", "--depth=1"];
    git(&root, &modules, "error initializing submodules")?;
    within(&root, &wanted.folder)
}

struct Wanted {
    remote: String,
    reference: String,
    folder: String,
}

fn parse(url: &str) -> Result<Wanted, GitError> {
    let has_scheme =
        ["git://", "http://", "https://", "ssh://", "git@"].iter().any(|start| url.starts_with(start));
    let url = if has_scheme { url.to_owned() } else { format!("https://{url}") };
    let (remote, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (reference, folder) = fragment.split_once(':').unwrap_or((fragment, ""));
    if reference.starts_with('-') {
        return Err(GitError::Reference(reference.to_owned()));
    }
    let reference = if reference.is_empty() { "HEAD" } else { reference };
    Ok(Wanted { remote: remote.to_owned(), reference: reference.to_owned(), folder: folder.to_owned() })
}

/// The folder inside the repository; links in it lead nowhere else.
fn within(root: &Path, folder: &str) -> Result<PathBuf, GitError> {
    if folder.is_empty() {
        return Ok(root.to_owned());
    }
    let place = crate::container::rootfs::open_inside(root, folder)
        .map_err(|_| GitError::Outside(folder.to_owned()))?;
    drop(place);
    crate::container::rootfs::place_inside(root, folder)
        .filter(|place| place.is_dir())
        .ok_or_else(|| GitError::NotFolder(folder.to_owned()))
}

fn git(folder: &Path, arguments: &[&str], step: &str) -> Result<(), GitError> {
    let output = Command::new("git")
        // A repository must not make us copy files of this host as its submodules.
        .args(["-c", "protocol.file.allow=never", "-c", "safe.directory=*"])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_PROTOCOL_FROM_USER", "0")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("HOME", "/dev/null")
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(GitError::Start)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(GitError::Failed { step: step.to_owned(), said, code: output.status.code().unwrap_or(-1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_from_files() {
        for url in ["https://example.com/x.git", "https://example.com/x.git#main:sub", "git://h/x", "git@h:x"]
        {
            assert!(is_git(url), "{url}");
        }
        for url in ["https://example.com/x.tar.gz", "http://example.com/x.git/Dockerfile", "https://x/#a.git"]
        {
            assert!(!is_git(url), "{url}");
        }
    }

    #[test]
    fn a_fragment_is_a_reference_and_a_folder() {
        let wanted = parse("github.com/a/b#v1:sub/x").expect("a repository");
        assert_eq!(wanted.remote, "https://github.com/a/b");
        assert_eq!((wanted.reference.as_str(), wanted.folder.as_str()), ("v1", "sub/x"));
        assert_eq!(parse("git://h/x.git").expect("a repository").reference, "HEAD");
        assert!(parse("git://h/x.git#--upload-pack=evil").is_err());
    }
}
