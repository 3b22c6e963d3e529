//! How busy the nodes and their links are, every two seconds while somebody watches.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use drydock_agent::protocol::Stats as Sample;
use drydock_wire::topology::Stats;
use futures_util::future::join_all;
use serde_json::json;

use super::traffic::{self, Sample as Links};
use super::{Instance, Session};

const ROUND: Duration = Duration::from_secs(2);

/// Runs until it is dropped.
pub async fn sample(session: &Session) {
    let mut watchers = session.watchers();
    // By instance: processor time and when it was read.
    let mut before: HashMap<String, (u64, Instant)> = HashMap::new();
    let mut passed: HashMap<String, Links> = HashMap::new();
    loop {
        if watchers.wait_for(|watchers| *watchers > 0).await.is_err() {
            return;
        }
        let instances = session.instances();
        before.retain(|name, _| instances.iter().any(|instance| instance.name() == name));
        let samples = join_all(instances.iter().map(async |instance| {
            // A node that does not answer has no figures; the topology says what is wrong with it.
            let sample = instance.agent().stats().await.ok()?;
            Some((instance, sample, (sample.cpu_ns, Instant::now())))
        }))
        .await;
        for (instance, sample, now) in samples.into_iter().flatten() {
            let last = before.insert(instance.name().to_owned(), now);
            publish(session, instance, figures(&sample, last, now));
        }
        let links = instances.iter().map(|instance| {
            let before = passed.remove(instance.name());
            async { Some((instance.name().to_owned(), traffic::sample(session, instance, before).await?)) }
        });
        passed = join_all(links).await.into_iter().flatten().collect();
        tokio::time::sleep(ROUND).await;
    }
}

fn figures(sample: &Sample, last: Option<(u64, Instant)>, now: (u64, Instant)) -> Stats {
    let cpu_percent = last.map_or(0.0, |(cpu_ns, at)| {
        let elapsed = now.1.duration_since(at).as_nanos().max(1) as f64;
        (now.0.saturating_sub(cpu_ns) as f64 / elapsed * 100.0) as f32
    });
    Stats {
        cpu_percent,
        memory_bytes: sample.memory_bytes,
        memory_limit_bytes: sample.memory_limit_bytes,
        disk_bytes: sample.disk_bytes,
        disk_limit_bytes: sample.disk_limit_bytes,
    }
}

/// `instance stats`: play-with-docker's two texts beside the figures they are made of.
fn publish(session: &Session, instance: &Instance, stats: Stats) {
    instance.observed().stats = Some(stats);
    let share = 100.0 * stats.memory_bytes as f64 / stats.memory_limit_bytes.max(1) as f64;
    let memory =
        format!("{share:.2}% ({} / {})", mebibytes(stats.memory_bytes), mebibytes(stats.memory_limit_bytes));
    let mut shown = json!(stats);
    shown["instance"] = json!(instance.name());
    shown["mem"] = json!(memory);
    shown["cpu"] = json!(format!("{:.2}%", stats.cpu_percent));
    session.events.publish_state("instance stats", instance.name(), vec![shown]);
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}MiB", bytes as f64 / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_becomes_a_share_of_one_processor() {
        let start = Instant::now();
        let later = start + Duration::from_secs(2);
        let sample = Sample { cpu_ns: 5_000_000_000, ..Sample::default() };
        for (last, percent) in [
            (None, 0.0),
            (Some((4_000_000_000, start)), 50.0),
            (Some((1_000_000_000, start)), 200.0),
            // A node that was made anew counts from nothing again.
            (Some((9_000_000_000, start)), 0.0),
        ] {
            assert_eq!(figures(&sample, last, (sample.cpu_ns, later)).cpu_percent, percent);
        }
    }
}
