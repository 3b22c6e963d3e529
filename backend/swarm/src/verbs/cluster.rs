//! `docker swarm update`.

use super::missing;
use crate::objects::{Cluster, ClusterId, SwarmSpec, Version};
use crate::status::Status;
use crate::store::Transaction;
use crate::validate::validate_cluster;

/// Takes the settings that are said and keeps the others, as of the version the user saw.
pub fn update(tx: &mut Transaction<'_>, id: &ClusterId, version: u64, spec: SwarmSpec) -> Result<(), Status> {
    let Some(cluster) = tx.clusters().get(id.as_str()) else { return Err(missing("cluster", id.as_str())) };
    let mut cluster = Cluster::clone(cluster);
    let spec = merged(&cluster.spec, spec);
    validate_cluster(&spec)?;
    cluster.meta.version = Version { index: version };
    cluster.spec = spec;
    Ok(tx.update(cluster)?)
}

/// A setting that is missing or zero is one that was not said.
pub fn merged(current: &SwarmSpec, said: SwarmSpec) -> SwarmSpec {
    let mut spec = current.clone();
    spec.name = said.name.filter(|name| !name.is_empty()).or(spec.name);
    spec.labels = said.labels.filter(|labels| !labels.is_empty()).or(spec.labels);
    if let Some(limit) = said.orchestration.and_then(|it| it.task_history_retention_limit) {
        spec.orchestration.get_or_insert_default().task_history_retention_limit = Some(limit);
    }
    if let Some(raft) = said.raft {
        let own = spec.raft.get_or_insert_default();
        own.snapshot_interval = raft.snapshot_interval.filter(|it| *it != 0).or(own.snapshot_interval);
        own.keep_old_snapshots = raft.keep_old_snapshots.or(own.keep_old_snapshots);
        own.log_entries_for_slow_followers =
            raft.log_entries_for_slow_followers.filter(|it| *it != 0).or(own.log_entries_for_slow_followers);
        own.heartbeat_tick = raft.heartbeat_tick.filter(|it| *it != 0).or(own.heartbeat_tick);
        own.election_tick = raft.election_tick.filter(|it| *it != 0).or(own.election_tick);
    }
    if let Some(period) = said.dispatcher.and_then(|it| it.heartbeat_period).filter(|it| *it != 0) {
        spec.dispatcher.get_or_insert_default().heartbeat_period = Some(period);
    }
    if let Some(config) = said.ca_config {
        let own = spec.ca_config.get_or_insert_default();
        own.node_cert_expiry = config.node_cert_expiry.filter(|it| *it != 0).or(own.node_cert_expiry);
        own.signing_ca_cert =
            config.signing_ca_cert.filter(|it| !it.is_empty()).or(own.signing_ca_cert.take());
        own.signing_ca_key = config.signing_ca_key.filter(|it| !it.is_empty()).or(own.signing_ca_key.take());
        own.external_cas = config.external_cas.or(own.external_cas.take());
        own.force_rotate = Some(config.force_rotate.unwrap_or(0));
    }
    spec.encryption_config = said.encryption_config.or(spec.encryption_config);
    spec.task_defaults = said.task_defaults.or(spec.task_defaults);
    spec
}
