//! The swarm itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard_stubs::models as wire;

use super::{date, version};
use crate::identity::{AuthorityError, TrustRoot};
use crate::objects::{Cluster, RootCa};

/// What `GET /info` tells, which is all but the join tokens.
pub fn cluster(cluster: &Cluster) -> wire::ClusterInfo {
    let mut spec = cluster.spec.clone();
    spec.labels.get_or_insert_default();
    // The signing key is a secret, and the certificate alone would make no sense given back.
    if let Some(config) = &mut spec.ca_config {
        (config.signing_ca_cert, config.signing_ca_key) = (None, None);
    }
    wire::ClusterInfo {
        id: Some(cluster.id.to_string()),
        version: Some(version(cluster.meta.version)),
        created_at: Some(date(cluster.meta.created_at)),
        updated_at: Some(date(cluster.meta.updated_at)),
        spec: Some(spec),
        tls_info: Some(tls_info(&cluster.root_ca)),
        root_rotation_in_progress: Some(cluster.root_ca.rotation.is_some()),
        data_path_port: Some(cluster.data_path_port),
        default_addr_pool: Some(cluster.default_address_pool.clone()),
        subnet_size: Some(cluster.subnet_size),
    }
}

/// What nodes are to trust, and who is to sign their certificates: with it clients see how far a rotation of the root is.
fn tls_info(root: &RootCa) -> wire::TlsInfo {
    // A root that does not parse signs nothing.
    let (subject, key) = issuer(root).map(|(subject, key)| (Some(subject), Some(key))).unwrap_or_default();
    wire::TlsInfo {
        trust_root: Some(root.certificate.clone()),
        cert_issuer_subject: subject,
        cert_issuer_public_key: key,
    }
}

/// Name and public key of who signs now.
fn issuer(root: &RootCa) -> Result<(String, String), AuthorityError> {
    let signer = root.rotation.as_ref().map_or(&root.certificate, |rotation| &rotation.certificate);
    let signer = TrustRoot::from_pem(signer)?;
    Ok((STANDARD.encode(signer.subject()?), STANDARD.encode(signer.public_key()?)))
}

/// What `GET /swarm` tells a manager's user.
pub fn swarm(found: &Cluster) -> wire::Swarm {
    let info = cluster(found);
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
