//! Attempts in a folder of this machine.

mod support;

use std::sync::Arc;
use std::time::Duration;

use drydock_labs::attempt::{Attempt, Done, Refusal, Watcher};
use drydock_labs::{Lab, parse};
use drydock_wire::lab::Progress;
use support::Folder;

fn lab(body: &str) -> Arc<Lab> {
    let head = "---\ntitle: T\nsummary: S\nminutes: 1\n---\n";
    Arc::new(parse("demo", &format!("{head}{body}")).unwrap())
}

fn attempt(body: &str) -> (Arc<Attempt<Folder>>, Folder, tokio::task::JoinHandle<()>) {
    let folder = Folder::make();
    let attempt = Attempt::new(lab(body), None, folder.clone());
    let task = tokio::spawn(attempt.clone().carry_out());
    (attempt, folder, task)
}

async fn until(watcher: &mut Watcher<Folder>, wanted: impl Fn(&Progress) -> bool) -> Progress {
    let found = tokio::time::timeout(Duration::from_secs(60), watcher.progress.wait_for(|p| wanted(p))).await;
    found.expect("in time").expect("the attempt lives").clone()
}

const TWO_STEPS: &str = "```init hidden\ntouch prepared\n```\n\n\
    ## One\n\n```run capture=WORD\ncat word\n```\n\n\
    ```check title=a\n[ -e prepared ] || exit 1\necho nothing yet\n[ -e word ]\n```\n\n\
    ## Two {gated}\n\n```file path=/note\nhello\n```\n\n\
    ```check title=b on-demand\n[ \"$WORD\" = swordfish ] && grep -q hello note || { echo write the note; exit 1; }\n```\n";

#[tokio::test]
async fn a_watched_lab_follows_what_its_student_does() {
    let (attempt, folder, task) = attempt(TWO_STEPS);
    let mut watcher = attempt.watch();
    let hinted = until(&mut watcher, |p| p.steps[0].checks[0].output == "nothing yet").await;
    assert_eq!(hinted.steps[0].checks[0].state, "waiting");
    assert!(matches!(attempt.act("two-check-1").await, Err(Refusal::Closed { .. })));

    std::fs::write(folder.path().join("word"), "first\nswordfish\n").unwrap();
    let open = until(&mut watcher, |p| p.steps[1].open).await;
    assert_eq!(open.values["WORD"], "swordfish");

    let Done::Checked(failed) = attempt.act("two-check-1").await.unwrap() else { panic!("a check") };
    assert_eq!((failed.state.as_str(), failed.output.as_str()), ("failed", "write the note"));
    assert_eq!(attempt.act("two-file-1").await.unwrap(), Done::Written);
    let Done::Checked(passed) = attempt.act("two-check-1").await.unwrap() else { panic!("a check") };
    assert_eq!(passed.state, "passed");
    until(&mut watcher, |p| p.state == "completed").await;
    tokio::time::timeout(Duration::from_secs(60), task)
        .await
        .expect("a completed lab ends its task")
        .unwrap();
}

#[tokio::test]
async fn an_unwatched_lab_runs_no_checks() {
    let (attempt, folder, _task) = attempt("## One\n\n```check title=a\necho x | tee looked\nexit 1\n```\n");
    let mut changes = attempt.changes();
    changes.wait_for(|p| p.state == "running").await.unwrap();
    let looked = folder.path().join("looked");
    assert!(!looked.exists());
    let mut watcher = attempt.watch();
    until(&mut watcher, |p| p.steps[0].checks[0].output == "x").await;
    assert!(looked.exists());
}

#[tokio::test]
async fn a_failed_init_script_says_where_and_why() {
    let (attempt, _folder, _task) = attempt("```init\necho no such disk >&2\nexit 3\n```\n\n## One\n");
    let mut watcher = attempt.watch();
    let failed = until(&mut watcher, |p| p.state == "failed").await;
    assert_eq!(failed.message, "Preparing node1 failed (lab.md line 6, exit status 3): no such disk");
}

#[tokio::test]
async fn a_check_that_hangs_is_ended_and_says_so() {
    let (attempt, _folder, _task) =
        attempt("## One\n\n```check title=a timeout=1 on-demand\nsleep 1000\n```\n");
    attempt.changes().wait_for(|p| p.state == "running").await.unwrap();
    let Done::Checked(state) = attempt.act("one-check-1").await.unwrap() else { panic!("a check") };
    assert_eq!(state.output, "node1 did not finish within 1 s");
}

#[tokio::test]
async fn what_is_no_block_is_refused() {
    let (attempt, _folder, _task) = attempt("## One\n\n```run\nls\n```\n\n```check title=a\ntrue\n```\n");
    attempt.changes().wait_for(|p| p.state != "preparing").await.unwrap();
    assert!(matches!(attempt.act("nothing").await, Err(Refusal::NoBlock { .. })));
    assert!(matches!(attempt.act("one-run-1").await, Err(Refusal::NoBlock { .. })));
    assert!(matches!(attempt.answer("one-check-1", &[]), Err(Refusal::NoQuiz { .. })));
}

#[tokio::test]
async fn a_click_on_a_link_block_sets_each_of_its_cables_in_order() {
    let (attempt, folder, _task) = attempt(
        "## One\n\n```link\ncut node1\n```\n\n```link\nlose 30% node1\nheal\n```\n\n```check title=a\nfalse\n```\n",
    );
    attempt.changes().wait_for(|p| p.state == "running").await.unwrap();
    let lost = || std::fs::read_to_string(folder.path().join("lost-node1-switch")).unwrap();
    assert_eq!(attempt.act("one-link-1").await.unwrap(), Done::Linked);
    assert_eq!(lost(), "100");
    assert_eq!(attempt.act("one-link-2").await.unwrap(), Done::Linked);
    assert_eq!(lost(), "0");
}
