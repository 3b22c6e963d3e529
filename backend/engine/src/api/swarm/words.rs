//! Words that a service's spec may have in places where moby knows a few. Its refusals name the word, where a parser would
//! name a variant.

use serde_json::Value;

use crate::error::{ApiError, ApiResult};

const ACTIONS: &[&str] = &["pause", "continue", "rollback"];
const ORDERS: &[&str] = &["stop-first", "start-first"];
const MOUNTS: &[&str] = &["bind", "volume", "image", "tmpfs", "npipe", "cluster"];

/// Where a word is, what it may be, and how a refusal of another one begins and ends.
const PLACES: &[(&str, &[&str], [&str; 2])] = &[
    (
        "/TaskTemplate/RestartPolicy/Condition",
        &["none", "on-failure", "any"],
        ["invalid RestartCondition: \"", "\""],
    ),
    ("/UpdateConfig/FailureAction", ACTIONS, ["unrecognized update failure action ", ""]),
    ("/RollbackConfig/FailureAction", &["pause", "continue"], ["unrecognized update failure action ", ""]),
    ("/UpdateConfig/Order", ORDERS, ["unrecognized update order ", ""]),
    ("/RollbackConfig/Order", ORDERS, ["unrecognized update order ", ""]),
    ("/EndpointSpec/Mode", &["vip", "dnsrr"], ["invalid resolution mode: \"", "\""]),
];

/// Refuses a word that is known nowhere. An empty one is one that was not said.
pub fn check(spec: &Value) -> ApiResult<()> {
    for (place, known, refusal) in PLACES {
        check_one(spec.pointer(place), known, refusal)?;
    }
    let mounts = spec.pointer("/TaskTemplate/ContainerSpec/Mounts").and_then(Value::as_array);
    for mount in mounts.into_iter().flatten() {
        check_one(mount.get("Type"), MOUNTS, &["invalid MountType: \"", "\""])?;
    }
    Ok(())
}

fn check_one(word: Option<&Value>, known: &[&str], [before, after]: &[&str; 2]) -> ApiResult<()> {
    match word.and_then(Value::as_str) {
        Some(word) if !word.is_empty() && !known.contains(&word) => {
            Err(ApiError::invalid(format!("{before}{word}{after}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(spec: Value) -> String {
        check(&spec).unwrap_err().message
    }

    #[test]
    fn an_unknown_word_is_named_as_moby_names_it() {
        let mount = json!({"TaskTemplate": {"ContainerSpec": {"Mounts": [{"Type": "bind"}, {"Type": "x"}]}}});
        assert_eq!(refusal(mount), "invalid MountType: \"x\"");
        let condition = json!({"TaskTemplate": {"RestartPolicy": {"Condition": "x"}}});
        assert_eq!(refusal(condition), "invalid RestartCondition: \"x\"");
        let rollback = json!({"RollbackConfig": {"FailureAction": "rollback"}});
        assert_eq!(refusal(rollback), "unrecognized update failure action rollback");
        assert_eq!(refusal(json!({"UpdateConfig": {"Order": "x"}})), "unrecognized update order x");
        assert_eq!(refusal(json!({"EndpointSpec": {"Mode": "x"}})), "invalid resolution mode: \"x\"");
    }

    #[test]
    fn known_words_and_none_pass() {
        for spec in [
            json!({}),
            json!({"EndpointSpec": {"Mode": ""}, "UpdateConfig": {"FailureAction": "rollback", "Order": "start-first"}}),
            json!({"TaskTemplate": {"ContainerSpec": {"Mounts": null}, "RestartPolicy": {"Condition": "any"}}}),
        ] {
            check(&spec).unwrap();
        }
    }
}
