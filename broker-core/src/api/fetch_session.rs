//! Incremental fetch sessions (KIP-227): the broker remembers which partitions a consumer wants and answers only those
//! that have something new.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::Duration;

use levada_env::{Env, Instant};
use levada_wire::messages::fetch::{FetchPartition, FetchRequest, PartitionData};
use parking_lot::Mutex;
use uuid::Uuid;

/// A session idle for this long gives its place to a new one.
const EVICT_AFTER: Duration = Duration::from_secs(120);

/// Epoch of a request that has no session and wants none.
const FINAL_EPOCH: i32 = -1;

/// Epoch of a request that names all its partitions and would like a session.
const INITIAL_EPOCH: i32 = 0;

/// How a fetch names a topic: by id from version 13 on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum TopicKey {
    Name(Arc<str>),
    Id(Uuid),
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
pub(super) enum SessionError {
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

#[derive(Debug)]
struct Session {
    uses_ids: bool,
    /// Epoch the next request must have.
    epoch: i32,
    last_used: Instant,
    partitions: BTreeMap<PartitionKey, Remembered>,
    /// The partition answered with data last; the next fetch starts after it, so that none starves.
    cursor: Option<PartitionKey>,
}

/// The sessions of a broker.
pub struct FetchSessionCache {
    env: Env,
    slots: usize,
    sessions: Mutex<BTreeMap<i32, Arc<Mutex<Session>>>>,
}

/// One fetch, from request to answer.
pub(super) struct FetchContext {
    kind: Kind,
    /// What to read, in the order in which partitions may use up the answer's bytes.
    pub wanted: Vec<Wanted>,
}

enum Kind {
    Sessionless,
    /// Names everything; gets a session with its answer if there is room.
    Full {
        uses_ids: bool,
    },
    Incremental {
        id: i32,
        session: Arc<Mutex<Session>>,
    },
}

impl FetchSessionCache {
    /// A cache of at most `slots` sessions.
    pub fn new(env: Env, slots: usize) -> Self {
        Self { env, slots, sessions: Mutex::default() }
    }

    /// Number of sessions kept.
    pub fn len(&self) -> usize {
        self.sessions.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Understand a request in the light of its session.
    pub(super) fn open(&self, request: &FetchRequest, version: i16) -> Result<FetchContext, SessionError> {
        let uses_ids = version >= 13;
        if request.session_epoch == FINAL_EPOCH || request.session_epoch == INITIAL_EPOCH {
            if request.session_id != 0 {
                self.sessions.lock().remove(&request.session_id);
            }
            let kind = match request.session_epoch {
                INITIAL_EPOCH => Kind::Full { uses_ids },
                _ => Kind::Sessionless,
            };
            return Ok(FetchContext { kind, wanted: named(request, uses_ids).collect() });
        }
        let session = self.sessions.lock().get(&request.session_id).cloned().ok_or(SessionError::NotFound)?;
        let wanted = {
            let mut session = session.lock();
            session.check(request.session_epoch, uses_ids)?;
            session.last_used = self.env.clock.now();
            session.update(request);
            session.plan()
        };
        Ok(FetchContext { kind: Kind::Incremental { id: request.session_id, session }, wanted })
    }

    /// Make a session of a full fetch, if there is room.
    fn create(&self, uses_ids: bool, wanted: &[Wanted], answers: &[(PartitionKey, PartitionData)]) -> i32 {
        if wanted.is_empty() {
            return 0;
        }
        let now = self.env.clock.now();
        let mut sessions = self.sessions.lock();
        if sessions.len() >= self.slots && !evict_one(&mut sessions, now) {
            return 0;
        }
        let fresh = |wanted: &Wanted| {
            let remembered = Remembered { wanted: wanted.clone(), high_watermark: -1, log_start_offset: -1 };
            (wanted.key.clone(), remembered)
        };
        let partitions = wanted.iter().map(fresh).collect();
        let mut session = Session { uses_ids, epoch: 1, last_used: now, partitions, cursor: None };
        session.remember(answers);
        loop {
            let id = (self.env.rng.below(i32::MAX as u64 - 1) + 1) as i32;
            if let Entry::Vacant(place) = sessions.entry(id) {
                place.insert(Arc::new(Mutex::new(session)));
                return id;
            }
        }
    }
}

/// Give up the session that was idle longest, if it was idle long enough. False if there is none.
fn evict_one(sessions: &mut BTreeMap<i32, Arc<Mutex<Session>>>, now: Instant) -> bool {
    let idlest = sessions.iter().map(|(id, session)| (session.lock().last_used, *id)).min();
    match idlest {
        Some((last_used, id)) if now.duration_since(last_used) >= EVICT_AFTER => sessions.remove(&id).is_some(),
        _ => false,
    }
}

impl FetchContext {
    /// The session id to answer, and which of the answers to send. Records what is sent.
    pub(super) fn finish(
        self,
        cache: &FetchSessionCache,
        mut answers: Vec<(PartitionKey, PartitionData)>,
    ) -> (i32, Vec<(PartitionKey, PartitionData)>) {
        match self.kind {
            Kind::Sessionless => (0, answers),
            Kind::Full { uses_ids } => (cache.create(uses_ids, &self.wanted, &answers), answers),
            Kind::Incremental { id, session } => {
                let mut session = session.lock();
                answers.retain(|(key, answer)| session.is_news(key, answer));
                session.remember(&answers);
                // The order of the session, so that a topic's partitions stand together.
                answers.sort_by(|a, b| a.0.cmp(&b.0));
                (id, answers)
            }
        }
    }
}

impl Session {
    fn check(&mut self, epoch: i32, uses_ids: bool) -> Result<(), SessionError> {
        if self.uses_ids != uses_ids {
            return Err(SessionError::TopicIds);
        }
        if epoch != self.epoch {
            return Err(SessionError::Epoch { expected: self.epoch, got: epoch });
        }
        self.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        Ok(())
    }

    fn update(&mut self, request: &FetchRequest) {
        for wanted in named(request, self.uses_ids) {
            match self.partitions.entry(wanted.key.clone()) {
                Entry::Occupied(mut place) => place.get_mut().wanted = wanted,
                Entry::Vacant(place) => {
                    place.insert(Remembered { wanted, high_watermark: -1, log_start_offset: -1 });
                }
            }
        }
        for forgotten in &request.forgotten_topics_data {
            let topic = topic_key(self.uses_ids, &forgotten.topic, forgotten.topic_id);
            for partition in &forgotten.partitions {
                self.partitions.remove(&(topic.clone(), *partition));
            }
        }
    }

    /// All partitions, those after the cursor first.
    fn plan(&self) -> Vec<Wanted> {
        let wanted = |(_, remembered): (&PartitionKey, &Remembered)| remembered.wanted.clone();
        match &self.cursor {
            None => self.partitions.iter().map(wanted).collect(),
            Some(cursor) => {
                let after = self.partitions.range((Excluded(cursor), Unbounded));
                after.chain(self.partitions.range(..=cursor)).map(wanted).collect()
            }
        }
    }

    fn is_news(&self, key: &PartitionKey, answer: &PartitionData) -> bool {
        let Some(remembered) = self.partitions.get(key) else { return true };
        answer.error_code != 0
            || answer.records.as_ref().is_some_and(|records| !records.is_empty())
            || answer.diverging_epoch.epoch >= 0
            || answer.high_watermark != remembered.high_watermark
            || answer.log_start_offset != remembered.log_start_offset
    }

    fn remember(&mut self, answers: &[(PartitionKey, PartitionData)]) {
        for (key, answer) in answers {
            if answer.records.as_ref().is_some_and(|records| !records.is_empty()) {
                self.cursor = Some(key.clone());
            }
            if let Some(remembered) = self.partitions.get_mut(key) {
                // After an error everything is news.
                let ok = answer.error_code == 0;
                remembered.high_watermark = if ok { answer.high_watermark } else { -1 };
                remembered.log_start_offset = if ok { answer.log_start_offset } else { -1 };
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use levada_wire::messages::fetch::{FetchTopic, ForgottenTopic};

    use super::*;

    fn request(id: i32, epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partitions = partitions.iter().map(|p| FetchPartition { partition: *p, ..FetchPartition::default() });
        let topic = FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..FetchTopic::default() };
        FetchRequest { session_id: id, session_epoch: epoch, topics: vec![topic], ..FetchRequest::default() }
    }

    fn answers(context: &FetchContext, high_watermark: i64) -> Vec<(PartitionKey, PartitionData)> {
        let data = |wanted: &Wanted| {
            let data = PartitionData {
                partition_index: wanted.key.1,
                high_watermark,
                log_start_offset: 0,
                ..PartitionData::default()
            };
            (wanted.key.clone(), data)
        };
        context.wanted.iter().map(data).collect()
    }

    fn run(cache: &FetchSessionCache, request: &FetchRequest, high_watermark: i64) -> (i32, Vec<i32>) {
        let context = cache.open(request, 12).unwrap();
        let answers = answers(&context, high_watermark);
        let (id, answers) = context.finish(cache, answers);
        (id, answers.iter().map(|(key, _)| key.1).collect())
    }

    fn cache(slots: usize) -> FetchSessionCache {
        FetchSessionCache::new(Env::real(), slots)
    }

    #[test]
    fn unchanged_partitions_are_left_out() {
        let cache = cache(10);
        let (id, all) = run(&cache, &request(0, 0, &[0, 1]), 5);
        assert_eq!(all, [0, 1]);
        assert_ne!(id, 0);
        assert_eq!(run(&cache, &request(id, 1, &[]), 5), (id, vec![]));
        assert_eq!(run(&cache, &request(id, 2, &[]), 6), (id, vec![0, 1]));
        assert_eq!(run(&cache, &request(id, 3, &[7]), 6), (id, vec![7]));
        let mut forget = request(id, 4, &[]);
        forget.forgotten_topics_data =
            vec![ForgottenTopic { topic: "t".into(), partitions: vec![0], ..ForgottenTopic::default() }];
        assert_eq!(run(&cache, &forget, 9), (id, vec![1, 7]));
    }

    #[test]
    fn wrong_epochs_unknown_ids_and_switched_topic_ids_are_refused() {
        let cache = cache(10);
        let (id, _) = run(&cache, &request(0, 0, &[0]), 5);
        let open = |request: &FetchRequest, version| cache.open(request, version).err();
        assert_eq!(open(&request(id, 5, &[]), 12), Some(SessionError::Epoch { expected: 1, got: 5 }));
        assert_eq!(open(&request(id + 1, 1, &[]), 12), Some(SessionError::NotFound));
        assert_eq!(open(&request(id, 1, &[]), 13), Some(SessionError::TopicIds));
        assert_eq!(open(&request(id, 1, &[]), 12), None);
        assert_eq!(open(&request(id, -1, &[0]), 12), None);
        assert!(cache.is_empty());
    }

    #[test]
    fn a_full_cache_answers_without_a_session() {
        let cache = cache(1);
        assert_ne!(run(&cache, &request(0, 0, &[0]), 5).0, 0);
        assert_eq!(run(&cache, &request(0, 0, &[0]), 5).0, 0);
        assert_eq!(cache.len(), 1);
    }

    #[test]
    fn epochs_wrap_to_one() {
        let cache = cache(1);
        let (id, _) = run(&cache, &request(0, 0, &[0]), 5);
        cache.sessions.lock()[&id].lock().epoch = i32::MAX;
        run(&cache, &request(id, i32::MAX, &[]), 5);
        assert_eq!(cache.sessions.lock()[&id].lock().epoch, 1);
    }
}
