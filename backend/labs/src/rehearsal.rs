//! Plays a student through a lab: opens real terminals, types every block, waits for prompts, answers quizzes, solves
//! what the reader is asked to find out, and holds each check to its word: it fails before its step, and holds where it stands.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use drydock_wire::lab::{CheckProgress, Progress};
use tokio::time::Instant;

use crate::attempt::Ran;
use crate::lab::{Block, Check, Kind, Lab, Quiz, Run, Solve, Step, Wait};
use crate::prompt::{Transcript, is_asking};

/// A command that takes longer is taken for stuck.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// For a watched check to notice what was done, and for a gate to open.
const NOTICE_LIMIT: Duration = Duration::from_secs(30);
/// A lab's nodes and init scripts.
const READY_LIMIT: Duration = Duration::from_secs(300);
/// A prompt after which nothing comes for this long is one; output that merely looks like it goes on.
const QUIET: Duration = Duration::from_millis(150);
/// The state of a check that holds.
const PASSED: &str = "passed";
/// Of each terminal, in the report of a failed step.
const REPORT_LINES: usize = 40;

pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A session opened for a lab, as a browser has it.
pub trait Playground {
    type Terminal: Terminal;

    /// Terminal `number` of a node, made when it is not there.
    fn terminal(&mut self, node: &str, number: u32) -> impl Future<Output = Result<Self::Terminal, Cause>>;
    fn progress(&mut self) -> impl Future<Output = Result<Progress, Cause>>;
    /// The next progress that the server sends by itself, or `None` after `limit`.
    fn news(&mut self, limit: Duration) -> impl Future<Output = Result<Option<Progress>, Cause>>;
    /// Clicks a block: writes its file, or asks a check (and gets its state).
    fn act(&mut self, block: &str) -> impl Future<Output = Result<Option<CheckProgress>, Cause>>;
    fn answer(&mut self, quiz: &str, answer: &[String]) -> impl Future<Output = Result<bool, Cause>>;
    /// Runs a program in a node.
    fn exec(&mut self, node: &str, command: &[&str]) -> impl Future<Output = Result<Ran, Cause>>;
    /// Opens a published port's page and gives its HTTP status.
    fn open(&mut self, node: &str, port: u16) -> impl Future<Output = Result<u16, Cause>>;
}

pub trait Terminal {
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Cause>>;
    /// The next output, or `None` after `limit`.
    fn read(&mut self, limit: Duration) -> impl Future<Output = Result<Option<Vec<u8>>, Cause>>;
}

/// How one step went.
#[derive(Debug)]
pub struct Outcome {
    pub step: String,
    pub took: Duration,
    pub failure: Option<Failure>,
}

#[derive(Debug)]
pub struct Failure {
    pub miss: Miss,
    /// What the terminals of this lab showed last, by name (`node1 · 1`).
    pub terminals: Vec<(String, String)>,
}

/// What did not go as the lab says. `line` is that of `lab.md`.
#[derive(Debug, thiserror::Error)]
pub enum Miss {
    #[error("the lab was not prepared: {message}")]
    Unprepared { message: String },
    #[error("the step never opened")]
    Closed,
    #[error("not reached")]
    NotReached,
    #[error("line {line}: check \"{title}\" holds before the step was done")]
    HeldBefore { line: u32, title: String },
    #[error("line {line}: check \"{title}\" does not hold when its turn comes: {hint}")]
    NotHeld { line: u32, title: String, hint: String },
    #[error("line {line}: all checks hold, and the step is not done: was a value captured?")]
    NotDone { line: u32 },
    #[error("line {line}: the right answer was refused")]
    AnswerRefused { line: u32 },
    #[error("line {line}: no prompt came back")]
    NoPrompt { line: u32 },
    #[error("line {line}: the output never showed `{wanted}`")]
    NoOutput { line: u32, wanted: String },
    #[error("line {line}: the solve script ended with {code}: {said}")]
    Unsolved { line: u32, code: i32, said: String },
    #[error("line {line}: port {port} of {node} answered {status}")]
    Port { line: u32, node: String, port: u16, status: u16 },
    #[error("line {line}: the playground failed: {cause}")]
    Playground { line: u32, cause: Cause },
}

/// Plays the whole lab; `report` sees each step as it ends.
pub async fn rehearse<P: Playground>(
    lab: &Lab,
    playground: &mut P,
    mut report: impl FnMut(&Outcome),
) -> Vec<Outcome> {
    let mut player = Player { playground, screens: BTreeMap::new(), progress: Progress::default() };
    let mut outcomes = Vec::new();
    let mut stopped = false;
    for (index, step) in lab.steps.iter().enumerate() {
        let begun = Instant::now();
        let result = if stopped {
            Err(Miss::NotReached)
        } else if index == 0 {
            match player.prepared().await {
                Ok(()) => player.step(step).await,
                Err(miss) => Err(miss),
            }
        } else {
            player.step(step).await
        };
        stopped |= result.is_err();
        let failure = result.err().map(|miss| Failure { terminals: player.shown(&miss), miss });
        let outcome = Outcome { step: step.title.clone(), took: begun.elapsed(), failure };
        report(&outcome);
        outcomes.push(outcome);
    }
    outcomes
}

struct Player<'p, P: Playground> {
    playground: &'p mut P,
    screens: BTreeMap<(String, u32), Screen<P::Terminal>>,
    progress: Progress,
}

struct Screen<T> {
    terminal: T,
    transcript: Transcript,
}

impl<P: Playground> Player<'_, P> {
    async fn prepared(&mut self) -> Result<(), Miss> {
        self.until(READY_LIMIT, |progress| progress.state != "preparing").await?;
        match self.progress.state.as_str() {
            "running" | "completed" => Ok(()),
            _ => Err(Miss::Unprepared { message: self.progress.message.clone() }),
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), Miss> {
        let open = |progress: &Progress| progress.steps.iter().any(|known| known.id == step.id && known.open);
        if !self.until(NOTICE_LIMIT, open).await? {
            return Err(Miss::Closed);
        }
        for (block, check) in checks(step) {
            if self.ask(block).await?.state == PASSED {
                return Err(Miss::HeldBefore { line: block.line, title: check.title.clone() });
            }
        }
        for block in &step.blocks {
            self.block(block).await?;
        }
        self.done(step).await
    }

    async fn block(&mut self, block: &Block) -> Result<(), Miss> {
        let line = block.line;
        match &block.kind {
            Kind::Run(run) => self.run(line, run).await,
            Kind::File(_) | Kind::Link(_) => {
                self.playground.act(&block.id).await.map(drop).map_err(failed(line))
            }
            Kind::Port(port) => {
                let status = self.playground.open(&port.node, port.port).await.map_err(failed(line))?;
                let (node, port) = (port.node.clone(), port.port);
                if status < 500 { Ok(()) } else { Err(Miss::Port { line, node, port, status }) }
            }
            Kind::Solve(solve) => self.solve(line, solve).await,
            Kind::Quiz(quiz) => self.quiz(block, quiz).await,
            Kind::Check(check) => self.check(block, check).await,
            Kind::Prose(_) | Kind::Code { .. } | Kind::Hint { .. } => Ok(()),
        }
    }

    async fn run(&mut self, line: u32, run: &Run) -> Result<(), Miss> {
        let text = self.progress.fill(&run.text);
        if run.interrupt {
            let wait = if text.is_empty() { &run.wait } else { &Wait::Prompt };
            self.keys(line, &run.node, run.terminal, b"\x03", wait).await?;
        }
        if !run.enter {
            if text.is_empty() {
                return Ok(());
            }
            return self.keys(line, &run.node, run.terminal, text.as_bytes(), &run.wait).await;
        }
        self.lines(line, &run.node, run.terminal, &text, &run.wait).await
    }

    /// Types a text line by line, waiting for the shell between lines.
    async fn lines(
        &mut self,
        line: u32,
        node: &str,
        number: u32,
        text: &str,
        wait: &Wait,
    ) -> Result<(), Miss> {
        let lines: Vec<&str> = text.split('\n').collect();
        for (index, typed) in lines.iter().enumerate() {
            let wait = if index + 1 == lines.len() { wait } else { &Wait::Prompt };
            self.keys(line, node, number, format!("{typed}\r").as_bytes(), wait).await?;
        }
        Ok(())
    }

    async fn keys(
        &mut self,
        line: u32,
        node: &str,
        number: u32,
        keys: &[u8],
        wait: &Wait,
    ) -> Result<(), Miss> {
        let screen = self.screen(line, node, number).await?;
        let mark = screen.transcript.mark();
        screen.terminal.write(keys).await.map_err(failed(line))?;
        match wait {
            Wait::Nothing => Ok(()),
            Wait::Prompt => {
                let back = |output: &str| output.contains('\n') && is_asking(output);
                let came = screen.until(mark, back, QUIET).await.map_err(failed(line))?;
                if came { Ok(()) } else { Err(Miss::NoPrompt { line }) }
            }
            Wait::Output(wanted) => {
                // What was typed is echoed first; the words are wanted below that line.
                let shown = |output: &str| {
                    output.split_once('\n').is_some_and(|(_, below)| below.contains(wanted.as_str()))
                };
                let came = screen.until(mark, shown, Duration::ZERO).await.map_err(failed(line))?;
                if came { Ok(()) } else { Err(Miss::NoOutput { line, wanted: wanted.clone() }) }
            }
        }
    }

    async fn screen(&mut self, line: u32, node: &str, number: u32) -> Result<&mut Screen<P::Terminal>, Miss> {
        let key = (node.to_owned(), number);
        if !self.screens.contains_key(&key) {
            let terminal = self.playground.terminal(node, number).await.map_err(failed(line))?;
            let mut screen = Screen { terminal, transcript: Transcript::default() };
            let came = screen.until(0, is_asking, QUIET).await.map_err(failed(line))?;
            self.screens.insert(key.clone(), screen);
            if !came {
                return Err(Miss::NoPrompt { line });
            }
        }
        Ok(self.screens.get_mut(&key).expect("just put there"))
    }

    async fn solve(&mut self, line: u32, solve: &Solve) -> Result<(), Miss> {
        let script = self.progress.fill(&solve.script);
        if let Some(number) = solve.terminal {
            return self.lines(line, &solve.node, number, script.trim_end(), &Wait::Prompt).await;
        }
        let command = ["bash", "-c", script.as_str()];
        let ran = self.playground.exec(&solve.node, &command).await.map_err(failed(line))?;
        if ran.code == 0 {
            return Ok(());
        }
        Err(Miss::Unsolved { line, code: ran.code, said: format!("{}{}", ran.stdout, ran.stderr) })
    }

    async fn quiz(&mut self, block: &Block, quiz: &Quiz) -> Result<(), Miss> {
        let line = block.line;
        let right = self.playground.answer(&block.id, &quiz.answer.example()).await.map_err(failed(line))?;
        if right { Ok(()) } else { Err(Miss::AnswerRefused { line }) }
    }

    /// A check holds where it stands: what comes after it in the step may undo what it looks at.
    async fn check(&mut self, block: &Block, check: &Check) -> Result<(), Miss> {
        if !check.continuous {
            let state = self.ask(block).await?;
            return if state.state == PASSED { Ok(()) } else { Err(not_held(block, check, &state.output)) };
        }
        if self.until(NOTICE_LIMIT, |progress| has_passed(progress, &block.id)).await? {
            return Ok(());
        }
        let states = self.progress.steps.iter().flat_map(|step| &step.checks);
        let hint =
            states.filter(|state| state.id == block.id).map(|state| state.output.clone()).collect::<String>();
        Err(not_held(block, check, &hint))
    }

    async fn done(&mut self, step: &Step) -> Result<(), Miss> {
        let done = |progress: &Progress| progress.steps.iter().any(|known| known.id == step.id && known.done);
        if self.until(NOTICE_LIMIT, done).await? { Ok(()) } else { Err(Miss::NotDone { line: step.line }) }
    }

    async fn ask(&mut self, block: &Block) -> Result<CheckProgress, Miss> {
        let state = self.playground.act(&block.id).await.map_err(failed(block.line))?;
        Ok(state.unwrap_or_default())
    }

    /// Waits until the server's progress is as wanted; false after `limit`.
    async fn until(&mut self, limit: Duration, wanted: impl Fn(&Progress) -> bool) -> Result<bool, Miss> {
        let end = Instant::now() + limit;
        self.progress = self.playground.progress().await.map_err(failed(0))?;
        while !wanted(&self.progress) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            if let Some(news) = self.playground.news(left).await.map_err(failed(0))? {
                self.progress = news;
            }
        }
        Ok(true)
    }

    fn shown(&self, miss: &Miss) -> Vec<(String, String)> {
        if matches!(miss, Miss::NotReached) {
            return Vec::new();
        }
        let shown = |(key, screen): (&(String, u32), &Screen<_>)| {
            (format!("{} · {}", key.0, key.1), screen.transcript.tail(REPORT_LINES))
        };
        self.screens.iter().map(shown).collect()
    }
}

impl<T: Terminal> Screen<T> {
    /// Reads until what came after `mark` is as wanted and nothing more comes for `quiet`; false after the limit.
    async fn until(
        &mut self,
        mark: usize,
        wanted: impl Fn(&str) -> bool,
        quiet: Duration,
    ) -> Result<bool, Cause> {
        let end = Instant::now() + COMMAND_LIMIT;
        loop {
            let met = wanted(self.transcript.since(mark));
            if met && quiet.is_zero() {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let limit = if met { quiet } else { left };
            match self.terminal.read(limit).await? {
                Some(output) => self.transcript.push(&output),
                None if met => return Ok(true),
                None => {}
            }
        }
    }
}

fn checks(step: &Step) -> impl Iterator<Item = (&Block, &Check)> {
    step.blocks.iter().filter_map(|block| match &block.kind {
        Kind::Check(check) => Some((block, check)),
        _ => None,
    })
}

fn has_passed(progress: &Progress, check: &str) -> bool {
    let mut states = progress.steps.iter().flat_map(|step| &step.checks);
    states.any(|state| state.id == check && state.state == PASSED)
}

fn not_held(block: &Block, check: &Check, hint: &str) -> Miss {
    Miss::NotHeld { line: block.line, title: check.title.clone(), hint: hint.to_owned() }
}

fn failed(line: u32) -> impl Fn(Cause) -> Miss {
    move |cause| Miss::Playground { line, cause }
}
