//! From a data directory, perhaps with the remains of an earlier process, to a working host.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Mutex;

use rustix::fs::{FlockOperation, flock};
use tokio::sync::Notify;

use crate::adopt::{self, Adopted};
use crate::boot::{Image, Yard};
use crate::config::{HostConfig, NodeImage};
use crate::firewall;
use crate::host::Inner;
use crate::names::{self, Names};
use crate::node::Node;
use crate::places::Places;
use crate::runtime::Runtime;
use crate::session::{SessionError, Uplink};
use crate::state::Entry;
use crate::uplink::{self, Surroundings, UplinkError};

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make {path}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("another process uses {path}")]
    Locked { path: PathBuf },
    #[error("{path} is missing")]
    Program { path: PathBuf },
    #[error("cannot open the image store {path}")]
    Store { path: PathBuf, source: drydock_images::OpenError },
    #[error("there is no node image {reference}")]
    Image { reference: String, source: drydock_images::FindError },
    #[error("a node image by reference needs an image store")]
    NoStore,
    #[error("cannot set up the host's network")]
    Uplink { source: UplinkError },
    #[error("cannot take over a running session")]
    Session { source: SessionError },
}

/// Locks the data directory, adopts or sweeps what is in it, and sets up the host's side of the network.
pub fn open(config: HostConfig) -> Result<(Inner, Adopted), OpenError> {
    let folder = |path: PathBuf| {
        fs::create_dir_all(&path).map_err(|source| OpenError::Folder { path: path.clone(), source })
    };
    folder(config.data_dir.clone())?;
    let places = Places::new(&config.data_dir)
        .map_err(|source| OpenError::Folder { path: config.data_dir.clone(), source })?;
    for path in [places.runtime(), places.templates(), places.sessions(), places.nodes()] {
        folder(path)?;
    }
    let lock = lock(places.lock())?;
    let image = node_image(&config)?;
    for program in crate::root::PROGRAMS {
        let path = config.bin_dir.join(program);
        if !path.is_file() {
            return Err(OpenError::Program { path });
        }
    }
    let runtime = Runtime { program: config.bin_dir.join("drydock-runtime"), state: places.runtime() };
    let (adopted, swept) = adopt::adopt(&places, &runtime);
    if let Err(error) = swept {
        tracing::error!(%error, "something of an earlier process remains");
    }
    let uplink = connect_host(&places, &adopted).map_err(|source| OpenError::Uplink { source })?;
    let yard = Yard {
        places,
        runtime,
        bin_dir: config.bin_dir.clone(),
        image,
        store: config.store.clone(),
        first_id: config.first_id,
    };
    let resolver = fs::read_to_string("/etc/resolv.conf").ok().and_then(|text| names::resolver(&text));
    let inner = Inner {
        resolver: resolver.filter(|_| uplink == Uplink::Wanted),
        config,
        yard,
        uplink,
        state: Mutex::default(),
        changed: Notify::new(),
        session_changes: tokio::sync::Mutex::default(),
        _lock: lock,
    };
    Ok((inner, adopted))
}

/// Puts what was adopted to work.
pub async fn start((inner, adopted): (Inner, Adopted)) -> Result<Inner, OpenError> {
    for (id, (record, namespace)) in adopted.sessions {
        let names = Names::default();
        let session = inner.switch(record, namespace, &names).await;
        let session = session.map_err(|source| OpenError::Session { source })?;
        inner.state().sessions.insert(id, (session, names));
    }
    for record in adopted.nodes {
        let mut state = inner.state();
        let Some((session, _)) = state.sessions.get(&record.spec.session) else { continue };
        let node = Node::new(record.clone(), session.clone(), inner.yard.places.sockets_of(&record.spec.id));
        state.name(&record);
        state.nodes.insert(record.spec.id, Entry::Running(node));
    }
    restore_faults(&inner);
    Ok(inner)
}

/// The kernel may have others than the record: a process can end between the two.
fn restore_faults(inner: &Inner) {
    let sessions: Vec<_> = inner.state().sessions.values().map(|(session, _)| session.clone()).collect();
    for session in sessions {
        let is_there = |address| inner.state().node_at(session.id(), address).is_some();
        let restored = session.faults().restore(session.namespace(), is_there);
        if let Err(error) = restored {
            // Nodes go on all the same, and what is told of their cables is what was recorded.
            tracing::error!(session.id = %session.id(), %error, "the session's faults are not in force");
        }
    }
}

fn lock(path: PathBuf) -> Result<File, OpenError> {
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|source| OpenError::Folder { path: path.clone(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(OpenError::Locked { path }),
    }
}

fn node_image(config: &HostConfig) -> Result<Image, OpenError> {
    match &config.image {
        NodeImage::Layers(layers) => {
            Ok(Image { layers: layers.iter().rev().cloned().collect(), env: Vec::new() })
        }
        NodeImage::Reference(reference) => {
            let path = config.store.clone().ok_or(OpenError::NoStore)?;
            let store = drydock_images::Store::open(&path, None);
            let store = store.map_err(|source| OpenError::Store { path, source })?;
            let image = store.find(reference);
            let image = image.map_err(|source| OpenError::Image { reference: reference.clone(), source })?;
            let settings = image.config.config().as_ref();
            let env = settings.and_then(|settings| settings.env().clone()).unwrap_or_default();
            Ok(Image { layers: store.layer_paths(&image), env })
        }
    }
}

fn connect_host(places: &Places, adopted: &Adopted) -> Result<Uplink, UplinkError> {
    if !Surroundings::look()?.has_default_route {
        return Ok(Uplink::Pointless);
    }
    let sessions: Vec<u32> = adopted.sessions.values().map(|(record, _)| record.number).collect();
    uplink::prepare(places, &sessions)?;
    // Sessions work without a way out: this is no reason not to serve.
    if let Err(closed) = firewall::admit(&places.link_prefix()) {
        tracing::warn!("{closed}");
    }
    Ok(Uplink::Wanted)
}
