//! Coming, going, and changing roles.

use drydock_swarm::ask::{Ask, RotateKeys, Wish};
use drydock_swarm::manager::LocalState;
use drydock_swarm::objects::{NodeState, ObservedRole, Reachability, Role};

use crate::lab::{lab, until};

#[test]
fn a_swarm_of_one_is_ready_at_once_and_has_tokens_in_swarms_form() {
    lab(1, async |lab| {
        let machine = &lab.machines[0];
        machine.init().await;
        let cluster = machine.inspect().await;
        for token in [&cluster.root_ca.join_tokens.worker, &cluster.root_ca.join_tokens.manager] {
            let token = token.as_deref().unwrap();
            assert!(token.starts_with("SWMTKN-1-") && token.len() == 85, "{token}");
        }
        let node = machine.node(&machine.id()).await.unwrap();
        assert_eq!((node.status.state, node.hostname()), (NodeState::READY, "node0"));
        let status = node.manager_status.clone().unwrap();
        assert!(status.leader);
        assert_eq!((status.reachability, status.addr), (Reachability::REACHABLE, machine.address()));
        assert_eq!(machine.cluster().local_state(), LocalState::Active);
    });
}

#[test]
fn a_second_init_and_a_join_are_refused_while_the_node_is_part_of_a_swarm() {
    lab(2, async |mut lab| {
        lab.form(1).await;
        let words = "This node is already part of a swarm.";
        assert!(
            lab.machines[0].init_with(Default::default()).await.unwrap_err().to_string().starts_with(words)
        );
        let error = lab.machines[1].join(&lab.machines[0].address(), "x").await.unwrap_err();
        assert!(error.to_string().starts_with(words), "{error}");
        let error = lab.machines[1].ask(Ask::Read).await.unwrap_err();
        assert!(
            error.to_string().starts_with("This node is not a swarm manager. Worker nodes can't be used"),
            "{error}"
        );
    });
}

#[test]
fn managers_and_workers_join_and_each_manager_answers_for_all() {
    lab(5, async |mut lab| {
        lab.form(3).await;
        for machine in &lab.machines[..3] {
            let nodes = machine.nodes().await.unwrap();
            assert_eq!(nodes.len(), 5);
            let leaders =
                nodes.iter().filter(|node| node.manager_status.as_ref().is_some_and(|status| status.leader));
            assert_eq!(leaders.count(), 1);
        }
        assert!(!lab.machines[4].cluster().is_manager());
    });
}

#[test]
fn a_promoted_worker_votes_and_a_demoted_manager_no_longer_does() {
    lab(3, async |mut lab| {
        lab.form(1).await;
        let id = lab.machines[1].id();
        lab.machines[0].set_role(&id, Role::MANAGER).await;
        lab.machines[0]
            .sees("the worker is a manager", &id, |node| {
                node.manager_status
                    .as_ref()
                    .is_some_and(|status| status.reachability == Reachability::REACHABLE)
            })
            .await;
        until("it answers as a manager", || async { lab.machines[1].nodes().await.ok() }).await;
        lab.machines[0].set_role(&id, Role::WORKER).await;
        lab.machines[0]
            .sees("the manager is a worker again", &id, |node| {
                node.observed_role == ObservedRole::Worker
                    && node.manager_status.is_none()
                    && node.status.state == NodeState::READY
            })
            .await;
        until("it has no manager", || async { (!lab.machines[1].cluster().is_manager()).then_some(()) })
            .await;
        until("and no raft log", || async {
            (!lab.machines[1].data_root().join("swarm/raft").exists()).then_some(())
        })
        .await;
        assert!(lab.machines[0].write("after").await, "the one that is left decides alone");
    });
}

#[test]
fn a_leader_that_is_demoted_hands_over() {
    lab(3, async |mut lab| {
        lab.form(3).await;
        let leader = lab.leader().await;
        let id = lab.machines[leader].id();
        let other = (leader + 1) % 3;
        lab.machines[other].set_role(&id, Role::WORKER).await;
        lab.machines[other]
            .sees("the old leader is a worker", &id, |node| node.observed_role == ObservedRole::Worker)
            .await;
        until("it has no manager", || async { (!lab.machines[leader].cluster().is_manager()).then_some(()) })
            .await;
        let next = lab.leader_without(&[leader]).await;
        assert!(lab.machines[next].write("after").await);
    });
}

#[test]
fn the_last_manager_is_not_demoted() {
    lab(1, async |mut lab| {
        lab.form(1).await;
        let machine = &lab.machines[0];
        let node = machine.node(&machine.id()).await.unwrap();
        let mut spec = node.spec.clone();
        spec.role = Some(Role::WORKER);
        let ask = Ask::Wish(Box::new(Wish::UpdateNode {
            id: machine.id().into(),
            version: node.meta.version.index,
            spec,
        }));
        let error = machine.ask(ask).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm"
        );
    });
}

#[test]
fn a_worker_leaves_and_is_removed_and_its_old_certificate_is_worth_nothing() {
    lab(2, async |mut lab| {
        lab.form(1).await;
        let id = lab.machines[1].id();
        let ask = Ask::Wish(Box::new(Wish::RemoveNode { id: id.as_str().into(), is_forced: false }));
        let error = lab.machines[0].ask(ask.clone()).await.unwrap_err().to_string();
        assert_eq!(
            error,
            format!("rpc error: code = FailedPrecondition desc = node {id} is not down and can't be removed")
        );
        lab.machines[1].leave(false).await.unwrap();
        assert!(!lab.machines[1].data_root().join("swarm").exists());
        lab.machines[0].sees("the worker is down", &id, |node| node.status.state == NodeState::DOWN).await;
        lab.machines[0].ask(ask).await.unwrap();
        assert_eq!(lab.machines[0].nodes().await.unwrap().len(), 1);
        assert!(lab.machines[0].inspect().await.blocked_certificates.contains_key(&id));
    });
}

#[test]
fn a_manager_does_not_leave_unless_it_is_forced_to() {
    lab(3, async |mut lab| {
        lab.form(3).await;
        let error = lab.machines[2].leave(false).await.unwrap_err().to_string();
        assert_eq!(
            error,
            "You are attempting to leave the swarm on a node that is participating as a manager. The only way to restore a swarm that \
             has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message."
        );
        lab.machines[2].leave(true).await.unwrap();
        assert_eq!(lab.machines[2].cluster().local_state(), LocalState::Inactive);
        let left = lab.leader_without(&[2]).await;
        assert!(lab.machines[left].write("without it").await);
    });
}

#[test]
fn nodes_find_their_swarm_again_after_all_engines_were_restarted() {
    lab(4, async |mut lab| {
        lab.form(3).await;
        let leader = lab.leader().await;
        assert!(lab.machines[leader].write("before").await);
        for machine in &mut lab.machines {
            machine.shut_down().await;
        }
        for machine in &mut lab.machines {
            machine.boot();
        }
        let leader = lab.leader().await;
        until("the write is there", || async { lab.machines[leader].has("before").then_some(()) }).await;
        let ids: Vec<String> = lab.machines.iter().map(|machine| machine.id()).collect();
        for id in ids {
            lab.machines[leader]
                .sees("the node is back", &id, |node| node.status.state == NodeState::READY)
                .await;
        }
    });
}

#[test]
fn a_settings_change_that_was_overtaken_is_refused() {
    lab(1, async |mut lab| {
        lab.form(1).await;
        let machine = &lab.machines[0];
        let stale = machine.inspect().await;
        machine
            .update_swarm(RotateKeys::default(), |spec| {
                _ = spec.labels.get_or_insert_default().insert("a".into(), "b".into())
            })
            .await;
        let update = drydock_swarm::ask::SwarmUpdate {
            version: stale.meta.version.index,
            spec: stale.spec.clone(),
            rotate: RotateKeys::default(),
        };
        let error = machine.ask(Ask::UpdateSwarm(Box::new(update))).await.unwrap_err();
        assert_eq!(error.to_string(), "rpc error: code = Unknown desc = update out of sequence");
    });
}
