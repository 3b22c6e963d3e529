//! Health checks: a command in the container, run again and again; three failures in a row are `unhealthy`.

use bollard_stubs::models::HealthConfig;

use crate::container::Record;
use crate::container::record::Health;

/// The user's check, completed by the image's. `["NONE"]` switches the image's off.
pub fn merge(own: Option<HealthConfig>, image: Option<&HealthConfig>) -> Option<HealthConfig> {
    let Some(mut own) = own else { return image.cloned() };
    let Some(image) = image else { return Some(own) };
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&image.test);
    }
    let fill = |own: &mut Option<i64>, image: Option<i64>| {
        if own.unwrap_or(0) == 0 {
            *own = image;
        }
    };
    fill(&mut own.interval, image.interval);
    fill(&mut own.timeout, image.timeout);
    fill(&mut own.start_period, image.start_period);
    fill(&mut own.start_interval, image.start_interval);
    fill(&mut own.retries, image.retries);
    Some(own)
}

/// What the state says of health at a start: nothing without a check.
pub fn first_state(record: &Record) -> Option<Health> {
    let test = record.config.healthcheck.as_ref()?.test.as_ref()?;
    let on = !test.is_empty() && test[0] != "NONE";
    on.then(|| Health { status: "starting".into(), ..Health::default() })
}
