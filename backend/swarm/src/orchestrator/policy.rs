//! A spec's settings for restarts and updates, with swarmkit's defaults filled in.

use bollard_stubs::models::{
    ServiceSpecRollbackConfigFailureActionEnum as RollbackAction,
    ServiceSpecRollbackConfigOrderEnum as RollbackOrder,
    ServiceSpecUpdateConfigFailureActionEnum as UpdateAction,
    ServiceSpecUpdateConfigOrderEnum as UpdateOrder,
};

use crate::objects::{Duration, RestartCondition, ServiceSpec, Task};

/// What moby waits before it starts a task again.
pub const DEFAULT_RESTART_DELAY: Duration = Duration::seconds(5);
/// How long moby watches an updated task for failures.
pub const DEFAULT_MONITOR: Duration = Duration::seconds(5);

/// Whether the new task of a slot starts before the old one stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    StopFirst,
    StartFirst,
}

/// What too many failures lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureAction {
    Pause,
    Continue,
    Rollback,
}

/// How slots are brought to a new spec.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpdatePolicy {
    /// Slots at a time; all when 0.
    pub parallelism: u64,
    pub delay: Duration,
    pub monitor: Duration,
    pub action: FailureAction,
    pub max_failure_ratio: f64,
    pub order: Order,
}

const DEFAULT: UpdatePolicy = UpdatePolicy {
    parallelism: 1,
    delay: Duration::ZERO,
    monitor: DEFAULT_MONITOR,
    action: FailureAction::Pause,
    max_failure_ratio: 0.0,
    order: Order::StopFirst,
};

impl UpdatePolicy {
    pub fn forward(spec: &ServiceSpec) -> Self {
        let Some(config) = &spec.update_config else { return DEFAULT };
        Self {
            parallelism: count(config.parallelism),
            delay: Duration(config.delay.unwrap_or(0)),
            monitor: monitor(config.monitor),
            action: match config.failure_action {
                Some(UpdateAction::CONTINUE) => FailureAction::Continue,
                Some(UpdateAction::ROLLBACK) => FailureAction::Rollback,
                _ => FailureAction::Pause,
            },
            max_failure_ratio: config.max_failure_ratio.unwrap_or(0.0),
            order: match config.order {
                Some(UpdateOrder::START_FIRST) => Order::StartFirst,
                _ => Order::StopFirst,
            },
        }
    }

    pub fn back(spec: &ServiceSpec) -> Self {
        let Some(config) = &spec.rollback_config else { return DEFAULT };
        Self {
            parallelism: count(config.parallelism),
            delay: Duration(config.delay.unwrap_or(0)),
            monitor: monitor(config.monitor),
            action: match config.failure_action {
                Some(RollbackAction::CONTINUE) => FailureAction::Continue,
                _ => FailureAction::Pause,
            },
            max_failure_ratio: config.max_failure_ratio.unwrap_or(0.0),
            order: match config.order {
                Some(RollbackOrder::START_FIRST) => Order::StartFirst,
                _ => Order::StopFirst,
            },
        }
    }

    /// How long after the last slot an update is watched: past the delay, whatever that is.
    pub fn watch(&self) -> Duration {
        if self.delay >= self.monitor {
            Duration(self.delay.0 + Duration::seconds(1).0)
        } else {
            self.monitor
        }
    }
}

fn count(number: Option<i64>) -> u64 {
    number.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

fn monitor(nanoseconds: Option<i64>) -> Duration {
    nanoseconds.filter(|monitor| *monitor != 0).map_or(DEFAULT_MONITOR, Duration)
}

/// When a task is started again after its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    pub condition: RestartCondition,
    pub delay: Duration,
    /// Without bound when 0.
    pub max_attempts: u64,
    /// How far back attempts count; for ever when 0.
    pub window: Duration,
}

impl RestartPolicy {
    pub fn of(task: &Task) -> Self {
        let policy = task.spec.restart_policy.as_ref();
        let condition = policy.and_then(|policy| policy.condition);
        Self {
            condition: condition.filter(|it| *it != RestartCondition::EMPTY).unwrap_or(RestartCondition::ANY),
            delay: policy.and_then(|policy| policy.delay).map_or(DEFAULT_RESTART_DELAY, Duration),
            max_attempts: count(policy.and_then(|policy| policy.max_attempts)),
            window: Duration(policy.and_then(|policy| policy.window).unwrap_or(0)),
        }
    }
}
