//! Fetch (key 1), versions 4 to 18. Reads what is there; if that is less than `min_bytes`, waits for the high watermarks
//! to move until there is enough or `max_wait_ms` has passed. At least one batch is answered however small the limits.
//!
//! Records of files stay in their files: the answer carries a handle ([`FileRecords`]) that the server sends with
//! sendfile and in-process callers have read into memory.

use std::sync::Arc;
use std::time::Duration;

use levada_env::time::timeout_at;
use levada_wire::messages::fetch::{
    EpochEndOffset, FetchRequest, FetchResponse, FetchableTopicResponse, PartitionData,
};
use levada_wire::{ErrorCode, External, RecordSet};
use uuid::Uuid;

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::fetch_session::{FetchContext, PartitionKey, TopicKey, Wanted};
use super::services::Services;
use super::{Answer, Begun};
use crate::log::{FileRange, LogRead, PartitionLog, ReadData};
use crate::replica::{FetchSignal, Partition, ReplicaError, TopicRef, Watch};
use crate::security::{Operation, QuotaKind, Resource};

/// Records that are still in a segment file.
pub struct FileRecords {
    /// Where they are.
    pub range: FileRange,
    /// Reads them into memory for those who need them there.
    pub log: PartitionLog,
}

/// A partition that was looked at: its answer so far, and the replica if there is one.
type Looked = (PartitionKey, PartitionData, Option<Arc<Partition>>);

struct Fetch {
    services: Arc<Services>,
    ctx: RequestContext,
    session: FetchContext,
    max_bytes: usize,
    min_bytes: usize,
    read_committed: bool,
}

pub(super) async fn begin(services: &Arc<Services>, ctx: &RequestContext, request: FetchRequest) -> Begun {
    let is_follower = request.replica_id >= 0 || request.replica_state.replica_id >= 0;
    if is_follower && !services.authorizer.allows(&ctx.principal, Operation::ClusterAction, Resource::CLUSTER) {
        return refuse(ErrorCode::ClusterAuthorizationFailed);
    }
    if is_follower {
        // Replication comes over a listener of its own, never over one that clients use.
        return refuse(ErrorCode::ClusterAuthorizationFailed);
    }
    let session = match services.sessions.open(&request, ctx.api_version) {
        Ok(session) => session,
        Err(error) => return refuse(error.error_code()),
    };
    let limit = request.max_bytes.min(services.config.fetch_max_bytes);
    let fetch = Fetch {
        services: services.clone(),
        ctx: ctx.clone(),
        session,
        max_bytes: usize::try_from(limit).unwrap_or(0),
        min_bytes: usize::try_from(request.min_bytes).unwrap_or(0),
        read_committed: request.isolation_level == 1,
    };
    let looked = fetch.look().await;
    if request.max_wait_ms <= 0 || fetch.is_enough(&looked) {
        return Begun::Ready(fetch.finish(looked));
    }
    let wait = Duration::from_millis(request.max_wait_ms as u64);
    Begun::Pending(Box::pin(async move {
        let looked = fetch.wait(looked, wait).await;
        fetch.finish(looked)
    }))
}

fn refuse(code: ErrorCode) -> Begun {
    Begun::Ready(Answer::Response(FetchResponse { error_code: code.code(), ..FetchResponse::default() }.into()))
}

impl Fetch {
    /// Read every wanted partition once.
    async fn look(&self) -> Vec<Looked> {
        let mut left = self.max_bytes;
        let mut progress = false;
        let mut looked = Vec::with_capacity(self.session.wanted.len());
        for wanted in &self.session.wanted {
            let outcome = self.look_at(wanted, left, !progress).await;
            let (data, partition) = outcome.unwrap_or_else(|error| (self.failure(wanted, &error), None));
            let bytes = data.records.as_ref().map_or(0, RecordSet::len);
            progress |= bytes > 0;
            left = left.saturating_sub(bytes);
            looked.push((wanted.key.clone(), data, partition));
        }
        looked
    }

    async fn look_at(
        &self,
        wanted: &Wanted,
        left: usize,
        at_least_one: bool,
    ) -> Result<(PartitionData, Option<Arc<Partition>>), ReplicaError> {
        let topic = match &wanted.key.0 {
            TopicKey::Name(name) => TopicRef::Name(name),
            TopicKey::Id(id) => TopicRef::Id(*id),
        };
        let partition = self.services.replicas.partition(topic, wanted.key.1).await?;
        if !self.services.authorizer.allows(&self.ctx.principal, Operation::Read, Resource::topic(partition.topic())) {
            let mut data = empty(wanted);
            data.error_code = match topic {
                TopicRef::Name(_) => ErrorCode::TopicAuthorizationFailed,
                // Not even that the id exists is told.
                TopicRef::Id(_) => ErrorCode::UnknownTopicId,
            }
            .code();
            return Ok((data, None));
        }
        partition.check_epoch(wanted.leader_epoch)?;
        let mut data = empty(wanted);
        if let Some(diverging) = diverging(&partition, wanted) {
            data.diverging_epoch = diverging;
        } else {
            let max_bytes = usize::try_from(wanted.max_bytes).unwrap_or(0).min(left);
            if max_bytes > 0 || at_least_one {
                let read = partition.read(wanted.fetch_offset, max_bytes, at_least_one).await?;
                data.records = Some(read.map_or_else(RecordSet::default, |read| records(read, partition.log())));
            }
        }
        let position = partition.position();
        data.high_watermark = position.high_watermark;
        data.last_stable_offset = position.last_stable_offset;
        data.log_start_offset = position.log_start_offset;
        data.aborted_transactions = self.read_committed.then(Vec::new);
        Ok((data, Some(partition)))
    }

    fn failure(&self, wanted: &Wanted, error: &ReplicaError) -> PartitionData {
        self.services.metrics.failed_fetches.add(1);
        PartitionData { error_code: error.error_code().code(), ..empty(wanted) }
    }

    /// Whether to answer now: enough bytes, an error, news that only an immediate answer tells, or nothing to wait for.
    fn is_enough(&self, looked: &[Looked]) -> bool {
        let bytes: usize = looked.iter().filter_map(|(_, data, _)| data.records.as_ref()).map(RecordSet::len).sum();
        let urgent = |data: &PartitionData| data.error_code != 0 || data.diverging_epoch.epoch >= 0;
        bytes >= self.min_bytes || looked.is_empty() || looked.iter().any(|(_, data, _)| urgent(data))
    }

    async fn wait(&self, mut looked: Vec<Looked>, longest: Duration) -> Vec<Looked> {
        let deadline = self.services.env.clock.now() + longest;
        let signal = FetchSignal::default();
        let _watches: Vec<Watch> =
            looked.iter().filter_map(|(_, _, partition)| Some(partition.as_ref()?.watch(&signal))).collect();
        // Something may have come between the first look and the watch.
        looked = self.look().await;
        while !self.is_enough(&looked) {
            drop(std::mem::take(&mut looked));
            let woken = timeout_at(deadline, signal.woken()).await;
            looked = self.look().await;
            if woken.is_err() {
                break;
            }
        }
        looked
    }

    fn finish(self, looked: Vec<Looked>) -> Answer {
        let answers = looked.into_iter().map(|(key, data, _)| (key, data)).collect();
        let (session_id, answers) = self.session.finish(&self.services.sessions, answers);
        let bytes: usize = answers.iter().filter_map(|(_, data)| data.records.as_ref()).map(RecordSet::len).sum();
        self.services.metrics.fetched_bytes.add(bytes as u64);
        let throttle = self.services.quotas.record(
            QuotaKind::Fetch,
            &self.ctx.principal,
            self.ctx.client_id.as_deref(),
            bytes as u64,
        );
        let response = FetchResponse {
            throttle_time_ms: throttle.as_millis() as i32,
            session_id,
            responses: by_topic(answers),
            ..FetchResponse::default()
        };
        Answer::Response(response.into())
    }
}

fn empty(wanted: &Wanted) -> PartitionData {
    PartitionData {
        partition_index: wanted.key.1,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        preferred_read_replica: -1,
        records: Some(RecordSet::default()),
        ..PartitionData::default()
    }
}

/// KIP-595: tell whoever fetches after an epoch that ended earlier in this log where that was.
fn diverging(partition: &Partition, wanted: &Wanted) -> Option<EpochEndOffset> {
    if wanted.last_fetched_epoch < 0 {
        return None;
    }
    let end = partition.log().end_offset_for_epoch(wanted.last_fetched_epoch);
    let agrees = end.epoch == wanted.last_fetched_epoch && end.end_offset >= wanted.fetch_offset;
    (!agrees).then_some(EpochEndOffset { epoch: end.epoch, end_offset: end.end_offset })
}

fn records(read: LogRead, log: &PartitionLog) -> RecordSet {
    match read.data {
        ReadData::Slices(slices) => RecordSet::Chunks(slices),
        ReadData::File(range) => {
            RecordSet::External(External::new(range.len, Arc::new(FileRecords { range, log: log.clone() })))
        }
    }
}

fn by_topic(answers: Vec<(PartitionKey, PartitionData)>) -> Vec<FetchableTopicResponse> {
    let mut topics: Vec<(TopicKey, FetchableTopicResponse)> = Vec::new();
    for ((key, _), data) in answers {
        match topics.last_mut() {
            Some((last, topic)) if *last == key => topic.partitions.push(data),
            _ => {
                let (topic, topic_id) = match &key {
                    TopicKey::Name(name) => (name.to_string(), Uuid::nil()),
                    TopicKey::Id(id) => (String::new(), *id),
                };
                topics.push((key, FetchableTopicResponse { topic, topic_id, partitions: vec![data] }));
            }
        }
    }
    topics.into_iter().map(|(_, topic)| topic).collect()
}
