//! Words of a request that our types know as enums: moby checks them by itself, and refuses them in words of its own.

use serde_json::Value;

const POLICIES: [&str; 5] = ["", "no", "always", "unless-stopped", "on-failure"];
const PROPAGATIONS: [&str; 7] = ["", "private", "rprivate", "shared", "rshared", "slave", "rslave"];
const MOUNTS: [&str; 4] = ["bind", "volume", "image", "tmpfs"];

/// The first unknown word in the body of a create request.
pub fn unknown_in_create(body: &Value) -> Option<String> {
    let host = &body["HostConfig"];
    let isolation = text(&host["Isolation"]).to_ascii_lowercase();
    if !matches!(isolation.as_str(), "" | "default") {
        return Some(format!(
            "invalid isolation ({}): linux only supports 'default'",
            text(&host["Isolation"])
        ));
    }
    let mounts = host["Mounts"].as_array().into_iter().flatten();
    mounts.into_iter().find_map(unknown_in_mount).or_else(|| unknown_policy(host)).or_else(|| {
        let mode = text(&host["CgroupnsMode"]);
        (!matches!(mode, "" | "private" | "host")).then(|| format!("invalid cgroup namespace mode: {mode}"))
    })
}

/// `RestartPolicy` of a host configuration, or of an update.
pub fn unknown_policy(host: &Value) -> Option<String> {
    let name = text(&host["RestartPolicy"]["Name"]);
    (!POLICIES.contains(&name)).then(|| {
        format!(
            "invalid restart policy: unknown policy '{name}'; use one of 'no', 'always', 'on-failure', or \
             'unless-stopped'"
        )
    })
}

fn unknown_in_mount(mount: &Value) -> Option<String> {
    let kind = text(&mount["Type"]);
    let bad = |why: String| Some(format!("invalid mount config for type \"{kind}\": {why}"));
    if text(&mount["Target"]).is_empty() {
        return bad("field Target must not be empty".into());
    }
    if !MOUNTS.contains(&kind) {
        return bad("mount type unknown".into());
    }
    let propagation = text(&mount["BindOptions"]["Propagation"]);
    if kind == "bind" && !PROPAGATIONS.contains(&propagation) {
        return bad(format!("invalid propagation mode: {propagation}"));
    }
    None
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_words_are_named_and_known_ones_pass() {
        let cases = [
            (json!({}), None),
            (json!({ "Mounts": [{ "Type": "bind", "Target": "/x" }] }), None),
            (json!({ "Mounts": [{ "Type": "cluster", "Target": "/x" }] }), Some("mount type unknown")),
            (json!({ "RestartPolicy": { "Name": "often" } }), Some("unknown policy 'often'")),
            (json!({ "CgroupnsMode": "mine" }), Some("invalid cgroup namespace mode: mine")),
            (json!({ "Isolation": "hyperv" }), Some("invalid isolation (hyperv)")),
        ];
        for (host, expected) in cases {
            let said = unknown_in_create(&json!({ "HostConfig": host }));
            match expected {
                None => assert_eq!(said, None, "{host}"),
                Some(part) => assert!(said.is_some_and(|said| said.contains(part)), "{host}"),
            }
        }
    }
}
