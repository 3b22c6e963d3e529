//! Networks as the API shows them, and the filters of `docker network ls`.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::record::Record;
use super::state::{Endpoint, Network};

/// The API's `Network`, with every field moby always writes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspected {
    pub name: String,
    pub id: String,
    pub created: String,
    pub scope: &'static str,
    pub driver: &'static str,
    #[serde(rename = "EnableIPv4")]
    pub enable_ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    pub enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    pub ipam: Ipam,
    pub internal: bool,
    pub attachable: bool,
    pub ingress: bool,
    pub config_from: ConfigFrom,
    pub config_only: bool,
    pub containers: BTreeMap<String, Member>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Ipam {
    pub driver: String,
    pub options: Option<BTreeMap<String, String>>,
    /// `null` where a network has no subnets.
    pub config: Option<Vec<IpamConfig>>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct IpamConfig {
    pub subnet: String,
    #[serde(rename = "IPRange", skip_serializing_if = "Option::is_none")]
    pub ip_range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    #[serde(rename = "AuxiliaryAddresses", skip_serializing_if = "BTreeMap::is_empty")]
    pub auxiliary: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConfigFrom {
    pub network: String,
}

/// A container on the network.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    #[serde(rename = "Name")]
    pub name: String,
    #[serde(rename = "EndpointID")]
    pub endpoint: String,
    #[serde(rename = "MacAddress")]
    pub mac: String,
    #[serde(rename = "IPv4Address")]
    pub ipv4: String,
    #[serde(rename = "IPv6Address")]
    pub ipv6: String,
}

impl Inspected {
    pub(super) fn new(network: &Network, with_containers: bool) -> Self {
        let record = &network.record;
        let members = network.endpoints.values().filter(|_| with_containers);
        Self {
            name: record.name.clone(),
            id: record.id.to_string(),
            created: record.created.clone(),
            scope: record.scope(),
            driver: record.driver.name(),
            enable_ipv4: record.enable_ipv4,
            enable_ipv6: record.enable_ipv6,
            ipam: ipam(record),
            internal: record.internal,
            attachable: record.attachable,
            ingress: record.ingress,
            config_from: ConfigFrom { network: record.config_from.clone() },
            config_only: record.config_only,
            containers: members.map(|it| (it.container.to_string(), member(it))).collect(),
            options: record.options.clone(),
            labels: record.labels.clone(),
        }
    }
}

/// As moby: what was asked for, as it was asked; then what was chosen for a family nobody asked about.
fn ipam(record: &Record) -> Ipam {
    let is_asked = |is_ipv4| record.asked.iter().any(|asked| asked.cidr.ip().is_ipv4() == is_ipv4);
    let chosen = record.subnets.iter().filter(|subnet| !is_asked(subnet.cidr.ip().is_ipv4()));
    let config: Vec<IpamConfig> = record
        .asked
        .iter()
        .chain(chosen)
        .map(|subnet| IpamConfig {
            subnet: subnet.cidr.to_string(),
            ip_range: subnet.range.map(|range| range.to_string()),
            gateway: subnet.gateway.map(|gateway| gateway.to_string()),
            auxiliary: subnet.auxiliary.iter().map(|(name, ip)| (name.clone(), ip.to_string())).collect(),
        })
        .collect();
    Ipam {
        driver: record.ipam_driver.clone(),
        options: record.ipam_options.clone(),
        config: (!config.is_empty()).then_some(config),
    }
}

fn member(endpoint: &Endpoint) -> Member {
    let text = |is_ipv4| endpoint.address(is_ipv4).map_or_else(String::new, |address| address.to_string());
    Member {
        name: endpoint.container_name.clone(),
        endpoint: endpoint.id.to_string(),
        mac: if endpoint.addresses.is_empty() { String::new() } else { endpoint.mac.to_string() },
        ipv4: text(true),
        ipv6: text(false),
    }
}

/// What `filters=` says: for each key the values of which one must fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filters {
    wanted: HashMap<String, Vec<String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("invalid filter")]
    Json(#[source] serde_json::Error),
    #[error("invalid filter '{0}'")]
    Key(String),
    #[error("invalid filter: 'type'='{0}'")]
    Type(String),
    #[error("invalid value for filter 'dangling', must be \"true\" (or \"1\"), or \"false\" (or \"0\")")]
    Dangling,
    #[error("failed to parse value as time or duration: \"{0}\"")]
    Until(String),
}

impl From<FilterError> for crate::error::ApiError {
    fn from(error: FilterError) -> Self {
        match error {
            // moby does not class this one.
            FilterError::Type(_) => Self::internal(error.to_string()),
            error => Self::invalid(error.to_string()),
        }
    }
}

/// Reads the query parameter in its two forms, `{"name":["a"]}` and `{"name":{"a":true}}`.
/// `known` are the keys this endpoint has.
pub fn filters(text: Option<&str>, known: &[&str]) -> Result<Filters, FilterError> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Values {
        List(Vec<String>),
        Set(HashMap<String, bool>),
    }
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Filters::default()) };
    let read: HashMap<String, Values> = serde_json::from_str(text).map_err(FilterError::Json)?;
    let mut filters = Filters::default();
    for (key, values) in read {
        if !known.contains(&key.as_str()) {
            return Err(FilterError::Key(key));
        }
        let values = match values {
            Values::List(list) => list,
            Values::Set(set) => {
                set.into_iter().filter(|(_, is_set)| *is_set).map(|(value, _)| value).collect()
            }
        };
        check(&key, &values)?;
        filters.wanted.insert(key, values);
    }
    Ok(filters)
}

fn check(key: &str, values: &[String]) -> Result<(), FilterError> {
    match key {
        "type" => match values.iter().find(|value| !matches!(value.as_str(), "custom" | "builtin")) {
            Some(value) => Err(FilterError::Type(value.clone())),
            None => Ok(()),
        },
        "dangling" if values.iter().any(|value| !matches!(value.as_str(), "true" | "false" | "1" | "0")) => {
            Err(FilterError::Dangling)
        }
        "until" => match values.iter().find(|value| limit(value).is_none()) {
            Some(value) => Err(FilterError::Until(value.clone())),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

impl Filters {
    /// The same for a network of the swarm that this engine has no part in.
    pub fn admit_other(&self, network: &bollard_stubs::models::Network) -> bool {
        Record::of_swarm(network).is_some_and(|record| self.admit(&Network::new(record)))
    }

    pub(super) fn admit(&self, network: &Network) -> bool {
        self.wanted.iter().all(|(key, values)| {
            values.is_empty() || values.iter().any(|value| fits(key, value, network)) == (key != "label!")
        })
    }
}

fn fits(key: &str, value: &str, network: &Network) -> bool {
    let record = &network.record;
    let is_unused = network.endpoints.is_empty() && !record.is_predefined();
    match key {
        "name" => record.name.contains(value),
        "id" => record.id.as_str().starts_with(value),
        "driver" => record.driver.name() == value,
        "scope" => value == record.scope(),
        "type" => record.is_predefined() == (value == "builtin"),
        "dangling" => is_unused == matches!(value, "true" | "1"),
        "label" | "label!" => match value.split_once('=') {
            Some((label, value)) => record.labels.get(label).is_some_and(|found| found == value),
            None => record.labels.contains_key(value),
        },
        "until" => is_before(&record.created, value),
        _ => false,
    }
}

fn is_before(created: &str, until: &str) -> bool {
    match (OffsetDateTime::parse(created, &Rfc3339), limit(until)) {
        (Ok(created), Some(limit)) => created < limit,
        _ => false,
    }
}

/// `until=24h`, `until=2024-01-02T15:04:05Z` or a Unix time: made before that.
fn limit(until: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(until, &Rfc3339)
        .ok()
        .or_else(|| OffsetDateTime::from_unix_timestamp(until.parse().ok()?).ok())
        .or_else(|| Some(OffsetDateTime::now_utc() - duration(until)?))
}

/// Go's durations in whole hours, minutes and seconds: `1h30m`.
fn duration(text: &str) -> Option<time::Duration> {
    let mut seconds = 0i64;
    let mut number = String::new();
    for letter in text.chars() {
        if letter.is_ascii_digit() {
            number.push(letter);
            continue;
        }
        let unit = match letter {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    number.is_empty().then(|| time::Duration::seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_come_in_two_forms() {
        let known = ["name", "type", "dangling"];
        let list = filters(Some(r#"{"name":["a"]}"#), &known).unwrap();
        let set = filters(Some(r#"{"name":{"a":true,"b":false}}"#), &known).unwrap();
        assert_eq!(list, set);
        assert_eq!(filters(None, &known).unwrap(), Filters::default());
        let refused = filters(Some(r#"{"colour":["red"]}"#), &known).unwrap_err();
        assert_eq!(refused.to_string(), "invalid filter 'colour'");
        let refused = filters(Some(r#"{"type":["red"]}"#), &known).unwrap_err();
        assert_eq!(refused.to_string(), "invalid filter: 'type'='red'");
    }

    #[test]
    fn ages_are_compared() {
        assert!(is_before("2024-01-01T00:00:00.000000000Z", "24h"));
        assert!(!is_before("2024-01-01T00:00:00.000000000Z", "2023-01-01T00:00:00Z"));
        assert!(is_before("2024-01-01T00:00:00.000000000Z", "1800000000"));
        assert_eq!(duration("1h30m"), Some(time::Duration::minutes(90)));
        assert_eq!(duration("soon"), None);
    }
}
