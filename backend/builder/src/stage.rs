//! One stage of a build, instruction by instruction: each looks into the cache, does its work, and makes an image.

mod add;
mod run;

use std::os::fd::AsFd;
use std::sync::Arc;

use drydock_images::{PlatformError, Specifier};

use crate::arguments::Arguments;
use crate::build::Build;
use crate::cache::Cache;
use crate::configure::{self, Around};
use crate::dockerfile::{self, Instruction, parse_commands};
use crate::error::BuildError;
use crate::expand::Lex;
use crate::host::{Draft, Image, Output, Platform, Pull};
use crate::image::{Config, ImageFile, Step};
use crate::patterns::clean;
use crate::stages::Seat;
use crate::tree::{self, Owner};

/// A stage on its way.
pub struct Stage<'a> {
    build: &'a Build<'a>,
    lex: &'a Lex,
    /// The stages before it, and where it prints.
    seat: Seat<'a>,
    cache: Cache<'a>,
    pub arguments: Arguments,
    pub config: Config,
    around: Around,
    /// What `FROM` named; none for `scratch`.
    pub base: Option<Arc<Image>>,
    /// The last step's image; none before the first step over `scratch`.
    pub image: Option<Arc<Image>>,
    /// Containers of the current step, real or in name only.
    containers: Vec<Container>,
}

struct Container {
    id: String,
    /// A step without a process needs no more than the name.
    is_real: bool,
}

/// The first twelve digits of an id.
pub fn short(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

impl<'a> Stage<'a> {
    pub fn new(build: &'a Build<'a>, lex: &'a Lex, arguments: Arguments, seat: Seat<'a>) -> Self {
        let options = build.options;
        let cache = Cache::new(build.host, options.no_cache, &options.cache_from, &seat);
        Self {
            build,
            lex,
            seat,
            cache,
            arguments,
            config: Config::default(),
            around: Around::default(),
            base: None,
            image: None,
            containers: Vec::new(),
        }
    }

    pub fn short_id(&self) -> &str {
        self.image.as_ref().map_or("", |image| short(&image.id))
    }

    /// `FROM`.
    pub fn begin(&mut self, source: &dockerfile::Stage) -> Result<(), BuildError> {
        let globals = self.arguments.globals();
        let variables = |name: &str| globals.get(name).cloned();
        let platform = match &source.platform {
            None => None,
            Some(text) => {
                let text = self
                    .lex
                    .word(text, &variables)
                    .map_err(|source| BuildError::PlatformArgument { platform: text.clone(), source })?;
                let read = parse_platform(&text);
                Some(read.map_err(|source| BuildError::Platform { platform: text.clone(), source })?)
            }
        };
        let name = self.lex.word(&source.base, &variables)?;
        if name.is_empty() {
            return Err(BuildError::BlankBase(source.base.clone()));
        }
        self.image = self.base_image(&name, platform.as_ref())?;
        self.base.clone_from(&self.image);
        self.config = self.image.as_ref().map(|image| image.file.config.clone()).unwrap_or_default();
        if self.config.env("PATH").is_none() {
            self.config.set_env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        }
        self.config.open_stdin = false;
        self.config.stdin_once = false;
        match self.config.on_build.take() {
            Some(triggers) if !triggers.is_empty() => self.trigger(&triggers),
            _ => Ok(()),
        }
    }

    fn base_image(&self, name: &str, platform: Option<&Platform>) -> Result<Option<Arc<Image>>, BuildError> {
        if let Some(stage) = self.seat.named(name) {
            return self.seat.image_of(stage);
        }
        if name == "scratch" {
            return Ok(None);
        }
        self.pull(name, platform.or(self.build.options.platform.as_ref())).map(Some)
    }

    fn pull(&self, name: &str, platform: Option<&Platform>) -> Result<Arc<Image>, BuildError> {
        let pull = if self.build.options.pull { Pull::Always } else { Pull::WhenMissing };
        Ok(self.build.host.image(name, pull, platform, &self.seat)?)
    }

    /// What the base image left for its children to do.
    fn trigger(&mut self, triggers: &[String]) -> Result<(), BuildError> {
        let plural = if triggers.len() > 1 { "s" } else { "" };
        self.seat.stdout(&format!("# Executing {} build trigger{plural}\n", triggers.len()));
        for trigger in triggers {
            let commands = parse_commands(trigger)?;
            let [command] = commands.as_slice() else { return Err(BuildError::Trigger) };
            self.step(&command.instruction)?;
        }
        Ok(())
    }

    /// One instruction, and the end of its containers.
    pub fn step(&mut self, instruction: &Instruction) -> Result<(), BuildError> {
        self.config.image = self.image.as_ref().map(|image| image.id.clone()).unwrap_or_default();
        let stepped = self.dispatch(instruction);
        let options = self.build.options;
        if options.force_remove || (options.remove && stepped.is_ok()) {
            self.remove_containers();
        }
        self.containers.clear();
        stepped
    }

    fn dispatch(&mut self, instruction: &Instruction) -> Result<(), BuildError> {
        let (lex, env) = (*self.lex, self.variables());
        let variables = |name: &str| {
            let mut pairs = env.iter().filter_map(|variable| variable.split_once('='));
            pairs.rfind(|(own, _)| *own == name).map(|(_, value)| value.to_owned())
        };
        let expand = |word: &str| lex.word(word, &variables);
        let configured = match instruction {
            Instruction::Copy(copy) => return self.copy(copy, "COPY", &expand),
            Instruction::Add(copy) => return self.copy(copy, "ADD", &expand),
            Instruction::Run(run) => return self.run(run, &expand),
            Instruction::Workdir(path) => return self.workdir(&expand(path)?),
            Instruction::Expose(words) => {
                Some(configure::expose(&mut self.config, words, self.lex, &variables)?)
            }
            other => {
                configure::configure(&mut self.config, &mut self.around, &mut self.arguments, other, &expand)?
            }
        };
        let configured = configured.unwrap_or_default();
        if let Some(note) = configured.note {
            self.seat.stdout(&note);
        }
        let made_by = self.nop(&["#(nop) ", &configured.comment]);
        if self.is_cached(&made_by)? {
            return Ok(());
        }
        let container = self.name_container(&made_by)?;
        self.commit(made_by, container, None)
    }

    /// The environment, and the build arguments that it does not hide.
    fn variables(&self) -> Vec<String> {
        let mut variables = self.arguments.beside(&self.config.env);
        variables.extend(self.config.env.iter().cloned());
        variables
    }

    /// The configuration of the container that a step without a process would run in.
    fn nop(&self, words: &[&str]) -> Config {
        let mut config = self.config.clone();
        let words = words.iter().map(|word| (*word).to_owned());
        config.cmd = Some(config.shell().into_iter().chain(words).collect());
        config
    }

    fn platform(&self) -> Platform {
        let mut platform = self.build.target_platform().clone();
        if let Some(image) = &self.image {
            platform.os.clone_from(&image.file.os);
        }
        platform
    }

    /// Looks for the step in the cache, and takes its image from there.
    fn is_cached(&mut self, made_by: &Config) -> Result<bool, BuildError> {
        let platform = self.platform();
        let Some(image) = self.cache.probe(self.image.as_ref(), made_by, &platform)? else {
            return Ok(false);
        };
        self.seat.stdout(" ---> Using cache\n");
        self.image = Some(image);
        Ok(true)
    }

    /// A container for a step without a process: a name, unless the user wants to keep such containers.
    fn name_container(&mut self, made_by: &Config) -> Result<String, BuildError> {
        let options = self.build.options;
        let is_real = !options.remove && !options.force_remove;
        let id = match &self.image {
            Some(image) if is_real => self.build.host.leave_container(&image.id, made_by)?,
            _ => self.build.host.new_id(),
        };
        self.seat.stdout(&format!(" ---> Running in {}\n", short(&id)));
        self.containers.push(Container { id: id.clone(), is_real });
        Ok(id)
    }

    fn remove_containers(&mut self) {
        for container in std::mem::take(&mut self.containers) {
            let removed = match container.is_real {
                true => self.build.host.remove_container(&container.id),
                false => Ok(()),
            };
            let id = short(&container.id);
            self.seat.stdout(&match removed {
                Ok(()) => format!(" ---> Removed intermediate container {id}\n"),
                Err(error) => format!("Removing intermediate container {id}: {error}\n"),
            });
        }
    }

    /// Makes the step's image.
    fn commit(
        &mut self,
        made_by: Config,
        container: String,
        layer: Option<String>,
    ) -> Result<(), BuildError> {
        let step = Step {
            created: self.build.host.now(),
            author: self.around.maintainer.clone(),
            config: self.config.clone(),
            container,
            container_config: made_by,
            docker_version: self.build.host.version().to_owned(),
            layer,
        };
        let child = self.file().child(step);
        let parent = self.image.as_ref().map(|image| image.id.as_str());
        self.image = Some(self.build.host.add_image(&child, parent)?);
        Ok(())
    }

    /// The image so far; over `scratch` an empty one for the platform.
    fn file(&self) -> ImageFile {
        match &self.image {
            Some(image) => image.file.clone(),
            None => {
                let Platform { os, architecture, variant } = self.build.target_platform().clone();
                ImageFile { os, architecture, variant, ..ImageFile::default() }
            }
        }
    }

    fn draft(&self) -> Result<Box<dyn Draft>, BuildError> {
        let layers = self.image.as_ref().map(|image| image.file.rootfs.diff_ids.as_slice());
        Ok(self.build.host.draft(layers.unwrap_or_default())?)
    }

    /// `WORKDIR`: the folder is made at once.
    fn workdir(&mut self, path: &str) -> Result<(), BuildError> {
        if path.is_empty() {
            return Err(BuildError::EmptyWorkdir);
        }
        let absolute = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/{path}", self.config.working_dir)
        };
        self.config.working_dir = format!("/{}", clean(&absolute));
        let made_by = self.nop(&[&format!("#(nop) WORKDIR {}", self.config.working_dir)]);
        if self.is_cached(&made_by)? {
            return Ok(());
        }
        let container = self.name_container(&made_by)?;
        let draft = self.draft()?;
        let made = tree::make_folders(draft.root().as_fd(), &self.config.working_dir, Owner::default());
        let failed = |error: rustix::io::Errno| BuildError::Workdir {
            path: self.config.working_dir.clone(),
            source: error.into(),
        };
        let layer = if made.map_err(failed)? { draft.keep()? } else { None };
        self.commit(made_by, container, layer)
    }

    /// The image of an earlier stage, by name or number, or any other image. `None`: a stage of nothing.
    fn other_image(&self, name: &str) -> Result<Option<Arc<Image>>, BuildError> {
        let wrong = |problem: String| BuildError::From { name: name.to_owned(), problem };
        if let Some(stage) = self.seat.named(name) {
            return self.seat.image_of(stage);
        }
        if let Ok(index) = name.parse::<i64>() {
            return match usize::try_from(index) {
                Ok(index) if index < self.seat.index => self.seat.image_of(index),
                Ok(index) if index == self.seat.index => Err(wrong("refers to current build stage".into())),
                _ => Err(wrong("index out of bounds".into())),
            };
        }
        let image = self.pull(name, self.build.options.platform.as_ref());
        image.map(Some).map_err(|error| wrong(error.to_string()))
    }
}

/// `linux/arm64/v8`; a lone word is an operating system or an architecture.
pub fn parse_platform(text: &str) -> Result<Platform, PlatformError> {
    let here = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let Specifier { os, architecture, variant } = Specifier::parse(text, here)?;
    Ok(Platform { os, architecture, variant })
}
