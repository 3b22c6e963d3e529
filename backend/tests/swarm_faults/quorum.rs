//! Managers are killed until too few are left, and come back.

use crate::support::eventually;
use crate::swarm::Swarm;
use crate::writer::Writer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_managers_may_be_killed_and_with_a_third_nothing_is_decided_until_it_is_back() {
    let swarm = Swarm::of("5-managers").await;
    let create = "service create -d -q --name still --constraint node.hostname==manager5 alpine sleep 1d";
    swarm.docker(4, create).await.ok();
    let still = swarm.runs("still", 1).await;
    let mut writer = Writer::begin(&swarm, 4);
    writer.goes_on(3).await;
    for killed in [0, 1] {
        swarm.kill_for_good(killed).await;
    }
    writer.goes_on(4).await;
    let mut acknowledged = writer.stop().await;

    swarm.kill_for_good(2).await;
    tokio::join!(swarm.decides_nothing(3), swarm.decides_nothing(4));
    assert_eq!(swarm.containers("still").await[4], still[4], "what runs runs on");

    swarm.let_back(2).await;
    eventually(async || swarm.leader(4).await).await;
    let mut writer = Writer::begin(&swarm, 3);
    writer.goes_on(1).await;
    for back in [0, 1] {
        swarm.let_back(back).await;
    }
    swarm.all_ready(4, 5).await;
    acknowledged.extend(writer.stop().await);
    swarm.all_have(&[0, 1, 2, 3, 4], &acknowledged).await;
    assert_eq!(swarm.runs("still", 1).await[4], still[4]);
    swarm.end().await;
}
