//! The swarm's own settings: how it is made, and changed.

use std::collections::HashMap;

use time::OffsetDateTime;

use super::calls::SwarmUpdate;
use crate::Status;
use crate::allocator::PREDEFINED;
use crate::ca::issue::{MANAGER_KEY, the_cluster};
use crate::ca::rotation::{self, digest_text};
use crate::identity::{JoinToken, RootAuthority, TrustRoot, UnlockKey, new_id};
use crate::network_keys;
use crate::objects::{
    Cluster, EncryptionKey, JoinTokens, Network, NetworkCreateRequest, RootCa, SwarmSpec, Timestamp,
};
use crate::store::Transaction;
use crate::verbs;

/// A cluster with fresh tokens and keys.
pub fn create(authority: &RootAuthority, spec: SwarmSpec, now: Timestamp) -> Cluster {
    let digest = authority.root().digest();
    let token = || Some(JoinToken::generate(digest).to_string());
    let mut cluster = Cluster {
        id: new_id().into(),
        root_ca: RootCa {
            key: Some(authority.key_pem().to_owned()),
            certificate: authority.root().pem().to_owned(),
            digest: digest_text(authority.root()),
            join_tokens: JoinTokens { worker: token(), manager: token() },
            rotation: None,
            last_forced_rotation: spec.ca_config.as_ref().and_then(|config| config.force_rotate).unwrap_or(0),
        },
        spec: verbs::cluster::merged(&Cluster::default_spec(), spec),
        ..Cluster::default()
    };
    cluster.spec.name = Some(Cluster::NAME.to_owned());
    network_keys::renew(&mut cluster, now);
    lock(&mut cluster, false);
    cluster
}

/// The networks of a new cluster: the routing mesh's, and those that every node has by itself.
pub fn networks() -> Vec<Network> {
    let network = |name: &str, driver: &str, is_ingress: bool| {
        let labels = (!is_ingress).then(|| HashMap::from([(PREDEFINED.to_owned(), "true".to_owned())]));
        let spec = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some(driver.to_owned()),
            ingress: is_ingress.then_some(true),
            labels,
            ..NetworkCreateRequest::default()
        };
        Network { id: new_id().into(), spec, ..Network::default() }
    };
    vec![
        network("ingress", "overlay", true),
        network("bridge", "bridge", false),
        network("host", "host", false),
    ]
}

/// Changes the settings, and what follows from them: another root, other tokens, another unlock key. `update out of sequence` when they
/// are not of the version that was read.
pub fn update(tx: &mut Transaction<'_>, update: SwarmUpdate) -> Result<(), Status> {
    let id = the_cluster(tx)?.id.clone();
    verbs::cluster::update(tx, &id, update.version, update.spec)?;
    let mut cluster = the_cluster(tx)?.as_ref().clone();
    cluster.spec.name = Some(Cluster::NAME.to_owned());
    rotate_root(&mut cluster)?;
    let digest = TrustRoot::from_pem(&cluster.root_ca.certificate)?.digest();
    let tokens = &mut cluster.root_ca.join_tokens;
    if update.rotate.worker_token {
        tokens.worker = Some(JoinToken::generate(digest).to_string());
    }
    if update.rotate.manager_token {
        tokens.manager = Some(JoinToken::generate(digest).to_string());
    }
    lock(&mut cluster, update.rotate.unlock_key);
    tx.update(cluster).map_err(Status::from)
}

/// Begins a rotation of the root when the settings ask for another one.
fn rotate_root(cluster: &mut Cluster) -> Result<(), Status> {
    let Some(config) = cluster.spec.ca_config.clone() else { return Ok(()) };
    let forced = config.force_rotate.unwrap_or(0);
    let certificate = config.signing_ca_cert.as_deref().filter(|text| !text.trim().is_empty());
    let key = config.signing_ca_key.as_deref().filter(|text| !text.trim().is_empty());
    let next = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(RootAuthority::from_pem(certificate, key)?),
        (Some(_), None) => {
            return Err(Status::invalid("rotating to an external CA is not possible without its key"));
        }
        (None, Some(_)) => {
            return Err(Status::invalid(
                "if a signing CA key is provided, the signing CA cert must also be provided",
            ));
        }
        (None, None) => None,
    };
    let is_other = next.as_ref().is_some_and(|next| next.root().pem() != cluster.root_ca.certificate);
    if is_other || (next.is_none() && forced != cluster.root_ca.last_forced_rotation) {
        rotation::begin(cluster, next, OffsetDateTime::now_utc())?;
    }
    cluster.root_ca.last_forced_rotation = forced;
    // Neither the key nor that it was asked for is a setting to be told back.
    if let Some(config) = &mut cluster.spec.ca_config {
        config.signing_ca_cert = None;
        config.signing_ca_key = None;
    }
    Ok(())
}

/// Managers are locked with a key, or not, as the settings say.
fn lock(cluster: &mut Cluster, is_rotated: bool) {
    if !cluster.is_autolocked() {
        cluster.unlock_keys.clear();
        return;
    }
    let newest = cluster.unlock_keys.iter().map(|key| key.lamport_time).max();
    if newest.is_none() || is_rotated {
        let key = EncryptionKey {
            subsystem: MANAGER_KEY.to_owned(),
            key: UnlockKey::generate().to_string(),
            lamport_time: newest.map_or(1, |newest| newest + 1),
        };
        cluster.unlock_keys = vec![key];
    }
}
