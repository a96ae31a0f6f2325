//! Counters of one task, under the names that Connect's dashboards use.

use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::atomic::{AtomicI64, AtomicU64, Ordering},
};

macro_rules! counters {
    ($($field:ident, $name:literal, $doc:literal;)*) => {
        /// A task's counters. Only the task's own thread and its supervisor write; anyone may read.
        #[derive(Debug, Default)]
        pub struct TaskMetrics {
            $(#[doc = $doc] pub $field: AtomicU64,)*
            /// `last-error-timestamp`: milliseconds since the epoch, 0 for never.
            pub last_error_timestamp: AtomicI64,
            topics: Mutex<HashMap<String, u64>>,
        }

        impl TaskMetrics {
            /// Each counter with Connect's name for it.
            pub fn counters(&self) -> Vec<(&'static str, u64)> {
                vec![$(($name, self.$field.load(Ordering::Relaxed)),)*]
            }
        }
    };
}

counters! {
    source_record_poll, "source-record-poll-total", "Records polled from the source, before transforms.";
    source_record_write, "source-record-write-total", "Records acknowledged by the log.";
    source_record_active_count, "source-record-active-count", "Records polled and not yet acknowledged.";
    source_poll_time_micros, "poll-batch-time-micros-total", "Time spent in `poll`.";
    sink_record_read, "sink-record-read-total", "Records fetched, before transforms.";
    sink_record_send, "sink-record-send-total", "Records put.";
    sink_record_active_count, "sink-record-active-count", "Records put and not yet committed.";
    sink_record_lag, "sink-record-lag", "Records between the position and the end of the owned partitions.";
    sink_put_time_micros, "put-batch-time-micros-total", "Time spent in `put`.";
    partition_count, "partition-count", "Topic partitions assigned to the task.";
    batch_count, "batch-total", "Batches polled or put.";
    offset_commit_success, "offset-commit-completion-total", "Offset commits done.";
    offset_commit_failure, "offset-commit-failure-total", "Offset commits that failed.";
    offset_commit_skip, "offset-commit-skip-total", "Offset commits skipped because the connector answered late or with an error.";
    record_errors, "total-record-errors", "Operations on records that failed.";
    record_failures, "total-record-failures", "Records that failed for good.";
    records_skipped, "total-records-skipped", "Records skipped because errors are tolerated.";
    retries, "total-retries", "Operations tried again.";
    dead_letter_requests, "deadletterqueue-produce-requests", "Records handed to the dead letter queue.";
    dead_letter_failures, "deadletterqueue-produce-failures", "Records that the dead letter queue's topic refused.";
    errors_logged, "total-errors-logged", "Errors written to the log.";
}

impl TaskMetrics {
    pub(in crate::connect) fn add(counter: &AtomicU64, amount: u64) {
        counter.fetch_add(amount, Ordering::Relaxed);
    }

    pub(in crate::connect) fn set(counter: &AtomicU64, value: u64) {
        counter.store(value, Ordering::Relaxed);
    }

    /// Counts `records` of `topic`; true when they are the topic's first. Called once a batch.
    pub(in crate::connect) fn count_topic(&self, topic: &str, records: u64) -> bool {
        let mut topics = self.topics.lock();
        if let Some(count) = topics.get_mut(topic) {
            *count += records;
            return false;
        }
        topics.insert(topic.to_owned(), records);
        true
    }

    /// Records moved per topic.
    pub fn topics(&self) -> Vec<(String, u64)> {
        let mut topics: Vec<_> = self.topics.lock().iter().map(|(topic, count)| (topic.clone(), *count)).collect();
        topics.sort();
        topics
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_records_of_a_topic_are_told() {
        let metrics = TaskMetrics::default();
        assert!(metrics.count_topic("a", 2));
        assert!(!metrics.count_topic("a", 3));
        assert_eq!(metrics.topics(), [("a".to_owned(), 5)]);
    }

    #[test]
    fn counters_carry_connect_names() {
        let metrics = TaskMetrics::default();
        TaskMetrics::add(&metrics.sink_record_send, 7);
        assert!(metrics.counters().contains(&("sink-record-send-total", 7)));
    }
}
