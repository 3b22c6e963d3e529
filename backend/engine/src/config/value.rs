//! The values of options: from a flag's text, from JSON, and as Go prints them in a complaint.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::Value as Json;

use super::hosts::{self, HostError};
use super::options::{Kind, Opt};
use super::validate::{self, InvalidText};
use crate::golang::numbers::{NumberError, atoi, parse_bool, parse_int, parse_int_of_any_base};
use crate::golang::quote;
use crate::golang::units::{SizeError, bytes_size, ram_in_bytes};

#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<String>),
    Map(BTreeMap<String, String>),
    Features(BTreeMap<String, bool>),
    MapMap(BTreeMap<String, BTreeMap<String, String>>),
    Bytes(i64),
    Ulimits(BTreeMap<String, Ulimit>),
    Runtimes(BTreeMap<String, Runtime>),
    Pools(Vec<Pool>),
    Ip(Option<IpAddr>),
    Ips(Vec<IpAddr>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ulimit {
    pub soft: i64,
    pub hard: i64,
}

/// `--add-runtime`, or a runtime of `daemon.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runtime {
    pub path: String,
    pub args: Vec<String>,
    pub kind: String,
}

/// An address range to cut networks from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// `172.30.0.0/16`.
    pub base: String,
    pub size: u8,
}

/// A flag's text is no value of its.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ValueError {
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error(transparent)]
    Size(#[from] SizeError),
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Text(#[from] InvalidText),
    #[error("invalid ulimit argument: {0}")]
    Ulimit(String),
    #[error("invalid ulimit type: {0}")]
    UlimitType(String),
    #[error("too many limit value arguments - {0}, can only have up to two, `soft[:hard]`")]
    UlimitParts(String),
    #[error("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")]
    UlimitOrder { soft: i64, hard: i64 },
    #[error("ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: {0}")]
    UlimitUnlimited(i64),
    #[error("invalid runtime argument: {0}")]
    Runtime(String),
    #[error("runtime name 'runc' is reserved")]
    RuntimeReserved,
    #[error("runtime '{0}' was already defined")]
    RuntimeTwice(String),
    #[error("invalid option name: {0}")]
    Feature(String),
    #[error("EOF")]
    PoolEmpty,
    #[error("invalid field '{0}' must be a key=value pair")]
    PoolField(String),
    #[error("unexpected key '{key}' in '{field}'")]
    PoolKey { key: String, field: String },
    #[error("invalid base prefix {}: {source}", quote(.text))]
    PoolBase { text: String, source: InvalidText },
    #[error("invalid size value: {} (must be integer): {source}", quote(.text))]
    PoolSize { text: String, source: NumberError },
    #[error("invalid value {} for map option, should be root-key=key=value", quote(.0))]
    MapMap(String),
    #[error("failed to parse IP: {}", quote(.0))]
    Ip(String),
    #[error("invalid string being converted to IP address: {0}")]
    Ips(String),
}

/// A value in `daemon.json` is not what its option takes. In the words of Go's `encoding/json`.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum JsonError {
    #[error("json: cannot unmarshal {found} into {place} of type {wanted}")]
    Type { found: String, place: String, wanted: &'static str },
    #[error("invalid IP address: {0}")]
    Ip(String),
    #[error("invalid size: {}", quote(.0))]
    Size(String),
    #[error(transparent)]
    Value(#[from] ValueError),
}

impl Value {
    pub fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(false),
            Kind::Int => Self::Int(0),
            Kind::Text => Self::Text(String::new()),
            Kind::List => Self::List(Vec::new()),
            Kind::Map => Self::Map(BTreeMap::new()),
            Kind::Features => Self::Features(BTreeMap::new()),
            Kind::MapMap => Self::MapMap(BTreeMap::new()),
            Kind::Bytes => Self::Bytes(0),
            Kind::Ulimits => Self::Ulimits(BTreeMap::new()),
            Kind::Runtimes => Self::Runtimes(BTreeMap::new()),
            Kind::Pools => Self::Pools(Vec::new()),
            Kind::Ip => Self::Ip(None),
            Kind::Ips => Self::Ips(Vec::new()),
        }
    }

    /// As Go's zero values: a file that says no more leaves the default.
    pub fn is_empty(&self) -> bool {
        match self {
            // A file that says no means no.
            Self::Bool(_) => false,
            Self::Int(number) | Self::Bytes(number) => *number == 0,
            Self::Text(text) => text.is_empty(),
            Self::List(list) => list.is_empty(),
            Self::Map(map) => map.is_empty(),
            Self::Features(map) => map.is_empty(),
            Self::MapMap(map) => map.is_empty(),
            Self::Ulimits(map) => map.is_empty(),
            Self::Runtimes(map) => map.is_empty(),
            Self::Pools(list) => list.is_empty(),
            Self::Ip(address) => address.is_none(),
            Self::Ips(list) => list.is_empty(),
        }
    }

    /// Takes a flag's text; a flag that may be given often adds to what it had.
    pub fn set(&mut self, opt: &Opt, text: &str) -> Result<(), ValueError> {
        match self {
            Self::Bool(value) => *value = parse_bool(text)?,
            Self::Int(value) => *value = parse_int_of_any_base("ParseInt", text)?,
            Self::Text(value) => *value = text.to_owned(),
            Self::List(list) => list.push(check(opt.flag, text)?),
            Self::Map(map) => {
                let (key, value) = text.split_once('=').unwrap_or((text, ""));
                map.insert(key.to_owned(), value.to_owned());
            }
            Self::Features(map) => {
                let (name, on) = match text.split_once('=') {
                    Some(("", _)) => ("", true),
                    Some((name, on)) => (name, parse_bool(on)?),
                    None => (text, true),
                };
                if name.is_empty() {
                    return Err(ValueError::Feature(text.to_owned()));
                }
                map.insert(name.to_owned(), on);
            }
            Self::MapMap(map) => {
                let wrong = || ValueError::MapMap(text.to_owned());
                let (root, rest) = text.split_once('=').ok_or_else(wrong)?;
                let (key, value) = rest.split_once('=').ok_or_else(wrong)?;
                map.entry(root.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
            }
            Self::Bytes(value) => *value = ram_in_bytes(text)?,
            Self::Ulimits(map) => {
                let (name, limit) = ulimit(text)?;
                map.insert(name, limit);
            }
            Self::Runtimes(map) => {
                let (name, path) = runtime(text)?;
                if map.contains_key(&name) {
                    return Err(ValueError::RuntimeTwice(name));
                }
                map.insert(name, Runtime { path, ..Runtime::default() });
            }
            Self::Pools(list) => list.push(pool(text)?),
            Self::Ip(value) if text.is_empty() => *value = None,
            Self::Ip(value) => {
                *value = Some(text.trim().parse().map_err(|_| ValueError::Ip(text.to_owned()))?);
            }
            Self::Ips(list) => {
                for word in text.split(',') {
                    list.push(word.trim().parse().map_err(|_| ValueError::Ips(word.to_owned()))?);
                }
            }
        }
        Ok(())
    }

    /// As Go's `%v` prints the flag's value.
    pub fn show(&self) -> String {
        let map = |pairs: Vec<String>| format!("map[{}]", pairs.join(" "));
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Text(value) => value.clone(),
            Self::List(list) => format!("[{}]", list.join(" ")),
            Self::Map(all) => map(all.iter().map(|(key, value)| format!("{key}:{value}")).collect()),
            Self::Features(all) => map(all.iter().map(|(key, value)| format!("{key}:{value}")).collect()),
            Self::MapMap(all) => {
                let inner = |(key, all): (&String, &BTreeMap<String, String>)| {
                    format!("{key}:{}", Self::Map(all.clone()).show())
                };
                map(all.iter().map(inner).collect())
            }
            Self::Bytes(value) => bytes_size(*value),
            Self::Ulimits(all) => {
                let one = |(name, limit): (&String, &Ulimit)| format!("{name}={}:{}", limit.soft, limit.hard);
                format!("[{}]", all.iter().map(one).collect::<Vec<_>>().join(" "))
            }
            Self::Runtimes(all) => format!("[{}]", all.keys().cloned().collect::<Vec<_>>().join(" ")),
            Self::Pools(list) => {
                list.iter().map(|pool| format!("{} {}", pool.base, pool.size)).collect::<Vec<_>>().join(", ")
            }
            Self::Ip(address) => address.map_or_else(|| "<nil>".to_owned(), |address| address.to_string()),
            Self::Ips(list) => {
                format!("[{}]", list.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
            }
        }
    }

    /// Takes what `daemon.json` has under `field`.
    pub fn from_json(kind: Kind, field: &str, json: &Json) -> Result<Self, JsonError> {
        let mut value = Self::empty(kind);
        if json.is_null() {
            return Ok(value);
        }
        match &mut value {
            Self::Bool(value) => *value = json.as_bool().ok_or_else(|| wrong(json, field, "bool"))?,
            Self::Int(value) => *value = json.as_i64().ok_or_else(|| wrong(json, field, "int"))?,
            Self::Text(value) => *value = text(json, field)?,
            Self::List(list) => {
                *list = texts(json, field)?;
                if field == "host-gateway-ips" {
                    let check = |text: &String| validate::address(text).map(drop);
                    list.iter().try_for_each(check).map_err(ValueError::from)?;
                }
            }
            Self::Map(map) => *map = text_map(json, field)?,
            Self::Features(map) => {
                for (name, on) in object(json, field, "map[string]bool")? {
                    let inner = format!("{field}.{name}");
                    map.insert(name.clone(), on.as_bool().ok_or_else(|| wrong(on, &inner, "bool"))?);
                }
            }
            Self::MapMap(map) => {
                for (name, inner) in object(json, field, "map[string]map[string]string")? {
                    map.insert(name.clone(), text_map(inner, &format!("{field}.{name}"))?);
                }
            }
            Self::Bytes(value) => match json.as_str() {
                Some(text) => *value = ram_in_bytes(text).map_err(ValueError::from)?,
                None => return Err(JsonError::Size(json.to_string())),
            },
            Self::Ulimits(map) => {
                for (name, limit) in object(json, field, "map[string]*units.Ulimit")? {
                    map.insert(name.clone(), json_ulimit(limit, &format!("{field}.{name}"))?);
                }
            }
            Self::Runtimes(map) => {
                for (name, runtime) in object(json, field, "map[string]system.Runtime")? {
                    map.insert(name.clone(), json_runtime(runtime, &format!("{field}.{name}"))?);
                }
            }
            Self::Pools(list) => {
                const KIND: &str = "[]*ipamutils.NetworkToSplit";
                let all = json.as_array().ok_or_else(|| misplaced(json, "Go value".to_owned(), KIND))?;
                for (at, pool) in all.iter().enumerate() {
                    list.push(json_pool(pool, at)?);
                }
            }
            Self::Ip(value) => {
                let text = json.as_str();
                let text =
                    text.ok_or_else(|| wrong(json, field, "net.IP: JSON value must be string type"))?;
                *value = ip(text)?;
            }
            Self::Ips(list) => {
                for text in texts(json, field)? {
                    list.extend(ip(&text)?);
                }
            }
        }
        Ok(value)
    }
}

/// What a list's flag makes of a word, where it looks at it.
fn check(flag: &str, text: &str) -> Result<String, ValueError> {
    Ok(match flag {
        "host" => {
            hosts::check(text)?;
            text.to_owned()
        }
        "label" => validate::label(text)?,
        "dns-search" => validate::domain(text)?,
        "registry-mirror" => validate::mirror(text)?,
        "insecure-registry" | "allow-nondistributable-artifacts" => validate::index_name(text)?,
        "host-gateway-ip" => validate::address(text)?.to_string(),
        "node-generic-resource" => validate::generic_resource(text)?,
        _ => text.to_owned(),
    })
}

/// The names of `ulimit(1)`'s limits, as moby knows them.
const ULIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

fn ulimit(text: &str) -> Result<(String, Ulimit), ValueError> {
    let (name, limits) = text.split_once('=').ok_or_else(|| ValueError::Ulimit(text.to_owned()))?;
    if !ULIMITS.contains(&name) {
        return Err(ValueError::UlimitType(name.to_owned()));
    }
    let parts: Vec<&str> = limits.split(':').collect();
    let number = |text: &str| parse_int("ParseInt", text);
    let (soft, hard) = match parts.as_slice() {
        [soft] => (number(soft)?, None),
        [soft, hard] => {
            let hard = number(hard)?;
            (number(soft)?, Some(hard))
        }
        _ => return Err(ValueError::UlimitParts(limits.to_owned())),
    };
    let hard = hard.unwrap_or(soft);
    match (soft, hard) {
        (_, -1) => {}
        (-1, hard) => return Err(ValueError::UlimitUnlimited(hard)),
        (soft, hard) if soft > hard => return Err(ValueError::UlimitOrder { soft, hard }),
        _ => {}
    }
    Ok((name.to_owned(), Ulimit { soft, hard }))
}

fn runtime(text: &str) -> Result<(String, String), ValueError> {
    let wrong = || ValueError::Runtime(text.to_owned());
    let (name, path) = text.split_once('=').ok_or_else(wrong)?;
    let (name, path) = (name.trim().to_lowercase(), path.trim());
    if name.is_empty() || path.is_empty() {
        return Err(wrong());
    }
    if name == super::STOCK_RUNTIME {
        return Err(ValueError::RuntimeReserved);
    }
    Ok((name, path.to_owned()))
}

fn pool(text: &str) -> Result<Pool, ValueError> {
    let mut pool = Pool { base: String::new(), size: 0 };
    if text.is_empty() {
        return Err(ValueError::PoolEmpty);
    }
    for field in text.split(',') {
        let lowered = field.to_lowercase();
        let (key, value) = lowered.split_once('=').ok_or_else(|| ValueError::PoolField(field.to_owned()))?;
        match key {
            "base" => {
                let wrong = |source| ValueError::PoolBase { text: value.to_owned(), source };
                pool.base = validate::prefix(value).map_err(wrong)?;
            }
            "size" => {
                let wrong = |source| ValueError::PoolSize { text: text.to_owned(), source };
                pool.size = u8::try_from(atoi(value).map_err(wrong)?).unwrap_or(u8::MAX);
            }
            _ => return Err(ValueError::PoolKey { key: key.to_owned(), field: field.to_owned() }),
        }
    }
    Ok(pool)
}

/// Go's word for a kind of JSON.
fn kind_of(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Bool(_) => "bool".to_owned(),
        Json::Number(number) if number.is_f64() => format!("number {number}"),
        Json::Number(_) => "number".to_owned(),
        Json::String(_) => "string".to_owned(),
        Json::Array(_) => "array".to_owned(),
        Json::Object(_) => "object".to_owned(),
    }
}

fn wrong(json: &Json, field: &str, wanted: &'static str) -> JsonError {
    misplaced(json, format!("Go struct field Config.{field}"), wanted)
}

fn misplaced(json: &Json, place: String, wanted: &'static str) -> JsonError {
    JsonError::Type { found: kind_of(json), place, wanted }
}

/// Go takes a field's name in letters of either case; answers it as it was written.
fn field_of<'a>(all: &'a serde_json::Map<String, Json>, name: &str) -> Option<(&'a String, &'a Json)> {
    all.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))
}

fn text(json: &Json, field: &str) -> Result<String, JsonError> {
    json.as_str().map(str::to_owned).ok_or_else(|| wrong(json, field, "string"))
}

fn texts(json: &Json, field: &str) -> Result<Vec<String>, JsonError> {
    let kind = match field {
        "dns" => "[]net.IP",
        "host-gateway-ips" => "[]netip.Addr",
        _ => "[]string",
    };
    let list = json.as_array().ok_or_else(|| wrong(json, field, kind))?;
    let one = |(at, item): (usize, &Json)| {
        let text = item.as_str().map(str::to_owned);
        text.ok_or_else(|| misplaced(item, format!("Config.{field}.{at}"), "string"))
    };
    list.iter().enumerate().map(one).collect()
}

fn object<'a>(
    json: &'a Json,
    field: &str,
    wanted: &'static str,
) -> Result<&'a serde_json::Map<String, Json>, JsonError> {
    json.as_object().ok_or_else(|| wrong(json, field, wanted))
}

fn text_map(json: &Json, field: &str) -> Result<BTreeMap<String, String>, JsonError> {
    let all = object(json, field, "map[string]string")?;
    all.iter().map(|(key, value)| Ok((key.clone(), text(value, &format!("{field}.{key}"))?))).collect()
}

fn json_ulimit(json: &Json, field: &str) -> Result<Ulimit, JsonError> {
    let all = object(json, field, "units.Ulimit")?;
    let number = |name: &str| match field_of(all, name) {
        None => Ok(0),
        Some((key, value)) => value.as_i64().ok_or_else(|| wrong(value, &format!("{field}.{key}"), "int64")),
    };
    Ok(Ulimit { soft: number("Soft")?, hard: number("Hard")? })
}

fn json_runtime(json: &Json, field: &str) -> Result<Runtime, JsonError> {
    let all = object(json, field, "system.Runtime")?;
    let one = |name: &str| match field_of(all, name) {
        None => Ok(String::new()),
        Some((key, value)) => text(value, &format!("{field}.{key}")),
    };
    let args = match field_of(all, "runtimeArgs") {
        None => Vec::new(),
        Some((key, value)) => texts(value, &format!("{field}.{key}"))?,
    };
    Ok(Runtime { path: one("path")?, args, kind: one("runtimeType")? })
}

/// A type of its own reads pools in dockerd; it does not know whose field it is.
fn json_pool(json: &Json, at: usize) -> Result<Pool, JsonError> {
    let all =
        json.as_object().ok_or_else(|| misplaced(json, format!(".{at}"), "ipamutils.NetworkToSplit"))?;
    let place = |key: &str| format!("Go struct field .{at}.{key}");
    let base = match field_of(all, "base") {
        None => String::new(),
        Some((key, value)) => {
            let text = value.as_str().ok_or_else(|| misplaced(value, place(key), "string"))?;
            validate::prefix(text).map_err(ValueError::from)?
        }
    };
    let size = match field_of(all, "size") {
        None => 0,
        Some((key, value)) => value.as_i64().ok_or_else(|| misplaced(value, place(key), "int"))?,
    };
    Ok(Pool { base, size: u8::try_from(size).unwrap_or(u8::MAX) })
}

fn ip(text: &str) -> Result<Option<IpAddr>, JsonError> {
    match text {
        "" => Ok(None),
        _ => text.parse().map(Some).map_err(|_| JsonError::Ip(text.to_owned())),
    }
}

/// As Go's `%v` prints what `encoding/json` makes of any JSON.
pub fn show_json(json: &Json) -> String {
    match json {
        Json::Null => "<nil>".to_owned(),
        Json::Bool(value) => value.to_string(),
        Json::Number(number) => number.to_string(),
        Json::String(text) => text.clone(),
        Json::Array(list) => format!("[{}]", list.iter().map(show_json).collect::<Vec<_>>().join(" ")),
        Json::Object(all) => {
            let mut pairs: Vec<String> =
                all.iter().map(|(key, value)| format!("{key}:{}", show_json(value))).collect();
            pairs.sort();
            format!("map[{}]", pairs.join(" "))
        }
    }
}
