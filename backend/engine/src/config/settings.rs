//! The value that every option has in the end: the file's, else the flag's, else the default.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::options::by_flag;
use super::value::{Pool, Runtime, Ulimit, Value};

/// By flag.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings(BTreeMap<&'static str, Value>);

impl Settings {
    pub fn new(mut flags: BTreeMap<&'static str, Value>, file: &BTreeMap<&'static str, Value>) -> Self {
        for (flag, value) in file.iter().filter(|(_, value)| !value.is_empty()) {
            match (flags.get_mut(flag), value) {
                // Runtimes may be in both places.
                (Some(Value::Runtimes(own)), Value::Runtimes(more)) => own.extend(more.clone()),
                _ => drop(flags.insert(flag, value.clone())),
            }
        }
        for (flag, value) in defaults() {
            flags.entry(flag).or_insert(value);
        }
        Self(flags)
    }

    fn get(&self, flag: &str) -> Option<&Value> {
        debug_assert!(by_flag(flag).is_some(), "{flag} is no option");
        self.0.get(flag)
    }

    pub fn is_true(&self, flag: &str) -> bool {
        matches!(self.get(flag), Some(Value::Bool(true)))
    }

    /// It has a value other than the empty one, zero and false.
    pub fn is_something(&self, flag: &str) -> bool {
        match self.get(flag) {
            Some(Value::Bool(truth)) => *truth,
            Some(Value::List(list)) => list.iter().any(|text| !text.is_empty()),
            other => other.is_some_and(|value| !value.is_empty()),
        }
    }

    /// `None`: nobody said.
    pub fn truth(&self, flag: &str) -> Option<bool> {
        match self.get(flag) {
            Some(Value::Bool(truth)) => Some(*truth),
            _ => None,
        }
    }

    pub fn number(&self, flag: &str) -> i64 {
        match self.get(flag) {
            Some(Value::Int(number) | Value::Bytes(number)) => *number,
            _ => 0,
        }
    }

    pub fn text(&self, flag: &str) -> &str {
        match self.get(flag) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// `None` when it is empty.
    pub fn some_text(&self, flag: &str) -> Option<String> {
        Some(self.text(flag)).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub fn list(&self, flag: &str) -> &[String] {
        match self.get(flag) {
            Some(Value::List(list)) => list,
            _ => &[],
        }
    }

    pub fn addresses(&self, flag: &str) -> Vec<IpAddr> {
        match self.get(flag) {
            Some(Value::Ips(list)) => list.clone(),
            Some(Value::Ip(address)) => address.iter().copied().collect(),
            _ => Vec::new(),
        }
    }

    pub fn map(&self, flag: &str) -> BTreeMap<String, String> {
        match self.get(flag) {
            Some(Value::Map(map)) => map.clone(),
            _ => BTreeMap::new(),
        }
    }

    pub fn features(&self) -> BTreeMap<String, bool> {
        match self.get("feature") {
            Some(Value::Features(map)) => map.clone(),
            _ => BTreeMap::new(),
        }
    }

    pub fn network_options(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        match self.get("default-network-opt") {
            Some(Value::MapMap(map)) => map.clone(),
            _ => BTreeMap::new(),
        }
    }

    pub fn ulimits(&self) -> BTreeMap<String, Ulimit> {
        match self.get("default-ulimit") {
            Some(Value::Ulimits(map)) => map.clone(),
            _ => BTreeMap::new(),
        }
    }

    pub fn runtimes(&self) -> BTreeMap<String, Runtime> {
        match self.get("add-runtime") {
            Some(Value::Runtimes(map)) => map.clone(),
            _ => BTreeMap::new(),
        }
    }

    pub fn pools(&self) -> Vec<Pool> {
        match self.get("default-address-pool") {
            Some(Value::Pools(list)) => list.clone(),
            _ => Vec::new(),
        }
    }
}

fn defaults() -> [(&'static str, Value); 19] {
    let text = |text: &str| Value::Text(text.to_owned());
    let yes = || Value::Bool(true);
    [
        ("data-root", text("/var/lib/docker")),
        ("default-ipc-mode", text("private")),
        ("default-runtime", text(super::STOCK_RUNTIME)),
        ("default-shm-size", Value::Bytes(64 << 20)),
        ("exec-root", text("/var/run/docker")),
        ("icc", yes()),
        ("ip-forward", yes()),
        ("ip-masq", yes()),
        ("ip6tables", yes()),
        ("iptables", yes()),
        ("live-restore", yes()),
        ("log-driver", text("json-file")),
        ("log-format", text("text")),
        ("max-concurrent-downloads", Value::Int(3)),
        ("max-concurrent-uploads", Value::Int(5)),
        ("max-download-attempts", Value::Int(5)),
        ("seccomp-profile", text("builtin")),
        ("shutdown-timeout", Value::Int(15)),
        ("userland-proxy", yes()),
    ]
}
