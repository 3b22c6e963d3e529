//! What parses and is still not a good lab. `drydock lab lint` reports both.

use std::collections::HashSet;

use crate::lab::{INTRODUCTION, Kind, Lab};
use crate::parse::{Fault, Problem};

/// Every doubt about a lab that parsed, in the order of its lines.
pub fn lint(lab: &Lab) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut captured: HashSet<&str> = HashSet::new();
    for step in &lab.steps {
        if step.id != INTRODUCTION && step.tasks().next().is_none() {
            problems.push(Problem { line: step.line, fault: Fault::NoTask });
        }
        for block in &step.blocks {
            match &block.kind {
                Kind::Check(check) if is_idle(&check.script) => {
                    problems.push(Problem { line: block.line, fault: Fault::IdleCheck });
                }
                Kind::Run(run) => captured.extend(run.capture.as_deref()),
                _ => {}
            }
        }
    }
    problems.extend(early_captures(lab, &captured));
    problems.sort_by_key(|problem| problem.line);
    problems
}

fn is_idle(script: &str) -> bool {
    script.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// Names that some block captures, used above it.
fn early_captures(lab: &Lab, captured: &HashSet<&str>) -> Vec<Problem> {
    let mut known: HashSet<&str> = HashSet::new();
    let mut problems = Vec::new();
    for block in lab.steps.iter().flat_map(|step| &step.blocks) {
        let Kind::Run(run) = &block.kind else { continue };
        for name in captured {
            if !known.contains(name) && run.capture.as_deref() != Some(name) && uses(&run.text, name) {
                let fault = Fault::UnknownCapture { name: (*name).to_owned() };
                problems.push(Problem { line: block.line, fault });
            }
        }
        known.extend(run.capture.as_deref());
    }
    problems
}

fn uses(text: &str, name: &str) -> bool {
    drydock_wire::lab::variables(text).any(|(_, used)| used == name)
}
