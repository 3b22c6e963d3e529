//! Managers whose keys are locked.

use drydock_swarm::ask::{Ask, RotateKeys};
use drydock_swarm::identity::{CertificateFiles, NodeKey, SealKey, UnlockKey};
use drydock_swarm::manager::LocalState;
use drydock_swarm::raft::{Io, Log};

use crate::lab::{Machine, lab, until};

async fn unlock_key(machine: &Machine) -> String {
    machine.on(|cluster| async move { cluster.unlock_key().await }).await.unwrap()
}

async fn is_locked(machine: &Machine) {
    let files = CertificateFiles::below(machine.data_root());
    until("the key file is locked", || async { files.is_locked().unwrap().then_some(()) }).await;
}

#[test]
fn a_locked_manager_waits_for_its_key_after_a_restart() {
    lab(2, async |mut lab| {
        lab.form(2).await;
        let lock = |spec: &mut drydock_swarm::objects::SwarmSpec| {
            spec.encryption_config.get_or_insert_default().auto_lock_managers = Some(true);
        };
        lab.machines[0].update_swarm(RotateKeys::default(), lock).await;
        let key = unlock_key(&lab.machines[0]).await;
        assert!(key.starts_with("SWMKEY-1-"));
        for machine in &lab.machines {
            is_locked(machine).await;
        }
        let leader = lab.leader().await;
        assert!(lab.machines[leader].write("kept").await);
        for machine in &mut lab.machines {
            machine.shut_down().await;
            machine.boot();
            assert_eq!(machine.cluster().local_state(), LocalState::Locked);
        }
        let locked = "Swarm is encrypted and needs to be unlocked before it can be used.";
        assert!(lab.machines[0].ask(Ask::Read).await.unwrap_err().to_string().starts_with(locked));
        assert_eq!(lab.machines[0].unlock("nonsense").await.unwrap_err().to_string(), "invalid key string");
        let wrong = drydock_swarm::identity::UnlockKey::generate().to_string();
        let error = lab.machines[0].unlock(&wrong).await.unwrap_err().to_string();
        assert_eq!(error, "swarm could not be unlocked: invalid key provided");
        for machine in &lab.machines {
            machine.unlock(&key).await.unwrap();
        }
        assert_eq!(lab.machines[0].unlock(&key).await.unwrap_err().to_string(), "swarm is not locked");
        let leader = lab.leader().await;
        until("the write is there", || async { lab.machines[leader].has("kept").then_some(()) }).await;
    });
}

#[test]
fn a_rotated_unlock_key_ends_the_old_one_and_unlocking_for_good_needs_none() {
    lab(1, async |mut lab| {
        lab.form(1).await;
        let set = |wanted: bool| {
            move |spec: &mut drydock_swarm::objects::SwarmSpec| {
                spec.encryption_config.get_or_insert_default().auto_lock_managers = Some(wanted);
            }
        };
        lab.machines[0].update_swarm(RotateKeys::default(), set(true)).await;
        let old = unlock_key(&lab.machines[0]).await;
        is_locked(&lab.machines[0]).await;
        lab.machines[0]
            .update_swarm(RotateKeys { unlock_key: true, ..RotateKeys::default() }, set(true))
            .await;
        let new = unlock_key(&lab.machines[0]).await;
        assert_ne!(old, new);
        let files = CertificateFiles::below(lab.machines[0].data_root());
        let key = new.parse().unwrap();
        until("the new key locks", || async { files.load_key(Some(&key)).is_ok().then_some(()) }).await;
        lab.machines[0].shut_down().await;
        lab.machines[0].boot();
        lab.machines[0].unlock(&old).await.unwrap_err();
        lab.machines[0].unlock(&new).await.unwrap();
        lab.leader().await;
        lab.machines[0].update_swarm(RotateKeys::default(), set(false)).await;
        until("the key file is open", || async { (!files.is_locked().unwrap()).then_some(()) }).await;
        lab.machines[0].shut_down().await;
        lab.machines[0].boot();
        lab.leader().await;
    });
}

/// Locks a swarm of one and answers the key file's keys before and after.
async fn locked(machine: &Machine) -> (UnlockKey, NodeKey, NodeKey) {
    let files = CertificateFiles::below(machine.data_root());
    let open = files.load_key(None).unwrap().unwrap();
    let lock = |spec: &mut drydock_swarm::objects::SwarmSpec| {
        spec.encryption_config.get_or_insert_default().auto_lock_managers = Some(true);
    };
    machine.update_swarm(RotateKeys::default(), lock).await;
    let unlock: UnlockKey = unlock_key(machine).await.parse().unwrap();
    let settled = || async {
        let key = files.load_key(Some(&unlock)).ok()??;
        (key.next_raft_key.is_none()
            && key.raft_key.as_ref()?.as_bytes() != open.raft_key.as_ref()?.as_bytes())
        .then_some(key)
    };
    let sealed = until("the raft log has another key", settled).await;
    (unlock, open, sealed)
}

#[test]
fn the_key_that_lay_open_before_the_lock_opens_nothing_any_more() {
    lab(1, async |mut lab| {
        lab.form(1).await;
        assert!(lab.machines[0].write("kept").await);
        let (unlock, open, _) = locked(&lab.machines[0]).await;
        lab.machines[0].shut_down().await;
        let folder = lab.machines[0].data_root().join("swarm/raft");
        assert!(Log::open(&folder, open.raft_key.unwrap(), Io::Inline).is_err(), "the old key opens the log");
        lab.machines[0].boot();
        lab.machines[0].unlock(&unlock.to_string()).await.unwrap();
        lab.leader().await;
        until("the write is there", || async { lab.machines[0].has("kept").then_some(()) }).await;
    });
}

#[test]
fn a_manager_that_dies_while_its_log_gets_another_key_finds_it_again() {
    lab(1, async |mut lab| {
        lab.form(1).await;
        assert!(lab.machines[0].write("kept").await);
        let (unlock, open, sealed) = locked(&lab.machines[0]).await;
        // Before the log was sealed anew, and after.
        let before = NodeKey { next_raft_key: Some(SealKey::generate()), ..sealed.clone() };
        let after = NodeKey { next_raft_key: None, ..open };
        for (step, mut torn) in [("before", before), ("after", after)] {
            lab.machines[0].shut_down().await;
            let files = CertificateFiles::below(lab.machines[0].data_root());
            let disk = files.load_key(Some(&unlock)).unwrap().unwrap();
            if torn.next_raft_key.is_none() {
                torn.next_raft_key = disk.raft_key;
            }
            let expected = torn.next_raft_key.clone().unwrap();
            files.save_key(&NodeKey { pem: disk.pem, ..torn }, Some(&unlock)).unwrap();
            lab.machines[0].boot();
            lab.machines[0].unlock(&unlock.to_string()).await.unwrap();
            lab.leader().await;
            until("the write is there", || async { lab.machines[0].has("kept").then_some(()) }).await;
            assert!(lab.machines[0].write(step).await);
            let settled = || async {
                let key = files.load_key(Some(&unlock)).ok()??;
                (key.next_raft_key.is_none() && key.raft_key?.as_bytes() == expected.as_bytes()).then_some(())
            };
            until("the key file names one key", settled).await;
        }
    });
}
