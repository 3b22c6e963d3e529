//! Services on a real cluster: wished, scheduled, run, moved.

use bollard_stubs::models::{ServiceSpecMode, ServiceSpecModeReplicated, TaskSpecContainerSpec};
use drydock_swarm::ask::{Answer, Ask, ServiceTo, Wish};
use drydock_swarm::objects::{ServiceSpec, TaskSpec, TaskState};

use crate::executor::Place;
use crate::lab::{Lab, lab, until};

fn spec(replicas: i64, image: &str) -> ServiceSpec {
    let container =
        TaskSpecContainerSpec { image: Some(image.to_owned()), ..TaskSpecContainerSpec::default() };
    ServiceSpec {
        name: Some("web".to_owned()),
        task_template: Some(TaskSpec { container_spec: Some(container), ..TaskSpec::default() }),
        mode: Some(ServiceSpecMode {
            replicated: Some(ServiceSpecModeReplicated { replicas: Some(replicas) }),
            ..ServiceSpecMode::default()
        }),
        ..ServiceSpec::default()
    }
}

async fn create(lab: &Lab, machine: usize, spec: ServiceSpec) -> String {
    let wish = Ask::Wish(Box::new(Wish::CreateService { spec, registry_auth: None }));
    match lab.machines[machine].ask(wish).await.unwrap() {
        Answer::Id(id) => id,
        other => panic!("{other:?}"),
    }
}

/// Task and machine of every container that runs, as the machines themselves know.
fn running(lab: &Lab, without: &[usize]) -> Vec<(String, usize)> {
    let machines = lab.machines.iter().enumerate().filter(|(number, _)| !without.contains(number));
    machines
        .flat_map(|(number, machine)| {
            machine.containers.running().into_iter().map(move |task| (task, number))
        })
        .collect()
}

async fn runs(lab: &Lab, without: &[usize], count: usize) {
    let look = || async { (running(lab, without).len() == count).then_some(()) };
    until("as many tasks run as are wished", look).await;
}

/// Tasks that the leader knows to run and wishes to.
async fn known(lab: &Lab, machine: usize, count: usize) {
    let look = || async {
        let counted = lab.machines[machine].on(|cluster| async move {
            let count = |view: &drydock_swarm::store::View, _: &drydock_swarm::ask::Reading| {
                let runs = view.tasks().iter().filter(|task| task.status.state == TaskState::RUNNING);
                runs.filter(|task| task.desired_state == TaskState::RUNNING).count()
            };
            cluster.read(count).await.ok()
        });
        (counted.await == Some(count)).then_some(())
    };
    until("the swarm knows that the tasks run", look).await;
}

#[test]
fn replicas_are_spread_over_all_nodes_and_any_manager_can_be_asked() {
    lab(5, async |mut lab| {
        lab.form(3).await;
        create(&lab, 1, spec(10, "busybox")).await;
        runs(&lab, &[], 10).await;
        known(&lab, 2, 10).await;
        let used = |machine: &&crate::lab::Machine| !machine.containers.running().is_empty();
        assert!(lab.machines.iter().filter(used).count() > 1, "the tasks are spread");
    });
}

#[test]
fn a_task_that_ends_is_replaced() {
    lab(1, async |mut lab| {
        lab.form(1).await;
        create(&lab, 0, spec(2, "busybox")).await;
        runs(&lab, &[], 2).await;
        let (task, _) = running(&lab, &[]).remove(0);
        lab.machines[0].containers.end(&task, 1);
        runs(&lab, &[], 2).await;
        assert!(running(&lab, &[]).iter().all(|(other, _)| *other != task));
    });
}

#[test]
fn the_tasks_of_a_dead_worker_run_elsewhere_and_end_on_it_when_it_is_back() {
    lab(4, async |mut lab| {
        lab.form(1).await;
        create(&lab, 0, spec(8, "busybox")).await;
        runs(&lab, &[], 8).await;
        known(&lab, 0, 8).await;
        lab.cut(&[0, 1, 2], &[3]);
        runs(&lab, &[3], 8).await;
        lab.heal();
        // What still ran on the worker that was cut off is told to stop: eight are wished.
        runs(&lab, &[], 8).await;
    });
}

#[test]
fn a_service_is_kept_through_the_loss_of_its_leader() {
    lab(4, async |mut lab| {
        lab.form(3).await;
        create(&lab, 0, spec(6, "busybox")).await;
        runs(&lab, &[], 6).await;
        let leader = lab.leader().await;
        lab.machines[leader].kill();
        let next = lab.leader_without(&[leader]).await;
        known(&lab, next, 6).await;
        let moved = || async {
            let alive = running(&lab, &[leader]);
            (alive.len() == 6).then_some(())
        };
        until("the tasks of the dead leader's node run elsewhere", moved).await;
    });
}

#[test]
fn an_update_replaces_every_task_and_a_removed_service_leaves_none() {
    lab(2, async |mut lab| {
        lab.form(1).await;
        let id = create(&lab, 0, spec(4, "busybox:1")).await;
        runs(&lab, &[], 4).await;
        let before = running(&lab, &[]);
        let update = || async {
            let service = id.clone();
            let read = lab.machines[0].on(|cluster| async move {
                cluster
                    .read(|view, _| {
                        view.services().get(service.as_str()).map(|service| service.meta.version.index)
                    })
                    .await
            });
            let version = read.await.ok()??;
            let to = ServiceTo::Spec(Box::new(spec(4, "busybox:2")));
            let wish = Wish::UpdateService { id: id.as_str().into(), version, to, registry_auth: None };
            lab.machines[0].ask(Ask::Wish(Box::new(wish))).await.ok()
        };
        until("the service is updated", update).await;
        let replaced = || async {
            let now = running(&lab, &[]);
            (now.len() == 4 && before.iter().all(|task| !now.contains(task))).then_some(())
        };
        until("no task of the old image runs", replaced).await;
        lab.machines[0]
            .ask(Ask::Wish(Box::new(Wish::RemoveService { id: id.as_str().into() })))
            .await
            .unwrap();
        runs(&lab, &[], 0).await;
        let gone = || async {
            before
                .iter()
                .all(|(task, at)| lab.machines[*at].containers.place(task) == Some(Place::Removed))
                .then_some(())
        };
        until("nothing is left of the old tasks", gone).await;
    });
}
