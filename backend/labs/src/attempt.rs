//! One student's attempt at one lab, in his own nodes.
//!
//! The future of [`Attempt::carry_out`] is the only task: it runs the init scripts, then looks at the continuous checks
//! of the open steps about once a second for as long as somebody watches. Whoever owns the session spawns it and
//! drops it; everything it learns goes through [`Tracker`] and out by one watch channel, for browsers
//! ([`Attempt::watch`]) and for the store ([`Attempt::changes`]).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use drydock_wire::lab::{CheckProgress, Progress};
use tokio::sync::{Notify, watch};

use crate::lab::{Check, File, Kind, Lab, Link, Links};
use crate::progress::{Asked, Tracker, Verdict};

/// Between two looks at the open checks.
const ROUND: Duration = Duration::from_secs(1);
/// Of one init script.
const INIT_LIMIT: Duration = Duration::from_secs(300);
/// Of a block whose output is captured.
const CAPTURE_LIMIT: Duration = Duration::from_secs(30);

/// The lab's nodes, by hostname, in the student's session.
pub trait Nodes: Send + Sync + 'static {
    /// Runs `bash -c script` as root, with `values` in its environment, and kills it after `limit`.
    fn run(
        &self,
        node: &str,
        script: &str,
        values: &BTreeMap<String, String>,
        limit: Duration,
    ) -> impl Future<Output = Result<Ran, NodeFailure>> + Send;

    /// Writes a whole file, making the directories above it; `mode` are permission bits.
    fn write(
        &self,
        node: &str,
        path: &str,
        mode: u32,
        content: &[u8],
    ) -> impl Future<Output = Result<(), NodeFailure>> + Send;

    /// Lets a cable lose packets, or heals it.
    fn lose(&self, link: &Link) -> impl Future<Output = Result<(), NodeFailure>> + Send;
}

#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// Exit status, 128 + signal when killed.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Debug, thiserror::Error)]
pub enum NodeFailure {
    #[error("there is no node {node}")]
    Gone { node: String },
    #[error("{node} did not finish within {seconds} s")]
    TimedOut { node: String, seconds: u64 },
    #[error("{node} cannot be reached")]
    Unreachable { node: String, source: Box<dyn std::error::Error + Send + Sync> },
}

/// What a student asked for that cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("this lab has no block `{block}` that does anything on the server")]
    NoBlock { block: String },
    #[error("this lab has no quiz `{quiz}`")]
    NoQuiz { quiz: String },
    #[error("the step of `{block}` is not open yet: finish the one before it")]
    Closed { block: String },
    #[error("the file could not be written")]
    Write(#[source] NodeFailure),
    #[error("the cables could not be changed")]
    Link(#[source] NodeFailure),
}

/// What a block did.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    Written,
    /// Cables are as the block says.
    Linked,
    Checked(CheckProgress),
}

#[derive(Debug)]
pub struct Attempt<N> {
    nodes: N,
    lab: Arc<Lab>,
    tracker: Mutex<Tracker>,
    changes: watch::Sender<Progress>,
    watchers: AtomicUsize,
    /// A watcher came, or a quiz was answered: look now.
    nudge: Notify,
}

impl<N: Nodes> Attempt<N> {
    /// A new attempt, or the one that `stored` describes.
    pub fn new(lab: Arc<Lab>, stored: Option<&Progress>, nodes: N) -> Arc<Self> {
        let tracker = match stored {
            Some(stored) => Tracker::resume(lab.clone(), stored),
            None => Tracker::new(lab.clone()),
        };
        let (changes, _) = watch::channel(tracker.progress().clone());
        let watchers = AtomicUsize::new(0);
        Arc::new(Self { nodes, lab, tracker: Mutex::new(tracker), changes, watchers, nudge: Notify::new() })
    }

    pub fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    pub fn progress(&self) -> Progress {
        self.tracker().progress().clone()
    }

    /// Every change, for whoever stores it; does not count as watching.
    pub fn changes(&self) -> watch::Receiver<Progress> {
        self.changes.subscribe()
    }

    /// Every change, for a browser. Checks run while at least one of these lives.
    pub fn watch(self: &Arc<Self>) -> Watcher<N> {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        self.nudge.notify_one();
        Watcher { progress: self.changes.subscribe(), attempt: self.clone() }
    }

    /// Carries the lab out until it is completed or failed; dropping the future stops it at any point.
    pub async fn carry_out(self: Arc<Self>) {
        if self.tracker().is_preparing() {
            let outcome = self.prepare().await;
            self.change(|tracker| match outcome {
                Ok(()) => tracker.prepared(),
                Err(message) => tracker.failed(message),
            });
        }
        let mut round = 0;
        while !self.tracker().is_over() {
            if self.watchers.load(Ordering::Relaxed) == 0 {
                self.nudge.notified().await;
            }
            self.look(round).await;
            round += 1;
            // A nudge cuts the pause short; its absence is no error.
            let _ = tokio::time::timeout(ROUND, self.nudge.notified()).await;
        }
    }

    /// Does what a click on a block asks of the server.
    pub async fn act(&self, id: &str) -> Result<Done, Refusal> {
        let no_block = || Refusal::NoBlock { block: id.to_owned() };
        let (step, block) = self.lab.block(id).ok_or_else(no_block)?;
        if !self.tracker().is_open(&step.id) {
            return Err(Refusal::Closed { block: id.to_owned() });
        }
        match &block.kind {
            Kind::File(file) => self.write(file).await.map(|()| Done::Written).map_err(Refusal::Write),
            Kind::Link(links) => self.lose(links).await.map(|()| Done::Linked).map_err(Refusal::Link),
            Kind::Check(check) => {
                self.change(|tracker| tracker.checking(id));
                let verdict = self.verdict(check).await;
                self.change(|tracker| tracker.checked(id, &verdict, Asked::ByStudent));
                self.nudge.notify_one();
                let state = if verdict.holds { "passed" } else { "failed" };
                Ok(Done::Checked(CheckProgress {
                    id: id.to_owned(),
                    state: state.to_owned(),
                    output: verdict.hint,
                }))
            }
            _ => Err(no_block()),
        }
    }

    /// Whether the answer to a quiz is right.
    pub fn answer(&self, quiz: &str, given: &[String]) -> Result<bool, Refusal> {
        match self.lab.block(quiz) {
            Some((_, block)) if matches!(block.kind, Kind::Quiz(_)) => {}
            _ => return Err(Refusal::NoQuiz { quiz: quiz.to_owned() }),
        }
        let right = self.change(|tracker| tracker.answered(quiz, given));
        self.nudge.notify_one();
        right.ok_or_else(|| Refusal::Closed { block: quiz.to_owned() })
    }

    /// Runs the init scripts; the error is for the student.
    async fn prepare(&self) -> Result<(), String> {
        for init in &self.lab.init {
            let ran = self
                .nodes
                .run(&init.node, &init.script, &BTreeMap::new(), INIT_LIMIT)
                .await
                .map_err(|failure| format!("The lab could not be prepared: {failure}."))?;
            if ran.code != 0 {
                let said = last_line(&ran.stderr).or_else(|| last_line(&ran.stdout)).unwrap_or_default();
                let (node, line, code) = (&init.node, init.line, ran.code);
                return Err(format!(
                    "Preparing {node} failed (lab.md line {line}, exit status {code}): {said}"
                ));
            }
        }
        Ok(())
    }

    async fn look(&self, round: usize) {
        let due = self.tracker().due(round);
        for (id, check) in due {
            let verdict = self.verdict(&check).await;
            self.change(|tracker| tracker.checked(&id, &verdict, Asked::ByWatch));
        }
        let uncaptured = self.tracker().uncaptured();
        for (name, run) in uncaptured {
            let values = self.values();
            match self.nodes.run(&run.node, &run.text, &values, CAPTURE_LIMIT).await {
                Ok(ran) if ran.code == 0 => {
                    let value = last_line(&ran.stdout).unwrap_or_default();
                    self.change(|tracker| tracker.captured(&name, value));
                }
                Ok(ran) => {
                    tracing::warn!(lab.id = self.lab.id, capture = name, code = ran.code, "capture failed");
                }
                Err(failure) => {
                    tracing::warn!(lab.id = self.lab.id, capture = name, %failure, "capture failed");
                }
            }
        }
    }

    async fn verdict(&self, check: &Check) -> Verdict {
        let values = self.values();
        match self.nodes.run(&check.node, &check.script, &values, check.limit).await {
            Ok(ran) if ran.code == 0 => Verdict { holds: true, hint: String::new() },
            Ok(ran) => Verdict { holds: false, hint: last_line(&ran.stdout).unwrap_or_default() },
            Err(failure) => Verdict { holds: false, hint: failure.to_string() },
        }
    }

    async fn write(&self, file: &File) -> Result<(), NodeFailure> {
        self.nodes.write(&file.node, &file.path, file.mode, file.text.as_bytes()).await
    }

    async fn lose(&self, links: &Links) -> Result<(), NodeFailure> {
        for link in &links.set {
            self.nodes.lose(link).await?;
        }
        Ok(())
    }

    fn values(&self) -> BTreeMap<String, String> {
        self.tracker().progress().values.clone()
    }

    /// Applies `work` and publishes what it changed.
    fn change<T>(&self, work: impl FnOnce(&mut Tracker) -> T) -> T {
        let mut tracker = self.tracker();
        let outcome = work(&mut tracker);
        // Sent under the lock, so that two changes never arrive in the wrong order.
        self.changes.send_if_modified(|known| {
            let modified = known != tracker.progress();
            if modified {
                known.clone_from(tracker.progress());
            }
            modified
        });
        outcome
    }

    fn tracker(&self) -> MutexGuard<'_, Tracker> {
        self.tracker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A browser's view of an attempt.
#[derive(Debug)]
pub struct Watcher<N> {
    pub progress: watch::Receiver<Progress>,
    attempt: Arc<Attempt<N>>,
}

impl<N> Drop for Watcher<N> {
    fn drop(&mut self) {
        self.attempt.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

fn last_line(text: &str) -> Option<String> {
    text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}
