//! One incremental fetch session (KIP-227): which partitions a consumer wants, and what it was last told of each.
//!
//! As on Kafka, partitions of unknown topics stay in the session and their error is told each time, so that a consumer
//! with a topic's id before this broker knows it gets on by itself.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use levada_env::Instant;
use levada_wire::messages::fetch::{FetchPartition, FetchRequest, PartitionData};
use uuid::Uuid;

/// Most partitions of one session. Who wants more fetches without one.
pub(super) const MAX_PARTITIONS: usize = 50_000;

/// Longest topic name kept: no topic has a longer one.
const MAX_NAME: usize = 249;

/// How a fetch names a topic: by id from version 13 on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TopicKey {
    Name(Arc<str>),
    Id(Uuid),
}

impl TopicKey {
    fn is_too_long(&self) -> bool {
        matches!(self, Self::Name(name) if name.len() > MAX_NAME)
    }
}

/// A partition as a fetch names it.
pub(super) type PartitionKey = (TopicKey, i32);

/// What is wanted of one partition.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub key: PartitionKey,
    pub fetch_offset: i64,
    pub max_bytes: i32,
    pub leader_epoch: i32,
    pub last_fetched_epoch: i32,
}

/// Why a request does not fit its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("no such fetch session")]
    NotFound,
    #[error("fetch session is at epoch {expected}, the request at {got}")]
    Epoch { expected: i32, got: i32 },
    #[error("fetch session was opened with the other way to name topics")]
    TopicIds,
}

/// What was last answered for a partition of a session.
#[derive(Debug, Clone)]
struct Remembered {
    wanted: Wanted,
    high_watermark: i64,
    log_start_offset: i64,
}

impl Remembered {
    fn new(wanted: Wanted) -> Self {
        Self { wanted, high_watermark: -1, log_start_offset: -1 }
    }
}

/// A session's part of the partitions that all sessions may have.
#[derive(Debug)]
struct Place {
    taken: Arc<AtomicUsize>,
    limit: usize,
    own: usize,
}

impl Place {
    /// Have room for `count` partitions; false if there is not so much.
    fn resize(&mut self, count: usize) -> bool {
        let others = |taken: usize| taken - self.own;
        let fits =
            |taken: usize| (count <= self.own || others(taken) + count <= self.limit).then(|| others(taken) + count);
        let done =
            count <= MAX_PARTITIONS && self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if done {
            self.own = count;
        }
        done
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.own, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    uses_ids: bool,
    /// Epoch the next request must have.
    pub epoch: i32,
    pub last_used: Instant,
    partitions: BTreeMap<PartitionKey, Remembered>,
    place: Place,
    /// The partition answered with data last; the next fetch starts after it, so that none starves.
    cursor: Option<PartitionKey>,
}

impl Session {
    /// A session of these partitions; `None` where they are none, too many (of this session, or with those of all the
    /// others, `taken` of `limit`), or named as none can be.
    pub fn new(
        uses_ids: bool,
        wanted: &[Wanted],
        now: Instant,
        taken: &Arc<AtomicUsize>,
        limit: usize,
    ) -> Option<Self> {
        let mut place = Place { taken: taken.clone(), limit, own: 0 };
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted.key.0.is_too_long()) || !place.resize(wanted.len()) {
            return None;
        }
        let partitions = wanted.iter().map(|wanted| (wanted.key.clone(), Remembered::new(wanted.clone()))).collect();
        Some(Self { uses_ids, epoch: 1, last_used: now, partitions, place, cursor: None })
    }

    /// Whether the request comes next in this session; then the session moves on.
    pub fn check(&mut self, epoch: i32, uses_ids: bool) -> Result<(), SessionError> {
        if epoch != self.epoch {
            return Err(SessionError::Epoch { expected: self.epoch, got: epoch });
        }
        if self.uses_ids != uses_ids {
            return Err(SessionError::TopicIds);
        }
        self.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(())
    }

    /// Take over what the request adds, changes and forgets. False if the session has become too large to be kept.
    pub fn update(&mut self, request: &FetchRequest) -> bool {
        for wanted in named(request, self.uses_ids) {
            let count = self.partitions.len();
            match self.partitions.entry(wanted.key.clone()) {
                Entry::Occupied(mut place) => {
                    // The key that is there: one copy of the name is enough.
                    let key = place.key().clone();
                    place.get_mut().wanted = Wanted { key, ..wanted };
                }
                Entry::Vacant(place) => {
                    if wanted.key.0.is_too_long() || !self.place.resize(count + 1) {
                        return false;
                    }
                    place.insert(Remembered::new(wanted));
                }
            }
        }
        for forgotten in &request.forgotten_topics_data {
            let topic = topic_key(self.uses_ids, &forgotten.topic, forgotten.topic_id);
            for partition in &forgotten.partitions {
                self.partitions.remove(&(topic.clone(), *partition));
            }
        }
        self.place.resize(self.partitions.len())
    }

    /// Whether no partition is left.
    pub fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// All partitions, those after the cursor first.
    pub fn plan(&self) -> Vec<Wanted> {
        let wanted = |(_, remembered): (&PartitionKey, &Remembered)| remembered.wanted.clone();
        match &self.cursor {
            None => self.partitions.iter().map(wanted).collect(),
            Some(cursor) => {
                let after = self.partitions.range((Excluded(cursor), Unbounded));
                after.chain(self.partitions.range(..=cursor)).map(wanted).collect()
            }
        }
    }

    /// Whether the consumer does not know this yet. Errors are always told.
    pub fn is_news(&self, key: &PartitionKey, answer: &PartitionData) -> bool {
        let Some(remembered) = self.partitions.get(key) else { return true };
        answer.error_code != 0
            || answer.records.as_ref().is_some_and(|records| !records.is_empty())
            || answer.diverging_epoch.epoch >= 0
            || answer.high_watermark != remembered.high_watermark
            || answer.log_start_offset != remembered.log_start_offset
    }

    /// These are sent.
    pub fn remember(&mut self, answers: &[(PartitionKey, PartitionData)]) {
        for (key, answer) in answers {
            if answer.records.as_ref().is_some_and(|records| !records.is_empty()) {
                self.cursor = Some(key.clone());
            }
            if let Some(remembered) = self.partitions.get_mut(key) {
                // After an error or a divergence everything is news.
                let ok = answer.error_code == 0 && answer.diverging_epoch.epoch < 0;
                remembered.high_watermark = if ok { answer.high_watermark } else { -1 };
                remembered.log_start_offset = if ok { answer.log_start_offset } else { -1 };
            }
        }
    }
}

/// What a request names, each partition once: of one named twice the last wish stands, as on Kafka.
pub(super) fn named_once(request: &FetchRequest, uses_ids: bool) -> Vec<Wanted> {
    let mut places: HashMap<PartitionKey, usize> = HashMap::new();
    let mut all: Vec<Wanted> = Vec::new();
    for wanted in named(request, uses_ids) {
        match places.get(&wanted.key).and_then(|place| all.get_mut(*place)) {
            Some(before) => *before = wanted,
            None => {
                places.insert(wanted.key.clone(), all.len());
                all.push(wanted);
            }
        }
    }
    all
}

fn named(request: &FetchRequest, uses_ids: bool) -> impl Iterator<Item = Wanted> {
    request.topics.iter().flat_map(move |topic| {
        let key = topic_key(uses_ids, &topic.topic, topic.topic_id);
        topic.partitions.iter().map(move |partition| wanted(key.clone(), partition))
    })
}

fn topic_key(uses_ids: bool, name: &str, id: Uuid) -> TopicKey {
    if uses_ids { TopicKey::Id(id) } else { TopicKey::Name(name.into()) }
}

fn wanted(topic: TopicKey, partition: &FetchPartition) -> Wanted {
    Wanted {
        key: (topic, partition.partition),
        fetch_offset: partition.fetch_offset,
        max_bytes: partition.partition_max_bytes,
        leader_epoch: partition.current_leader_epoch,
        last_fetched_epoch: partition.last_fetched_epoch,
    }
}
