//! `daemon.json`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Map, Value as Json};

use super::options::{WITHOUT_FLAG, by_flag, by_key};
use super::parse::Given;
use super::value::{JsonError, Value, show_json};
use crate::golang::json::{self, SyntaxError};
use crate::golang::os_error;

/// Objects that are one value; any other's keys count as keys of the file.
const FLAT: [&str; 7] = [
    "builder",
    "cluster-store-opts",
    "default-network-opts",
    "default-ulimits",
    "features",
    "log-opts",
    "runtimes",
];
/// The one object whose keys are options.
const PROXIES: &str = "proxies";

/// What the file said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct File {
    /// By flag.
    pub values: BTreeMap<&'static str, Value>,
    /// Keys that were there, whatever they said.
    pub keys: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FileError {
    #[error("open {path}: {why}")]
    Read { path: String, why: String, is_missing: bool },
    #[error("failed to decode configuration JSON at offset {0}: encoding: invalid UTF-8")]
    Utf8(usize),
    #[error("invalid JSON: {0}")]
    Syntax(#[source] SyntaxError),
    #[error("invalid JSON: json: cannot unmarshal {0} into Go value of type map[string]interface {{}}")]
    NoObject(&'static str),
    #[error("invalid JSON: {0}")]
    Value(#[source] JsonError),
    #[error("the following directives don't match any configuration option: {0}")]
    Unknown(String),
    #[error("host-gateway-ip and host-gateway-ips must not both be specified in the config file")]
    Gateways,
    #[error("the following directives are specified both as a flag and in the configuration file: {0}")]
    Both(String),
}

impl File {
    pub fn read(path: &Path, given: &Given) -> Result<Self, FileError> {
        let bytes = std::fs::read(path).map_err(|error| FileError::Read {
            path: path.display().to_string(),
            why: os_error(&error),
            is_missing: error.kind() == std::io::ErrorKind::NotFound,
        })?;
        Self::parse(&decode(&bytes)?, given)
    }

    pub fn parse(text: &str, given: &Given) -> Result<Self, FileError> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let top = match json::parse(text).map_err(FileError::Syntax)? {
            Json::Object(top) => top,
            Json::Null => return Ok(Self::default()),
            _ => return Err(FileError::NoObject(kind_of(text))),
        };
        let flat = flatten(&top);
        refuse_unknown(&flat)?;
        refuse_both(&flat, given)?;
        let mut file = Self { values: BTreeMap::new(), keys: flat.keys().cloned().collect() };
        file.take(&top, "")?;
        if let Some(Json::Object(proxies)) = top.get(PROXIES) {
            file.take(proxies, "proxies.")?;
        }
        file.take_old_gateway(&top)?;
        Ok(file)
    }

    fn take(&mut self, object: &Map<String, Json>, inside: &str) -> Result<(), FileError> {
        for (key, json) in object {
            // Under a flag's name, where the key is another, nothing is looked for.
            if let Some(opt) = by_key(key) {
                let field = format!("{inside}{key}");
                let value = Value::from_json(opt.kind, &field, json).map_err(FileError::Value)?;
                self.values.insert(opt.flag, value);
            }
        }
        Ok(())
    }

    /// `host-gateway-ip` was the name when there could be but one.
    fn take_old_gateway(&mut self, top: &Map<String, Json>) -> Result<(), FileError> {
        match top.get("host-gateway-ip") {
            None => Ok(()),
            Some(Json::String(address)) => {
                address
                    .parse::<std::net::IpAddr>()
                    .map_err(|_| FileError::Value(JsonError::Ip(address.clone())))?;
                let list = Value::List(vec![address.clone()]);
                self.values.insert("host-gateway-ip", list);
                Ok(())
            }
            Some(_) => Err(FileError::Value(JsonError::Ip(String::new()))),
        }
    }

    /// The file had this key.
    pub fn says(&self, key: &str) -> bool {
        self.keys.contains(key)
    }
}

/// UTF-8, or UTF-16 with a mark before it.
fn decode(bytes: &[u8]) -> Result<String, FileError> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => Ok(wide(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Ok(wide(rest, u16::from_be_bytes)),
        _ => {
            let text = str::from_utf8(bytes).map_err(|error| FileError::Utf8(error.valid_up_to()))?;
            Ok(text.strip_prefix('\u{feff}').unwrap_or(text).to_owned())
        }
    }
}

fn kind_of(text: &str) -> &'static str {
    match text.as_bytes().first() {
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        _ => "number",
    }
}

/// Keys as dockerd counts them: an object's that it does not know as a value stand for themselves.
fn flatten(top: &Map<String, Json>) -> BTreeMap<String, Json> {
    let mut flat = BTreeMap::new();
    for (key, json) in top {
        match json {
            Json::Object(inner) if !FLAT.contains(&key.as_str()) => {
                flat.extend(inner.iter().map(|(key, json)| (key.clone(), json.clone())));
            }
            other => drop(flat.insert(key.clone(), other.clone())),
        }
    }
    flat
}

fn refuse_unknown(flat: &BTreeMap<String, Json>) -> Result<(), FileError> {
    let is_known = |key: &str| by_key(key).is_some() || by_flag(key).is_some() || WITHOUT_FLAG.contains(&key);
    let unknown: Vec<&str> = flat.keys().map(String::as_str).filter(|key| !is_known(key)).collect();
    if unknown.is_empty() { Ok(()) } else { Err(FileError::Unknown(unknown.join(", "))) }
}

/// dockerd refuses a directive given in both places rather than choose one.
fn refuse_both(flat: &BTreeMap<String, Json>, given: &Given) -> Result<(), FileError> {
    if flat.contains_key("host-gateway-ip") && flat.contains_key("host-gateway-ips") {
        return Err(FileError::Gateways);
    }
    let conflicts: Vec<String> = given
        .each()
        // Runtimes of both places are put together.
        .filter(|(opt, _)| opt.key() != "runtimes")
        .filter_map(|(opt, value)| {
            // The key was another when there could be but one.
            let old = Some("host-gateway-ip").filter(|old| *old == opt.flag && !flat.contains_key(opt.key()));
            let key = old.unwrap_or(opt.key());
            let json = flat.get(key)?;
            let (mut flag, mut file) = (value.show(), show_json(json));
            if matches!(opt.flag, "http-proxy" | "https-proxy") {
                (flag, file) = (super::masked(&flag), super::masked(&file));
            }
            Some(format!("{key}: (from flag: {flag}, from file: {file})"))
        })
        .collect();
    if conflicts.is_empty() { Ok(()) } else { Err(FileError::Both(conflicts.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str, flags: &str) -> String {
        let words = flags.split_whitespace().map(str::to_owned);
        let given = Given::parse(words).expect(flags);
        match File::parse(text, &given) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    /// What dockerd 28.5.2 said, after `unable to configure the Docker daemon with file d.json: `.
    #[test]
    fn complaints_are_dockerds() {
        let cases = [
            (r#"{"foo":1}"#, "", "the following directives don't match any configuration option: foo"),
            (
                r#"{"foo":1,"bar":{"x":2}}"#,
                "",
                "the following directives don't match any configuration option: foo, x",
            ),
            ("{", "", "invalid JSON: unexpected end of JSON input"),
            (
                "[]",
                "",
                "invalid JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
            ),
            ("", "", "ok"),
            (
                r#"{"debug":true}"#,
                "-D",
                "the following directives are specified both as a flag and in the configuration file: debug: (from flag: \
                 true, from file: true)",
            ),
            (
                r#"{"debug":"yes"}"#,
                "",
                "invalid JSON: json: cannot unmarshal string into Go struct field Config.debug of type bool",
            ),
            (
                r#"{"hosts":["unix:///a"]}"#,
                "-H unix:///b",
                "the following directives are specified both as a flag and in the configuration file: hosts: (from flag: \
                 [unix:///b], from file: [unix:///a])",
            ),
            (
                r#"{"log-opts":{"max-size":"1m"}}"#,
                "--log-opt max-file=2",
                "the following directives are specified both as a flag and in the configuration file: log-opts: (from \
                 flag: map[max-file:2], from file: map[max-size:1m])",
            ),
            (
                r#"{"log-opts":{"max-size":1}}"#,
                "",
                "invalid JSON: json: cannot unmarshal number into Go struct field Config.log-opts.max-size of type string",
            ),
            (
                r#"{"data-root":"/x","mtu":1400}"#,
                "--data-root /y --mtu 1300",
                "the following directives are specified both as a flag and in the configuration file: data-root: (from \
                 flag: /y, from file: /x), mtu: (from flag: 1300, from file: 1400)",
            ),
            (
                r#"{"default-ulimits":{"nofile":{"Name":"nofile","Hard":5,"Soft":3}}}"#,
                "--default-ulimit core=1",
                "the following directives are specified both as a flag and in the configuration file: default-ulimits: \
                 (from flag: [core=1:1], from file: map[nofile:map[Hard:5 Name:nofile Soft:3]])",
            ),
            (r#"{"runtimes":{"x":{"path":"/y"}}}"#, "--add-runtime z=/z", "ok"),
            (
                r#"{"default-address-pools":[{"base":"10.0.0.0/8","size":24}]}"#,
                "--default-address-pool base=10.0.0.0/8,size=24",
                "the following directives are specified both as a flag and in the configuration file: \
                 default-address-pools: (from flag: 10.0.0.0/8 24, from file: [map[base:10.0.0.0/8 size:24]])",
            ),
            (r#"{"features":{"buildkit":true,"x":false}}"#, "", "ok"),
            (
                r#"{"features":{"buildkit":1}}"#,
                "",
                "invalid JSON: json: cannot unmarshal number into Go struct field Config.features.buildkit of type bool",
            ),
            (r#"{"builder":{"gc":{"enabled":true}}}"#, "", "ok"),
            (
                r#"{"proxies":{"http-proxy":"http://u:p@x"}}"#,
                "--http-proxy http://a:b@y",
                "the following directives are specified both as a flag and in the configuration file: http-proxy: (from \
                 flag: http://xxxxx:xxxxx@y, from file: http://xxxxx:xxxxx@x)",
            ),
            (
                r#"{"dns":["8.8.8.8"]}"#,
                "--dns 1.1.1.1",
                "the following directives are specified both as a flag and in the configuration file: dns: (from flag: \
                 [1.1.1.1], from file: [8.8.8.8])",
            ),
            (r#"{"dns":["x"]}"#, "", "invalid JSON: invalid IP address: x"),
            (r#"{"host-gateway-ip":"1.2.3.4"}"#, "", "ok"),
            (
                r#"{"host-gateway-ip":"1.2.3.4","host-gateway-ips":["1.2.3.4"]}"#,
                "",
                "host-gateway-ip and host-gateway-ips must not both be specified in the config file",
            ),
            (r#"{"default-shm-size":64}"#, "", "invalid JSON: invalid size: \"64\""),
            (
                r#"{"shutdown-timeout":"x"}"#,
                "",
                "invalid JSON: json: cannot unmarshal string into Go struct field Config.shutdown-timeout of type int",
            ),
            (r#"{"insecure-registry":["x"]}"#, "", "ok"),
            (r#"{"deprecated-key-path":"x"}"#, "", "ok"),
            (r#"{"graph":"/x"}"#, "", "the following directives don't match any configuration option: graph"),
            (r#"{"D":true}"#, "", "the following directives don't match any configuration option: D"),
            (
                r#"{"cgroup-parent":1}"#,
                "",
                "invalid JSON: json: cannot unmarshal number into Go struct field Config.cgroup-parent of type string",
            ),
            (r#"{"debug":true}}"#, "", "invalid JSON: invalid character '}' after top-level value"),
            (r#"{"debug": tru}"#, "", "invalid JSON: invalid character '}' in literal true (expecting 'e')"),
            (
                "{\"a\":1,\n}",
                "",
                "invalid JSON: invalid character '}' looking for beginning of object key string",
            ),
            ("x", "", "invalid JSON: invalid character 'x' looking for beginning of value"),
            (r#"{"debug":true} x"#, "", "invalid JSON: invalid character 'x' after top-level value"),
            (r#"{"Debug":true}"#, "", "the following directives don't match any configuration option: Debug"),
            (
                r#"{"hosts":"x"}"#,
                "",
                "invalid JSON: json: cannot unmarshal string into Go struct field Config.hosts of type []string",
            ),
            (
                r#"{"mtu":1.5}"#,
                "",
                "invalid JSON: json: cannot unmarshal number 1.5 into Go struct field Config.mtu of type int",
            ),
            (
                r#"{"runtimes":{"x":{"path":5}}}"#,
                "",
                "invalid JSON: json: cannot unmarshal number into Go struct field Config.runtimes.x.path of type string",
            ),
            (
                r#"{"default-ulimits":{"x":5}}"#,
                "",
                "invalid JSON: json: cannot unmarshal number into Go struct field Config.default-ulimits.x of type \
                 units.Ulimit",
            ),
            (
                r#"{"validate":true}"#,
                "--validate",
                "the following directives are specified both as a flag and in the configuration file: validate: (from \
                 flag: true, from file: true)",
            ),
            (r#"{"version":true}"#, "", "ok"),
            (
                r#"{"default-init":"x"}"#,
                "",
                "the following directives don't match any configuration option: default-init",
            ),
        ];
        for (text, flags, expected) in cases {
            assert_eq!(said(text, flags), expected, "{text} {flags}");
        }
    }

    #[test]
    fn marks_before_the_text_say_how_it_is_written() {
        let text = "{\"debug\":true}";
        let wide: Vec<u8> =
            [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
        let marked = ["\u{feff}".as_bytes(), text.as_bytes()].concat();
        for bytes in [wide, marked, text.as_bytes().to_vec()] {
            assert_eq!(decode(&bytes).as_deref(), Ok(text));
        }
        assert!(matches!(decode(b"{\xff"), Err(FileError::Utf8(1))));
    }
}
