//! `COPY` and `ADD`.

use std::path::Path;
use std::sync::Arc;

use super::Stage;
use crate::configure::Expand;
use crate::copy::sources::{Owners, Search, SourceError, content_digest};
use crate::copy::write::{self, Manner};
use crate::copy::{Item, Tree, hash_of};
use crate::dockerfile::{Copy, Inline};
use crate::error::BuildError;
use crate::host::{Draft, Output};
use crate::image::Config;
use crate::owner;
use crate::patterns::Ignore;

/// Trees that one instruction copies from, kept until it is done.
#[derive(Default)]
struct Held {
    drafts: Vec<Box<dyn Draft>>,
    folders: Vec<tempfile::TempDir>,
}

impl Stage<'_> {
    pub(super) fn copy(
        &mut self,
        copy: &Copy,
        name: &'static str,
        expand: Expand<'_>,
    ) -> Result<(), BuildError> {
        let copy = expanded(copy, expand)?;
        let mode = parse_mode(&copy.chmod)?;
        let mut held = Held::default();
        let items = self.items(&copy, name, expand, &mut held)?;
        let destination = self.destination(&copy.destination);
        if items.len() > 1 && !copy.destination.ends_with('/') {
            return Err(BuildError::SeveralSources(name));
        }
        let made_by = self.copied_by(&copy, name, &items);
        if self.is_cached(&made_by)? {
            return Ok(());
        }
        let draft = self.draft()?;
        let kept = if copy.from.is_empty() { Some(owner::Owner::default()) } else { None };
        let owner = match copy.chown.as_str() {
            "" => kept,
            text => Some(
                owner::look_up(draft.root(), text).map_err(|error| BuildError::Owner(error.to_string()))?,
            ),
        };
        let unpack = copy.unpack.unwrap_or(name == "ADD");
        let manner = Manner { owner, mode, unpack, parents: copy.parents };
        for item in &items {
            write::copy(draft.root(), item, &destination, &manner)?;
        }
        let layer = draft.keep()?;
        let container = self.build.host.new_id();
        self.commit(made_by, container, layer)
    }

    /// `/`-ended and absolute as the user meant it.
    fn destination(&self, path: &str) -> String {
        if path.starts_with('/') {
            return path.to_owned();
        }
        let joined = format!("/{}/{path}", self.config.working_dir.trim_matches('/'));
        let clean = format!("/{}", crate::patterns::clean(&joined));
        if path.ends_with('/') && clean != "/" { format!("{clean}/") } else { clean }
    }

    /// What the cache compares: names and contents of the sources, and the flags.
    fn copied_by(&self, copy: &Copy, name: &str, items: &[Item]) -> Config {
        let flag = |name: &str, value: &str| match value {
            "" => String::new(),
            value => format!("--{name}={value} "),
        };
        let excluded: String = copy.exclude.iter().map(|pattern| flag("exclude", pattern)).collect();
        let parents = if copy.parents { "--parents " } else { "" };
        let flags = flag("chown", &copy.chown) + &flag("chmod", &copy.chmod) + parents + &excluded;
        let hash = hash_of(items);
        self.nop(&[&format!("#(nop) {name} {flags}{hash} in {} ", copy.destination)])
    }

    fn items(
        &self,
        copy: &Copy,
        name: &'static str,
        expand: Expand<'_>,
        held: &mut Held,
    ) -> Result<Vec<Item>, BuildError> {
        let failed = |source| BuildError::Source { instruction: name, source };
        let exclude = Arc::new(Ignore::new(copy.exclude.iter().map(String::as_str))?);
        let mut items = Vec::new();
        for source in &copy.sources {
            if is_url(source) && copy.from.is_empty() {
                if name == "COPY" {
                    return Err(BuildError::Url);
                }
                items.push(self.downloaded(source, copy, held)?);
                continue;
            }
            let tree = self.tree(copy, name, held)?;
            let is_context = copy.from.is_empty();
            let owners = if is_context || !copy.chown.is_empty() { Owners::Replaced } else { Owners::Kept };
            let search = Search {
                tree: &tree,
                owners,
                exclude: exclude.clone(),
                hashes: &self.build.hashes,
                is_context,
            };
            items.extend(search.find(source).map_err(failed)?);
        }
        for inline in &copy.inline {
            items.push(self.inline(inline, expand, held)?);
        }
        if items.is_empty() { Err(failed(SourceError::Nothing)) } else { Ok(items) }
    }

    /// The context, a stage or an image.
    fn tree(&self, copy: &Copy, name: &'static str, held: &mut Held) -> Result<Tree, BuildError> {
        if copy.from.is_empty() {
            return self.build.context.clone().ok_or(BuildError::NoContext { instruction: name });
        }
        if held.drafts.is_empty() {
            let image = self.other_image(&copy.from)?;
            let layers = image.as_ref().map(|image| image.file.rootfs.diff_ids.as_slice());
            held.drafts.push(self.build.host.draft(layers.unwrap_or_default())?);
        }
        // Just filled.
        let path = held.drafts[0].path().to_owned();
        Tree::open(path.clone()).map_err(|source| scratch(&path, source))
    }

    fn folder(&self, held: &mut Held) -> Result<Tree, BuildError> {
        let made = tempfile::tempdir_in(self.build.scratch);
        let folder = made.map_err(|source| scratch(self.build.scratch, source))?;
        let path = folder.path().to_owned();
        held.folders.push(folder);
        Tree::open(path.clone()).map_err(|source| scratch(&path, source))
    }

    fn plain(&self, tree: &Tree, name: &str) -> Result<Item, BuildError> {
        let search = Search {
            tree,
            owners: Owners::Replaced,
            exclude: Arc::default(),
            hashes: &self.build.hashes,
            is_context: false,
        };
        let failed = |source| BuildError::Source { instruction: "ADD", source };
        let mut items = search.find(&escape_pattern(name)).map_err(failed)?;
        let mut item = items.pop().ok_or_else(|| failed(SourceError::NotFound(name.to_owned())))?;
        item.is_plain = true;
        Ok(item)
    }

    fn inline(&self, inline: &Inline, expand: Expand<'_>, held: &mut Held) -> Result<Item, BuildError> {
        let tree = self.folder(held)?;
        let content =
            if inline.expand { expand_lines(&inline.content, expand)? } else { inline.content.clone() };
        tree.write(&inline.name, content.as_bytes()).map_err(|source| scratch(&tree.path, source))?;
        self.plain(&tree, &inline.name)
    }

    /// `ADD https://…`, mode 0600 as moby writes it.
    fn downloaded(&self, url: &str, copy: &Copy, held: &mut Held) -> Result<Item, BuildError> {
        let tree = self.folder(held)?;
        let download = self.build.host.download(url, &tree.path, &self.seat)?;
        self.seat.stdout("\n");
        if download.name.is_empty() && copy.destination.ends_with('/') {
            return Err(BuildError::UrlName(url.to_owned()));
        }
        let name = if download.name.is_empty() { "__unnamed__" } else { &download.name };
        let path = tree.path.join(name);
        let settle = || -> std::io::Result<()> {
            if download.path != path {
                std::fs::rename(&download.path, &path)?;
            }
            let file = std::fs::File::options().read(true).write(true).open(&path)?;
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
            let modified = std::time::Duration::from_secs(download.modified.unwrap_or(0).max(0) as u64);
            file.set_modified(std::time::UNIX_EPOCH + modified)
        };
        settle().map_err(|source| scratch(&path, source))?;
        check(&path, &copy.checksum)?;
        self.plain(&tree, name)
    }
}

fn scratch(path: &Path, source: std::io::Error) -> BuildError {
    BuildError::Scratch { path: path.display().to_string(), source }
}

fn expanded(copy: &Copy, expand: Expand<'_>) -> Result<Copy, BuildError> {
    let mut copy = copy.clone();
    for word in copy.sources.iter_mut().chain(&mut copy.exclude).chain([
        &mut copy.destination,
        &mut copy.chown,
        &mut copy.chmod,
        &mut copy.checksum,
    ]) {
        *word = expand(word)?;
    }
    Ok(copy)
}

/// Variables in a heredoc; its quotes are only text.
fn expand_lines(content: &str, expand: Expand<'_>) -> Result<String, BuildError> {
    let quoted: String = content
        .chars()
        .flat_map(|letter| {
            let escape = matches!(letter, '"' | '\'').then_some('\\');
            escape.into_iter().chain([letter])
        })
        .collect();
    Ok(expand(&quoted)?)
}

fn parse_mode(text: &str) -> Result<Option<u32>, BuildError> {
    if text.is_empty() {
        return Ok(None);
    }
    match u32::from_str_radix(text, 8) {
        Ok(mode) if mode <= 0o7777 => Ok(Some(mode)),
        _ => Err(BuildError::Mode(text.to_owned())),
    }
}

fn is_url(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// A file's own name is no pattern.
fn escape_pattern(name: &str) -> String {
    let special = |letter: &char| matches!(letter, '*' | '?' | '[' | '\\');
    if !name.chars().any(|letter| special(&letter)) {
        return name.to_owned();
    }
    name.chars().flat_map(|letter| special(&letter).then_some('\\').into_iter().chain([letter])).collect()
}

/// `--checksum=sha256:…`
fn check(path: &Path, checksum: &str) -> Result<(), BuildError> {
    if checksum.is_empty() {
        return Ok(());
    }
    let digits = checksum.strip_prefix("sha256:").filter(|digits| digits.len() == 64);
    if digits.is_none() {
        return Err(BuildError::ChecksumForm(checksum.to_owned()));
    }
    let failed = |source| scratch(path, source);
    let file = std::fs::File::open(path).map_err(failed)?;
    let received = format!("sha256:{}", content_digest(file).map_err(failed)?);
    if received == checksum.to_ascii_lowercase() {
        Ok(())
    } else {
        Err(BuildError::Checksum { expected: checksum.to_owned(), received })
    }
}
