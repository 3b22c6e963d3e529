//! Whether the options of a new network (`-o`) make sense to its driver, in moby's words.

use std::collections::BTreeMap;

use super::record::{Driver, go_bool, option};

/// What the kernel takes for a bridge, in bytes: an IPv4 header with all its options and a little, and the length of
/// a packet.
pub(super) const MTUS: std::ops::RangeInclusive<u32> = 68..=65535;

/// An option that its driver cannot take.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error(
        "failed to parse {option} value: {value} (strconv.ParseBool: parsing \"{value}\": invalid syntax)"
    )]
    Bool { option: &'static str, value: String },
    #[error("failed to parse {option} value: {value} (strconv.Atoi: parsing \"{value}\": invalid syntax)")]
    Number { option: &'static str, value: String },
    #[error("invalid MTU number: {0}")]
    Mtu(i64),
    /// The kernel's refusal, which moby passes on, and what it would take.
    #[error("invalid argument: an MTU is {} to {} bytes, not {mtu}", MTUS.start(), MTUS.end())]
    MtuRange { mtu: i64 },
    #[error("failed to parse {option} value: {value} (nil ip)")]
    Address { option: &'static str, value: String },
    #[error("failed to parse {option} value: {value} (unknown gateway mode {value})")]
    GatewayMode { option: &'static str, value: String },
    /// The kernel's refusal of a link's name, which moby passes on.
    #[error("numerical result out of range")]
    LinkName,
    #[error("gateway mode 'isolated' can only be used for an internal network")]
    NotInternal,
    #[error("requested macvlan mode '{0}' is not valid, 'bridge' mode is the macvlan driver default")]
    MacvlanMode(String),
    #[error("requested ipvlan mode '{0}' is not valid, 'l2' mode is the ipvlan driver default")]
    IpvlanMode(String),
    #[error("requested ipvlan flag '{0}' is not valid, 'bridge' is the ipvlan driver default")]
    IpvlanFlag(String),
    #[error("loopback interface is not a valid {0} parent link")]
    Loopback(&'static str),
}

impl OptionError {
    /// What moby finds while it reads is the client's fault; what it finds later, its own.
    pub fn is_invalid(&self) -> bool {
        matches!(
            self,
            Self::Bool { .. }
                | Self::Number { .. }
                | Self::Mtu(_)
                | Self::Address { .. }
                | Self::GatewayMode { .. }
        )
    }
}

/// Answers the first fault.
pub fn check(
    driver: Driver,
    options: &BTreeMap<String, String>,
    is_internal: bool,
) -> Result<(), OptionError> {
    match driver {
        Driver::Bridge => check_bridge(options, is_internal),
        Driver::Macvlan | Driver::Ipvlan => check_sublink(driver, options),
        Driver::Host | Driver::Null | Driver::Overlay => Ok(()),
    }
}

fn check_bridge(options: &BTreeMap<String, String>, is_internal: bool) -> Result<(), OptionError> {
    let asked = |option| options.get(option).map(|value: &String| (option, value.clone()));
    for (option, value) in
        [option::ICC, option::MASQUERADE, option::DEFAULT, option::INHIBIT_IPV4].into_iter().filter_map(asked)
    {
        go_bool(&value).ok_or(OptionError::Bool { option, value })?;
    }
    if let Some((option, value)) = asked(option::MTU) {
        let mtu = value.parse::<i64>().map_err(|_| OptionError::Number { option, value })?;
        match mtu {
            ..0 => return Err(OptionError::Mtu(mtu)),
            // The kernel's own.
            0 => {}
            mtu if u32::try_from(mtu).is_ok_and(|mtu| MTUS.contains(&mtu)) => {}
            _ => return Err(OptionError::MtuRange { mtu }),
        }
    }
    if let Some((option, value)) = asked(option::HOST_ADDRESS)
        && value.parse::<std::net::IpAddr>().is_err()
    {
        return Err(OptionError::Address { option, value });
    }
    for (option, value) in
        [option::GATEWAY_MODE_IPV4, option::GATEWAY_MODE_IPV6].into_iter().filter_map(asked)
    {
        match value.as_str() {
            "" | "nat" | "nat-unprotected" | "routed" => {}
            "isolated" if is_internal => {}
            "isolated" => return Err(OptionError::NotInternal),
            _ => return Err(OptionError::GatewayMode { option, value }),
        }
    }
    match options.get(option::NAME) {
        Some(name) if name.len() > 15 || name.contains(['/', ' ', ':']) => Err(OptionError::LinkName),
        _ => Ok(()),
    }
}

fn check_sublink(driver: Driver, options: &BTreeMap<String, String>) -> Result<(), OptionError> {
    let asked = |option| options.get(option).map_or("", String::as_str);
    if asked(option::PARENT) == "lo" {
        return Err(OptionError::Loopback(driver.name()));
    }
    let refuse = |option, known: &[&str], error: fn(String) -> OptionError| match asked(option) {
        value if known.contains(&value) => Ok(()),
        value => Err(error(value.to_owned())),
    };
    if driver == Driver::Macvlan {
        return refuse(
            option::MACVLAN_MODE,
            &["", "bridge", "private", "vepa", "passthru"],
            OptionError::MacvlanMode,
        );
    }
    refuse(option::IPVLAN_MODE, &["", "l2", "l3", "l3s"], OptionError::IpvlanMode)?;
    refuse(option::IPVLAN_FLAG, &["", "bridge", "private", "vepa"], OptionError::IpvlanFlag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_refused_in_mobys_words() {
        for (driver, option, value, expected) in [
            (
                Driver::Bridge,
                option::ICC,
                "yes",
                Some(
                    "failed to parse com.docker.network.bridge.enable_icc value: yes (strconv.ParseBool: parsing \"yes\": invalid syntax)",
                ),
            ),
            (Driver::Bridge, option::ICC, "F", None),
            (
                Driver::Bridge,
                option::MTU,
                "x",
                Some(
                    "failed to parse com.docker.network.driver.mtu value: x (strconv.Atoi: parsing \"x\": invalid syntax)",
                ),
            ),
            (Driver::Bridge, option::MTU, "-1", Some("invalid MTU number: -1")),
            (Driver::Bridge, option::MTU, "0", None),
            (
                Driver::Bridge,
                option::MTU,
                "67",
                Some("invalid argument: an MTU is 68 to 65535 bytes, not 67"),
            ),
            (Driver::Bridge, option::MTU, "65535", None),
            (
                Driver::Bridge,
                option::MTU,
                "99999999999",
                Some("invalid argument: an MTU is 68 to 65535 bytes, not 99999999999"),
            ),
            (
                Driver::Bridge,
                option::HOST_ADDRESS,
                "x",
                Some("failed to parse com.docker.network.bridge.host_binding_ipv4 value: x (nil ip)"),
            ),
            (
                Driver::Bridge,
                option::GATEWAY_MODE_IPV4,
                "x",
                Some(
                    "failed to parse com.docker.network.bridge.gateway_mode_ipv4 value: x (unknown gateway mode x)",
                ),
            ),
            (
                Driver::Bridge,
                option::GATEWAY_MODE_IPV4,
                "isolated",
                Some("gateway mode 'isolated' can only be used for an internal network"),
            ),
            (Driver::Bridge, option::NAME, "averyveryverylongname", Some("numerical result out of range")),
            (
                Driver::Macvlan,
                option::MACVLAN_MODE,
                "x",
                Some("requested macvlan mode 'x' is not valid, 'bridge' mode is the macvlan driver default"),
            ),
            (
                Driver::Macvlan,
                option::PARENT,
                "lo",
                Some("loopback interface is not a valid macvlan parent link"),
            ),
            (Driver::Macvlan, "anything", "else", None),
            (
                Driver::Ipvlan,
                option::IPVLAN_FLAG,
                "x",
                Some("requested ipvlan flag 'x' is not valid, 'bridge' is the ipvlan driver default"),
            ),
        ] {
            let options = BTreeMap::from([(option.to_owned(), value.to_owned())]);
            let refused = check(driver, &options, false).err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), expected, "{option}={value}");
        }
    }
}
