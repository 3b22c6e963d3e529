//! A lab being followed: its text, what the server says of the reader's progress, and which step is shown.

use drydock_wire::lab::{CheckProgress, Lab, Progress, Step, StepProgress};

#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    pub lab: Lab,
    pub progress: Progress,
    /// Index of the step on the screen.
    pub shown: usize,
    /// Which step is shown was decided: by the reader, or by what was known of their progress.
    is_placed: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Progress(Progress),
    Show(usize),
}

impl Lesson {
    pub fn new(lab: Lab, progress: Progress) -> Self {
        let mut lesson = Self { lab, progress, shown: 0, is_placed: false };
        lesson.place();
        lesson
    }

    /// Opens at the first step that is not done yet, so that a reload, or a second browser, goes on where the reader
    /// was. Once: as long as nothing is known of the steps, what is heard of them later decides.
    fn place(&mut self) {
        if self.is_placed || self.progress.steps.is_empty() {
            return;
        }
        self.is_placed = true;
        let last = self.lab.contents.len().saturating_sub(1);
        let mut place = (0..last).find(|&step| !self.is_done(step)).unwrap_or(last);
        // A step without tasks, the introduction above all, is done before anyone has read it.
        while place > 0 && self.step_progress(place - 1).is_some_and(|before| before.checks.is_empty()) {
            place -= 1;
        }
        if self.is_open(place) {
            self.shown = place;
        }
    }

    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Progress(progress) if progress.lab == self.lab.summary.id => {
                self.progress = progress;
                self.place();
            }
            Event::Progress(_) => {}
            Event::Show(step) => {
                if self.is_open(step) {
                    self.shown = step;
                    self.is_placed = true;
                }
            }
        }
    }

    pub fn step(&self) -> Option<&Step> {
        self.lab.contents.get(self.shown)
    }

    /// A step the server has not spoken of yet is open when nothing gates it.
    pub fn is_open(&self, step: usize) -> bool {
        match (self.lab.contents.get(step), self.step_progress(step)) {
            (None, _) => false,
            (Some(_), Some(progress)) => progress.open,
            (Some(contents), None) => step == 0 || !contents.gated,
        }
    }

    pub fn is_done(&self, step: usize) -> bool {
        self.step_progress(step).is_some_and(|progress| progress.done)
    }

    pub fn is_completed(&self) -> bool {
        self.progress.state == "completed"
    }

    pub fn done(&self) -> usize {
        (0..self.lab.contents.len()).filter(|&step| self.is_done(step)).count()
    }

    /// Percent of steps that are done.
    pub fn percent(&self) -> u32 {
        (self.done() * 100 / self.lab.contents.len().max(1)) as u32
    }

    /// A check's or quiz's state in the step on the screen.
    pub fn check(&self, id: &str) -> CheckProgress {
        let checks = self.step_progress(self.shown).map(|step| &step.checks);
        let found = checks.and_then(|checks| checks.iter().find(|check| check.id == id));
        found.cloned().unwrap_or_else(|| CheckProgress {
            id: id.to_owned(),
            state: "waiting".to_owned(),
            output: String::new(),
        })
    }

    fn step_progress(&self, step: usize) -> Option<&StepProgress> {
        let id = &self.lab.contents.get(step)?.id;
        self.progress.steps.iter().find(|progress| progress.id == *id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_wire::lab::Summary;

    fn lab(gates: &[bool]) -> Lab {
        let step = |(at, gated): (usize, &bool)| Step {
            id: format!("step-{at}"),
            title: String::new(),
            gated: *gated,
            blocks: Vec::new(),
        };
        Lab {
            summary: Summary {
                id: "lab".into(),
                title: String::new(),
                summary: String::new(),
                level: String::new(),
                minutes: 5,
                tags: Vec::new(),
                steps: gates.len() as u32,
            },
            nodes: vec!["node1".into()],
            contents: gates.iter().enumerate().map(step).collect(),
        }
    }

    fn progress(steps: &[(bool, bool)]) -> Progress {
        let step = |(at, &(open, done)): (usize, &(bool, bool))| StepProgress {
            id: format!("step-{at}"),
            open,
            done,
            checks: vec![CheckProgress { id: "check".into(), state: "failed".into(), output: "no".into() }],
        };
        Progress {
            lab: "lab".into(),
            state: "running".into(),
            steps: steps.iter().enumerate().map(step).collect(),
            ..Progress::default()
        }
    }

    #[test]
    fn a_gate_holds_until_the_server_opens_it() {
        let mut lesson = Lesson::new(lab(&[false, true]), Progress::default());
        lesson.apply(Event::Show(1));
        assert_eq!(lesson.shown, 0);
        lesson.apply(Event::Progress(progress(&[(true, true), (true, false)])));
        lesson.apply(Event::Show(1));
        assert_eq!((lesson.shown, lesson.percent()), (1, 50));
        assert_eq!(lesson.check("check").output, "no");
        assert_eq!(lesson.check("other").state, "waiting");
    }

    #[test]
    fn a_reload_opens_where_the_reader_was() {
        let seen = progress(&[(true, true), (true, false), (false, false)]);
        assert_eq!(Lesson::new(lab(&[false, true, true]), seen).shown, 1);
        let all = progress(&[(true, true), (true, true)]);
        assert_eq!(Lesson::new(lab(&[false, false]), all).shown, 1);
        assert_eq!(Lesson::new(lab(&[]), Progress::default()).shown, 0);
        let mut unread = progress(&[(true, true), (true, false)]);
        unread.steps[0].checks.clear();
        assert_eq!(Lesson::new(lab(&[false, false]), unread).shown, 0, "the introduction asks nothing");
    }

    #[test]
    fn late_progress_opens_where_the_reader_was_unless_they_chose() {
        let seen = progress(&[(true, true), (true, false), (false, false)]);
        let mut joined = Lesson::new(lab(&[false, true, true]), Progress::default());
        joined.apply(Event::Progress(Progress { steps: Vec::new(), ..seen.clone() }));
        assert_eq!(joined.shown, 0);
        joined.apply(Event::Progress(seen.clone()));
        assert_eq!(joined.shown, 1);
        joined.apply(Event::Progress(progress(&[(true, true), (true, true), (true, false)])));
        assert_eq!(joined.shown, 1, "nobody is moved on while they read");
        let mut chose = Lesson::new(lab(&[false, false, true]), Progress::default());
        chose.apply(Event::Show(0));
        chose.apply(Event::Progress(seen));
        assert_eq!(chose.shown, 0);
    }

    #[test]
    fn another_labs_progress_is_not_ours() {
        let mut lesson = Lesson::new(lab(&[false]), Progress::default());
        lesson.apply(Event::Progress(Progress {
            lab: "other".into(),
            state: "completed".into(),
            ..Progress::default()
        }));
        assert!(!lesson.is_completed());
    }
}
