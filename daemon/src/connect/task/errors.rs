//! The rules of `errors.*`: what is tried again, what is tolerated, what is logged.

use super::{TaskId, TaskMetrics, failure::TaskFailure};
use levada_connector_api::{Config, ConnectorError, ErrorKind};
use std::{fmt, sync::atomic::Ordering, time::Duration};

/// Where an error happened, under the names that go into error headers and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `poll`.
    TaskPoll,
    /// A transform.
    Transformation,
    /// Key converter.
    KeyConverter,
    /// Value converter.
    ValueConverter,
    /// Header converter.
    HeaderConverter,
    /// Appending to the log.
    KafkaProduce,
    /// `put`.
    TaskPut,
}

impl Stage {
    /// Connect's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::TaskPoll => "TASK_POLL",
            Self::Transformation => "TRANSFORMATION",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
            Self::KafkaProduce => "KAFKA_PRODUCE",
            Self::TaskPut => "TASK_PUT",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// `errors.tolerance`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tolerance {
    /// The first failure ends the task.
    #[default]
    None,
    /// Failed records are skipped.
    All,
}

/// `errors.*` of one connector.
#[derive(Clone, Copy, Debug)]
pub struct ErrorPolicy {
    /// `errors.tolerance`.
    pub tolerance: Tolerance,
    /// `errors.retry.timeout`; `None` for ever.
    pub retry_timeout: Option<Duration>,
    /// `errors.retry.delay.max.ms`.
    pub retry_delay_max: Duration,
    /// The same for what is tried for as long as it fails: when the other side is back, everybody waits for this.
    pub endless_delay_max: Duration,
    /// `errors.log.enable`.
    pub log: bool,
    /// `errors.log.include.messages`.
    pub log_records: bool,
}

/// Shortest wait between two tries: whatever the configuration says, a failing task must not keep a core busy.
pub(in crate::connect) const MIN_RETRY_DELAY: Duration = Duration::from_millis(10);

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self {
            tolerance: Tolerance::None,
            retry_timeout: Some(Duration::ZERO),
            retry_delay_max: Duration::from_secs(60),
            endless_delay_max: Duration::from_secs(10),
            log: false,
            log_records: false,
        }
    }
}

impl ErrorPolicy {
    /// Reads the keys of a validated connector configuration.
    pub fn from_config(config: &Config) -> Result<Self, String> {
        let mut policy = Self::default();
        if let Some(value) = config.get("errors.tolerance") {
            policy.tolerance = match value.as_str() {
                "none" => Tolerance::None,
                "all" => Tolerance::All,
                other => return Err(format!("errors.tolerance is \"{other}\"; it must be none or all")),
            };
        }
        if let Some(millis) = number(config, "errors.retry.timeout")? {
            policy.retry_timeout = u64::try_from(millis).ok().map(Duration::from_millis);
        }
        if let Some(millis) = number(config, "errors.retry.delay.max.ms")? {
            policy.retry_delay_max = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
            policy.endless_delay_max = policy.retry_delay_max;
        }
        policy.log = flag(config, "errors.log.enable")?;
        policy.log_records = flag(config, "errors.log.include.messages")?;
        Ok(policy)
    }

    /// Whether anything is tried again at all.
    pub(in crate::connect) fn retries(&self) -> bool {
        self.retry_timeout != Some(Duration::ZERO)
    }

    /// How long to wait before try number `attempt` (from 1), or `None` when `spent` is all the time
    /// there is. `random` is any number.
    pub(in crate::connect) fn retry_delay(&self, attempt: u32, spent: Duration, random: u64) -> Option<Duration> {
        if self.retry_timeout.is_some_and(|timeout| spent >= timeout) {
            return None;
        }
        let delay = doubled(attempt);
        let most = self.retry_delay_max.as_millis().max(1) as u64;
        let delay = if delay > self.retry_delay_max { Duration::from_millis(random % most) } else { delay };
        let delay = delay.max(MIN_RETRY_DELAY);
        Some(self.retry_timeout.map_or(delay, |timeout| delay.min(timeout.saturating_sub(spent))))
    }

    /// How long to wait before try number `attempt` (from 1) of what is tried for as long as it fails.
    pub(in crate::connect) fn endless_delay(&self, attempt: u32) -> Duration {
        doubled(attempt).min(self.endless_delay_max).max(MIN_RETRY_DELAY)
    }

    /// Decides about a record that failed for good: `Ok` means skip it.
    pub(in crate::connect) fn give_up(
        &self,
        task: &TaskId,
        metrics: &TaskMetrics,
        failed: FailedRecord<'_>,
        error: &ConnectorError,
        now_ms: i64,
    ) -> Result<(), TaskFailure> {
        if self.tolerates(task, metrics, &failed, error, now_ms) {
            return Ok(());
        }
        Err(TaskFailure::tolerance_exceeded(error))
    }

    /// Counts and logs a record that failed for good; whether it may be skipped.
    pub(in crate::connect) fn tolerates(
        &self,
        task: &TaskId,
        metrics: &TaskMetrics,
        failed: &FailedRecord<'_>,
        error: &ConnectorError,
        now_ms: i64,
    ) -> bool {
        TaskMetrics::add(&metrics.record_errors, 1);
        TaskMetrics::add(&metrics.record_failures, 1);
        metrics.last_error_timestamp.store(now_ms, Ordering::Relaxed);
        if self.log {
            TaskMetrics::add(&metrics.errors_logged, 1);
            let place = if self.log_records { failed.place.as_str() } else { "" };
            tracing::error!(
                connector = %task.connector, task = task.task, stage = failed.stage.name(), class = failed.class,
                record = place, error = %error, "record failed"
            );
        }
        let tolerated = match failed.stage {
            Stage::TaskPoll => error.kind == ErrorKind::Retriable,
            _ => true,
        };
        if self.tolerance == Tolerance::All && tolerated {
            if metrics.records_skipped.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!(
                    connector = %task.connector, task = task.task, stage = failed.stage.name(), error = %error,
                    "first record skipped because errors.tolerance=all; later ones are only counted"
                );
            }
            return true;
        }
        false
    }
}

fn doubled(attempt: u32) -> Duration {
    Duration::from_millis(300).saturating_mul(1 << attempt.saturating_sub(1).min(20))
}

/// What failed, for logs.
pub(in crate::connect) struct FailedRecord<'a> {
    /// Where.
    pub stage: Stage,
    /// Class name of what refused it.
    pub class: &'a str,
    /// Topic, partition and offset, or what a source record has of them.
    pub place: String,
}

fn number(config: &Config, key: &str) -> Result<Option<i64>, String> {
    config
        .get(key)
        .map(|value| value.trim().parse().map_err(|_| format!("{key} is \"{value}\"; it must be a whole number")))
        .transpose()
}

fn flag(config: &Config, key: &str) -> Result<bool, String> {
    match config.get(key).map(|value| value.trim().to_ascii_lowercase()).as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(format!("{key} is \"{other}\"; it must be true or false")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_end_with_the_timeout() {
        let policy = ErrorPolicy { retry_timeout: Some(Duration::from_secs(1)), ..ErrorPolicy::default() };
        assert_eq!(policy.retry_delay(1, Duration::ZERO, 0), Some(Duration::from_millis(300)));
        assert_eq!(policy.retry_delay(2, Duration::from_millis(300), 0), Some(Duration::from_millis(600)));
        assert_eq!(policy.retry_delay(3, Duration::from_millis(900), 0), Some(Duration::from_millis(100)));
        assert_eq!(policy.retry_delay(4, Duration::from_secs(1), 0), None);
    }

    #[test]
    fn delays_above_the_maximum_are_random_below_it() {
        let policy = ErrorPolicy { retry_timeout: None, ..ErrorPolicy::default() };
        assert_eq!(policy.retry_delay(30, Duration::from_secs(9999), 60_123), Some(Duration::from_millis(123)));
    }

    #[test]
    fn no_limit_makes_a_busy_loop() {
        for limit in ["0", "-5", "1"] {
            let config = Config::from_iter([
                ("errors.retry.delay.max.ms".to_owned(), limit.to_owned()),
                ("errors.retry.timeout".to_owned(), "-1".to_owned()),
            ]);
            let policy = ErrorPolicy::from_config(&config).unwrap();
            assert_eq!(policy.retry_delay(1, Duration::ZERO, 0), Some(MIN_RETRY_DELAY), "limit {limit}");
            assert_eq!(policy.endless_delay(1), MIN_RETRY_DELAY, "limit {limit}");
        }
        assert_eq!(ErrorPolicy::default().endless_delay(2), Duration::from_millis(600));
        assert_eq!(ErrorPolicy::default().endless_delay(30), Duration::from_secs(10));
    }

    #[test]
    fn no_retry_by_default() {
        assert_eq!(ErrorPolicy::default().retry_delay(1, Duration::ZERO, 0), None);
    }

    #[test]
    fn wrong_values_are_named() {
        let config = Config::from_iter([("errors.tolerance".to_owned(), "some".to_owned())]);
        assert!(ErrorPolicy::from_config(&config).unwrap_err().contains("\"some\""));
    }
}
