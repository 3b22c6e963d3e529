//! The database through its public face, each test in a folder of its own.

use std::net::Ipv4Addr;

use drydock_sessions::{Instance, InstanceName, Label, Session, SessionId, Store};
use time::{Duration, OffsetDateTime};

fn session() -> Session {
    // The database keeps milliseconds.
    let now = OffsetDateTime::now_utc().replace_microsecond(0).unwrap();
    Session {
        id: SessionId::random().unwrap(),
        label: Label::random().unwrap(),
        created: now,
        expires: now + Duration::hours(4),
        stack: String::new(),
        stack_name: "two-nodes".into(),
        image: String::new(),
        lab: Some("first-containers".into()),
    }
}

fn instance(session: &Session, number: u8) -> Instance {
    Instance {
        name: InstanceName::random(&session.id).unwrap(),
        session: session.id.clone(),
        hostname: format!("node{number}"),
        image: "drydock/node".into(),
        kind: "linux".into(),
        node: format!("{}-{number}", session.label.as_str()),
        ip: Ipv4Addr::new(10, 0, 0, number),
        created: session.created,
    }
}

#[tokio::test]
async fn what_was_stored_is_read_back_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drydock.db");
    let session = session();
    let (one, two) = (instance(&session, 1), instance(&session, 2));
    let store = Store::open(&path).await.unwrap();
    store.add_session(&session).await.unwrap();
    store.add_instance(&one).await.unwrap();
    store.add_instance(&two).await.unwrap();
    store.set_progress(&session.id, "step-1", "done").await.unwrap();
    store.set_progress(&session.id, "step-1", "done twice").await.unwrap();
    // Dropped without `close`, as a killed process leaves it.
    drop(store);

    let store = Store::open(&path).await.unwrap();
    assert_eq!(store.sessions().await.unwrap(), std::slice::from_ref(&session));
    assert_eq!(store.instances().await.unwrap(), [one, two]);
    assert_eq!(store.progress(&session.id).await.unwrap()["step-1"], "done twice");
}

#[tokio::test]
async fn a_removed_session_takes_its_instances_and_progress_along() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("drydock.db")).await.unwrap();
    let (gone, stays) = (session(), session());
    for session in [&gone, &stays] {
        store.add_session(session).await.unwrap();
        store.add_instance(&instance(session, 1)).await.unwrap();
        store.set_progress(&session.id, "lab", "x").await.unwrap();
    }
    store.remove_session(&gone.id).await.unwrap();
    store.remove_session(&gone.id).await.unwrap();
    assert_eq!(store.sessions().await.unwrap(), std::slice::from_ref(&stays));
    assert_eq!(store.instances().await.unwrap(), [instance_of(&store, &stays).await]);
    assert!(store.progress(&gone.id).await.unwrap().is_empty());
    assert_eq!(store.progress(&stays.id).await.unwrap().len(), 1);
}

async fn instance_of(store: &Store, session: &Session) -> Instance {
    store.instances().await.unwrap().into_iter().find(|instance| instance.session == session.id).unwrap()
}

#[tokio::test]
async fn a_hostname_is_unique_in_its_session_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("drydock.db")).await.unwrap();
    let (one, other) = (session(), session());
    store.add_session(&one).await.unwrap();
    store.add_session(&other).await.unwrap();
    store.add_instance(&instance(&one, 1)).await.unwrap();
    store.add_instance(&instance(&other, 1)).await.unwrap();
    let twin = Instance { node: "other".into(), ..instance(&one, 1) };
    store.add_instance(&twin).await.unwrap_err();
}

#[tokio::test]
async fn an_extension_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("drydock.db")).await.unwrap();
    let session = session();
    store.add_session(&session).await.unwrap();
    let later = session.expires + Duration::hours(1);
    store.set_expiry(&session.id, later).await.unwrap();
    assert_eq!(store.sessions().await.unwrap()[0].expires, later);
}
