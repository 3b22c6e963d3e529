//! Who does not belong to the swarm, or may not do what it asks.

use crate::support::Play;
use crate::swarm::{Said, Swarm, run};

const INVALID_TOKEN: &str = "Error response from daemon: rpc error: code = InvalidArgument desc = A valid join token is necessary to \
                             join this cluster";

/// A call to a manager with the certificate of the node's own swarm: `grpc-status` and `grpc-message`, or curl's code.
fn call(address: &str, path: &str) -> String {
    format!(
        "cd /var/lib/docker/swarm/certificates; sed '/^[a-z-]*:/d; /^$/d' swarm-node.key > /root/key; printf '\\0\\0\\0\\0\\2{{}}' | timeout 20 curl -sk --http2 --cert swarm-node.crt \
         --key /root/key --data-binary @- -H 'content-type: application/grpc' -H 'te: trailers' -D - -o /dev/null \
         https://{address}:2377/docker.swarmkit.v1.{path}; echo curl $?"
    )
}

async fn node(play: &Play, name: &str, words: &str) -> Said {
    run(play, name, &format!("timeout 30 docker {words}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_valid_token_does_not_join_and_nothing_of_the_attempt_stays() {
    let swarm = Swarm::of("1-manager").await;
    let stranger = swarm.play.node().await;
    let token = |role: &str| format!("swarm join-token -q {role}");
    let stale = swarm.docker(0, &token("worker")).await.ok();
    swarm.docker(0, "swarm join-token --rotate -q worker").await.ok();
    let parts: Vec<&str> = stale.split('-').collect();
    let [prefix, version, digest, secret] = parts.as_slice() else { panic!("{stale}") };
    let last = if secret.ends_with('1') { '2' } else { '1' };
    let forged = format!("{}{last}", &secret[..secret.len() - 1]);
    let other = "0".repeat(digest.len());
    let address = format!("{}:2377", swarm.nodes[0].ip);
    for (token, words) in [
        (stale.clone(), INVALID_TOKEN),
        (format!("{prefix}-{version}-{digest}-{forged}"), INVALID_TOKEN),
        (
            format!("{prefix}-{version}-{other}-{secret}"),
            "Error response from daemon: remote CA does not match fingerprint. Expected: 00000000",
        ),
        ("SWMTKN-1-short".to_owned(), "Error response from daemon: invalid join token"),
        (format!("{prefix}-{version}-{digest}"), "Error response from daemon: invalid join token"),
    ] {
        let said = node(&swarm.play, &stranger.name, &format!("swarm join --token {token} {address}")).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(said.err.starts_with(words), "{token}: {said:?}");
        let state = node(&swarm.play, &stranger.name, "info -f '{{.Swarm.LocalNodeState}}'").await;
        assert_eq!(state.ok(), "inactive");
        let left = run(&swarm.play, &stranger.name, "ls /var/lib/docker/swarm 2>/dev/null").await;
        assert_eq!(left.out, "", "nothing of the attempt is on disk");
    }
    assert_eq!(swarm.list(0).await.unwrap().len(), 1);
    let good = swarm.docker(0, &token("worker")).await.ok();
    node(&swarm.play, &stranger.name, &format!("swarm join --token {good} {address}")).await.ok();
    swarm.all_ready(0, 2).await;
    swarm.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workers_certificate_is_not_a_managers_and_one_of_another_swarm_is_none() {
    let swarm = Swarm::of("1-manager").await;
    let (worker, stranger) = (swarm.play.node().await, swarm.play.node().await);
    let token = swarm.docker(0, "swarm join-token -q worker").await.ok();
    let address = swarm.nodes[0].ip.clone();
    node(&swarm.play, &worker.name, &format!("swarm join --token {token} {address}:2377")).await.ok();
    node(&swarm.play, &stranger.name, "swarm init").await.ok();
    for path in ["Control/Ask", "RaftMembership/Join", "Raft/RequestVote"] {
        let said = run(&swarm.play, &worker.name, &call(&address, path)).await.out;
        let words = "remote certificate not part of OUs: [swarm-manager]";
        assert!(
            said.contains("grpc-status: 7") && said.replace("%20", " ").contains(words),
            "{path}: {said}"
        );
        let said = run(&swarm.play, &stranger.name, &call(&address, path)).await.out;
        assert!(!said.contains("HTTP/2") && !said.ends_with("curl 0"), "{path}: {said}");
    }
    let said = node(&swarm.play, &worker.name, "node ls").await;
    let words = "Error response from daemon: This node is not a swarm manager. Worker nodes can't be used to view or modify cluster \
                 state. Please run this command on a manager node or promote the current node to a manager.";
    assert_eq!((said.code, said.err.as_str()), (1, words));
    assert_eq!(swarm.list(0).await.unwrap().len(), 2);
    swarm.end().await;
}
