//! The swarm falls into two parts.

use crate::support::eventually;
use crate::swarm::{Cable, Swarm};
use crate::writer::Writer;

/// The first leader is on the smaller side.
const SMALL: [usize; 2] = [0, 1];
const LARGE: [usize; 3] = [2, 3, 4];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_parts_the_larger_decides_and_after_healing_there_is_one_swarm_and_no_task_twice() {
    let swarm = Swarm::of("5-managers").await;
    assert_eq!(swarm.leader(0).await, Some(0));
    for number in 1..=5 {
        let service = format!("solo{number}");
        swarm.docker(0, &format!("service create -d -q --name {service} alpine sleep 1d")).await.ok();
        swarm.runs(&service, 1).await;
    }
    let set = async |cable| {
        for one in SMALL {
            for other in LARGE {
                swarm.set_way(one, other, cable).await;
            }
        }
    };
    set(Cable::Cut).await;
    let [one, two] = SMALL;
    tokio::join!(swarm.decides_nothing(one), swarm.decides_nothing(two));
    let mut writer = Writer::begin(&swarm, 2);
    writer.goes_on(4).await;
    for node in SMALL {
        eventually(async || (swarm.listed(3, node).await? == "Down Unreachable").then_some(())).await;
    }
    // What ran in the smaller part is made anew in the larger one; there it runs on, as nobody can say otherwise.
    for number in 1..=5 {
        let service = format!("solo{number}");
        eventually(async || {
            let containers = swarm.containers(&service).await;
            (LARGE.map(|node| containers[node].len()).iter().sum::<usize>() == 1).then_some(())
        })
        .await;
    }
    set(Cable::Whole).await;
    swarm.all_ready(0, 5).await;
    writer.goes_on(2).await;
    let acknowledged = writer.stop().await;
    swarm.all_have(&[0, 1, 2, 3, 4], &acknowledged).await;
    let leader = swarm.leader(0).await;
    assert!(leader.is_some_and(|leader| LARGE.contains(&leader)));
    for node in 1..5 {
        assert_eq!(swarm.leader(node).await, leader, "all follow the same");
        assert!(swarm.inspect(node, "config", "lost", "{{.ID}}").await.is_none(), "it was refused");
    }
    for number in 1..=5 {
        swarm.runs(&format!("solo{number}"), 1).await;
    }
    swarm.end().await;
}
