//! `--restart`.

use bollard_stubs::models::{HostConfig, RestartPolicy, RestartPolicyNameEnum};

use super::Refused;

/// Whether anything but the user's word starts the container again.
pub fn restarts(wanted: &HostConfig) -> bool {
    let name = wanted.restart_policy.as_ref().and_then(|policy| policy.name);
    !matches!(name, None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO))
}

/// Who names no policy has the policy of none.
pub fn name(wanted: &mut HostConfig) {
    let policy = wanted.restart_policy.get_or_insert_default();
    if matches!(policy.name, None | Some(RestartPolicyNameEnum::EMPTY)) {
        policy.name = Some(RestartPolicyNameEnum::NO);
    }
}

/// A count of retries belongs to `on-failure` alone.
pub fn restart_policy(policy: Option<&RestartPolicy>) -> Result<(), Refused> {
    let count = policy.and_then(|policy| policy.maximum_retry_count).unwrap_or(0);
    match policy.and_then(|policy| policy.name) {
        // Old clients name nothing and send any count.
        None | Some(RestartPolicyNameEnum::EMPTY) => Ok(()),
        Some(RestartPolicyNameEnum::ON_FAILURE) if count < 0 => {
            Err(Refused::because("invalid restart policy: maximum retry count cannot be negative"))
        }
        Some(RestartPolicyNameEnum::ON_FAILURE) => Ok(()),
        Some(_) if count == 0 => Ok(()),
        Some(_) => {
            let negative = if count < 0 { " and cannot be negative" } else { "" };
            Err(Refused(format!(
                "invalid restart policy: maximum retry count can only be used with 'on-failure'{negative}"
            )))
        }
    }
}
