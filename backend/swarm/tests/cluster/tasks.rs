//! Tasks on their way: assigned by a leader, run by agents, told back.
//!
//! The tasks are put into the store as the scheduler would; they are of no service, so that nothing but their agent acts on them.

use bollard_stubs::models::{TaskSpecContainerSpec, TaskSpecContainerSpecSecrets};
use drydock_swarm::agent::Database;
use drydock_swarm::dispatcher::calls::{LogOptions, LogRequest, LogSelector};
use drydock_swarm::objects::{Secret, Task, TaskSpec, TaskState};
use drydock_swarm::store::Transaction;

use crate::executor::Place;
use crate::lab::{Lab, lab, until};

async fn change(lab: &Lab, change: impl Fn(&mut Transaction<'_>) + Send + Sync + Clone + 'static) {
    let attempt = || async {
        let leader = lab.leader().await;
        let (manager, change) = (lab.machines[leader].manager(), change.clone());
        let update = move |_| async move {
            let update = manager.raft().update(|tx| {
                change(tx);
                Ok(())
            });
            update.await.ok()
        };
        lab.machines[leader].on(update).await
    };
    until("the store is changed", attempt).await;
}

fn task(id: &str, node: &str) -> Task {
    let container = TaskSpecContainerSpec {
        secrets: Some(vec![TaskSpecContainerSpecSecrets {
            secret_id: Some("secret".into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    let mut task = Task {
        id: id.into(),
        node_id: Some(node.into()),
        desired_state: TaskState::RUNNING,
        spec: TaskSpec { container_spec: Some(container), ..TaskSpec::default() },
        ..Task::default()
    };
    task.status.state = TaskState::ASSIGNED;
    task
}

fn secret() -> Secret {
    let mut secret = Secret { id: "secret".into(), ..Secret::default() };
    secret.spec.name = Some("secret".into());
    secret
}

async fn assign(lab: &Lab, id: &'static str, machine: usize) {
    let node = lab.machines[machine].id();
    change(lab, move |tx| {
        if tx.secrets().is_empty() {
            tx.create(secret()).unwrap();
        }
        tx.create(task(id, &node)).unwrap();
    })
    .await;
}

async fn wish(lab: &Lab, id: &'static str, state: TaskState) {
    change(lab, move |tx| {
        let mut task = tx.tasks().get(id).unwrap().as_ref().clone();
        task.desired_state = state;
        tx.update(task).unwrap();
    })
    .await;
}

async fn is_told(lab: &Lab, id: &str, state: TaskState) -> Task {
    let look = || async {
        let leader = lab.leader().await;
        let manager = lab.machines[leader].cluster().manager().ok()?;
        let task = manager.raft().replica().view(|view| view.tasks().get(id).cloned())?;
        (task.status.state == state).then(|| task.as_ref().clone())
    };
    until("the leader knows the task's state", look).await
}

async fn is_in(lab: &Lab, machine: usize, id: &str, place: Place) {
    let look = || async { (lab.machines[machine].containers.place(id) == Some(place)).then_some(()) };
    until("the container is where it should be", look).await;
}

#[test]
fn a_task_runs_where_it_was_assigned_and_its_secret_is_there_and_nowhere_else() {
    lab(3, async |mut lab| {
        lab.form(1).await;
        assign(&lab, "task", 1).await;
        let told = is_told(&lab, "task", TaskState::RUNNING).await;
        assert_eq!(told.status.message, "started");
        assert_eq!(told.status.container.unwrap().container_id.as_deref(), Some("container-of-task"));
        assert_eq!(lab.machines[1].containers.place("task"), Some(Place::Runs));
        assert_eq!(lab.machines[2].containers.place("task"), None);
        let has_secret = |machine: usize| {
            let assets = lab.machines[machine].containers.assets.lock().unwrap();
            assets.as_ref().is_some_and(|assets| assets.secret("secret").is_some())
        };
        assert!(has_secret(1) && !has_secret(2));
        wish(&lab, "task", TaskState::SHUTDOWN).await;
        is_told(&lab, "task", TaskState::SHUTDOWN).await;
        until("the secret is gone", || async { (!has_secret(1)).then_some(()) }).await;
        change(&lab, |tx| tx.delete::<Task>(&"task".into()).unwrap()).await;
        is_in(&lab, 1, "task", Place::Removed).await;
    });
}

#[test]
fn how_a_task_ended_is_told() {
    lab(1, async |mut lab| {
        lab.form(1).await;
        assign(&lab, "good", 0).await;
        assign(&lab, "bad", 0).await;
        is_told(&lab, "good", TaskState::RUNNING).await;
        is_told(&lab, "bad", TaskState::RUNNING).await;
        lab.machines[0].containers.end("good", 0);
        lab.machines[0].containers.end("bad", 3);
        assert_eq!(is_told(&lab, "good", TaskState::COMPLETE).await.status.message, "finished");
        assert_eq!(is_told(&lab, "bad", TaskState::FAILED).await.status.err, "task: non-zero exit (3)");
    });
}

#[test]
fn tasks_run_on_over_a_restart_and_what_ended_meanwhile_is_told() {
    lab(2, async |mut lab| {
        lab.form(1).await;
        assign(&lab, "stays", 1).await;
        assign(&lab, "ends", 1).await;
        is_told(&lab, "stays", TaskState::RUNNING).await;
        is_told(&lab, "ends", TaskState::RUNNING).await;
        lab.machines[1].kill();
        lab.machines[1].containers.end("ends", 7);
        lab.machines[1].boot();
        assert_eq!(is_told(&lab, "ends", TaskState::FAILED).await.status.err, "task: non-zero exit (7)");
        assert_eq!(lab.machines[1].containers.place("stays"), Some(Place::Runs));
        wish(&lab, "stays", TaskState::SHUTDOWN).await;
        is_in(&lab, 1, "stays", Place::Ended(0)).await;
    });
}

#[test]
fn a_worker_finds_the_next_leader_and_tells_it_what_the_last_did_not_hear() {
    lab(4, async |mut lab| {
        lab.form(3).await;
        assign(&lab, "task", 3).await;
        is_told(&lab, "task", TaskState::RUNNING).await;
        let old = lab.leader().await;
        lab.machines[old].kill();
        lab.machines[3].containers.end("task", 1);
        assert_eq!(is_told(&lab, "task", TaskState::FAILED).await.status.err, "task: non-zero exit (1)");
    });
}

#[test]
fn logs_come_from_every_node_that_has_such_tasks() {
    lab(3, async |mut lab| {
        lab.form(1).await;
        assign(&lab, "one", 1).await;
        assign(&lab, "two", 2).await;
        is_told(&lab, "one", TaskState::RUNNING).await;
        is_told(&lab, "two", TaskState::RUNNING).await;
        let request = LogRequest {
            selector: LogSelector { tasks: vec!["one".into(), "two".into()], ..LogSelector::default() },
            options: LogOptions { stdout: true, ..LogOptions::default() },
        };
        let read = |request: LogRequest| {
            lab.machines[0].on(move |cluster| async move {
                let mut stream = cluster.logs(request).await.unwrap();
                let mut lines = Vec::new();
                while let Some(batch) = stream.next().await {
                    lines.extend(
                        batch.unwrap().lines.into_iter().map(|line| (line.task_id.to_string(), line.data)),
                    );
                }
                lines.sort();
                lines
            })
        };
        let expected: Vec<(String, String)> = ["one", "two"]
            .iter()
            .flat_map(|task| (0..3).map(move |number| (task.to_string(), format!("line {number}"))))
            .collect();
        assert_eq!(read(request).await, expected);
    });
}

#[test]
fn a_node_leaves_although_tasks_are_still_assigned_to_it() {
    lab(2, async |mut lab| {
        lab.form(1).await;
        let id = lab.machines[1].id();
        let manager = lab.machines[0].manager();
        let assigning = tokio::spawn(async move {
            for number in 0.. {
                let made = manager.raft().update(|tx| {
                    tx.create(task(&format!("task{number}"), &id))?;
                    Ok(())
                });
                if made.await.is_err() {
                    return;
                }
            }
        });
        is_in(&lab, 1, "task5", Place::Runs).await;
        lab.machines[1].on(|cluster| async move { cluster.leave(false).await }).await.unwrap();
        assigning.abort();
        assert_eq!(lab.machines[1].containers.running(), Vec::<String>::new());
    });
}

#[test]
fn an_end_that_was_written_down_and_not_told_is_told_after_a_restart() {
    lab(2, async |mut lab| {
        lab.form(1).await;
        assign(&lab, "ends", 1).await;
        let mut running = is_told(&lab, "ends", TaskState::RUNNING).await;
        lab.machines[1].shut_down().await;
        let database = Database::open(lab.machines[1].data_root()).unwrap();
        running.desired_state = TaskState::RUNNING;
        let mut ended = running.status.clone();
        ended.state = TaskState::FAILED;
        ended.err = "task: non-zero exit (7)".into();
        database.save(&running, &ended).unwrap();
        lab.machines[1].boot();
        assert_eq!(is_told(&lab, "ends", TaskState::FAILED).await.status.err, "task: non-zero exit (7)");
    });
}
