//! Taking over what an earlier process left: running nodes and their sessions are adopted, all else is removed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use drydock_networks::NetNs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::control_groups;
use crate::id::{NodeId, SessionId};
use crate::places::Places;
use crate::processes::{self, wait_until};
use crate::record::{self, NodeRecord, SessionRecord, Stage};
use crate::removal::{self, EndError, Failures};
use crate::runtime::Runtime;
use crate::session;
use crate::uplink;

/// How long killed processes may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is whole and goes on.
#[derive(Debug, Default)]
pub struct Adopted {
    pub sessions: BTreeMap<SessionId, (SessionRecord, NetNs)>,
    pub nodes: Vec<NodeRecord>,
}

/// Looks through the data directory and leaves in it only what it returns.
pub fn adopt(places: &Places, runtime: &Runtime) -> (Adopted, Result<(), EndError>) {
    let mut adopted = Adopted::default();
    let mut failures = Failures::default();
    failures.note("end unfinished boots", end_unfinished_boots(runtime));
    for id in ids::<SessionId>(&places.sessions()) {
        match whole_session(places, &id) {
            Some(whole) => drop(adopted.sessions.insert(id, whole)),
            None => failures.join(lost_session(places, &id)),
        }
    }
    for id in ids::<NodeId>(&places.nodes()) {
        let record = record::read::<NodeRecord>(&places.node(&id).join("node.json"));
        let session = record.as_ref().ok().and_then(|record| adopted.sessions.get(&record.spec.session));
        match record {
            Ok(record) if session.is_some() && runs(&record) => adopted.nodes.push(record),
            Ok(record) => {
                let switch = session.map(|(_, namespace)| namespace);
                failures.join(removal::node(places, runtime, &record, switch));
            }
            Err(_) => failures.join(nameless_node(places, runtime, &id)),
        }
    }
    for id in ids::<NodeId>(&places.sockets()) {
        if !adopted.nodes.iter().any(|node| node.spec.id == id) {
            failures.note("remove sockets", removal::remove_folder(&places.sockets_of(&id)));
        }
    }
    failures.join(sweep_groups(places, &adopted));
    failures.note("clear the host's side of sessions", clear_uplinks(places, &adopted));
    (adopted, failures.into_result("what an earlier process left"))
}

/// Names in a folder that are ids; others are not ours.
fn ids<T: std::str::FromStr>(folder: &Path) -> Vec<T> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Runtimes started by a killed process may still be at work, or hold a node that waits for its start. Every
/// process of theirs has our state directory among its arguments until the node's own program begins.
fn end_unfinished_boots(runtime: &Runtime) -> io::Result<()> {
    let argument = runtime.state.as_os_str().as_encoded_bytes();
    let mut outcome = Ok(());
    let gone = wait_until(PATIENCE, || match processes::with_argument(argument) {
        Ok(pids) => {
            for pid in &pids {
                // It may have ended by itself meanwhile.
                let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
            }
            pids.is_empty()
        }
        Err(error) => {
            outcome = Err(error);
            true
        }
    });
    if gone { outcome } else { Err(io::ErrorKind::TimedOut.into()) }
}

fn runs(record: &NodeRecord) -> bool {
    match record.stage {
        Stage::Running { pid, started } => processes::started(pid) == Some(started),
        Stage::Making | Stage::Ending { .. } => false,
    }
}

fn whole_session(places: &Places, id: &SessionId) -> Option<(SessionRecord, NetNs)> {
    let folder = places.session(id);
    let record: SessionRecord = record::read(&folder.join("session.json")).ok()?;
    let namespace = NetNs::open(&folder.join("netns")).ok()?;
    session::is_whole(&namespace).then_some((record, namespace))
}

fn lost_session(places: &Places, id: &SessionId) -> Result<(), EndError> {
    match record::read::<SessionRecord>(&places.session(id).join("session.json")) {
        Ok(record) => removal::session(places, &record),
        Err(_) => removal::session_folder(places, id),
    }
}

/// Its folder was made, its record was not: nothing else can exist.
fn nameless_node(places: &Places, runtime: &Runtime, id: &NodeId) -> Result<(), EndError> {
    let mut failures = Failures::default();
    failures.note("delete it from the runtime", runtime.delete(id));
    failures.note("remove its folder", removal::remove_folder(&places.node(id)));
    failures.into_result(format_args!("node {id}"))
}

fn sweep_groups(places: &Places, adopted: &Adopted) -> Result<(), EndError> {
    let mut failures = Failures::default();
    let top = places.control_groups();
    for name in control_groups::children(&top).unwrap_or_default() {
        if !adopted.nodes.iter().any(|node| node.spec.id.as_str() == name) {
            failures.note("remove a cgroup", control_groups::remove(&format!("{top}/{name}")));
        }
    }
    failures.into_result("cgroups")
}

/// A session's link to the host is kept if the session is; the table is made anew in any case.
fn clear_uplinks(places: &Places, adopted: &Adopted) -> Result<(), drydock_networks::netlink::NetlinkError> {
    let kept: Vec<String> =
        adopted.sessions.values().map(|(record, _)| uplink::link_name(places, record.number)).collect();
    uplink::sweep(places, &kept)
}
