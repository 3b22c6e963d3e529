use super::*;
use crate::parse;

fn lab() -> Arc<Lab> {
    let text = "---\ntitle: T\nsummary: S\nminutes: 1\n---\nHello.\n\n\
        ## One\n\n```run capture=TOKEN\necho t\n```\n\n```check title=a\ntrue\n```\n\n```check title=b on-demand\ntrue\n```\n\n\
        ## Two {gated}\n\nWhich?\n\n- (x) this\n- ( ) that\n\n\
        ## Three\n\n```check title=c\ntrue\n```\n\n```check title=d\ntrue\n```\n";
    Arc::new(parse("demo", text).unwrap())
}

fn tracker() -> Tracker {
    let mut tracker = Tracker::new(lab());
    tracker.prepared();
    tracker
}

fn holds() -> Verdict {
    Verdict { holds: true, hint: String::new() }
}

fn not_yet(hint: &str) -> Verdict {
    Verdict { holds: false, hint: hint.to_owned() }
}

/// `-` closed, `o` open, `x` done.
fn steps(tracker: &Tracker) -> String {
    let letter = |step: &StepProgress| match (step.open, step.done) {
        (false, _) => '-',
        (true, false) => 'o',
        (true, true) => 'x',
    };
    tracker.progress().steps.iter().map(letter).collect()
}

fn due(tracker: &Tracker, round: usize) -> Vec<String> {
    tracker.due(round).into_iter().map(|(id, _)| id).collect()
}

#[test]
fn nothing_is_open_before_the_nodes_are_prepared() {
    let mut tracker = Tracker::new(lab());
    assert_eq!((steps(&tracker).as_str(), tracker.is_preparing()), ("----", true));
    assert!(tracker.due(0).is_empty());
    tracker.prepared();
    assert_eq!((steps(&tracker).as_str(), tracker.is_preparing()), ("xo-o", false));
}

#[test]
fn a_gate_opens_when_the_step_before_is_done_and_its_values_are_captured() {
    let mut tracker = tracker();
    tracker.checked("one-check-1", &holds(), Asked::ByWatch);
    assert!(tracker.uncaptured().is_empty(), "not before all checks hold");
    tracker.checked("one-check-2", &holds(), Asked::ByStudent);
    assert_eq!(steps(&tracker), "xo-o");
    assert_eq!(tracker.uncaptured()[0].0, "TOKEN");
    tracker.captured("TOKEN", "t".to_owned());
    assert_eq!(steps(&tracker), "xxoo");
}

#[test]
fn a_quiz_counts_once_it_is_right_and_only_when_its_step_is_open() {
    let mut tracker = tracker();
    let this = ["0".to_owned()];
    assert_eq!(tracker.answered("two-quiz-1", &this), None, "its step is closed");
    for check in ["one-check-1", "one-check-2"] {
        tracker.checked(check, &holds(), Asked::ByWatch);
    }
    tracker.captured("TOKEN", String::new());
    assert_eq!(tracker.answered("two-quiz-1", &["1".to_owned()]), Some(false));
    assert_eq!(tracker.progress().steps[2].checks[0].state, "failed");
    assert_eq!(tracker.answered("two-quiz-1", &this), Some(true));
    assert_eq!(tracker.answered("one-check-1", &this), None, "no quiz");
    assert_eq!(steps(&tracker), "xxxo");
}

#[test]
fn a_watched_check_waits_with_its_hint_and_an_asked_one_fails() {
    let mut tracker = tracker();
    let state = |tracker: &Tracker, index: usize| {
        let check = &tracker.progress().steps[1].checks[index];
        (check.state.clone(), check.output.clone())
    };
    tracker.checked("one-check-1", &not_yet("no container"), Asked::ByWatch);
    assert_eq!(state(&tracker, 0), ("waiting".to_owned(), "no container".to_owned()));
    tracker.checking("one-check-2");
    assert_eq!(state(&tracker, 1).0, "checking");
    tracker.checked("one-check-2", &not_yet("no"), Asked::ByStudent);
    assert_eq!(state(&tracker, 1).0, "failed");
    tracker.checked("one-check-1", &holds(), Asked::ByWatch);
    tracker.checked("one-check-1", &not_yet("gone again"), Asked::ByWatch);
    assert_eq!(state(&tracker, 0), ("passed".to_owned(), String::new()), "what has passed stays passed");
}

#[test]
fn the_current_step_is_watched_whole_and_the_others_in_turn() {
    let mut tracker = tracker();
    assert_eq!(due(&tracker, 0), ["one-check-1", "three-check-1"]);
    assert_eq!(due(&tracker, 1), ["one-check-1", "three-check-2"]);
    tracker.checked("one-check-1", &holds(), Asked::ByWatch);
    assert_eq!(due(&tracker, 0), ["three-check-1", "three-check-2"]);
}

#[test]
fn the_last_step_completes_the_lab() {
    let mut tracker = tracker();
    for check in ["one-check-1", "one-check-2", "three-check-1", "three-check-2"] {
        tracker.checked(check, &holds(), Asked::ByWatch);
    }
    tracker.captured("TOKEN", "t".to_owned());
    assert!(!tracker.is_over());
    tracker.answered("two-quiz-1", &["0".to_owned()]);
    assert!(tracker.is_over());
    assert_eq!(tracker.progress().state, "completed");
}

#[test]
fn stored_progress_is_taken_up_and_a_preparation_cut_short_begins_again() {
    let mut first = tracker();
    first.checked("one-check-1", &holds(), Asked::ByWatch);
    first.checking("one-check-2");
    first.captured("TOKEN", "t".to_owned());
    let mut second = Tracker::resume(lab(), first.progress());
    assert_eq!(second.progress().steps[1].checks[0].state, "passed");
    assert_eq!(second.progress().steps[1].checks[1].state, "waiting", "nobody is checking any more");
    second.checked("one-check-2", &holds(), Asked::ByStudent);
    assert_eq!(steps(&second), "xxoo");

    assert!(Tracker::resume(lab(), Tracker::new(lab()).progress()).is_preparing());
    let mut failed = Tracker::new(lab());
    failed.failed("no room".to_owned());
    assert!(failed.is_over());
    assert!(Tracker::resume(lab(), failed.progress()).is_preparing());
}
