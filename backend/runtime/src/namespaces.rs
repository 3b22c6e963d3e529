//! Which namespaces a container gets new, which it joins, and the id maps of a new user namespace.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use drydock_sys::namespaces::{self, CloneFlags, IdRange};
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType};

/// The namespaces of one container, resolved: paths are open, so they cannot change under us.
#[derive(Debug)]
pub struct Namespaces {
    /// Made by the clone itself.
    pub new: CloneFlags,
    /// Made by the child once it is in its cgroups, which become the namespace's roots.
    pub new_cgroup: bool,
    /// Made by the child, because offsets can be set only while the namespace is empty.
    pub new_time: bool,
    /// Joined by the child, in this order.
    pub joined: Vec<(CloneFlags, OwnedFd)>,
    /// Joined before the clone: a process cannot change its own pid namespace.
    pub joined_pid: Option<OwnedFd>,
    /// Joined before everything else: the other namespaces must belong to it.
    pub joined_user: Option<OwnedFd>,
    /// The container's mounts are made in the caller's own mount namespace, because it has no other.
    pub same_mounts: bool,
    pub uid_map: Vec<IdRange>,
    pub gid_map: Vec<IdRange>,
}

#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    #[error("open the {kind} namespace {path}")]
    Open {
        kind: LinuxNamespaceType,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is not a {kind} namespace")]
    WrongKind { kind: LinuxNamespaceType, path: PathBuf },
    #[error("the {0} namespace is listed twice")]
    Twice(LinuxNamespaceType),
    #[error("a new user namespace needs uidMappings and gidMappings")]
    NoIdMaps,
    #[error("uidMappings and gidMappings need a new user namespace")]
    IdMapsWithoutNamespace,
    #[error("{0} needs a new {1} namespace")]
    NeedsNew(&'static str, LinuxNamespaceType),
}

/// Outermost last: joining a user namespace last would take away the right to join the others.
fn flag(kind: LinuxNamespaceType) -> CloneFlags {
    match kind {
        LinuxNamespaceType::Mount => CloneFlags::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => CloneFlags::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => CloneFlags::CLONE_NEWIPC,
        LinuxNamespaceType::User => CloneFlags::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => CloneFlags::CLONE_NEWPID,
        LinuxNamespaceType::Network => CloneFlags::CLONE_NEWNET,
        LinuxNamespaceType::Time => CloneFlags::from_bits_retain(CLONE_NEWTIME),
    }
}

/// `linux/sched.h`; `CloneFlags` does not name it.
pub const CLONE_NEWTIME: i32 = 0x80;

impl Namespaces {
    pub fn resolve(linux: &Linux) -> Result<Self, NamespaceError> {
        let mut found = Self {
            new: CloneFlags::empty(),
            new_cgroup: false,
            new_time: false,
            joined: Vec::new(),
            joined_pid: None,
            joined_user: None,
            same_mounts: true,
            uid_map: ranges(linux.uid_mappings()),
            gid_map: ranges(linux.gid_mappings()),
        };
        let mut seen = CloneFlags::empty();
        for namespace in linux.namespaces().iter().flatten() {
            let kind = namespace.typ();
            if seen.contains(flag(kind)) {
                return Err(NamespaceError::Twice(kind));
            }
            seen |= flag(kind);
            match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
                Some(path) => found.join(kind, path)?,
                None => found.make(kind),
            }
        }
        found.same_mounts = !seen.contains(CloneFlags::CLONE_NEWNS);
        found.check(linux)?;
        Ok(found)
    }

    fn make(&mut self, kind: LinuxNamespaceType) {
        match kind {
            LinuxNamespaceType::Cgroup => self.new_cgroup = true,
            LinuxNamespaceType::Time => self.new_time = true,
            _ => self.new |= flag(kind),
        }
    }

    fn join(&mut self, kind: LinuxNamespaceType, path: &PathBuf) -> Result<(), NamespaceError> {
        let file = std::fs::File::open(path).map_err(|source| NamespaceError::Open {
            kind,
            path: path.clone(),
            source,
        })?;
        let fd = OwnedFd::from(file);
        if namespaces::kind(std::os::fd::AsFd::as_fd(&fd)).ok() != Some(flag(kind)) {
            return Err(NamespaceError::WrongKind { kind, path: path.clone() });
        }
        match kind {
            LinuxNamespaceType::Pid => self.joined_pid = Some(fd),
            LinuxNamespaceType::User => self.joined_user = Some(fd),
            _ => self.joined.push((flag(kind), fd)),
        }
        Ok(())
    }

    fn check(&self, linux: &Linux) -> Result<(), NamespaceError> {
        let maps = !self.uid_map.is_empty() && !self.gid_map.is_empty();
        if self.new_user() && !maps {
            return Err(NamespaceError::NoIdMaps);
        }
        let any_map = !self.uid_map.is_empty() || !self.gid_map.is_empty();
        if !self.new_user() && self.joined_user.is_none() && any_map {
            return Err(NamespaceError::IdMapsWithoutNamespace);
        }
        let offsets = linux.time_offsets().as_ref().is_some_and(|offsets| !offsets.is_empty());
        if offsets && !self.new_time {
            return Err(NamespaceError::NeedsNew("timeOffsets", LinuxNamespaceType::Time));
        }
        Ok(())
    }

    pub fn new_user(&self) -> bool {
        self.new.contains(CloneFlags::CLONE_NEWUSER)
    }

    /// Whether the container's root is another user than the caller's.
    pub fn other_user(&self) -> bool {
        self.new_user() || self.joined_user.is_some()
    }

    /// The caller's ids of the container's root.
    pub fn root_ids(&self) -> (u32, u32) {
        (outside(&self.uid_map, 0), outside(&self.gid_map, 0))
    }
}

/// Whether a container has its mounts to itself, or in a namespace it joined.
pub fn has_mount_namespace(linux: &Linux) -> bool {
    let mut listed = linux.namespaces().iter().flatten();
    listed.any(|namespace| namespace.typ() == LinuxNamespaceType::Mount)
}

fn ranges(mappings: &Option<Vec<LinuxIdMapping>>) -> Vec<IdRange> {
    let range = |mapping: &LinuxIdMapping| IdRange {
        inside: mapping.container_id(),
        outside: mapping.host_id(),
        size: mapping.size(),
    };
    mappings.iter().flatten().map(range).collect()
}

/// The id maps of one mount, or of the container.
pub fn mount_ranges(mappings: &Option<Vec<LinuxIdMapping>>, container: &[IdRange]) -> Vec<IdRange> {
    match mappings.as_deref() {
        Some([_, ..]) => ranges(mappings),
        _ => container.to_vec(),
    }
}

fn outside(map: &[IdRange], inside: u32) -> u32 {
    map.iter()
        .find(|range| (range.inside..range.inside.saturating_add(range.size)).contains(&inside))
        .map_or(inside, |range| range.outside + (inside - range.inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(json: &str) -> Result<Namespaces, NamespaceError> {
        Namespaces::resolve(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_user_namespace_and_its_maps_come_together() {
        let maps = r#""uidMappings":[{"containerID":0,"hostID":1000,"size":10}],"gidMappings":[{"containerID":0,"hostID":2000,"size":10}]"#;
        let both = format!(r#"{{"namespaces":[{{"type":"mount"}},{{"type":"user"}}],{maps}}}"#);
        assert_eq!(resolve(&both).unwrap().root_ids(), (1000, 2000));
        let maps_alone = format!(r#"{{"namespaces":[{{"type":"mount"}}],{maps}}}"#);
        assert!(matches!(resolve(&maps_alone), Err(NamespaceError::IdMapsWithoutNamespace)));
        let alone = r#"{"namespaces":[{"type":"mount"},{"type":"user"}]}"#;
        assert!(matches!(resolve(alone), Err(NamespaceError::NoIdMaps)));
    }

    #[test]
    fn a_namespace_named_twice_or_of_another_kind_is_refused() {
        let twice = r#"{"namespaces":[{"type":"mount"},{"type":"mount"}]}"#;
        assert!(matches!(resolve(twice), Err(NamespaceError::Twice(_))));
        let wrong = r#"{"namespaces":[{"type":"mount"},{"type":"network","path":"/proc/self/ns/uts"}]}"#;
        assert!(matches!(resolve(wrong), Err(NamespaceError::WrongKind { .. })));
        let right = r#"{"namespaces":[{"type":"mount"},{"type":"network","path":"/proc/self/ns/net"}]}"#;
        assert_eq!(resolve(right).unwrap().joined.len(), 1);
    }

    #[test]
    fn ids_outside_the_map_stay_as_they_are() {
        let map = [IdRange { inside: 0, outside: 500, size: 2 }];
        assert_eq!([outside(&map, 1), outside(&map, 2)], [501, 2]);
    }
}
