//! A worker's cable is cut.

use crate::support::eventually;
use crate::swarm::{Cable, Swarm};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_of_a_worker_that_is_cut_off_runs_elsewhere_and_once_when_the_worker_is_back() {
    let swarm = Swarm::of("3-managers-2-workers").await;
    let create = "service create -d -q --name solo --constraint node.role==worker alpine sleep 1d";
    swarm.docker(0, create).await.ok();
    let first = swarm.runs("solo", 1).await;
    let lost = first.iter().position(|containers| !containers.is_empty()).unwrap();
    let other = if lost == 3 { 4 } else { 3 };

    swarm.set_cable(lost, Cable::Cut).await;
    eventually(async || (swarm.listed(0, lost).await? == "Down").then_some(())).await;
    eventually(async || (swarm.containers("solo").await[other].len() == 1).then_some(())).await;
    let replicas = swarm.docker(0, "service ls --filter name=solo --format '{{.Replicas}}'").await.ok();
    assert_eq!(replicas, "1/1", "what nobody hears of is not counted");
    // An agent without a manager keeps up what it was told last, as in moby.
    let both = swarm.containers("solo").await;
    assert_eq!((&both[lost], both[other].len()), (&first[lost], 1));

    swarm.set_cable(lost, Cable::Whole).await;
    eventually(async || (swarm.listed(0, lost).await? == "Ready").then_some(())).await;
    let left = swarm.runs("solo", 1).await;
    assert_eq!(left[other], both[other], "the one that stays is the one that is wanted");
    let tasks = "service ps solo --filter desired-state=running --format '{{.Node}} {{.CurrentState}}'";
    let tasks = swarm.docker(0, tasks).await.ok();
    assert!(tasks.starts_with(&format!("{} Running", swarm.nodes[other].hostname)), "{tasks}");
    assert_eq!(tasks.lines().count(), 1);
    swarm.end().await;
}
