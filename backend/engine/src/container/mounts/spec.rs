//! `--mount`, as the API has it.

use bollard_stubs::models::{Mount, MountTypeEnum};

use super::{Kind, MountPoint, MountsError, absolute, clean, not_root};

/// Checks one mount. Files of the host are looked at, nothing else.
pub fn parse(mount: &Mount) -> Result<MountPoint, MountsError> {
    let kind = match mount.typ {
        Some(MountTypeEnum::BIND) => Kind::Bind,
        Some(MountTypeEnum::VOLUME) => Kind::Volume,
        Some(MountTypeEnum::TMPFS) => Kind::Tmpfs,
        Some(MountTypeEnum::IMAGE) => Kind::Image,
        other => {
            let kind = other.map(|kind| kind.to_string()).unwrap_or_default();
            return Err(MountsError::Mount { kind, why: "mount type unknown".into() });
        }
    };
    read(kind, mount).map_err(|why| MountsError::Mount { kind: kind.as_str().into(), why })
}

fn read(kind: Kind, mount: &Mount) -> Result<MountPoint, String> {
    let target = mount.target.as_deref().unwrap_or_default();
    if target.is_empty() {
        return Err("field Target must not be empty".into());
    }
    not_root(target)?;
    absolute(target)?;
    let mut point = MountPoint {
        kind,
        destination: clean(target),
        writable: !mount.read_only.unwrap_or(false),
        ..MountPoint::default()
    };
    match kind {
        Kind::Bind => bind(&mut point, mount)?,
        Kind::Volume => volume(&mut point, mount)?,
        Kind::Tmpfs => tmpfs(&mut point, mount)?,
        Kind::Image => image(&mut point, mount)?,
    }
    Ok(point)
}

fn unwanted(given: bool, field: &str) -> Result<(), String> {
    if given { Err(format!("field {field} must not be specified")) } else { Ok(()) }
}

fn source(mount: &Mount) -> Result<&str, String> {
    let source = mount.source.as_deref().unwrap_or_default();
    if source.is_empty() { Err("field Source must not be empty".into()) } else { Ok(source) }
}

fn bind(point: &mut MountPoint, mount: &Mount) -> Result<(), String> {
    let source = source(mount)?;
    unwanted(mount.volume_options.is_some(), "VolumeOptions")?;
    unwanted(mount.image_options.is_some(), "ImageOptions")?;
    absolute(source)?;
    point.source = clean(source);
    let options = mount.bind_options.clone().unwrap_or_default();
    point.create_source = options.create_mountpoint.unwrap_or(false);
    point.non_recursive = options.non_recursive.unwrap_or(false);
    point.read_only_non_recursive = options.read_only_non_recursive.unwrap_or(false);
    point.read_only_force_recursive = options.read_only_force_recursive.unwrap_or(false);
    point.propagation = options
        .propagation
        .map(|word| word.to_string())
        .filter(|word| !word.is_empty())
        .unwrap_or_else(|| "rprivate".into());
    match std::fs::metadata(&point.source) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !point.create_source => {
            Err(format!("bind source path does not exist: {source}"))
        }
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("stat {source}: {}", crate::error::plain(&error)))
        }
        _ => Ok(()),
    }
}

fn volume(point: &mut MountPoint, mount: &Mount) -> Result<(), String> {
    unwanted(mount.bind_options.is_some(), "BindOptions")?;
    unwanted(mount.image_options.is_some(), "ImageOptions")?;
    point.name = mount.source.clone().unwrap_or_default();
    point.anonymous = point.name.is_empty();
    let options = mount.volume_options.clone().unwrap_or_default();
    point.subpath = options.subpath.unwrap_or_default();
    if point.anonymous && !point.subpath.is_empty() {
        return Err("must not set Subpath when using anonymous volumes".into());
    }
    local(&point.subpath)?;
    if point.anonymous && !point.writable {
        return Err(super::READ_ONLY_NOBODY.into());
    }
    point.mode = "z".into();
    point.no_copy = options.no_copy.unwrap_or(false);
    point.labels = options.labels.into_iter().flatten().collect();
    let driver = options.driver_config.unwrap_or_default();
    point.driver = driver.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "local".into());
    point.driver_options = driver.options.into_iter().flatten().collect();
    Ok(())
}

/// A path that stays below where it begins.
fn local(path: &str) -> Result<(), String> {
    let mut depth = 0;
    let mut inside = !path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        inside &= depth >= 0;
    }
    if inside { Ok(()) } else { Err("subpath must be a relative path within the volume".into()) }
}

fn tmpfs(point: &mut MountPoint, mount: &Mount) -> Result<(), String> {
    unwanted(mount.bind_options.is_some(), "BindOptions")?;
    unwanted(mount.image_options.is_some(), "ImageOptions")?;
    unwanted(mount.source.as_deref().is_some_and(|source| !source.is_empty()), "Source")?;
    let options = mount.tmpfs_options.clone().unwrap_or_default();
    if !point.writable {
        point.options.push("ro".into());
    }
    if let Some(mode) = options.mode.filter(|mode| *mode != 0) {
        point.options.push(format!("mode={mode:o}"));
    }
    if let Some(size) = options.size_bytes.filter(|size| *size != 0) {
        point.options.push(format!("size={}", rounded(size)));
    }
    for option in options.options.into_iter().flatten() {
        match option.first().map(String::as_str) {
            Some(word @ ("exec" | "noexec")) if option.len() == 1 => point.options.push(word.to_owned()),
            Some(word @ ("exec" | "noexec")) if option.len() == 2 => {
                point.options.push(format!("{word}={}", option[1]));
            }
            Some("exec" | "noexec") | None => return Err("invalid option array length".into()),
            Some(other) => return Err(format!("invalid option: {other}")),
        }
    }
    Ok(())
}

/// Whole gigabytes, megabytes or kilobytes in short, as moby writes them.
fn rounded(size: i64) -> String {
    let units = [(1 << 30, "g"), (1 << 20, "m"), (1 << 10, "k")];
    match units.iter().find(|(unit, _)| size % unit == 0) {
        Some((unit, letter)) => format!("{}{letter}", size / unit),
        None => size.to_string(),
    }
}

fn image(point: &mut MountPoint, mount: &Mount) -> Result<(), String> {
    unwanted(mount.bind_options.is_some(), "BindOptions")?;
    unwanted(mount.volume_options.is_some(), "VolumeOptions")?;
    point.name = source(mount)?.to_owned();
    point.subpath =
        mount.image_options.as_ref().and_then(|options| options.subpath.clone()).unwrap_or_default();
    point.writable = false;
    point.propagation = "rprivate".into();
    local(&point.subpath)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subpaths_stay_inside() {
        for (path, good) in
            [("", true), ("a/b", true), ("a/../b", true), ("..", false), ("a/../../b", false), ("/a", false)]
        {
            assert_eq!(local(path).is_ok(), good, "{path}");
        }
    }

    #[test]
    fn each_type_has_its_own_fields() {
        let mount = |typ, source: &str| Mount {
            typ: Some(typ),
            target: Some("/x".into()),
            source: Some(source.into()),
            ..Mount::default()
        };
        for (given, text) in [
            (
                mount(MountTypeEnum::TMPFS, "x"),
                "invalid mount config for type \"tmpfs\": field Source must not be specified",
            ),
            (
                mount(MountTypeEnum::IMAGE, ""),
                "invalid mount config for type \"image\": field Source must not be empty",
            ),
            (
                mount(MountTypeEnum::BIND, "rel"),
                "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute",
            ),
        ] {
            assert_eq!(parse(&given).expect_err(text).to_string(), text);
        }
        assert_eq!(parse(&mount(MountTypeEnum::VOLUME, "v")).expect("a volume").name, "v");
    }
}
