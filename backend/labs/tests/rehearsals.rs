//! Rehearsals in a folder of this machine: real shells on real terminals (`script` makes them), real checks.

mod support;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use drydock_labs::attempt::{Attempt, Done, Nodes, Ran, Watcher};
use drydock_labs::rehearsal::{Cause, Miss, Outcome, Playground, Terminal, rehearse};
use drydock_labs::{Lab, parse};
use drydock_wire::lab::{CheckProgress, Progress};
use support::Folder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

struct Desk {
    folder: Folder,
    attempt: Arc<Attempt<Folder>>,
    watcher: Watcher<Folder>,
}

struct Shell {
    keys: ChildStdin,
    screen: ChildStdout,
    _script: Child,
}

impl Desk {
    fn sit(lab: &Arc<Lab>) -> Self {
        let folder = Folder::make();
        let attempt = Attempt::new(lab.clone(), None, folder.clone());
        tokio::spawn(attempt.clone().carry_out());
        let watcher = attempt.watch();
        Self { folder, attempt, watcher }
    }
}

impl Playground for Desk {
    type Terminal = Shell;

    async fn terminal(&mut self, _: &str, _: u32) -> Result<Shell, Cause> {
        let mut script = Command::new("script")
            .args(["--quiet", "--flush", "--command", "bash --norc --noprofile", "/dev/null"])
            .env("SHELL", "/bin/sh") // which hands PS1 on, as bash -c would not
            .env("PS1", "[node1] root\\n$ ")
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("script: {error}; `apt-get install bsdutils` installs it"));
        let (keys, screen) = (script.stdin.take().expect("piped"), script.stdout.take().expect("piped"));
        Ok(Shell { keys, screen, _script: script })
    }

    async fn progress(&mut self) -> Result<Progress, Cause> {
        Ok(self.attempt.progress())
    }

    async fn news(&mut self, limit: Duration) -> Result<Option<Progress>, Cause> {
        let changed = tokio::time::timeout(limit, self.watcher.progress.changed()).await;
        Ok(changed.is_ok().then(|| self.watcher.progress.borrow_and_update().clone()))
    }

    async fn act(&mut self, block: &str) -> Result<Option<CheckProgress>, Cause> {
        match self.attempt.act(block).await? {
            Done::Written | Done::Linked => Ok(None),
            Done::Checked(state) => Ok(Some(state)),
        }
    }

    async fn answer(&mut self, quiz: &str, answer: &[String]) -> Result<bool, Cause> {
        Ok(self.attempt.answer(quiz, answer)?)
    }

    async fn exec(&mut self, node: &str, command: &[&str]) -> Result<Ran, Cause> {
        Ok(self.folder.run(node, command[2], &Default::default(), Duration::from_secs(60)).await?)
    }

    async fn open(&mut self, _: &str, _: u16) -> Result<u16, Cause> {
        Err("this folder publishes no port".into())
    }
}

impl Terminal for Shell {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        self.keys.write_all(bytes).await?;
        Ok(self.keys.flush().await?)
    }

    async fn read(&mut self, limit: Duration) -> Result<Option<Vec<u8>>, Cause> {
        let mut bytes = vec![0; 4096];
        match tokio::time::timeout(limit, self.screen.read(&mut bytes)).await {
            Err(_) => Ok(None),
            Ok(read) => {
                bytes.truncate(read?);
                Ok(Some(bytes))
            }
        }
    }
}

async fn play(body: &str) -> Vec<Outcome> {
    let head = "---\ntitle: T\nsummary: S\nminutes: 1\n---\n";
    let lab = Arc::new(parse("demo", &format!("{head}{body}")).unwrap());
    rehearse(&lab, &mut Desk::sit(&lab), |_| {}).await
}

fn misses(outcomes: &[Outcome]) -> Vec<String> {
    outcomes
        .iter()
        .filter_map(|outcome| outcome.failure.as_ref())
        .map(|failure| failure.miss.to_string())
        .collect()
}

#[tokio::test]
async fn a_lab_is_typed_and_solved_to_its_end() {
    let outcomes = play(
        "## Type\n\n```run capture=WORD\necho swordfish\n```\n\n\
         ```run\nfor i in 1 2; do\n  echo $i >> numbers\ndone\nsleep 0.2; echo done > typed\n```\n\n\
         ```check title=typed\n[ -e typed ] && [ \"$(wc -l < numbers)\" = 2 ]\n```\n\n\
         ## Follow {gated}\n\n```run\necho \"${WORD}\" > word\n```\n\n\
         ```run terminal=2 wait=swordfish\ntail -f word\n```\n\n\
         ```run interrupt terminal=2\n```\n\n```run terminal=2\ntouch free\n```\n\n\
         ```check title=followed\n[ -e free ] && grep -q \"$WORD\" word\n```\n\n\
         ## Think {gated}\n\nWhich?\n\n- (x) this\n- ( ) that\n\n\
         ```run input wait=prompt\ntouch half^C\n```\n\n```solve terminal=1\ntouch solved\n```\n\n\
         ```check title=solved\n[ -e solved ] && [ ! -e half ]\n```\n",
    )
    .await;
    assert_eq!(misses(&outcomes), [""; 0]);
    assert_eq!(outcomes.len(), 3);
}

#[tokio::test]
async fn a_check_that_holds_too_early_or_too_late_fails_its_step_and_those_behind_it() {
    let early = play("## One\n\n```check title=idle\ntrue\n```\n\n## Two\n").await;
    assert_eq!(misses(&early), ["line 8: check \"idle\" holds before the step was done", "not reached"]);
    let late = play(
        "## One\n\n```run\nls\n```\n\n```check title=never on-demand\necho nothing there\nexit 1\n```\n",
    )
    .await;
    assert_eq!(misses(&late), ["line 12: check \"never\" does not hold when its turn comes: nothing there"]);
    let failure = late[0].failure.as_ref().unwrap();
    assert!(failure.terminals[0].1.contains("$ ls"), "{failure:?}");
}

#[tokio::test]
async fn a_preparation_or_solve_that_fails_is_named() {
    let unprepared = play("```init hidden\necho no room >&2; exit 4\n```\n\n## One\n").await;
    assert!(
        matches!(&unprepared[0].failure.as_ref().unwrap().miss, Miss::Unprepared { message } if message.ends_with("no room"))
    );
    let unsolved = play("## One\n\n```solve\necho cannot; exit 3\n```\n").await;
    assert_eq!(misses(&unsolved), ["line 8: the solve script ended with 3: cannot\n"]);
}
