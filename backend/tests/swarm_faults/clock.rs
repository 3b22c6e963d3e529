//! Wall clocks of nodes step while the swarm works. The machine's own stays.

use std::path::Path;

use crate::support::eventually;
use crate::swarm::Swarm;
use crate::writer::Writer;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// Puts the program that gives the engine a clock of its own in the place of the engine and of what the engine starts for each container
/// (`backend/sys/examples/stepped_clock.rs` says how).
const TAKE_CLOCK: &str = "set -e; chmod +x /root/stepped_clock; mkdir /root/itself; mount --rbind /usr/local/bin /root/itself; \
     mount --make-rprivate /root/itself; mount --bind /root/stepped_clock /usr/local/bin/drydock-engine; \
     mount --bind /root/stepped_clock /root/itself/drydock-shim; kill $(cat /var/run/docker.pid)";

/// How far the engine's clock is from the machine's, in seconds.
const DIFFERENCE: &str =
    "now=$(timeout 30 docker info -f '{{.SystemTime}}') && echo $(( $(date -d \"$now\" +%s) - $(date +%s) ))";

/// What the engine tells of its containers, up to now by its own clock.
const EVENTS: &str = "timeout 30 docker events --since 2001-01-01T00:00:00Z --until $(docker info -f '{{.SystemTime}}') \
     --filter type=container --format '{{.Action}} {{.Actor.Attributes.image}}'";

impl Swarm {
    /// Five managers, each with a clock of its own.
    async fn with_clocks() -> Self {
        let program = std::env::current_exe().unwrap();
        let built = program.parent().and_then(Path::parent).unwrap().join("examples/stepped_clock");
        let clock = std::fs::read(&built).unwrap_or_else(|error| {
            let name = built.display();
            panic!("{name}: {error}: `cargo build --release --examples -p drydock-sys` makes it")
        });
        let swarm = Self::of("5-managers").await;
        for (number, node) in swarm.nodes.iter().enumerate() {
            let url = format!("{}/instances/{}/file?path=/root/stepped_clock", swarm.play.url, node.name);
            let put = swarm.play.http.put(url).body(clock.clone()).send().await.unwrap();
            assert_eq!(put.status(), 200);
            swarm.sh(number, TAKE_CLOCK).await.ok();
            swarm.shows(number, 0).await;
            swarm.all_ready((number + 1) % 5, 5).await;
        }
        swarm
    }

    /// Gives agents half a minute before they count as lost, so that only a clock can make them: a busy machine is silent for a second.
    async fn is_patient(&self, by: usize) {
        self.docker(by, "swarm update --dispatcher-heartbeat 10s").await.ok();
    }

    /// Waits until the node's engine goes by a clock that is so many seconds away from the machine's.
    async fn shows(&self, node: usize, seconds: i64) {
        eventually(async || {
            let shown: i64 = self.sh(node, DIFFERENCE).await.out.parse().ok()?;
            ((shown - seconds).abs() < HOUR / 2).then_some(())
        })
        .await;
    }

    /// Steps a node's clock so many seconds away from the machine's.
    async fn step(&self, node: usize, seconds: i64) {
        self.sh(node, &format!("echo {seconds} > /root/clock-offset")).await.ok();
        self.shows(node, seconds).await;
    }

    /// Ends a node's engine, and lets the next one begin with that clock.
    async fn boot_with(&self, node: usize, seconds: i64) {
        let script = format!("echo {seconds} > /root/clock-offset; kill $(cat /var/run/docker.pid)");
        self.sh(node, &script).await.ok();
        self.shows(node, seconds).await;
    }

    /// Every node with the version of what the swarm knows of it: another one says that it was lost, came back or is led by another.
    async fn standing(&self, by: usize) -> String {
        let list =
            "docker node inspect -f '{{.ID}} {{.Version.Index}} {{.Status.State}}' $(docker node ls -q)";
        self.sh(by, list).await.ok()
    }

    /// Makes a service with a task on each node; its containers, once all that can be asked about them is answered.
    async fn make_and_see(&self, by: usize, stepped: usize, name: &str) -> Vec<Vec<String>> {
        let create =
            format!("service create -d -q --mode global --name {name} alpine sh -c 'echo {name}; sleep 1d'");
        self.docker(by, &create).await.ok();
        let containers = self.runs(name, 5).await;
        for asked in [by, stepped] {
            eventually(async || {
                let tasks = self
                    .docker(asked, &format!("service ps {name} --format '{{{{.CurrentState}}}}'"))
                    .await
                    .ok();
                let running = tasks.lines().filter(|task| task.starts_with("Running")).count();
                assert_eq!(tasks.lines().count(), 5, "{tasks}");
                (running == 5).then_some(())
            })
            .await;
            eventually(async || {
                let logs = self.docker(asked, &format!("service logs --raw {name}")).await.ok();
                (logs == [name; 5].join("\n")).then_some(())
            })
            .await;
        }
        let image = "alpine";
        let events = self.sh(stepped, EVENTS).await.ok();
        assert!(events.lines().any(|event| event.starts_with(&format!("start {image}"))), "{events}");
        containers
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_forward_and_back_on_the_leader_and_on_a_follower_is_no_news_to_the_swarm() {
    let swarm = Swarm::with_clocks().await;
    let leader = swarm.leader(0).await.unwrap();
    let (follower, by) = ((leader + 1) % 5, (leader + 2) % 5);
    swarm.is_patient(by).await;
    let standing = swarm.standing(by).await;
    let mut writer = Writer::begin(&swarm, by);
    let mut running = Vec::new();
    for (stepped, seconds) in [
        (leader, DAY),
        (leader, -DAY),
        (leader, 0),
        (follower, DAY),
        (follower, -DAY),
        (follower, HOUR),
        (follower, 0),
    ] {
        swarm.step(stepped, seconds).await;
        writer.goes_on(3).await;
        let name = format!("made{}", running.len());
        running.push((name.clone(), swarm.make_and_see(by, stepped, &name).await));
        for asked in [leader, follower, by] {
            assert_eq!(swarm.leader(asked).await, Some(leader), "a step is no reason for an election");
            assert_eq!(swarm.standing(asked).await, standing, "no node was lost");
        }
    }
    writer.goes_on(3).await;
    let acknowledged = writer.stop().await;
    swarm.all_have(&[0, 1, 2, 3, 4], &acknowledged).await;
    for (name, containers) in running {
        assert_eq!(swarm.containers(&name).await, containers, "nothing was started again");
        let tasks = swarm.docker(by, &format!("service ps -q {name}")).await.ok();
        assert_eq!(tasks.lines().count(), 5, "no task was made again");
    }
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delays_are_as_long_as_they_are_while_the_leaders_clock_steps() {
    let swarm = Swarm::with_clocks().await;
    let leader = swarm.leader(0).await.unwrap();
    let by = (leader + 1) % 5;
    swarm.is_patient(by).await;
    let state = "{{.UpdateStatus.State}}";
    let create = "service create -d -q --replicas 2 --update-parallelism 1 --stop-signal KILL";
    let sleep = "alpine sleep 1d";
    for service in [
        format!("{create} --name slow --update-delay 1h {sleep}"),
        format!("{create} --name quick --update-delay 4s --update-monitor 4s {sleep}"),
        "service create -d -q --name again --restart-delay 1h alpine false".to_owned(),
        "service create -d -q --name often --restart-delay 3s alpine false".to_owned(),
    ] {
        swarm.docker(by, &service).await.ok();
    }
    for name in ["slow", "quick"] {
        swarm.runs(name, 2).await;
    }
    // A slot that waits for its delay has the task that failed and the one that is ready.
    let tasks = async |name: &str| {
        let list = swarm.docker(by, &format!("service ps -q {name}")).await.ok();
        list.lines().count()
    };
    eventually(async || (tasks("again").await == 2).then_some(())).await;
    let first = swarm.containers("slow").await.concat();
    swarm.docker(by, "service update -d -q --force slow").await.ok();
    // The first slot is updated, and the other waits.
    let stays = async || {
        let now = swarm.containers("slow").await.concat();
        let old = now.iter().filter(|container| first.contains(container)).count();
        (now.len(), old)
    };
    eventually(async || (stays().await == (2, 1)).then_some(())).await;

    for seconds in [DAY, -DAY, 0] {
        swarm.docker(by, "service update -d -q --force quick").await.ok();
        eventually(async || {
            (swarm.inspect(by, "service", "quick", state).await? == "updating").then_some(())
        })
        .await;
        swarm.step(leader, seconds).await;
        let newest = swarm.docker(by, "service ps -q often").await.ok().lines().next().map(str::to_owned);
        // What is due in seconds is done, so the leader has looked at everything since.
        eventually(async || {
            (swarm.inspect(by, "service", "quick", state).await? == "completed").then_some(())
        })
        .await;
        eventually(async || {
            let now = swarm.docker(by, "service ps -q often").await.ok().lines().next().map(str::to_owned);
            (now != newest).then_some(())
        })
        .await;
        assert_eq!(swarm.inspect(by, "service", "slow", state).await.as_deref(), Some("updating"));
        assert_eq!(stays().await, (2, 1), "an hour is not over");
        assert_eq!(tasks("again").await, 2, "nor is the other");
        assert_eq!(swarm.leader(by).await, Some(leader));
    }
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_begins_with_a_wrong_clock_says_so_and_is_back_when_the_clock_is_right() {
    let swarm = Swarm::with_clocks().await;
    let leader = swarm.leader(0).await.unwrap();
    let (wrong, by) = ((leader + 1) % 5, (leader + 2) % 5);
    swarm.docker(by, "service create -d -q --name all --mode global alpine sleep 1d").await.ok();
    swarm.runs("all", 5).await;
    let mut writer = Writer::begin(&swarm, by);
    let trouble = async || swarm.docker(wrong, "info -f '{{.Swarm.Error}}'").await.ok();
    let is_back = async || {
        eventually(async || (swarm.listed(by, wrong).await? == "Ready Reachable").then_some(())).await;
        eventually(async || trouble().await.is_empty().then_some(())).await;
        assert_eq!(swarm.leader(wrong).await, Some(leader));
    };

    // Certificates are made out an hour back and for ninety days, and renewed from the half of that on.
    for seconds in [DAY, 75 * DAY] {
        swarm.boot_with(wrong, seconds).await;
        is_back().await;
        writer.goes_on(6).await;
    }
    let renewals = "grep -c 'the certificate was renewed' /var/log/docker.log";
    let renewals: u32 = swarm.sh(wrong, renewals).await.out.parse().unwrap();
    assert!(
        (1..12).contains(&renewals),
        "{renewals} renewals of a certificate that is due as soon as it is there"
    );

    for (seconds, side) in [(-DAY, "before"), (100 * DAY, "after")] {
        swarm.boot_with(wrong, seconds).await;
        eventually(async || (swarm.listed(by, wrong).await? == "Down Unreachable").then_some(())).await;
        let said = trouble().await;
        let expected = format!(" not valid {side} ");
        assert!(said.starts_with("certificate (1 - ") && said.contains(&expected), "{said}");
        assert!(said.ends_with(": x509: certificate has expired or is not yet valid"), "{said}");
        writer.goes_on(3).await;
        swarm.step(wrong, 0).await;
        is_back().await;
    }
    let acknowledged = writer.stop().await;
    swarm.all_have(&[0, 1, 2, 3, 4], &acknowledged).await;
    swarm.runs("all", 5).await;
    assert_eq!(swarm.leader(by).await, Some(leader), "one manager's clock is no reason for an election");
    swarm.end().await;
}
