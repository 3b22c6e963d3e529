//! Certificates, trust and the files they lie in: what a peer accepts and what it refuses.

use std::sync::Arc;

use drydock_swarm::identity::authority::{MIN_NODE_VALIDITY, NODE_VALIDITY};
use drydock_swarm::identity::credentials::{CredentialsError, manager_name};
use drydock_swarm::identity::files::FilesError;
use drydock_swarm::identity::{
    CertificateFiles, CertificateRequest, Grant, Identity, NodeKey, Role, RootAuthority, SealKey, Subject,
    TrustRoot, UnlockKey,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::{Duration, OffsetDateTime};
use tokio_rustls::{TlsAcceptor, TlsConnector};

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn grant(role: Role) -> Grant<'static> {
    Grant { node_id: "node1", role, cluster_id: "cluster1", validity: NODE_VALIDITY }
}

fn issue(authority: &RootAuthority, role: Role, when: OffsetDateTime) -> (String, String) {
    let request = CertificateRequest::generate().unwrap();
    (authority.sign(&request.csr_pem, grant(role), when).unwrap(), request.key_pem)
}

fn identity(authority: &RootAuthority, role: Role) -> Identity {
    let (certificate, key) = issue(authority, role, now());
    Identity::new(authority.root().clone(), certificate, key).unwrap()
}

/// A real TLS handshake between two identities over a socket pair; the subject that the server saw.
async fn shake(
    server: &Identity,
    client: Arc<rustls::ClientConfig>,
) -> Result<Option<Subject>, std::io::Error> {
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    let acceptor = TlsAcceptor::from(server.server());
    let serve = async {
        let mut stream = acceptor.accept(far).await?;
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"x").await?;
        let peer = stream.get_ref().1.peer_certificates().map(|chain| Subject::of_der(&chain[0]).unwrap());
        Ok::<_, std::io::Error>(peer)
    };
    let dial = async {
        let mut stream = TlsConnector::from(client).connect(manager_name(), near).await?;
        let mut byte = [0; 1];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut byte).await.map(drop)
    };
    let (served, dialled) = tokio::join!(serve, dial);
    dialled?;
    served
}

#[test]
fn a_certificate_names_node_role_and_cluster_and_lives_ninety_days() {
    let authority = RootAuthority::create(now()).unwrap();
    for role in [Role::Manager, Role::Worker] {
        let (certificate, _) = issue(&authority, role, now());
        let subject =
            Subject::of_der(&CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            (subject.node_id.as_str(), subject.role, subject.cluster_id.as_str()),
            ("node1", role, "cluster1")
        );
        let life = subject.not_after - subject.not_before;
        assert_eq!(life, Duration::days(90) + Duration::hours(1));
        assert!(subject.renew_at(0.0) > now() && subject.renew_at(1.0) < subject.not_after);
    }
}

#[test]
fn a_validity_below_an_hour_becomes_the_default() {
    let authority = RootAuthority::create(now()).unwrap();
    let request = CertificateRequest::generate().unwrap();
    let short = Grant { validity: MIN_NODE_VALIDITY - Duration::seconds(1), ..grant(Role::Worker) };
    let certificate = authority.sign(&request.csr_pem, short, now()).unwrap();
    let subject = Subject::of_der(&CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()).unwrap();
    assert!(subject.not_after > now() + Duration::days(89));
}

#[tokio::test]
async fn members_of_one_cluster_recognise_each_other() {
    let authority = RootAuthority::create(now()).unwrap();
    let manager = identity(&authority, Role::Manager);
    let worker = identity(&authority, Role::Worker);
    let seen = shake(&manager, worker.client()).await.unwrap().unwrap();
    assert_eq!(seen.role, Role::Worker);
}

#[tokio::test]
async fn a_worker_that_poses_as_a_manager_is_refused() {
    let authority = RootAuthority::create(now()).unwrap();
    let worker = identity(&authority, Role::Worker);
    let other = identity(&authority, Role::Worker);
    assert!(shake(&worker, other.client()).await.is_err());
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_by_both_sides() {
    let ours = identity(&RootAuthority::create(now()).unwrap(), Role::Manager);
    let forged_authority = RootAuthority::create(now()).unwrap();
    let forged = identity(&forged_authority, Role::Manager);
    assert!(shake(&ours, forged.client()).await.is_err(), "the forger does not trust us");
    assert!(shake(&forged, ours.client()).await.is_err(), "we do not trust the forger");
    let both = ours.root.with(forged_authority.root());
    let bold = Identity::new(both, forged.certificate.clone(), forged.key.clone()).unwrap();
    assert!(shake(&ours, bold.client()).await.is_err(), "the server does not trust the forged certificate");
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = RootAuthority::create(now() - Duration::days(400)).unwrap();
    let manager = identity(&authority, Role::Manager);
    let (certificate, key) = issue(&authority, Role::Manager, now() - Duration::days(200));
    let stale = Identity::new(authority.root().clone(), certificate, key).unwrap();
    assert!(stale.subject.is_expired(now()));
    assert!(shake(&manager, stale.client()).await.is_err());
    assert!(shake(&stale, manager.client()).await.is_err());
}

#[test]
fn a_certificate_that_does_not_chain_to_the_root_is_no_identity() {
    let authority = RootAuthority::create(now()).unwrap();
    let other = RootAuthority::create(now()).unwrap();
    let (certificate, key) = issue(&authority, Role::Manager, now());
    let error = Identity::new(other.root().clone(), certificate, key).unwrap_err();
    assert!(matches!(error, CredentialsError::NotOfRoot(_)), "{error:?}");
}

#[tokio::test]
async fn during_a_rotation_old_and_new_trust_accept_the_cross_signed_certificate() {
    let old = RootAuthority::create(now()).unwrap();
    let new = RootAuthority::create(now()).unwrap();
    let intermediate = old.cross_sign(new.root()).unwrap();
    let (leaf, key) = issue(&new, Role::Manager, now());
    let rotated = format!("{leaf}{intermediate}");
    let before = identity(&old, Role::Worker);
    for trust in [old.root().clone(), new.root().clone(), old.root().with(new.root())] {
        Identity::new(trust, rotated.clone(), key.clone()).unwrap();
    }
    let server = Identity::new(old.root().with(new.root()), rotated, key).unwrap();
    assert!(
        shake(&server, before.client()).await.is_ok(),
        "a node that knows only the old root still gets in"
    );
}

#[test]
fn a_key_that_is_not_the_certificates_makes_no_authority() {
    let authority = RootAuthority::create(now()).unwrap();
    let other = RootAuthority::create(now()).unwrap();
    assert!(RootAuthority::from_pem(authority.root().pem(), authority.key_pem()).is_ok());
    let error = RootAuthority::from_pem(authority.root().pem(), other.key_pem()).unwrap_err();
    assert_eq!(error.to_string(), "certificate key mismatch");
    let (leaf, _) = issue(&authority, Role::Manager, now());
    assert_eq!(TrustRoot::from_pem(&leaf).unwrap_err().to_string(), "certificate not a CA");
}

struct Disk {
    files: CertificateFiles,
    certificate: String,
    key: NodeKey,
    _folder: tempfile::TempDir,
}

fn disk() -> Disk {
    let folder = tempfile::tempdir().unwrap();
    let authority = RootAuthority::create(now()).unwrap();
    let (certificate, pem) = issue(&authority, Role::Manager, now());
    let next_raft_key = Some(SealKey::generate());
    let key = NodeKey { pem, raft_key: Some(SealKey::generate()), next_raft_key, kek_version: 3 };
    Disk { files: CertificateFiles::below(folder.path()), certificate, key, _folder: folder }
}

#[test]
fn key_and_raft_key_come_back_from_disk() {
    let disk = disk();
    disk.files.save_identity(&disk.certificate, &disk.key, None).unwrap();
    let back = disk.files.load_key(None).unwrap().unwrap();
    assert_eq!(back.kek_version, 3);
    assert_eq!(back.raft_key.unwrap().as_bytes(), disk.key.raft_key.as_ref().unwrap().as_bytes());
    assert_eq!(pem::parse(back.pem).unwrap().contents(), pem::parse(&disk.key.pem).unwrap().contents());
}

#[test]
fn a_locked_key_opens_with_its_unlock_key_alone() {
    let disk = disk();
    let unlock = UnlockKey::generate();
    disk.files.save_identity(&disk.certificate, &disk.key, Some(&unlock)).unwrap();
    assert!(disk.files.is_locked().unwrap());
    let text = std::fs::read_to_string(disk.files.key_path()).unwrap();
    assert!(text.contains("BEGIN ENCRYPTED PRIVATE KEY"), "{text}");
    assert!(matches!(disk.files.load_key(None), Err(FilesError::Locked)));
    assert!(matches!(disk.files.load_key(Some(&UnlockKey::generate())), Err(FilesError::Locked)));
    let back = disk.files.load_key(Some(&unlock)).unwrap().unwrap();
    assert_eq!(back.raft_key.unwrap().as_bytes(), disk.key.raft_key.as_ref().unwrap().as_bytes());
}

#[test]
fn a_crash_between_certificate_and_key_leaves_a_pair_that_fits() {
    let disk = disk();
    disk.files.save_identity(&disk.certificate, &disk.key, None).unwrap();
    let authority = RootAuthority::create(now()).unwrap();
    let (next_certificate, next_pem) = issue(&authority, Role::Manager, now());
    let next = NodeKey { pem: next_pem, ..disk.key.clone() };
    let beside = disk.files.key_path().with_file_name("swarm-node.key.next");
    let contents = |key: &NodeKey| pem::parse(&key.pem).unwrap().into_contents();

    let scratch = CertificateFiles::below(disk._folder.path().join("scratch").as_path());
    scratch.save_identity(&next_certificate, &next, None).unwrap();
    std::fs::copy(scratch.key_path(), &beside).unwrap();
    assert_eq!(
        contents(&disk.files.load_key(None).unwrap().unwrap()),
        contents(&disk.key),
        "the certificate is still the old one"
    );

    std::fs::copy(scratch.certificate_path(), disk.files.certificate_path()).unwrap();
    assert_eq!(
        contents(&disk.files.load_key(None).unwrap().unwrap()),
        contents(&next),
        "the certificate is the new one"
    );
}
