//! A whole build: its stages in order, each step printed as the classic builder prints it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::arguments::Arguments;
use crate::copy::Tree;
use crate::copy::sources::Hashes;
use crate::dockerfile::{self, Command, Dockerfile, Instruction, Pair};
use crate::error::BuildError;
use crate::expand::Lex;
use crate::host::{Host, Image, Options, Output, Platform};
use crate::image::History;
use crate::stage::Stage;
use crate::stages::{Board, Seat};

/// What a build is made of.
pub struct Build<'a> {
    pub host: &'a dyn Host,
    pub output: &'a dyn Output,
    pub options: &'a Options,
    /// The files that the client sent; none when the Dockerfile came alone.
    pub context: Option<Tree>,
    /// A folder for what the build needs for itself. The caller removes it.
    pub scratch: &'a Path,
    pub hashes: Hashes,
}

/// Stages that are built at the same time.
const AT_ONCE: usize = 4;

/// A stage that is done.
struct Done {
    /// What `FROM` named.
    base: Option<Arc<Image>>,
    /// None: `FROM scratch` and nothing else.
    image: Option<Arc<Image>>,
    arguments: Arguments,
}

/// Counts the steps.
struct Steps {
    next: usize,
    total: usize,
}

impl Steps {
    fn print(&mut self, output: &dyn Output, code: &str) {
        output.stdout(&format!("Step {}/{} : {code}", self.next, self.total));
        output.stdout("\n");
        self.next += 1;
    }
}

impl Build<'_> {
    /// Builds the target; answers its image.
    pub fn run(&self, mut file: Dockerfile) -> Result<Arc<Image>, BuildError> {
        if !self.options.target.is_empty() {
            let missing = || BuildError::Target(self.options.target.clone());
            let target = file.stage(&self.options.target).ok_or_else(missing)?;
            file.stages.truncate(target + 1);
        }
        self.add_labels(&mut file);
        self.warn(&file);
        let mut arguments = Arguments::new(self.options.arguments.clone());
        arguments.add_platforms(&self.platforms());
        let lex = Lex::new(file.directives.escape);
        let commands: usize = file.stages.iter().map(|stage| stage.commands.len()).sum();
        let mut steps = Steps { next: 1, total: file.arguments.len() + file.stages.len() + commands };
        for command in &file.arguments {
            steps.print(self.output, &command.code);
            add_globals(&mut arguments, command, &lex)?;
        }
        let mut done = self.stages(&file.stages, &lex, steps, &arguments)?;
        done.iter().for_each(|stage| arguments.merge_named(&stage.arguments));
        let unused = arguments.unused();
        if !unused.is_empty() {
            let list = drydock_golang::list(&unused);
            self.output.stdout(&format!("[Warning] One or more build-args {list} were not consumed\n"));
        }
        let last = done.pop().ok_or(BuildError::NoImage)?;
        let image = last.image.ok_or(BuildError::NoImage)?;
        if self.options.squash { self.squash(&image, last.base.as_deref()) } else { Ok(image) }
    }

    /// Builds all stages: a few at a time, taken in order, so that the earliest one never waits for one that nobody has
    /// taken.
    fn stages(
        &self,
        stages: &[dockerfile::Stage],
        lex: &Lex,
        steps: Steps,
        arguments: &Arguments,
    ) -> Result<Vec<Done>, BuildError> {
        let names = stages.iter().map(|stage| stage.name.clone()).collect();
        let board = Board::new(names, self.output);
        let next = AtomicUsize::new(0);
        let done: Vec<Mutex<Option<Done>>> = stages.iter().map(|_| Mutex::default()).collect();
        let failure = Mutex::new(None);
        let work = || {
            while let Some(index) =
                Some(next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < stages.len())
            {
                let before: usize = stages[..index].iter().map(|stage| stage.commands.len() + 1).sum();
                let steps = Steps { next: steps.next + before, total: steps.total };
                let seat = Seat { board: &board, index };
                match self.stage(&stages[index], lex, steps, arguments.for_stage(), seat) {
                    Ok(finished) => {
                        let image = finished.image.clone();
                        *done[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(finished);
                        board.finish(index, image);
                    }
                    Err(error) => {
                        if board.fail(index) {
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            self.host.cancel();
                        }
                        return;
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..stages.len().min(AT_ONCE) {
                scope.spawn(work);
            }
            work();
        });
        if let Some(error) = failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let done = done.into_iter().map(|stage| stage.into_inner().unwrap_or_else(PoisonError::into_inner));
        done.collect::<Option<Vec<Done>>>().ok_or(BuildError::Cancelled)
    }

    fn stage(
        &self,
        source: &dockerfile::Stage,
        lex: &Lex,
        mut steps: Steps,
        arguments: Arguments,
        seat: Seat<'_>,
    ) -> Result<Done, BuildError> {
        if let Some(name) = &source.name
            && seat.named(name).is_some()
        {
            return Err(BuildError::StageTaken(name.clone()));
        }
        steps.print(&seat, &source.code);
        let mut stage = Stage::new(self, lex, arguments, seat);
        stage.begin(source)?;
        seat.stdout(&format!(" ---> {}\n", stage.short_id()));
        for command in &source.commands {
            if self.host.is_cancelled() {
                seat.stdout("Build cancelled\n");
                return Err(BuildError::Cancelled);
            }
            steps.print(&seat, &command.code);
            stage.step(&command.instruction)?;
            seat.stdout(&format!(" ---> {}\n", stage.short_id()));
        }
        if let Some(image) = &stage.image {
            seat.image(&image.id);
        }
        Ok(Done { base: stage.base, image: stage.image, arguments: stage.arguments })
    }

    /// `--label` is a `LABEL` at the end.
    fn add_labels(&self, file: &mut Dockerfile) {
        let Some(last) = file.stages.last_mut() else { return };
        for (key, value) in &self.options.labels {
            let pairs = vec![Pair { key: key.clone(), value: value.clone() }];
            last.commands.push(Command {
                code: format!("LABEL {key}={value}"),
                at: last.at,
                instruction: Instruction::Label { pairs, expand: false },
            });
        }
    }

    fn warn(&self, file: &Dockerfile) {
        for warning in &file.warnings {
            self.output.stderr(&format!("[WARNING]: {warning}\n"));
        }
        if !file.warnings.is_empty() {
            let text = "[WARNING]: Empty continuation lines will become errors in a future release.\n";
            self.output.stderr(text);
        }
    }

    /// The platform that is built for.
    pub fn target_platform(&self) -> &Platform {
        self.options.platform.as_ref().unwrap_or_else(|| self.host.platform())
    }

    /// `TARGETPLATFORM` and its like.
    fn platforms(&self) -> BTreeMap<String, String> {
        let sides = [("TARGET", self.target_platform()), ("BUILD", self.host.platform())];
        let variables = sides.into_iter().flat_map(|(side, platform)| {
            [
                (format!("{side}PLATFORM"), platform.to_string()),
                (format!("{side}OS"), platform.os.clone()),
                (format!("{side}ARCH"), platform.architecture.clone()),
                (format!("{side}VARIANT"), platform.variant.clone()),
            ]
        });
        variables.collect()
    }

    /// `--squash`: what was added to the base becomes one layer of a new image.
    fn squash(&self, image: &Image, base: Option<&Image>) -> Result<Arc<Image>, BuildError> {
        let below = base.map_or(0, |base| base.file.rootfs.diff_ids.len());
        let steps_below = base.map_or(0, |base| base.file.history.len());
        let mut file = image.file.clone();
        let layer = self.host.squash(&image.file.rootfs.diff_ids, below)?;
        file.rootfs.diff_ids.truncate(below);
        file.rootfs.diff_ids.push(layer);
        file.history.iter_mut().skip(steps_below).for_each(|step| step.empty_layer = true);
        let comment = match base {
            Some(base) => format!("merge {} to {}", image.id, base.id),
            None => format!("create new from {}", image.id),
        };
        file.created = self.host.now();
        file.history.push(History { created: file.created.clone(), comment, ..History::default() });
        let squashed = self.host.add_image(&file, None)?;
        self.output.image(&squashed.id);
        Ok(squashed)
    }
}

/// `ARG`s before the first `FROM`.
fn add_globals(arguments: &mut Arguments, command: &Command, lex: &Lex) -> Result<(), BuildError> {
    let Instruction::Arg(list) = &command.instruction else { return Ok(()) };
    let visible = arguments.allowed();
    let variables = |name: &str| visible.get(name).cloned();
    for argument in list {
        let key = lex.word(&argument.key, &variables)?;
        let value = argument.value.as_ref().map(|value| lex.word(value, &variables)).transpose()?;
        arguments.add_global(&key, value);
    }
    Ok(())
}
