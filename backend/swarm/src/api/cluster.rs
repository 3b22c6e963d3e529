//! The swarm itself.

use bollard_stubs::models as wire;

use super::{date, version};
use crate::objects::Cluster;

/// What `GET /info` tells, which is all but the join tokens. The issuer of certificates is for the
/// certificate authority to name.
pub fn cluster(cluster: &Cluster, issuer: &wire::TlsInfo) -> wire::ClusterInfo {
    let mut spec = cluster.spec.clone();
    spec.labels.get_or_insert_default();
    // The signing key is a secret, and the certificate alone would make no sense given back.
    if let Some(config) = &mut spec.ca_config {
        (config.signing_ca_cert, config.signing_ca_key) = (None, None);
    }
    let tls = wire::TlsInfo { trust_root: Some(cluster.root_ca.certificate.clone()), ..issuer.clone() };
    wire::ClusterInfo {
        id: Some(cluster.id.to_string()),
        version: Some(version(cluster.meta.version)),
        created_at: Some(date(cluster.meta.created_at)),
        updated_at: Some(date(cluster.meta.updated_at)),
        spec: Some(spec),
        tls_info: Some(tls),
        root_rotation_in_progress: Some(cluster.root_ca.rotation.is_some()),
        data_path_port: Some(cluster.data_path_port),
        default_addr_pool: Some(cluster.default_address_pool.clone()),
        subnet_size: Some(cluster.subnet_size),
    }
}

/// What `GET /swarm` tells a manager's user.
pub fn swarm(found: &Cluster, issuer: &wire::TlsInfo) -> wire::Swarm {
    let info = cluster(found, issuer);
    wire::Swarm {
        id: info.id,
        version: info.version,
        created_at: info.created_at,
        updated_at: info.updated_at,
        spec: info.spec,
        tls_info: info.tls_info,
        root_rotation_in_progress: info.root_rotation_in_progress,
        data_path_port: info.data_path_port,
        default_addr_pool: info.default_addr_pool,
        subnet_size: info.subnet_size,
        join_tokens: Some(found.root_ca.join_tokens.clone()),
    }
}
