//! A spec with what it leaves open written out, for `docker service inspect`.

use bollard_stubs::models::{
    ServiceSpecRollbackConfig, ServiceSpecRollbackConfigFailureActionEnum as RollbackAction,
    ServiceSpecRollbackConfigOrderEnum as RollbackOrder, ServiceSpecUpdateConfig,
    ServiceSpecUpdateConfigFailureActionEnum as UpdateAction,
    ServiceSpecUpdateConfigOrderEnum as UpdateOrder, TaskSpecRestartPolicy,
};

use crate::objects::{Duration, RestartCondition, ServiceSpec};
use crate::orchestrator::{DEFAULT_MONITOR, DEFAULT_RESTART_DELAY};

/// How long moby lets a container end by itself.
const STOP_GRACE_PERIOD: Duration = Duration::seconds(10);

pub fn with_defaults(spec: &ServiceSpec) -> ServiceSpec {
    let mut spec = spec.clone();
    let template = spec.task_template.get_or_insert_default();
    if let Some(container) = &mut template.container_spec {
        container.stop_grace_period.get_or_insert(STOP_GRACE_PERIOD.0);
        container.dns_config.get_or_insert_default();
    }
    template.resources.get_or_insert_default();
    template.placement.get_or_insert_default();
    template
        .restart_policy
        .get_or_insert_with(|| TaskSpecRestartPolicy {
            condition: Some(RestartCondition::ANY),
            max_attempts: Some(0),
            ..TaskSpecRestartPolicy::default()
        })
        .delay
        .get_or_insert(DEFAULT_RESTART_DELAY.0);
    let update = spec.update_config.get_or_insert_with(|| ServiceSpecUpdateConfig {
        parallelism: Some(1),
        failure_action: Some(UpdateAction::PAUSE),
        max_failure_ratio: Some(0.0),
        order: Some(UpdateOrder::STOP_FIRST),
        ..ServiceSpecUpdateConfig::default()
    });
    update.monitor.get_or_insert(DEFAULT_MONITOR.0);
    let rollback = spec.rollback_config.get_or_insert_with(|| ServiceSpecRollbackConfig {
        parallelism: Some(1),
        failure_action: Some(RollbackAction::PAUSE),
        max_failure_ratio: Some(0.0),
        order: Some(RollbackOrder::STOP_FIRST),
        ..ServiceSpecRollbackConfig::default()
    });
    rollback.monitor.get_or_insert(DEFAULT_MONITOR.0);
    spec
}
