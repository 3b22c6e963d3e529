//! `RUN --mount=type=cache,target=/x,…`.

use super::problem::{did_you_mean, nearest};
use crate::expand::ExpandError;
use drydock_golang as go;

/// Docker's kinds of mounts in a build.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MountKind {
    /// A folder of the context, a stage or an image.
    #[default]
    Bind,
    /// A folder that outlives the build.
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

impl MountKind {
    const ALL: [(&'static str, Self); 5] = [
        ("bind", Self::Bind),
        ("cache", Self::Cache),
        ("secret", Self::Secret),
        ("ssh", Self::Ssh),
        ("tmpfs", Self::Tmpfs),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("bind", |(name, _)| name)
    }
}

/// Who may write to a cache at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    #[default]
    Shared,
    Private,
    Locked,
}

/// One mount, with its variables replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    pub kind: MountKind,
    /// A stage, or an image; empty for the context.
    pub from: String,
    pub source: String,
    pub target: String,
    pub read_only: bool,
    /// Bytes; 0 for no limit.
    pub size: i64,
    pub id: String,
    pub sharing: Sharing,
    pub required: bool,
    /// The variable that a secret is put in; `Some("")` means one named as the secret.
    pub env: Option<String>,
    pub mode: Option<u32>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}

/// A mount that means nothing, in moby's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    #[error("failed to parse csv mounts: parse error on line 1, column {0}: bare \" in non-quoted field")]
    Csv(usize),
    #[error("unexpected key '{key}' for mount type '{kind}'")]
    KeyForKind { key: String, kind: &'static str },
    #[error("invalid field '{0}' must be a key=value pair")]
    Pair(String),
    #[error("'from' doesn't support variable expansion, define alias stage instead")]
    FromVariable,
    #[error("unsupported mount type {}{}", go::quote(.name), did_you_mean(.hint))]
    Kind { name: String, hint: Option<String> },
    #[error("unsupported sharing value {}{}", go::quote(.name), did_you_mean(.hint))]
    Sharing { name: String, hint: Option<String> },
    #[error("invalid value for {key}: {value}")]
    Value { key: String, value: String },
    #[error("invalid value {value} for {key}")]
    Number { key: &'static str, value: String },
    #[error("unexpected key '{key}' in '{field}'{}", did_you_mean(.hint))]
    Key { key: String, field: String, hint: Option<String> },
    #[error("{what} not allowed for {} type mounts", go::quote(.kind))]
    NotForKind { what: &'static str, kind: &'static str },
    #[error("secret mount should not have a from")]
    SecretFrom,
    #[error("secret mount should not define sharing")]
    SecretSharing,
    #[error("invalid secret mount. one of source, target required")]
    SecretEmpty,
    #[error("both source and id can't be set")]
    SecretTwice,
    #[error("invalid cache sharing set for {0} mount")]
    SharingForKind(&'static str),
    #[error(transparent)]
    Expand(#[from] ExpandError),
}

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// What can be checked before variables are known.
pub fn check(text: &str) -> Result<(), MountError> {
    for field in fields(text)? {
        let Some((key, value)) = field.split_once('=') else { continue };
        if key.eq_ignore_ascii_case("from") && value.find('$').is_some_and(|place| place + 1 != value.len()) {
            return Err(MountError::FromVariable);
        }
    }
    Ok(())
}

/// Reads a mount; `expand` replaces variables in its values.
pub fn parse(text: &str, expand: &dyn Fn(&str) -> Result<String, ExpandError>) -> Result<Mount, MountError> {
    let mut mount = Mount { sharing: Sharing::Shared, ..Mount::default() };
    let mut read_only = None;
    let mut sharing = None;
    for field in fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), Some(expand(value)?)),
            None => (field.to_ascii_lowercase(), None),
        };
        match (key.as_str(), value) {
            ("readonly" | "ro", value) => read_only = Some(switch(&key, value)?),
            ("readwrite" | "rw", value) => read_only = Some(!switch(&key, value)?),
            ("required", value) => {
                only_for(&mount, &key, &[MountKind::Secret, MountKind::Ssh])?;
                mount.required = switch(&key, value)?;
            }
            (_, None) => return Err(MountError::Pair(field)),
            ("sharing", Some(value)) => sharing = Some(parse_sharing(value)?),
            (key, Some(value)) => set(&mut mount, key, value, &field)?,
        }
    }
    mount.read_only = read_only.unwrap_or(!matches!(mount.kind, MountKind::Cache | MountKind::Tmpfs));
    check_whole(&mount, sharing)?;
    mount.sharing = sharing.unwrap_or_default();
    Ok(mount)
}

fn switch(key: &str, value: Option<String>) -> Result<bool, MountError> {
    match value {
        None => Ok(true),
        Some(value) => {
            go::numbers::parse_bool(&value).map_err(|_| MountError::Value { key: key.to_owned(), value })
        }
    }
}

fn only_for(mount: &Mount, key: &str, kinds: &[MountKind]) -> Result<(), MountError> {
    let fits = kinds.contains(&mount.kind);
    let error = || MountError::KeyForKind { key: key.to_owned(), kind: mount.kind.name() };
    if fits { Ok(()) } else { Err(error()) }
}

fn set(mount: &mut Mount, key: &str, value: String, field: &str) -> Result<(), MountError> {
    let number = |key, value: String, radix| {
        u32::from_str_radix(&value, radix).map(Some).map_err(|_| MountError::Number { key, value })
    };
    match key {
        "type" => mount.kind = parse_kind(value)?,
        "from" => mount.from = value,
        "source" | "src" => mount.source = value,
        "target" | "dst" | "destination" => mount.target = value,
        "size" => {
            only_for(mount, key, &[MountKind::Tmpfs])?;
            let size = go::units::ram_in_bytes(&value);
            mount.size = size.map_err(|_| MountError::Value { key: key.to_owned(), value })?;
        }
        "id" => mount.id = value,
        "mode" => mount.mode = number("mode", value, 8)?,
        "uid" => mount.uid = number("uid", value, 10)?,
        "gid" => mount.gid = number("gid", value, 10)?,
        "env" => mount.env = Some(value),
        _ => {
            let hint = nearest(key, KEYS);
            return Err(MountError::Key { key: key.to_owned(), field: field.to_owned(), hint });
        }
    }
    Ok(())
}

fn parse_kind(name: String) -> Result<MountKind, MountError> {
    let wanted = name.to_ascii_lowercase();
    let known = MountKind::ALL.iter().find(|(known, _)| *known == wanted);
    known.map(|(_, kind)| *kind).ok_or_else(|| {
        let hint = nearest(&name, MountKind::ALL.iter().map(|(known, _)| *known));
        MountError::Kind { name, hint }
    })
}

fn parse_sharing(name: String) -> Result<Sharing, MountError> {
    match name.to_ascii_lowercase().as_str() {
        "shared" => Ok(Sharing::Shared),
        "private" => Ok(Sharing::Private),
        "locked" => Ok(Sharing::Locked),
        _ => {
            let hint = nearest(&name, ["shared", "private", "locked"]);
            Err(MountError::Sharing { name, hint })
        }
    }
}

fn check_whole(mount: &Mount, sharing: Option<Sharing>) -> Result<(), MountError> {
    let kind = mount.kind.name();
    if matches!(mount.kind, MountKind::Bind | MountKind::Tmpfs) {
        let owned = [("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)];
        if let Some((what, _)) = owned.iter().find(|(_, value)| value.is_some()) {
            return Err(MountError::NotForKind { what, kind });
        }
    }
    if mount.kind == MountKind::Secret {
        let (source, target, id) = (!mount.source.is_empty(), !mount.target.is_empty(), !mount.id.is_empty());
        if !mount.from.is_empty() {
            return Err(MountError::SecretFrom);
        }
        if sharing.is_some() {
            return Err(MountError::SecretSharing);
        }
        if !source && !target && !id {
            return Err(MountError::SecretEmpty);
        }
        if source && id {
            return Err(MountError::SecretTwice);
        }
    }
    if sharing.is_some() && mount.kind != MountKind::Cache {
        return Err(MountError::SharingForKind(kind));
    }
    Ok(())
}

/// The fields of a line of comma-separated values; `"` quotes a whole field.
fn fields(text: &str) -> Result<Vec<String>, MountError> {
    let mut fields = Vec::new();
    let mut letters = text.char_indices().peekable();
    loop {
        let mut field = String::new();
        let quoted = letters.next_if(|(_, letter)| *letter == '"').is_some();
        let mut open = quoted;
        while let Some((place, letter)) = letters.next_if(|(_, letter)| open || *letter != ',') {
            match letter {
                '"' if open && letters.next_if(|(_, next)| *next == '"').is_some() => field.push('"'),
                '"' if open => open = false,
                '"' => return Err(MountError::Csv(place + 1)),
                letter => field.push(letter),
            }
        }
        fields.push(field);
        if letters.next().is_none() {
            return Ok(fields);
        }
    }
}
