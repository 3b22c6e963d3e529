//! A manager's disk is full.

use crate::support::eventually;
use crate::swarm::Swarm;
use crate::writer::Writer;

/// Takes all that is free; a file that has no blocks left to grow into says so only in whole blocks.
const FILL: &str = "fallocate -l $(df --output=avail -B1 /var/lib/docker | tail -1) /var/lib/docker/fill; \
                    until ! dd if=/dev/zero bs=4k count=16 of=/var/lib/docker/fill$((n++)) status=none 2>/dev/null; do :; done";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_whose_disk_is_full_steps_out_and_catches_up_when_there_is_room_again() {
    let swarm = Swarm::with("5-managers", |config| config.node_limits.disk = 256 << 20).await;
    let full = swarm.leader(0).await.unwrap();
    let other = (full + 1) % 5;
    let mut writer = Writer::begin(&swarm, other);
    writer.goes_on(2).await;
    swarm.sh(full, FILL).await.ok();
    let new = eventually(async || swarm.leader(other).await.filter(|leader| *leader != full)).await;
    writer.goes_on(6).await;
    let trouble = "info -f '{{.Swarm.LocalNodeState}} {{.Swarm.Error}}'";
    eventually(async || {
        let said = swarm.docker(full, trouble).await.out;
        (said.starts_with("error") && said.contains("o space left on device")).then_some(())
    })
    .await;
    eventually(async || (swarm.listed(other, full).await? == "Ready Unreachable").then_some(())).await;
    assert_eq!(swarm.leader(other).await, Some(new), "it does not disturb the others");

    swarm.sh(full, "rm /var/lib/docker/fill*; kill $(pidof drydock-engine)").await.ok();
    eventually(async || (swarm.listed(other, full).await? == "Ready Reachable").then_some(())).await;
    writer.goes_on(2).await;
    let acknowledged = writer.stop().await;
    swarm.all_have(&[0, 1, 2, 3, 4], &acknowledged).await;
    assert_eq!(swarm.leader(full).await, Some(new));
    swarm.end().await;
}
