//! The fetch sessions of a broker, and one fetch in the light of its session.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use levada_env::{Env, Instant};
use levada_wire::messages::fetch::{FetchRequest, PartitionData};
use parking_lot::Mutex;

use super::session::{PartitionKey, Session, SessionError, Wanted, named_once};

/// A session idle for this long gives its place to a new one.
const EVICT_AFTER: Duration = Duration::from_secs(120);

/// Epoch of a request that has no session and wants none.
const FINAL_EPOCH: i32 = -1;

/// Epoch of a request that names all its partitions and would like a session.
const INITIAL_EPOCH: i32 = 0;

/// Most partitions of all sessions together: some 60 MB.
const MAX_PARTITIONS: usize = 250_000;

/// The sessions of a broker.
pub struct FetchSessionCache {
    env: Env,
    slots: usize,
    max_partitions: usize,
    sessions: Mutex<BTreeMap<i32, Arc<Mutex<Session>>>>,
    /// Partitions of all sessions.
    partitions: Arc<AtomicUsize>,
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
        Self { env, slots, max_partitions: MAX_PARTITIONS, sessions: Mutex::default(), partitions: Arc::default() }
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
            return Ok(FetchContext { kind, wanted: named_once(request, uses_ids) });
        }
        let id = request.session_id;
        let session = self.sessions.lock().get(&id).cloned().ok_or(SessionError::NotFound)?;
        let mut locked = session.lock();
        locked.check(request.session_epoch, uses_ids)?;
        locked.last_used = self.env.clock.now();
        if !locked.update(request) {
            // The consumer names everything again and goes on without a session.
            drop(locked);
            self.sessions.lock().remove(&id);
            return Err(SessionError::NotFound);
        }
        if locked.is_empty() {
            drop(locked);
            self.sessions.lock().remove(&id);
            return Ok(FetchContext { kind: Kind::Sessionless, wanted: Vec::new() });
        }
        let wanted = locked.plan();
        drop(locked);
        Ok(FetchContext { kind: Kind::Incremental { id, session }, wanted })
    }

    /// Make a session of a full fetch, if there is room.
    fn create(&self, uses_ids: bool, wanted: &[Wanted], answers: &[(PartitionKey, PartitionData)]) -> i32 {
        let now = self.env.clock.now();
        let mut sessions = self.sessions.lock();
        if sessions.len() >= self.slots && !evict_one(&mut sessions, now) {
            return 0;
        }
        let session = Session::new(uses_ids, wanted, now, &self.partitions, self.max_partitions);
        let Some(mut session) = session else { return 0 };
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

#[cfg(test)]
mod tests {
    use levada_wire::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};

    use super::*;

    fn request(id: i32, epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partitions = partitions.iter().map(|p| FetchPartition { partition: *p, ..FetchPartition::default() });
        let topic = FetchTopic { topic: "t".into(), partitions: partitions.collect(), ..FetchTopic::default() };
        FetchRequest { session_id: id, session_epoch: epoch, topics: vec![topic], ..FetchRequest::default() }
    }

    fn forgetting(id: i32, epoch: i32, partitions: &[i32]) -> FetchRequest {
        let forgotten =
            ForgottenTopic { topic: "t".into(), partitions: partitions.to_vec(), ..ForgottenTopic::default() };
        FetchRequest { forgotten_topics_data: vec![forgotten], ..request(id, epoch, &[]) }
    }

    fn answers(context: &FetchContext, high_watermark: i64, error_code: i16) -> Vec<(PartitionKey, PartitionData)> {
        let data = |wanted: &Wanted| {
            let data = PartitionData {
                partition_index: wanted.key.1,
                high_watermark,
                log_start_offset: 0,
                error_code,
                ..PartitionData::default()
            };
            (wanted.key.clone(), data)
        };
        context.wanted.iter().map(data).collect()
    }

    fn run_with(cache: &FetchSessionCache, request: &FetchRequest, high_watermark: i64, code: i16) -> (i32, Vec<i32>) {
        let context = cache.open(request, 12).unwrap();
        let answers = answers(&context, high_watermark, code);
        let (id, answers) = context.finish(cache, answers);
        (id, answers.iter().map(|(key, _)| key.1).collect())
    }

    fn run(cache: &FetchSessionCache, request: &FetchRequest, high_watermark: i64) -> (i32, Vec<i32>) {
        run_with(cache, request, high_watermark, 0)
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
        assert_eq!(run(&cache, &forgetting(id, 4, &[0]), 9), (id, vec![1, 7]));
    }

    #[test]
    fn errors_are_told_each_time_and_what_follows_them_is_news() {
        let cache = cache(10);
        let (id, _) = run_with(&cache, &request(0, 0, &[0]), -1, 100);
        assert_eq!(run_with(&cache, &request(id, 1, &[]), -1, 100), (id, vec![0]));
        assert_eq!(run_with(&cache, &request(id, 2, &[]), -1, 100), (id, vec![0]));
        assert_eq!(run(&cache, &request(id, 3, &[]), 5), (id, vec![0]));
        assert_eq!(run(&cache, &request(id, 4, &[]), 5), (id, vec![]));
    }

    #[test]
    fn wrong_epochs_unknown_ids_and_switched_topic_ids_are_refused() {
        let cache = cache(10);
        let (id, _) = run(&cache, &request(0, 0, &[0]), 5);
        let open = |request: &FetchRequest, version| cache.open(request, version).err();
        assert_eq!(open(&request(id, 5, &[]), 12), Some(SessionError::Epoch { expected: 1, got: 5 }));
        assert_eq!(open(&request(id, 5, &[]), 13), Some(SessionError::Epoch { expected: 1, got: 5 }));
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
    fn a_session_that_forgets_everything_is_gone() {
        let cache = cache(10);
        let (id, _) = run(&cache, &request(0, 0, &[0, 1]), 5);
        assert_eq!(run(&cache, &forgetting(id, 1, &[0, 1]), 5), (0, vec![]));
        assert!(cache.is_empty());
    }

    #[test]
    fn partitions_are_bounded_per_session_and_over_all() {
        let mut cache = cache(10);
        cache.max_partitions = 60;
        let many = |from: i32, to: i32| (from..to).collect::<Vec<_>>();
        let (a, _) = run(&cache, &request(0, 0, &many(0, 40)), 5);
        assert_ne!(a, 0);
        assert_eq!(run(&cache, &request(0, 0, &many(0, 21)), 5).0, 0, "no room beside the first");
        let (b, _) = run(&cache, &request(0, 0, &many(0, 20)), 5);
        assert_ne!(b, 0);
        assert_eq!(cache.open(&request(b, 1, &many(20, 21)), 12).err(), Some(SessionError::NotFound));
        assert_eq!(cache.len(), 1, "a session that outgrows the cache is gone, and its places are free");
        assert_eq!(run(&cache, &forgetting(a, 1, &many(0, 30)), 6).0, a);
        assert_ne!(run(&cache, &request(0, 0, &many(0, 50)), 5).0, 0);
        cache.max_partitions = usize::MAX;
        assert_eq!(run(&cache, &request(0, 0, &many(0, super::super::session::MAX_PARTITIONS as i32 + 1)), 5).0, 0);
    }

    #[test]
    fn a_name_that_no_topic_can_have_is_not_kept() {
        let cache = cache(10);
        let mut long = request(0, 0, &[0]);
        long.topics[0].topic = "x".repeat(1 << 20);
        assert_eq!(run(&cache, &long, 5), (0, vec![0]));
        let (id, _) = run(&cache, &request(0, 0, &[0]), 5);
        let later = FetchRequest { topics: long.topics, ..request(id, 1, &[]) };
        assert_eq!(cache.open(&later, 12).err(), Some(SessionError::NotFound));
        assert!(cache.is_empty());
    }

    #[test]
    fn a_partition_named_twice_is_read_once_as_wished_last() {
        let mut twice = request(0, -1, &[3, 3, 4]);
        twice.topics[0].partitions[1].fetch_offset = 9;
        let context = cache(1).open(&twice, 12).unwrap();
        let wanted: Vec<(i32, i64)> = context.wanted.iter().map(|w| (w.key.1, w.fetch_offset)).collect();
        assert_eq!(wanted, [(3, 9), (4, 0)]);
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
