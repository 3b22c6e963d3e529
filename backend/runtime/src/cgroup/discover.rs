//! Where the hierarchies are mounted, and which groups of them a container gets.

use std::collections::BTreeMap;
use std::io;
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::LinuxResources;

use super::settings::{self, Setting};
use super::{Cgroup, CgroupError};

/// One hierarchy this process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// `cpu`, `cpuacct`, …, or `name=systemd`.
    pub controllers: Vec<String>,
    pub mount: PathBuf,
    /// This process's own group, as it sees it.
    pub own: PathBuf,
}

/// What `/proc/self/cgroup` and `/sys/fs/cgroup` say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies {
    pub v1: Vec<Hierarchy>,
    pub v2: Option<Hierarchy>,
}

impl Hierarchies {
    /// Looks below `/sys/fs/cgroup`. A hierarchy that is not mounted there does not exist for us.
    pub fn discover() -> Result<Self, CgroupError> {
        let text = std::fs::read_to_string("/proc/self/cgroup").map_err(CgroupError::Discover)?;
        Self::find(&text, Path::new("/sys/fs/cgroup")).map_err(CgroupError::Discover)
    }

    fn find(proc_cgroup: &str, base: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        let all_unified = filesystem(base)? == CGROUP2_SUPER_MAGIC;
        for line in proc_cgroup.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(own)) = (fields.next(), fields.next()) else { continue };
            let own = PathBuf::from(own);
            if controllers.is_empty() {
                let mount = if all_unified { base.to_owned() } else { base.join("unified") };
                if filesystem(&mount).is_ok_and(|kind| kind == CGROUP2_SUPER_MAGIC) {
                    found.v2 = Some(Hierarchy { controllers: Vec::new(), mount, own });
                }
            } else if let Some(mount) = v1_mount(base, controllers) {
                let controllers = controllers.split(',').map(str::to_owned).collect();
                found.v1.push(Hierarchy { controllers, mount, own });
            }
        }
        Ok(found)
    }

    /// Whether cgroup2 carries the controllers.
    pub fn unified(&self) -> bool {
        self.v1.is_empty() && self.v2.is_some()
    }

    /// Chooses the groups; nothing is made yet.
    pub(super) fn place(
        &self,
        path: &Path,
        resources: Option<&LinuxResources>,
    ) -> Result<Cgroup, CgroupError> {
        let limits = resources.map(settings::v1_settings).unwrap_or_default();
        let mut v1 = BTreeMap::new();
        for hierarchy in &self.v1 {
            let folder = hierarchy.folder(path)?;
            v1.extend(hierarchy.controllers.iter().map(|name| (name.clone(), folder.clone())));
        }
        let v2 = self.v2.as_ref().map(|hierarchy| hierarchy.folder(path)).transpose()?;
        let cgroup = Cgroup { v1, v2, unified: self.unified() };
        if !cgroup.unified {
            demand_controllers(&cgroup, &limits)?;
        }
        Ok(cgroup)
    }
}

fn demand_controllers(cgroup: &Cgroup, limits: &[Setting]) -> Result<(), CgroupError> {
    match limits.iter().find(|limit| !cgroup.v1.contains_key(limit.controller)) {
        Some(limit) => Err(CgroupError::NoController { controller: limit.controller.to_owned() }),
        None => Ok(()),
    }
}

impl Hierarchy {
    /// An absolute `cgroupsPath` counts from the mount, a relative one from this process's own group.
    fn folder(&self, path: &Path) -> Result<PathBuf, CgroupError> {
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(CgroupError::Path(path.to_owned()));
        }
        let base = match path.strip_prefix("/") {
            Ok(below) => return Ok(self.mount.join(below)),
            Err(_) => self.own.strip_prefix("/").unwrap_or(&self.own),
        };
        Ok(self.mount.join(base).join(path))
    }
}

const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
const CGROUP_SUPER_MAGIC: i64 = 0x0027_e0eb;

fn filesystem(path: &Path) -> io::Result<i64> {
    Ok(rustix::fs::statfs(path)?.f_type)
}

/// Distributions mount a hierarchy at its controllers' names, or link each name to it.
fn v1_mount(base: &Path, controllers: &str) -> Option<PathBuf> {
    let name = controllers.strip_prefix("name=").unwrap_or(controllers);
    let first = name.split(',').next().unwrap_or(name);
    [name, first]
        .into_iter()
        .map(|name| base.join(name))
        .find(|path| filesystem(path).is_ok_and(|kind| kind == CGROUP_SUPER_MAGIC))
}

/// The `cgroupsPath` to use: the specification's, systemd's `slice:prefix:name` written as a path, or the id.
pub fn cgroups_path(given: Option<&Path>, id: &str) -> PathBuf {
    let Some(path) = given.filter(|path| !path.as_os_str().is_empty()) else {
        return Path::new("/").join(id);
    };
    match path.to_string_lossy().split(':').collect::<Vec<_>>()[..] {
        // No systemd is asked to make a scope; its place in the tree is the same.
        [slice, prefix, name] => {
            let slice = if slice.is_empty() { "system.slice" } else { slice };
            PathBuf::from(format!("/{slice}/{prefix}-{name}.scope"))
        }
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_placed_under_the_mount_or_the_own_group() {
        let hierarchy =
            Hierarchy { controllers: vec!["memory".into()], mount: "/m".into(), own: "/here".into() };
        assert_eq!(hierarchy.folder(Path::new("/a/b")).unwrap(), Path::new("/m/a/b"));
        assert_eq!(hierarchy.folder(Path::new("a")).unwrap(), Path::new("/m/here/a"));
        assert!(hierarchy.folder(Path::new("/a/../../b")).is_err());
    }

    #[test]
    fn a_missing_cgroups_path_is_the_id_and_a_systemd_one_becomes_a_scope() {
        assert_eq!(cgroups_path(None, "c1"), Path::new("/c1"));
        assert_eq!(cgroups_path(Some(Path::new("docker/c1")), "c1"), Path::new("docker/c1"));
        assert_eq!(
            cgroups_path(Some(Path::new("my.slice:docker:c1")), "c1"),
            Path::new("/my.slice/docker-c1.scope")
        );
    }

    #[test]
    fn a_folder_without_any_cgroup_mount_yields_no_hierarchies() {
        let found = Hierarchies::find("3:cpu,cpuacct:/\n0::/x\n", &std::env::temp_dir()).unwrap();
        assert_eq!(found, Hierarchies::default());
    }

    #[test]
    fn a_limit_of_an_absent_controller_is_an_error_and_not_a_silence() {
        let resources: LinuxResources = serde_json::from_str(r#"{"pids":{"limit":5}}"#).unwrap();
        let none = Hierarchies::default();
        let error = none.place(Path::new("/x"), Some(&resources)).unwrap_err();
        assert!(matches!(error, CgroupError::NoController { controller } if controller == "pids"));
    }
}
