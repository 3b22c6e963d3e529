//! The swarm's own settings.

use super::{Verdict, refuse_if};
use crate::objects::{Cluster, Duration, SwarmSpec};

const LEAST_EXPIRY: Duration = Duration::seconds(3600);

pub fn validate_cluster(spec: &SwarmSpec) -> Verdict {
    let expiry = spec.ca_config.as_ref().and_then(|config| config.node_cert_expiry);
    refuse_if(expiry.is_some_and(|expiry| expiry != 0 && Duration(expiry) < LEAST_EXPIRY), || {
        "minimum certificate expiry time is: 1h0m0s".into()
    })?;
    let heartbeat = spec.dispatcher.as_ref().and_then(|dispatcher| dispatcher.heartbeat_period);
    refuse_if(heartbeat.is_some_and(|period| period < 0), || {
        "heartbeat time period cannot be a negative duration".into()
    })?;
    refuse_if(spec.name.as_deref() != Some(Cluster::NAME), || {
        "modification of cluster name is not allowed".into()
    })
}
