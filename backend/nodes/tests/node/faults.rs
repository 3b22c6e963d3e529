//! Cables that lose packets, with real ones on them.

use std::net::Ipv4Addr;

use drydock_agent::protocol::Exit;
use drydock_nodes::{Cable, FaultError, Host, Loss, Node, SessionId};

use crate::yard::{Yard, boot, out, sh};

fn session(name: &str) -> SessionId {
    name.parse().unwrap()
}

/// Whether an answer comes back; ARP goes first when nobody has asked for a while.
async fn reaches(node: &Node, address: Ipv4Addr) -> bool {
    sh(node, &format!("ping -c 1 -W 2 {address}")).await.exit == Exit::Code(0)
}

fn between(one: &Node, other: &Node) -> Cable {
    Cable::Between(one.id().clone(), other.id().clone())
}

async fn set(host: &Host, session: &SessionId, cable: Cable, percent: u8) {
    host.set_fault(session, cable, Loss::percent(percent)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_cable_carries_nothing_and_a_healed_one_everything() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("cut");
    let gateway = host.create_session(&id).await.unwrap().gateway();
    let one = boot(&host, &id, "one").await;
    let two = boot(&host, &id, "two").await;
    let three = boot(&host, &id, "three").await;
    assert!(reaches(&one, two.address()).await);

    // Between two: each still reaches everybody else.
    set(&host, &id, between(&two, &one), 100).await;
    assert!(!reaches(&one, two.address()).await && !reaches(&two, one.address()).await);
    assert!(reaches(&one, three.address()).await && reaches(&two, gateway).await);
    assert_eq!(host.faults(&id), [(between(&one, &two), Loss::CUT)]);

    // A node's own cable: it reaches nobody, the others each other; the way above is healed meanwhile.
    set(&host, &id, Cable::Of(three.id().clone()), 100).await;
    set(&host, &id, between(&one, &two), 0).await;
    assert!(!reaches(&three, gateway).await && !reaches(&one, three.address()).await);
    assert!(reaches(&one, two.address()).await);
    set(&host, &id, Cable::Of(three.id().clone()), 0).await;
    assert!(reaches(&three, gateway).await && reaches(&one, three.address()).await);
    assert_eq!(host.faults(&id), []);
    host.reset().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cable_that_loses_some_packets_carries_the_others() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("lossy");
    host.create_session(&id).await.unwrap();
    let one = boot(&host, &id, "one").await;
    let two = boot(&host, &id, "two").await;
    assert!(reaches(&one, two.address()).await);
    let received = async || {
        let pings = format!("ping -c 60 -i 0.05 -W 1 {}", two.address());
        let said = out(&sh(&one, &pings).await);
        let received = said.lines().filter(|line| line.contains("bytes from")).count();
        assert!(said.contains("60 packets transmitted"), "{said}");
        received
    };
    assert_eq!(received().await, 60);
    // Each way: about every second ping is answered.
    set(&host, &id, between(&one, &two), 30).await;
    let some = received().await;
    assert!((1..60).contains(&some), "{some} of 60");
    set(&host, &id, between(&one, &two), 0).await;
    assert_eq!(received().await, 60);
    host.reset().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_are_found_again_by_the_next_host_and_end_with_their_node() {
    let yard = Yard::new();
    let id = session("again");
    let address = {
        let host = yard.open().await;
        host.create_session(&id).await.unwrap();
        boot(&host, &id, "one").await;
        let two = boot(&host, &id, "two").await;
        set(&host, &id, Cable::Of(two.id().clone()), 100).await;
        two.address()
    };
    let host = yard.open().await;
    let (one, two) = ("one".parse().unwrap(), "two".parse().unwrap());
    assert_eq!(host.faults(&id), [(Cable::Of(two), Loss::CUT)]);
    let one = host.node(&one).unwrap();
    assert!(!reaches(&one, address).await);
    host.end(&"two".parse().unwrap()).await.unwrap();
    assert_eq!(host.faults(&id), []);
    // The next has the address of the one before, and nothing of its faults.
    let three = boot(&host, &id, "three").await;
    assert_eq!(three.address(), address);
    // A link that was just made may take a moment to carry something.
    let until = sh(&one, &format!("until ping -c 1 -W 1 {address}; do :; done")).await;
    assert_eq!(until.exit, Exit::Code(0));
    host.reset().await.unwrap();
    assert_eq!(yard.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_only_set_on_what_is_in_the_session() {
    let yard = Yard::new();
    let host = yard.open().await;
    let (ours, theirs) = (session("ours"), session("theirs"));
    host.create_session(&ours).await.unwrap();
    host.create_session(&theirs).await.unwrap();
    let one = boot(&host, &ours, "one").await;
    let stranger = boot(&host, &theirs, "stranger").await;
    for cable in [Cable::Of(stranger.id().clone()), between(&one, &stranger)] {
        let refused = host.set_fault(&ours, cable, Some(Loss::CUT)).await;
        assert!(matches!(refused, Err(FaultError::NoCable { .. })), "{refused:?}");
    }
    let refused = host.set_fault(&ours, between(&one, &one), Some(Loss::CUT)).await;
    assert!(matches!(refused, Err(FaultError::Loop)), "{refused:?}");
    let refused = host.set_fault(&session("none"), Cable::Of(one.id().clone()), None).await;
    assert!(matches!(refused, Err(FaultError::NoSession(_))), "{refused:?}");
    assert_eq!(host.faults(&ours), []);
    host.reset().await.unwrap();
}
