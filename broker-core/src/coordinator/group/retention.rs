//! Retention of committed offsets: `offsets.retention.minutes` after a group became empty, by the wall clock.

use std::sync::Arc;

use levada_env::time::{Duration, sleep};

use super::entry::Entry;
use super::inner::Inner;
use super::machine::{GroupState, RetentionStart};
use super::offsets::{OffsetAndMetadata, TopicPartition};
use super::writes::RetentionWrite;

/// What retention says of a group.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Offsets whose time is over.
    pub expired: Vec<TopicPartition>,
    /// Nothing is left, so the group itself goes.
    pub removes_group: bool,
}

impl Verdict {
    fn is_nothing(&self) -> bool {
        self.expired.is_empty() && !self.removes_group
    }
}

/// Judges a group at wall time `now_ms`.
pub(super) fn judge(entry: &Entry, now_ms: i64, retention: Duration) -> Verdict {
    let group = &entry.group;
    if group.state() == GroupState::Dead {
        return Verdict::default();
    }
    let start = group.retention_start();
    let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    let is_over = |value: &OffsetAndMetadata| match (value.expire_timestamp, start) {
        (_, RetentionStart::Never) => false,
        (Some(end), _) => end <= now_ms,
        (None, RetentionStart::Commit) => now_ms.saturating_sub(value.commit_timestamp) >= retention,
        // A commit by an administrator after the group became empty counts too.
        (None, RetentionStart::EmptySince(since)) => {
            now_ms.saturating_sub(since.max(value.commit_timestamp)) >= retention
        }
    };
    let expired = entry.offsets.select(|topic, _, value| is_over(value) && !group.is_subscribed_to(topic));
    let left = entry.offsets.topics().map(|(_, partitions)| partitions.len()).sum::<usize>() - expired.len();
    let removes_group = left == 0 && group.state() == GroupState::Empty && entry.has_group_record();
    Verdict { expired, removes_group }
}

/// Looks at all groups every `offsets.retention.check.interval.ms` until the coordinator stops.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut active = inner.active.subscribe();
    loop {
        tokio::select! {
            () = sleep(inner.options.retention_check_interval) => {}
            _ = active.wait_for(|active| !active) => return,
        }
        check_all(&inner);
    }
}

/// One round over all groups in memory.
pub(super) fn check_all(inner: &Arc<Inner>) {
    let protected = inner.protected.read().clone();
    for shard in inner.shards.iter().filter(|shard| shard.is_loaded()) {
        for entry in shard.entries() {
            let entry = entry.lock();
            let id = entry.group.id();
            if entry.removed || protected.as_ref().is_some_and(|is_protected| is_protected(id)) {
                continue;
            }
            if !judge(&entry, inner.now().wall_ms, inner.options.offsets_retention).is_nothing() {
                inner.enqueue(shard, Box::new(RetentionWrite::new(id.to_owned())));
            }
        }
    }
}
