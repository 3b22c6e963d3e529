//! `-v /host:/container[:mode]`, `name:/container[:mode]` or `/container`.

use super::{Kind, MountPoint, MountsError, absolute, clean, modes, not_root};

pub fn parse(spec: &str) -> Result<MountPoint, MountsError> {
    let bad = || MountsError::Spec(spec.to_owned());
    let parts: Vec<&str> = spec.splitn(4, ':').collect();
    let (source, destination, mode) = match parts.as_slice() {
        ["", ..] => return Err(bad()),
        [destination] => ("", *destination, ""),
        // `/place:rw`: nothing that nobody named can have a mode.
        [_, mode] if modes::parse(mode).is_some() => return Err(bad()),
        [source, destination] => (*source, *destination, ""),
        [source, destination, mode] => (*source, *destination, *mode),
        _ => return Err(bad()),
    };
    let words = modes::parse(mode).ok_or_else(|| MountsError::Mode(mode.to_owned()))?;
    let kind = if source.starts_with('/') { Kind::Bind } else { Kind::Volume };
    let why = |why: String| MountsError::BadSpec { spec: spec.to_owned(), kind: kind.as_str(), why };
    if destination.is_empty() {
        return Err(why("field Target must not be empty".into()));
    }
    not_root(destination).and_then(|()| absolute(destination)).map_err(why)?;
    let mut point = MountPoint {
        kind,
        destination: clean(destination),
        writable: words.writable,
        mode: mode.to_owned(),
        no_copy: words.no_copy,
        ..MountPoint::default()
    };
    match kind {
        Kind::Bind if words.no_copy => return Err(why("field VolumeOptions must not be specified".into())),
        Kind::Bind => {
            point.source = clean(source);
            point.create_source = true;
            point.propagation = words.propagation.unwrap_or_else(|| "rprivate".into());
        }
        _ if words.propagation.is_some() => {
            return Err(why("field BindOptions must not be specified".into()));
        }
        _ if !words.writable && source.is_empty() => return Err(why(super::READ_ONLY_NOBODY.into())),
        _ => {
            point.name = source.to_owned();
            point.anonymous = source.is_empty();
            point.driver = "local".into();
            if mode.is_empty() {
                // What moby writes for a volume without options.
                point.mode = "z".into();
            }
        }
    }
    Ok(point)
}
