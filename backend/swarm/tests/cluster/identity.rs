//! Tokens and certificates: who gets in, who does not, and how both are replaced.

use drydock_swarm::ask::RotateKeys;
use drydock_swarm::ca::issue;
use drydock_swarm::identity::authority::NODE_VALIDITY;
use drydock_swarm::identity::{
    CertificateFiles, CertificateRequest, Grant, JoinToken, NodeKey, Role, RootAuthority, Subject, TrustRoot,
};
use drydock_swarm::objects::NodeState;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::OffsetDateTime;

use crate::lab::{Machine, lab, until};

#[test]
fn a_malformed_a_wrong_and_a_stale_token_are_refused_in_mobys_words() {
    lab(2, async |mut lab| {
        lab.machines[0].init().await;
        let (first, second) = (&lab.machines[0], &lab.machines[1]);
        let worker = first.inspect().await.root_ca.join_tokens.worker.clone().unwrap();

        let error = second.join(&first.address(), "SWMTKN-1-short").await.unwrap_err();
        assert_eq!((error.to_string().as_str(), error.http()), ("invalid join token", 400));

        let good: JoinToken = worker.parse().unwrap();
        let expected: String = [9u8; 32].iter().map(|byte| format!("{byte:02x}")).collect();
        let error = second
            .join(&first.address(), &good.for_authority([9; 32]).to_string())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with(&format!("remote CA does not match fingerprint. Expected: {expected}")),
            "{error}"
        );

        let forged = JoinToken::generate(*good.digest()).to_string();
        let refusal =
            "rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster";
        assert_eq!(second.join(&first.address(), &forged).await.unwrap_err().to_string(), refusal);

        first.update_swarm(RotateKeys { worker_token: true, ..RotateKeys::default() }, |_| {}).await;
        assert_eq!(second.join(&first.address(), &worker).await.unwrap_err().to_string(), refusal);

        let rotated = first.inspect().await.root_ca.join_tokens.clone();
        assert_ne!(rotated.worker.as_deref(), Some(worker.as_str()));
        second.join(&first.address(), rotated.worker.as_deref().unwrap()).await.unwrap();
        lab.machines.clear();
    });
}

#[test]
fn a_manager_that_is_not_there_is_told_as_grpc_does() {
    lab(1, async |lab| {
        let token = JoinToken::generate([1; 32]).to_string();
        let error = lab.machines[0].join("127.0.9.9:2377", &token).await.unwrap_err().to_string();
        let words = "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp \
                     127.0.9.9:2377: connect: connection refused\"";
        assert_eq!(error, words);
    });
}

#[test]
fn a_node_with_a_certificate_of_another_authority_stays_outside() {
    lab(3, async |mut lab| {
        lab.form(1).await;
        // A second swarm, whose worker is told that it belongs to the first: its files are its own, its managers are not.
        let stranger = RootAuthority::create(OffsetDateTime::now_utc()).unwrap();
        let id = lab.machines[1].id();
        lab.machines[1].shut_down().await;
        lab.machines[0].sees("the worker is down", &id, |node| node.status.state == NodeState::DOWN).await;
        forge(lab.machines[1].data_root(), &stranger, &id, &lab.machines[0].cluster().cluster_id().unwrap());
        lab.machines[1].boot();
        let trouble = || async {
            let told = lab.machines[1].cluster().told();
            assert!(told.is_none(), "a forged node was let in");
            lab.machines[0].node(&id).await.filter(|node| node.status.state == NodeState::DOWN).map(drop)
        };
        for _ in 0..20 {
            until("the forged node is not ready", trouble).await;
        }
    });
}

/// Replaces a node's certificate by one of `authority`, which also trusts the real root, so that only the manager can refuse.
fn forge(data_root: &std::path::Path, authority: &RootAuthority, node_id: &str, cluster_id: &str) {
    let files = CertificateFiles::below(data_root);
    let real = files.load_root().unwrap().unwrap();
    let request = CertificateRequest::generate().unwrap();
    let grant = Grant { node_id, role: Role::Worker, cluster_id, validity: NODE_VALIDITY };
    let certificate = authority.sign(&request.csr_pem, grant, OffsetDateTime::now_utc()).unwrap();
    files.save_root(&real.with(authority.root())).unwrap();
    let key = NodeKey { pem: request.key_pem, raft_key: None, next_raft_key: None, kek_version: 0 };
    files.save_identity(&certificate, &key, None).unwrap();
}

#[test]
fn the_root_is_replaced_under_writes_and_every_node_stays() {
    lab(4, async |mut lab| {
        lab.form(3).await;
        let before = lab.machines[0].inspect().await.root_ca.clone();
        lab.machines[0]
            .update_swarm(RotateKeys::default(), |spec| {
                spec.ca_config.get_or_insert_default().force_rotate = Some(1)
            })
            .await;
        let mut acknowledged = Vec::new();
        while lab.machines[0].inspect().await.root_ca.certificate == before.certificate {
            let (leader, label) = (lab.leader().await, format!("during {}", acknowledged.len()));
            if lab.machines[leader].write(&label).await {
                acknowledged.push(label);
            }
        }
        assert!(!acknowledged.is_empty(), "the swarm was written to while its root was replaced");
        let after = lab.machines[0].inspect().await.root_ca.clone();
        assert!(after.rotation.is_none());
        assert_ne!(after.join_tokens, before.join_tokens);
        let root = TrustRoot::from_pem(&after.certificate).unwrap();
        for machine in &lab.machines {
            let files = CertificateFiles::below(machine.data_root());
            let trusts = || async { (files.load_root().ok()?? == root).then_some(()) };
            until("the node trusts the new root", trusts).await;
        }
        for machine in &mut lab.machines {
            machine.shut_down().await;
            machine.boot();
        }
        let leader = lab.leader().await;
        for number in 0..4 {
            let id = lab.machines[number].id();
            lab.machines[leader]
                .sees("the node is ready with the new root", &id, |node| {
                    node.status.state == NodeState::READY
                })
                .await;
        }
    });
}

fn subject(machine: &Machine) -> Subject {
    let pem = CertificateFiles::below(machine.data_root()).load_certificate().unwrap().unwrap();
    Subject::of_der(&CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap()
}

/// Replaces a node's certificate by one of its own cluster that was given `ago`, with the role and the raft key it has.
fn backdate(machine: &Machine, authority: &RootAuthority, ago: time::Duration) -> String {
    let (files, like) = (CertificateFiles::below(machine.data_root()), subject(machine));
    let had = files.load_key(None).unwrap().unwrap();
    let request = CertificateRequest::generate().unwrap();
    let grant = Grant {
        node_id: &like.node_id,
        role: like.role,
        cluster_id: &like.cluster_id,
        validity: NODE_VALIDITY,
    };
    let certificate = authority.sign(&request.csr_pem, grant, OffsetDateTime::now_utc() - ago).unwrap();
    files.save_identity(&certificate, &NodeKey { pem: request.key_pem, ..had }, None).unwrap();
    certificate
}

#[test]
fn certificates_are_renewed_in_time_and_the_swarm_is_not_interrupted() {
    lab(3, async |mut lab| {
        lab.form(2).await;
        let leader = lab.leader().await;
        let authority = lab.machines[leader].manager().raft().replica().view(|view| {
            let (authority, _) = issue::signer(view.cluster().unwrap()).unwrap();
            authority
        });
        // Another manager, and a worker: both have been away for most of their certificates' ninety days.
        for number in (0..3).filter(|number| *number != leader) {
            lab.machines[number].shut_down().await;
            let had = subject(&lab.machines[number]);
            let old = backdate(&lab.machines[number], &authority, time::Duration::days(85));
            lab.machines[number].boot();
            let files = CertificateFiles::below(lab.machines[number].data_root());
            let renewed = || async {
                let certificate = files.load_certificate().ok()??;
                (certificate != old).then_some(certificate)
            };
            until("the certificate is another one", renewed).await;
            let next = subject(&lab.machines[number]);
            assert_eq!((&next.node_id, next.role), (&had.node_id, had.role));
            assert!(next.not_after > OffsetDateTime::now_utc() + time::Duration::days(80));
        }
        let leader = lab.leader().await;
        assert!(lab.machines[leader].write("after").await);
        for number in 0..3 {
            let id = lab.machines[number].id();
            lab.machines[leader]
                .sees("the node is ready", &id, |node| node.status.state == NodeState::READY)
                .await;
        }
    });
}

#[test]
fn a_node_whose_certificate_has_expired_stays_outside() {
    lab(2, async |mut lab| {
        lab.form(1).await;
        let authority = lab.machines[0].manager().raft().replica().view(|view| {
            let (authority, _) = issue::signer(view.cluster().unwrap()).unwrap();
            authority
        });
        lab.machines[1].shut_down().await;
        let id = subject(&lab.machines[1]).node_id;
        lab.machines[0].sees("the worker is down", &id, |node| node.status.state == NodeState::DOWN).await;
        let old = backdate(&lab.machines[1], &authority, time::Duration::days(91));
        lab.machines[1].boot();
        let files = CertificateFiles::below(lab.machines[1].data_root());
        for _ in 0..20 {
            let outside = || async {
                assert!(lab.machines[1].cluster().told().is_none(), "an expired node was let in");
                assert_eq!(files.load_certificate().unwrap().unwrap(), old);
                lab.machines[0].node(&id).await.filter(|node| node.status.state == NodeState::DOWN).map(drop)
            };
            until("the expired node is not ready", outside).await;
        }
    });
}
