//! [`GroupCoordinator`]: the handle that request handlers call. The handlers themselves are in `handlers/`, one file per request.

use std::collections::HashSet;
use std::sync::Arc;

use levada_env::Env;
use tokio::sync::oneshot;

use super::inner::Inner;
use super::log::OffsetsLog;
use super::machine::GroupError;
use super::options::{GroupCoordinatorOptions, ProtectedGroups, TopicLookup};
use super::partitioner::partition_for;
use super::writes::TopicsDeletedWrite;
use super::{loader, retention, timers};

/// The group coordinator of this broker. Cheap to clone.
///
/// Every method named after a request takes it and gives its answer, at the version the [`super::Caller`] names; who may ask for what has
/// been checked before. Requests that wait (JoinGroup, SyncGroup, commits) may be dropped at any time: what they started goes on.
#[derive(Clone)]
pub struct GroupCoordinator {
    pub(super) inner: Arc<Inner>,
}

impl GroupCoordinator {
    /// A coordinator that does nothing yet.
    pub fn new(
        env: Env,
        options: GroupCoordinatorOptions,
        log: Arc<dyn OffsetsLog>,
        topics: Arc<dyn TopicLookup>,
    ) -> Self {
        Self { inner: Arc::new(Inner::new(env, options, log, topics)) }
    }

    /// Starts to load groups in the background, to end sessions and to expire offsets. Returns at once. Needs a tokio runtime.
    pub fn start(&self) {
        tokio::spawn(timers::run(Arc::clone(&self.inner)));
        tokio::spawn(retention::run(Arc::clone(&self.inner)));
        tokio::spawn(loader::load_all(Arc::clone(&self.inner)));
    }

    /// Stops: requests that wait are sent away, new ones are refused. Writes already decided go on to their end; nothing is written for
    /// members that are merely sent away, so that they find their group unchanged after a restart.
    pub fn stop(&self) {
        self.inner.active.send_replace(false);
        for shard in &self.inner.shards {
            for entry in shard.entries() {
                let mut entry = entry.lock();
                let outputs = entry.group.kill(self.inner.now());
                self.inner.carry_out(&mut entry, outputs);
            }
        }
    }

    /// Sets which groups are exempt from offset retention.
    pub fn protect_groups(&self, protected: ProtectedGroups) {
        *self.inner.protected.write() = Some(protected);
    }

    /// The partition of `__consumer_offsets` that holds `group`.
    pub fn partition_for(&self, group: &str) -> i32 {
        partition_for(group, self.inner.shards.len() as i32)
    }

    /// Deletes the offsets that groups committed in topics that are gone, so that a new topic of the same name starts without them.
    pub async fn topics_deleted(&self, topics: Vec<String>) -> Result<(), GroupError> {
        let topics: Arc<HashSet<String>> = Arc::new(topics.into_iter().collect());
        let mut waiting = Vec::new();
        for shard in &self.inner.shards {
            self.inner.loaded(shard).await?;
            let (reply, done) = oneshot::channel();
            // Looks at the groups when its turn has come: a commit may be on its way.
            self.inner.enqueue(shard, Box::new(TopicsDeletedWrite::new(shard.index, topics.clone(), reply)));
            waiting.push(done);
        }
        for done in waiting {
            done.await.unwrap_or(Err(GroupError::CoordinatorNotAvailable))?;
        }
        Ok(())
    }
}
