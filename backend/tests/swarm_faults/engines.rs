//! The leader's engine is killed.

use crate::support::eventually;
use crate::swarm::Swarm;
use crate::writer::Writer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_under_writes_and_comes_back_as_a_follower() {
    let swarm = Swarm::of("5-managers").await;
    let old = swarm.leader(0).await.unwrap();
    let other = (old + 1) % 5;
    let mut writer = Writer::begin(&swarm, other);
    writer.goes_on(3).await;
    swarm.kill_for_good(old).await;
    let new = eventually(async || swarm.leader(other).await.filter(|leader| *leader != old)).await;
    writer.goes_on(4).await;
    eventually(async || (swarm.listed(other, old).await? == "Down Unreachable").then_some(())).await;
    swarm.let_back(old).await;
    eventually(async || (swarm.listed(other, old).await? == "Ready Reachable").then_some(())).await;
    writer.goes_on(4).await;
    let acknowledged = writer.stop().await;
    swarm.all_have(&[0, 1, 2, 3, 4], &acknowledged).await;
    assert_eq!(swarm.leader(old).await, Some(new), "it follows");
    swarm.end().await;
}
