//! Engines are killed and restarted under a rolling update.

use crate::support::eventually;
use crate::swarm::Swarm;

const REPLICAS: usize = 5;
const STATE: &str = "{{.UpdateStatus.State}}";

async fn converges(order: &str) {
    let swarm = Swarm::of("5-managers").await;
    let create = format!(
        "service create -d -q --name web --replicas {REPLICAS} --stop-signal KILL --update-order {order} \
         --update-parallelism 1 --update-delay 4s --update-monitor 200ms --env VERSION=1 alpine sleep 1d"
    );
    swarm.docker(0, &create).await.ok();
    swarm.runs("web", REPLICAS).await;
    swarm.docker(0, "service update -d -q --env-add VERSION=2 web").await.ok();
    eventually(async || (swarm.inspect(0, "service", "web", STATE).await? == "updating").then_some(())).await;
    for node in 0..5 {
        let by = (node + 1) % 5;
        assert_eq!(swarm.inspect(by, "service", "web", STATE).await.as_deref(), Some("updating"));
        match node % 2 {
            0 => swarm.kill_engine(node).await,
            _ => drop(swarm.sh(node, "kill $(pidof drydock-engine)").await.ok()),
        }
        swarm.all_ready(by, 5).await;
    }
    eventually(async || {
        let state = swarm.inspect(0, "service", "web", STATE).await?;
        assert!(["updating", "completed"].contains(&state.as_str()), "{state}");
        (state == "completed").then_some(())
    })
    .await;
    swarm.runs("web", REPLICAS).await;
    let replicas = swarm.docker(1, "service ls --format '{{.Replicas}}'").await.ok();
    assert_eq!(replicas, format!("{REPLICAS}/{REPLICAS}"));
    let versions = "docker ps -q --filter label=com.docker.swarm.service.name=web | xargs -r docker inspect -f '{{.Config.Env}}'";
    let mut seen = 0;
    for node in 0..5 {
        let said = swarm.sh(node, versions).await.ok();
        assert!(said.lines().all(|line| line.contains("VERSION=2")), "{said}");
        seen += said.lines().count();
    }
    assert_eq!(seen, REPLICAS);
    let wanted = swarm.docker(2, "service ps web -q --filter desired-state=running").await.ok();
    assert_eq!(wanted.lines().count(), REPLICAS);
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_stops_first_converges_while_every_engine_goes_and_comes() {
    converges("stop-first").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_that_starts_first_converges_while_every_engine_goes_and_comes() {
    converges("start-first").await;
}
