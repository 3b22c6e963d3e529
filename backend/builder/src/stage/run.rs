//! `RUN`.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode};

use super::{Container, Stage};
use crate::configure::{Expand, command_line};
use crate::copy::Tree;
use crate::copy::sources::{Owners, Search, digest};
use crate::dockerfile::mount::{self, Mount, MountKind, Sharing};
use crate::dockerfile::{Form, Run, parse_heredoc};
use crate::error::BuildError;
use crate::host::{Draft, MountSource, RunError, RunMount, RunRequest};
use crate::image::{Config, Health};
use crate::patterns::clean;
use crate::tree::{self, Last, Missing, Owner};

/// Where a script that names its own interpreter is mounted.
const SCRIPTS: &str = "/dev/pipes";

/// What a `RUN` needs while it lasts.
#[derive(Default)]
struct Held {
    drafts: Vec<Box<dyn Draft>>,
    folders: Vec<tempfile::TempDir>,
    /// Caches that nobody else may use meanwhile.
    locks: Vec<Arc<OwnedFd>>,
}

/// A `RUN` made ready.
struct Ready {
    command: Vec<String>,
    mounts: Vec<RunMount>,
    /// What the cache must know beside the command.
    marks: Vec<String>,
}

impl Stage<'_> {
    pub(super) fn run(&mut self, run: &Run, expand: Expand<'_>) -> Result<(), BuildError> {
        let mut held = Held::default();
        let ready = self.ready(run, expand, &mut held)?;
        let arguments = self.arguments.beside(&self.config.env);
        let mut made_by = self.config.clone();
        made_by.cmd = Some(self.recorded(&ready, &arguments));
        made_by.entrypoint = None;
        if self.is_cached(&made_by)? {
            return Ok(());
        }
        let command = ready.command.join(" ");
        let image = self.image.as_ref().map(|image| image.id.clone()).unwrap_or_default();
        let request = RunRequest {
            image,
            config: self.running(&ready, arguments),
            network: run.network,
            insecure: run.insecure,
            mounts: ready.mounts,
            keep_container: !self.build.options.remove && !self.build.options.force_remove,
        };
        let ran = self.build.host.run(&request, &self.seat);
        let mut note = |id: String| {
            if !id.is_empty() {
                self.containers.push(Container { id, is_real: true });
            }
        };
        match ran {
            Ok(ran) => {
                note(ran.container.clone());
                self.commit(made_by, ran.container, ran.layer)
            }
            Err(RunError::Exit { container, code }) => {
                note(container);
                Err(BuildError::Exit { command, code })
            }
            Err(RunError::Cancelled { container }) => {
                note(container);
                Err(BuildError::Cancelled)
            }
            Err(RunError::Start { container, error }) => {
                note(container);
                Err(error.into())
            }
            Err(RunError::Host(error)) => Err(error.into()),
        }
    }

    /// The command as the image remembers it: with the arguments that made it what it is.
    fn recorded(&self, ready: &Ready, arguments: &[String]) -> Vec<String> {
        let name = |variable: &String| variable.split('=').next().unwrap_or_default().to_owned();
        let mut counted: Vec<String> =
            arguments.iter().filter(|variable| self.arguments.counts(&name(variable))).cloned().collect();
        counted.sort();
        let head = (!arguments.is_empty()).then(|| format!("|{}", counted.len()));
        let marks = ready.marks.iter().map(|mark| format!("# {mark}"));
        head.into_iter().chain(counted).chain(ready.command.iter().cloned()).chain(marks).collect()
    }

    /// The configuration of the process.
    fn running(&self, ready: &Ready, arguments: Vec<String>) -> Config {
        let mut config = self.config.clone();
        config.cmd = Some(ready.command.clone());
        config.env.extend(arguments);
        // One empty word: the image's entrypoint is not taken either.
        config.entrypoint = Some(vec![String::new()]);
        config.healthcheck = Some(Health { test: vec!["NONE".to_owned()], ..Health::default() });
        config
    }

    fn ready(&self, run: &Run, expand: Expand<'_>, held: &mut Held) -> Result<Ready, BuildError> {
        let mut ready = Ready { command: Vec::new(), mounts: Vec::new(), marks: Vec::new() };
        ready.command = match (&run.form, run.heredocs.as_slice()) {
            (Form::Shell(text), [first, ..]) => match parse_heredoc(text) {
                Ok(Some(_)) if first.content.starts_with("#!") => {
                    self.script(&first.name, &first.text(), &mut ready, held)?
                }
                Ok(Some(_)) => command_line(&self.config, &Form::Shell(first.text())),
                _ => {
                    let mut whole = text.clone();
                    for heredoc in &run.heredocs {
                        whole.push_str(&format!("\n{}{}", heredoc.content, heredoc.name));
                    }
                    command_line(&self.config, &Form::Shell(whole))
                }
            },
            (form, _) => command_line(&self.config, form),
        };
        if let Some(network) = run.network {
            ready.marks.push(format!("--network={}", format!("{network:?}").to_lowercase()));
        }
        if run.insecure {
            ready.marks.push("--security=insecure".to_owned());
        }
        for text in &run.mounts {
            let mount = mount::parse(text, expand)?;
            let mut mark = format!("--mount={text}");
            if let Some((source, hash)) = self.mount(&mount, held)? {
                if !hash.is_empty() {
                    mark.push_str(&format!(" ({hash})"));
                }
                ready.mounts.push(source);
            }
            ready.marks.push(mark);
        }
        Ok(ready)
    }

    /// A heredoc that begins with `#!` is a file of its own.
    fn script(
        &self,
        name: &str,
        text: &str,
        ready: &mut Ready,
        held: &mut Held,
    ) -> Result<Vec<String>, BuildError> {
        let (tree, path) = self.scratch_folder(held)?;
        let written = tree.write(name, text.as_bytes());
        let runnable = written.and_then(|()| {
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(path.join(name), mode)
        });
        runnable.map_err(|source| scratch(&path, source))?;
        ready.mounts.push(RunMount {
            target: SCRIPTS.to_owned(),
            read_only: true,
            source: MountSource::Path(path),
        });
        ready.marks.push(format!("script {}", digest(text.as_bytes())));
        Ok(command_line(&self.config, &Form::Shell(format!("{SCRIPTS}/{name}"))))
    }

    fn scratch_folder(&self, held: &mut Held) -> Result<(Tree, PathBuf), BuildError> {
        let made = tempfile::tempdir_in(self.build.scratch);
        let folder = made.map_err(|source| scratch(self.build.scratch, source))?;
        let path = folder.path().to_owned();
        held.folders.push(folder);
        let open = || -> std::io::Result<Tree> {
            // The process in the container may be any user.
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
            Tree::open(path.clone())
        };
        let tree = open().map_err(|source| scratch(&path, source))?;
        Ok((tree, path))
    }

    /// Finds a mount's source, and the hash of what is in it. `None`: it is optional and not there.
    fn mount(&self, mount: &Mount, held: &mut Held) -> Result<Option<(RunMount, String)>, BuildError> {
        let name = if mount.id.is_empty() { &mount.source } else { &mount.id };
        match mount.kind {
            // The classic builder's API has no way to send either.
            MountKind::Secret if mount.required => {
                Err(BuildError::Secret(self.secret_name(mount).to_owned()))
            }
            MountKind::Ssh if mount.required => {
                Err(BuildError::Ssh(if name.is_empty() { "default".into() } else { name.clone() }))
            }
            MountKind::Secret | MountKind::Ssh => Ok(None),
            MountKind::Tmpfs => {
                let source = MountSource::Memory(mount.size);
                Ok(Some((self.mounted(mount, source)?, String::new())))
            }
            MountKind::Cache => {
                let source = self.cache_folder(mount, held)?;
                Ok(Some((self.mounted(mount, source)?, String::new())))
            }
            MountKind::Bind => {
                let (source, hash) = self.bind_source(mount, held)?;
                Ok(Some((self.mounted(mount, source)?, hash)))
            }
        }
    }

    fn secret_name<'m>(&self, mount: &'m Mount) -> &'m str {
        [&mount.id, &mount.source]
            .into_iter()
            .find(|name| !name.is_empty())
            .map_or_else(|| mount.target.rsplit('/').next().unwrap_or_default(), |name| name.as_str())
    }

    fn mounted(&self, mount: &Mount, source: MountSource) -> Result<RunMount, BuildError> {
        if mount.target.is_empty() {
            return Err(BuildError::MountTarget(mount.target.clone()));
        }
        let target = match mount.target.starts_with('/') {
            true => mount.target.clone(),
            false => format!("{}/{}", self.config.working_dir, mount.target),
        };
        let target = format!("/{}", clean(&target));
        if target == "/" {
            return Err(BuildError::MountTarget(mount.target.clone()));
        }
        Ok(RunMount { target, read_only: mount.read_only, source })
    }

    fn cache_folder(&self, mount: &Mount, held: &mut Held) -> Result<MountSource, BuildError> {
        let id = if mount.id.is_empty() { clean(&mount.target) } else { mount.id.clone() };
        let mut path = self.build.host.cache(&id)?;
        let mut root = Tree::open(path.clone()).map_err(|source| scratch(&path, source))?;
        let how = match mount.sharing {
            Sharing::Shared => None,
            Sharing::Locked => Some(FlockOperation::LockExclusive),
            Sharing::Private => Some(FlockOperation::NonBlockingLockExclusive),
        };
        match how.map(|how| rustix::fs::flock(&root.root, how)) {
            None => {}
            Some(Ok(())) => held.locks.push(root.root.clone()),
            // Somebody else writes to it: this step has one of its own, which ends with it.
            Some(Err(rustix::io::Errno::WOULDBLOCK)) => (root, path) = self.scratch_folder(held)?,
            Some(Err(error)) => return Err(scratch(&path, error.into())),
        }
        // Its root alone: names inside were made by containers, and may be links.
        let owner = Owner { uid: mount.uid.unwrap_or(0), gid: mount.gid.unwrap_or(0) };
        let prepare = || -> rustix::io::Result<()> {
            rustix::fs::fchmod(&root.root, Mode::from_raw_mode(mount.mode.unwrap_or(0o755)))?;
            tree::set_owner(root.root.as_fd(), OsStr::new("."), owner)
        };
        prepare().map_err(|source| scratch(&path, source.into()))?;
        Ok(MountSource::Path(path))
    }

    fn bind_source(&self, mount: &Mount, held: &mut Held) -> Result<(MountSource, String), BuildError> {
        let tree = if mount.from.is_empty() {
            self.build.context.clone().ok_or(BuildError::NoContext { instruction: "RUN" })?
        } else {
            let image = self.other_image(&mount.from)?;
            let layers = image.as_ref().map(|image| image.file.rootfs.diff_ids.as_slice());
            let draft = self.build.host.draft(layers.unwrap_or_default())?;
            let path = draft.path().to_owned();
            held.drafts.push(draft);
            Tree::open(path.clone()).map_err(|source| scratch(&path, source))?
        };
        let search = Search {
            tree: &tree,
            owners: Owners::Kept,
            exclude: Arc::default(),
            hashes: &self.build.hashes,
            is_context: mount.from.is_empty(),
        };
        let failed = |source| BuildError::Source { instruction: "RUN", source };
        // An image's id says all; of the context, only what is mounted counts.
        let hash = match &mount.from {
            from if from.is_empty() => {
                search.find(&mount.source).map_err(failed)?.first().map(|item| item.hash.clone())
            }
            from => self.other_image(from)?.map(|image| image.id.clone()),
        };
        let place = tree::find(tree.root.as_fd(), &mount.source, Missing::Stop, Last::Follow);
        let missing = || {
            let source = crate::copy::sources::SourceError::NotFound(mount.source.clone());
            BuildError::Source { instruction: "RUN", source }
        };
        let place = place.ok().filter(|place| place.found.is_some()).ok_or_else(missing)?;
        let mut path = tree.path.join(&place.path);
        if mount.from.is_empty() && !mount.read_only {
            // What the step writes ends with it: the context stays as it was sent.
            let draft = self.build.host.draft_over(&tree.path)?;
            path = draft.path().join(&place.path);
            held.drafts.push(draft);
        }
        Ok((MountSource::Path(path), hash.unwrap_or_default()))
    }
}

fn scratch(path: &std::path::Path, source: std::io::Error) -> BuildError {
    BuildError::Scratch { path: path.display().to_string(), source }
}
