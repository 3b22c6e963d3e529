//! Writing limits into groups.

use std::io;
use std::path::Path;

use oci_spec::runtime::LinuxResources;

use super::settings::{Setting, v1_settings, v2_settings};
use super::{Cgroup, CgroupError, devices, write};

/// Sets every limit of a new group.
pub(super) fn limit(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), CgroupError> {
    set_all(cgroup, resources)?;
    devices::restrict(cgroup, resources.devices().as_deref().unwrap_or_default())
}

/// Changes the limits of a running container; device rules stay as they are.
pub fn update(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), CgroupError> {
    set_all(cgroup, resources)
}

fn set_all(cgroup: &Cgroup, resources: &LinuxResources) -> Result<(), CgroupError> {
    if cgroup.unified {
        let folder = cgroup.v2.as_deref().unwrap_or(Path::new(""));
        return v2_settings(resources)?.iter().try_for_each(|setting| set(folder, setting));
    }
    let settings = v1_settings(resources);
    for (index, setting) in settings.iter().enumerate() {
        let Some(folder) = cgroup.v1.get(setting.controller) else {
            return Err(CgroupError::NoController { controller: setting.controller.to_owned() });
        };
        match set(folder, setting) {
            // Memory must stay below memory and swap: while both grow, the larger goes first.
            Err(CgroupError::Set { .. }) if setting.file == "memory.limit_in_bytes" => {
                if let Some(swap) = settings[index..].iter().find(|s| s.file.contains("memsw")) {
                    set(folder, swap)?;
                }
                set(folder, setting)?;
            }
            // A kernel that does not account swap has nothing to lift.
            Err(CgroupError::Set { ref source, .. })
                if setting.file.contains("memsw")
                    && setting.value == "-1"
                    && source.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn set(folder: &Path, setting: &Setting) -> Result<(), CgroupError> {
    let file = folder.join(&setting.file);
    write(&file, &setting.value).map_err(|source| CgroupError::Set {
        file,
        value: setting.value.clone(),
        source,
    })
}

/// cgroup2: every controller the parent has is switched on for the group, from the root downwards.
pub(super) fn enable_controllers(group: &Path) -> Result<(), CgroupError> {
    let Some(parent) = group.parent() else { return Ok(()) };
    let Ok(available) = std::fs::read_to_string(parent.join("cgroup.controllers")) else {
        return Ok(()); // Above the mount.
    };
    enable_controllers(parent)?;
    let control = parent.join("cgroup.subtree_control");
    let enabled = std::fs::read_to_string(&control).unwrap_or_default();
    for name in available.split_whitespace() {
        if enabled.split_whitespace().any(|on| on == name) {
            continue;
        }
        match write(&control, &format!("+{name}")) {
            // One that cannot be switched on is missed by the limits that need it, with their own error:
            // a parent with processes in it (EBUSY), a controller without nesting or permission.
            Ok(()) => {}
            Err(error) if is_refusal(&error) => {}
            Err(source) => return Err(CgroupError::Enable { path: parent.to_owned(), source }),
        }
    }
    Ok(())
}

fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ResourceBusy
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::NotFound
            | io::ErrorKind::Unsupported
            | io::ErrorKind::InvalidInput
    )
}

/// cgroup v1: a new cpuset is empty and takes no process until it has processors and memory nodes.
pub(super) fn inherit_cpuset(group: &Path) -> Result<(), CgroupError> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        let file = group.join(name);
        let Ok(own) = std::fs::read_to_string(&file) else { return Ok(()) }; // Above the mount.
        if !own.trim().is_empty() {
            continue;
        }
        let Some(parent) = group.parent() else { return Ok(()) };
        inherit_cpuset(parent)?;
        let value = std::fs::read_to_string(parent.join(name)).unwrap_or_default();
        write(&file, value.trim()).map_err(|source| CgroupError::Set {
            file,
            value: value.trim().to_owned(),
            source,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Plain files where the kernel would have control files.
    struct Fixture(PathBuf);

    impl Fixture {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let dir = std::env::temp_dir().join(format!("drydock-cgroup-{name}-{}", std::process::id()));
            for (file, text) in files {
                let path = dir.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Self(dir)
        }

        fn read(&self, file: &str) -> String {
            std::fs::read_to_string(self.0.join(file)).unwrap()
        }
    }

    impl Drop for Fixture {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_unified_group_gets_its_limits_in_its_own_folder() {
        let files = [("g/memory.max", ""), ("g/pids.max", ""), ("g/cpu.max", "")];
        let fixture = Fixture::new("limits", &files);
        let cgroup = Cgroup { v2: Some(fixture.0.join("g")), unified: true, ..Cgroup::default() };
        let resources = serde_json::from_str(
            r#"{"memory":{"limit":65536},"pids":{"limit":9},"cpu":{"quota":1000,"period":2000}}"#,
        )
        .unwrap();
        limit(&cgroup, &resources).unwrap();
        assert_eq!(fixture.read("g/memory.max"), "65536");
        assert_eq!(fixture.read("g/pids.max"), "9");
        assert_eq!(fixture.read("g/cpu.max"), "1000 2000");
    }

    #[test]
    fn a_limit_without_its_file_names_the_file() {
        let fixture = Fixture::new("missing", &[("g/pids.max", "")]);
        let cgroup = Cgroup { v2: Some(fixture.0.join("g")), unified: true, ..Cgroup::default() };
        let resources = serde_json::from_str(r#"{"memory":{"limit":65536}}"#).unwrap();
        let error = limit(&cgroup, &resources).unwrap_err();
        assert!(matches!(error, CgroupError::Set { file, .. } if file.ends_with("memory.max")));
    }

    #[test]
    fn controllers_are_switched_on_from_the_root_downwards() {
        let fixture = Fixture::new(
            "enable",
            &[
                ("cgroup.controllers", "memory pids"),
                ("cgroup.subtree_control", "memory pids"),
                ("a/cgroup.controllers", "memory"),
                ("a/cgroup.subtree_control", ""),
            ],
        );
        enable_controllers(&fixture.0.join("a/g")).unwrap();
        assert_eq!(fixture.read("a/cgroup.subtree_control"), "+memory");
        assert_eq!(fixture.read("cgroup.subtree_control"), "memory pids");
    }

    #[test]
    fn an_empty_cpuset_takes_its_parents_processors() {
        let fixture = Fixture::new(
            "cpuset",
            &[
                ("cpuset.cpus", "0-3\n"),
                ("cpuset.mems", "0\n"),
                ("g/cpuset.cpus", "\n"),
                ("g/cpuset.mems", "0\n"),
            ],
        );
        inherit_cpuset(&fixture.0.join("g")).unwrap();
        assert!(fixture.read("g/cpuset.cpus").starts_with("0-3"));
    }
}
