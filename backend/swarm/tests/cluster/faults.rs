//! What must survive: nothing that was acknowledged is lost, and there is never more than one who decides.

use drydock_swarm::ask::{Ask, Wish};
use drydock_swarm::manager::InitRequest;
use drydock_swarm::objects::NodeState;

use crate::lab::{Lab, lab, run, until};

const NO_LEADER: &str = "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are \
                         online. Make sure more than half of the managers are online.";

/// Writes `count` labels at whoever leads among those not `lost`; returns what was acknowledged.
async fn write_many(lab: &Lab, lost: &[usize], name: &str, count: usize) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while acknowledged.len() < count {
        let label = format!("{name}-{}", acknowledged.len());
        let leader = lab.leader_without(lost).await;
        if lab.machines[leader].write(&label).await {
            acknowledged.push(label);
        }
    }
    acknowledged
}

async fn all_have(lab: &Lab, machines: &[usize], labels: &[String]) {
    for machine in machines {
        let look = || async { labels.iter().all(|label| lab.machines[*machine].has(label)).then_some(()) };
        until("every acknowledged write is on every manager", look).await;
    }
}

#[test]
fn a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    lab(3, async |mut lab| {
        lab.form(3).await;
        let mut acknowledged = write_many(&lab, &[], "before", 5).await;
        let old = lab.leader().await;
        lab.machines[old].kill();
        acknowledged.extend(write_many(&lab, &[old], "without", 5).await);
        lab.machines[old].boot();
        acknowledged.extend(write_many(&lab, &[], "after", 5).await);
        all_have(&lab, &[0, 1, 2], &acknowledged).await;
    });
}

#[test]
fn three_of_five_go_on_when_two_are_killed_and_two_of_five_say_that_there_is_no_leader() {
    lab(5, async |mut lab| {
        lab.form(5).await;
        let mut acknowledged = write_many(&lab, &[], "five", 3).await;
        let first = lab.leader().await;
        let second = (first + 1) % 5;
        lab.machines[first].kill();
        lab.machines[second].kill();
        acknowledged.extend(write_many(&lab, &[first, second], "three", 3).await);
        let third = lab.leader_without(&[first, second]).await;
        lab.machines[third].kill();
        let left = (0..5).find(|number| ![first, second, third].contains(number)).unwrap();
        let refused = || async {
            let error = lab.machines[left].nodes().await.err()?;
            (error.to_string() == NO_LEADER).then_some(())
        };
        until("the two that are left say that there is no leader", refused).await;
        for number in [first, second, third] {
            lab.machines[number].boot();
        }
        acknowledged.extend(write_many(&lab, &[], "again", 3).await);
        all_have(&lab, &[0, 1, 2, 3, 4], &acknowledged).await;
    });
}

#[test]
fn the_larger_side_of_a_partition_decides_and_the_smaller_does_not() {
    lab(5, async |mut lab| {
        lab.form(5).await;
        let mut acknowledged = write_many(&lab, &[], "before", 3).await;
        let old = lab.leader().await;
        let minority = [old, (old + 1) % 5];
        let majority: Vec<usize> = (0..5).filter(|number| !minority.contains(number)).collect();
        lab.cut(&minority, &majority);
        let stopped = || async { (!lab.machines[old].leads()).then_some(()) };
        until("the leader on the smaller side no longer leads", stopped).await;
        assert!(!lab.machines[old].write("lost").await, "a minority acknowledged a write");
        acknowledged.extend(write_many(&lab, &minority, "during", 5).await);
        lab.heal();
        acknowledged.extend(write_many(&lab, &[], "after", 3).await);
        all_have(&lab, &[0, 1, 2, 3, 4], &acknowledged).await;
    });
}

#[test]
fn a_worker_that_is_cut_off_is_down_and_ready_again_when_it_is_back() {
    lab(3, async |mut lab| {
        lab.form(1).await;
        let id = lab.machines[2].id();
        lab.cut(&[0], &[2]);
        lab.machines[0].sees("the worker is down", &id, |node| node.status.state == NodeState::DOWN).await;
        let node = lab.machines[0].node(&id).await.unwrap();
        assert_eq!(node.status.message, "heartbeat failure");
        lab.heal();
        lab.machines[0].sees("the worker is ready", &id, |node| node.status.state == NodeState::READY).await;
    });
}

#[test]
fn one_survivor_becomes_a_new_cluster_by_force_and_keeps_what_it_had() {
    lab(3, async |mut lab| {
        lab.form(3).await;
        let acknowledged = write_many(&lab, &[], "before", 5).await;
        all_have(&lab, &[0, 1, 2], &acknowledged).await;
        let id = lab.machines[0].id();
        lab.machines[1].kill();
        lab.machines[2].kill();
        let force = InitRequest { force_new_cluster: true, ..InitRequest::default() };
        assert_eq!(lab.machines[0].init_with(force).await.unwrap(), id);
        assert!(lab.machines[0].write("after").await);
        all_have(&lab, &[0], &acknowledged).await;
        let nodes = lab.machines[0].nodes().await.unwrap();
        assert_eq!(nodes.iter().filter(|node| node.manager_status.is_some()).count(), 1);
        let remove = |id: &str| {
            let wish = Wish::RemoveNode { id: id.into(), is_forced: false };
            lab.machines[0].ask(Ask::Wish(Box::new(wish)))
        };
        let said = remove(&id).await.unwrap_err().to_string();
        assert!(said.contains("It must be demoted to worker before removal"), "{said}");
        for lost in nodes.iter().filter(|node| node.id.as_str() != id) {
            lab.machines[0].sees("it is down", lost.id.as_str(), |node| node.is_down()).await;
            remove(lost.id.as_str()).await.unwrap();
        }
        lab.machines[0].shut_down().await;
        lab.machines[0].boot();
        let leader = lab.leader().await;
        all_have(&lab, &[leader], &acknowledged).await;
    });
}

#[test]
fn a_swarm_is_restored_from_a_copy_of_its_folder() {
    lab(2, async |mut lab| {
        lab.machines[0].init().await;
        let acknowledged = write_many(&lab, &[], "kept", 20).await;
        lab.machines[0].shut_down().await;
        let (from, to) =
            (lab.machines[0].data_root().join("swarm"), lab.machines[1].data_root().join("swarm"));
        lab.machines[1].kill();
        run("cp", &["-a", from.to_str().unwrap(), to.to_str().unwrap()]);
        run("cp", &["-a", to.to_str().unwrap(), from.with_extension("backup").to_str().unwrap()]);
        lab.machines[1].boot();
        let restored = lab.leader_without(&[0]).await;
        all_have(&lab, &[restored], &acknowledged).await;
    });
}
