//! `--health-…`.

use bollard_stubs::models::HealthConfig;

use super::Refused;

const LEAST_NS: i64 = 1_000_000;

pub fn check(wanted: Option<&HealthConfig>) -> Result<(), Refused> {
    let Some(wanted) = wanted else { return Ok(()) };
    if wanted.retries < Some(0) && wanted.retries.is_some() {
        return Err(Refused::because("Retries in Healthcheck cannot be negative"));
    }
    for (what, value) in [
        ("Interval", wanted.interval),
        ("Timeout", wanted.timeout),
        ("StartPeriod", wanted.start_period),
        ("StartInterval", wanted.start_interval),
    ] {
        if value.is_some_and(|value| value != 0 && value < LEAST_NS) {
            return Err(Refused(format!("{what} in Healthcheck cannot be less than 1ms")));
        }
    }
    Ok(())
}
