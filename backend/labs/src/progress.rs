//! What a student has reached in a lab. Pure: results go in, [`Progress`] comes out; nothing here runs or waits.
//!
//! ```text
//!  lab:    preparing ──prepared──▶ running ──last step done──▶ completed
//!              └────────failed──▶ failed
//!  step:   closed ──the step before is done──▶ open ──every task passed, every value captured──▶ done
//!          (a step that is not gated is open from the start)
//!  check:  waiting ◀──▶ failed,  either ──holds──▶ passed      (checking: asked for, not answered yet)
//! ```
//!
//! What has passed stays passed: a student may clean up behind himself.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_wire::lab::{CheckProgress, Progress, StepProgress};

use crate::lab::{Block, Check, Kind, Lab, Run, Step};

const PREPARING: &str = "preparing";
const RUNNING: &str = "running";
const COMPLETED: &str = "completed";
const FAILED: &str = "failed";

const WAITING: &str = "waiting";
const CHECKING: &str = "checking";
const PASSED: &str = "passed";

/// One student's way through one lab.
#[derive(Debug, Clone)]
pub struct Tracker {
    lab: Arc<Lab>,
    progress: Progress,
}

/// What a check said.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    pub holds: bool,
    /// For the student; empty when the check had nothing to say.
    pub hint: String,
}

impl Tracker {
    pub fn new(lab: Arc<Lab>) -> Self {
        let steps = lab.steps.iter().map(|step| StepProgress {
            id: step.id.clone(),
            open: false,
            done: false,
            checks: step.tasks().map(|block| untouched(&block.id)).collect(),
        });
        let progress = Progress {
            lab: lab.id.clone(),
            state: PREPARING.to_owned(),
            message: String::new(),
            steps: steps.collect(),
            values: BTreeMap::new(),
        };
        Self { lab, progress }
    }

    /// Takes up what was stored. The lab may have been edited since: what is passed is known by its id.
    pub fn resume(lab: Arc<Lab>, stored: &Progress) -> Self {
        let mut tracker = Self::new(lab);
        let passed: Vec<&CheckProgress> =
            stored.steps.iter().flat_map(|step| &step.checks).filter(|check| check.state == PASSED).collect();
        for step in &mut tracker.progress.steps {
            for check in &mut step.checks {
                if let Some(earlier) = passed.iter().find(|earlier| earlier.id == check.id) {
                    check.clone_from(earlier);
                }
            }
        }
        tracker.progress.values.clone_from(&stored.values);
        // A failed preparation is tried again; so is one that was cut short.
        if matches!(stored.state.as_str(), RUNNING | COMPLETED) {
            tracker.prepared();
        }
        tracker
    }

    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    pub fn lab(&self) -> &Arc<Lab> {
        &self.lab
    }

    pub fn is_preparing(&self) -> bool {
        self.progress.state == PREPARING
    }

    /// Nothing is left to do or to watch.
    pub fn is_over(&self) -> bool {
        matches!(self.progress.state.as_str(), COMPLETED | FAILED)
    }

    /// Nodes and init scripts are done.
    pub fn prepared(&mut self) {
        RUNNING.clone_into(&mut self.progress.state);
        self.settle();
    }

    pub fn failed(&mut self, message: String) {
        FAILED.clone_into(&mut self.progress.state);
        self.progress.message = message;
    }

    /// A check on demand has begun.
    pub fn checking(&mut self, id: &str) {
        if let Some(check) = self.check_mut(id).filter(|check| check.state != PASSED) {
            CHECKING.clone_into(&mut check.state);
        }
    }

    /// `asked` tells a check that the student asked for from one that is merely watched: a watched one that does not
    /// hold yet is no failure, he is still at it.
    pub fn checked(&mut self, id: &str, verdict: &Verdict, asked: Asked) {
        if let Some(check) = self.check_mut(id).filter(|check| check.state != PASSED) {
            let state = match (verdict.holds, asked) {
                (true, _) => PASSED,
                (false, Asked::ByStudent) => FAILED,
                (false, Asked::ByWatch) => WAITING,
            };
            state.clone_into(&mut check.state);
            check.output.clone_from(&verdict.hint);
        }
        self.settle();
    }

    /// Whether the answer is right; `None` when there is no such quiz in an open step.
    pub fn answered(&mut self, id: &str, given: &[String]) -> Option<bool> {
        let lab = self.lab.clone();
        let (step, block) = lab.block(id)?;
        let Kind::Quiz(quiz) = &block.kind else { return None };
        if !self.is_open(&step.id) {
            return None;
        }
        let holds = quiz.answer.accepts(given);
        self.checked(id, &Verdict { holds, hint: String::new() }, Asked::ByStudent);
        Some(holds)
    }

    pub fn captured(&mut self, name: &str, value: String) {
        self.progress.values.insert(name.to_owned(), value);
        self.settle();
    }

    pub fn is_open(&self, step: &str) -> bool {
        self.progress.steps.iter().any(|known| known.id == step && known.open)
    }

    /// Checks to look at in this round: those of the first open step that is not done, and one of the other open
    /// steps', another one each round, so that a lab with all steps open costs no more than one with gates.
    pub fn due(&self, round: usize) -> Vec<(String, Check)> {
        let mut open = self
            .lab
            .steps
            .iter()
            .zip(&self.progress.steps)
            .filter(|(_, progress)| progress.open && !progress.done)
            .map(|(step, progress)| outstanding(step, progress))
            .filter(|checks| !checks.is_empty());
        let mut due = open.next().unwrap_or_default();
        let others: Vec<(String, Check)> = open.flatten().collect();
        if !others.is_empty() {
            due.push(others[round % others.len()].clone());
        }
        due
    }

    /// Blocks whose value is wanted now: their step's tasks have all passed.
    pub fn uncaptured(&self) -> Vec<(String, Run)> {
        let ready = self
            .lab
            .steps
            .iter()
            .zip(&self.progress.steps)
            .filter(|(_, progress)| progress.open && !progress.done && all_passed(progress));
        ready
            .flat_map(|(step, _)| captures(step))
            .filter(|(name, _)| !self.progress.values.contains_key(*name))
            .map(|(name, run)| (name.to_owned(), run.clone()))
            .collect()
    }

    /// Opens and closes steps by what is known now.
    fn settle(&mut self) {
        if self.progress.state != RUNNING {
            return;
        }
        let mut before_done = true;
        for (step, progress) in self.lab.steps.iter().zip(&mut self.progress.steps) {
            progress.open |= !step.gated || before_done;
            let captured = captures(step).all(|(name, _)| self.progress.values.contains_key(name));
            progress.done = progress.open && all_passed(progress) && captured;
            before_done = progress.done;
        }
        if self.progress.steps.iter().all(|step| step.done) {
            COMPLETED.clone_into(&mut self.progress.state);
        }
    }

    fn check_mut(&mut self, id: &str) -> Option<&mut CheckProgress> {
        self.progress.steps.iter_mut().flat_map(|step| &mut step.checks).find(|check| check.id == id)
    }
}

/// Who wanted to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    ByStudent,
    ByWatch,
}

fn untouched(id: &str) -> CheckProgress {
    CheckProgress { id: id.to_owned(), state: WAITING.to_owned(), output: String::new() }
}

fn all_passed(progress: &StepProgress) -> bool {
    progress.checks.iter().all(|check| check.state == PASSED)
}

fn captures(step: &Step) -> impl Iterator<Item = (&str, &Run)> {
    step.blocks.iter().filter_map(|block| match &block.kind {
        Kind::Run(run) => run.capture.as_deref().map(|name| (name, run)),
        _ => None,
    })
}

/// A step's continuous checks that do not hold yet.
fn outstanding(step: &Step, progress: &StepProgress) -> Vec<(String, Check)> {
    let is_passed =
        |block: &Block| progress.checks.iter().any(|check| check.id == block.id && check.state == PASSED);
    step.tasks()
        .filter(|block| !is_passed(block))
        .filter_map(|block| match &block.kind {
            Kind::Check(check) if check.continuous => Some((block.id.clone(), check.clone())),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
