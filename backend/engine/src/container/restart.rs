//! Restart policies: a pure decision.

use bollard_stubs::models::{RestartPolicy, RestartPolicyNameEnum};

/// What happens after the end of a container's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Stay,
    Restart,
}

/// After an exit with `code` and `restarts` restarts before it.
pub fn decide(policy: Option<&RestartPolicy>, code: i32, restarts: i64, stopped_by_user: bool) -> Verdict {
    let wanted = match policy.and_then(|policy| policy.name) {
        Some(RestartPolicyNameEnum::ALWAYS | RestartPolicyNameEnum::UNLESS_STOPPED) => true,
        Some(RestartPolicyNameEnum::ON_FAILURE) => {
            let limit = policy.and_then(|policy| policy.maximum_retry_count).unwrap_or(0);
            code != 0 && (limit == 0 || restarts < limit)
        }
        _ => false,
    };
    if wanted && !stopped_by_user { Verdict::Restart } else { Verdict::Stay }
}

/// Whether a container that does not run is started when the engine comes up.
pub fn at_boot(policy: Option<&RestartPolicy>, stopped_by_user: bool, was_running: bool) -> bool {
    match policy.and_then(|policy| policy.name) {
        Some(RestartPolicyNameEnum::ALWAYS) => true,
        Some(RestartPolicyNameEnum::UNLESS_STOPPED) => !stopped_by_user,
        Some(RestartPolicyNameEnum::ON_FAILURE) => was_running,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: RestartPolicyNameEnum, limit: i64) -> RestartPolicy {
        RestartPolicy { name: Some(name), maximum_retry_count: Some(limit) }
    }

    #[test]
    fn policies_decide_as_docker_says() {
        use RestartPolicyNameEnum::{ALWAYS, NO, ON_FAILURE, UNLESS_STOPPED};
        let cases = [
            (NO, 0, 1, 0, false, Verdict::Stay),
            (ALWAYS, 0, 0, 99, false, Verdict::Restart),
            (ALWAYS, 0, 0, 0, true, Verdict::Stay),
            (UNLESS_STOPPED, 0, 1, 0, false, Verdict::Restart),
            (ON_FAILURE, 0, 0, 0, false, Verdict::Stay),
            (ON_FAILURE, 3, 1, 2, false, Verdict::Restart),
            (ON_FAILURE, 3, 1, 3, false, Verdict::Stay),
        ];
        for (name, limit, code, restarts, stopped, expected) in cases {
            let verdict = decide(Some(&policy(name, limit)), code, restarts, stopped);
            assert_eq!(verdict, expected, "{name} {limit} {code} {restarts} {stopped}");
        }
    }
}
