//! `/sys/fs/cgroup` inside the container.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_sys::mount::{self, Attributes, Change, Reach};

use super::mounts::{CgroupView, MountError, Planned, attach};
use super::target::{self, Make};

/// Mounts cgroup2 itself, or a tmpfs with one mount per v1 hierarchy, whichever the host has.
pub fn make(planned: &Planned, root: BorrowedFd<'_>, view: CgroupView<'_>) -> Result<(), MountError> {
    let destination = &planned.destination;
    let point = target::open_or_make(root, destination, Make::Directory)
        .map_err(|source| MountError::Point { destination: destination.clone(), source })?;
    let failed = |source| MountError::Filesystem {
        destination: destination.clone(),
        kind: planned.kind.clone(),
        source,
    };
    if view.cgroup.unified {
        let folder = view.cgroup.v2.as_deref().unwrap_or(Path::new("/sys/fs/cgroup"));
        let tree = group(view, "cgroup2", None, folder, planned).map_err(failed)?;
        return attach(&tree, &point, destination);
    }
    let floor = mount::new_filesystem("tmpfs", Some("tmpfs"), &[("mode", "755")], Attributes::empty())
        .map_err(failed)?;
    attach(&floor, &point, destination)?;
    for hierarchy in hierarchies(view) {
        let name = Path::new(&hierarchy.name);
        let point = target::open_or_make(&floor, name, Make::Directory)
            .map_err(|source| MountError::Point { destination: destination.join(name), source })?;
        let tree = group(view, hierarchy.kind, hierarchy.option.as_deref(), &hierarchy.folder, planned)
            .map_err(failed)?;
        attach(&tree, &point, &destination.join(name))?;
        link_controllers(&floor, &hierarchy).map_err(failed)?;
    }
    let flags = change(planned);
    mount::change(&floor, Reach::One, &flags)
        .map_err(|source| MountError::Change { destination: destination.clone(), source })
}

/// One mount below the tmpfs.
struct View {
    /// `cpu,cpuacct`, `systemd`, `unified`.
    name: String,
    kind: &'static str,
    option: Option<String>,
    folder: PathBuf,
    controllers: Vec<String>,
}

fn hierarchies(view: CgroupView<'_>) -> Vec<View> {
    let v1 = view.hierarchies.v1.iter().filter_map(|hierarchy| {
        let option = hierarchy.controllers.join(",");
        let folder = view.cgroup.v1.get(hierarchy.controllers.first()?)?.clone();
        Some(View {
            name: option.strip_prefix("name=").unwrap_or(&option).to_owned(),
            kind: "cgroup",
            option: Some(option),
            folder,
            controllers: hierarchy.controllers.clone(),
        })
    });
    let v2 = view.cgroup.v2.as_ref().map(|folder| View {
        name: "unified".to_owned(),
        kind: "cgroup2",
        option: None,
        folder: folder.clone(),
        controllers: Vec::new(),
    });
    v1.chain(v2).collect()
}

/// In a cgroup namespace a fresh mount shows the container's group as the root; without one, the group is bound.
fn group(
    view: CgroupView<'_>,
    kind: &str,
    option: Option<&str>,
    folder: &Path,
    planned: &Planned,
) -> io::Result<OwnedFd> {
    let tree = if view.namespaced {
        let option = option.map(|option| match option.split_once('=') {
            Some((key, value)) => vec![("none", ""), (key, value)],
            None => option.split(',').map(|name| (name, "")).collect(),
        });
        mount::new_filesystem(kind, Some(kind), &option.unwrap_or_default(), Attributes::empty())?
    } else {
        mount::clone_tree(folder, Reach::One)?
    };
    mount::change(&tree, Reach::One, &change(planned))?;
    Ok(tree)
}

fn change(planned: &Planned) -> Change<'static> {
    Change { set: planned.options.set.some(), ..Change::default() }
}

/// `cpu -> cpu,cpuacct`, as distributions have it.
fn link_controllers(floor: &OwnedFd, view: &View) -> io::Result<()> {
    if view.controllers.len() < 2 {
        return Ok(());
    }
    for controller in &view.controllers {
        rustix::fs::symlinkat(&view.name, floor.as_fd(), controller)?;
    }
    Ok(())
}
