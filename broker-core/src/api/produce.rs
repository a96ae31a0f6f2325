//! Produce (key 0), versions 3 to 13. Batches are checked and queued in the order of the requests of a connection; the
//! answer waits for what `acks` asks for (invariant 1).

use std::sync::Arc;
use std::time::Duration;

use levada_wire::ErrorCode;
use levada_wire::messages::produce::{
    BatchIndexAndErrorMessage, PartitionProduceData, PartitionProduceResponse, ProduceRequest, ProduceResponse,
    TopicProduceResponse,
};
use levada_wire::records::BatchHeader;

use super::context::RequestContext;
use super::error_map::ToErrorCode;
use super::services::Services;
use super::{Answer, Begun};
use crate::log::{AppendInfo, AppendOrigin, FrameRoom, ValidationError};
use crate::replica::{AppendRules, PendingAppend, ReplicaError, TopicRef};
use crate::security::{Operation, QuotaKind, Resource};

/// A partition's append on its way, or why there is none.
type Slot = (i32, Result<PendingAppend, Refusal>);

/// Why batches are not (known to be) in the log.
struct Refusal {
    code: ErrorCode,
    text: Option<String>,
    record: Option<i32>,
}

impl Refusal {
    fn plain(code: ErrorCode) -> Self {
        Self { code, text: None, record: None }
    }

    fn told(code: ErrorCode, text: &str) -> Self {
        Self { code, text: Some(text.to_owned()), record: None }
    }
}

impl From<ReplicaError> for Refusal {
    fn from(error: ReplicaError) -> Self {
        let record = match &error {
            ReplicaError::Invalid(ValidationError::InvalidRecord { batch_index, .. }) => *batch_index,
            _ => None,
        };
        Self { code: error.error_code(), text: Some(error.to_string()), record }
    }
}

struct Topic {
    answer: TopicProduceResponse,
    slots: Vec<Slot>,
}

pub(super) async fn begin(services: &Arc<Services>, ctx: &RequestContext, request: ProduceRequest) -> Begun {
    let acks = request.acks;
    let mut bytes = 0;
    let mut topics = Vec::with_capacity(request.topic_data.len());
    let mut frame = FrameRoom::new(ctx.frame_bytes);
    let blocked = refuse_all(services, ctx, &request);
    for topic in request.topic_data {
        let by_id = ctx.api_version >= 13;
        let reference = if by_id { TopicRef::Id(topic.topic_id) } else { TopicRef::Name(&topic.name) };
        let mut slots = Vec::with_capacity(topic.partition_data.len());
        for data in topic.partition_data {
            let index = data.index;
            bytes += data.records.as_ref().map_or(0, |records| records.len() as u64);
            let outcome = match blocked {
                Some(code) => Err(Refusal::plain(code)),
                None => append(services, ctx, reference, data, acks, &mut frame).await,
            };
            slots.push((index, outcome));
        }
        let answer = TopicProduceResponse { name: topic.name, topic_id: topic.topic_id, ..Default::default() };
        topics.push(Topic { answer, slots });
    }
    let throttle = services.quotas.record(QuotaKind::Produce, &ctx.principal, ctx.client_id.as_deref(), bytes);
    services.metrics.produced_bytes.add(bytes);
    Begun::Pending(Box::pin(finish(services.clone(), ctx.clone(), topics, acks, throttle)))
}

/// A refusal of the whole request.
fn refuse_all(services: &Services, ctx: &RequestContext, request: &ProduceRequest) -> Option<ErrorCode> {
    if !matches!(request.acks, -1..=1) {
        return Some(ErrorCode::InvalidRequiredAcks);
    }
    match &request.transactional_id {
        Some(id) if !services.authorizer.allows(&ctx.principal, Operation::Write, Resource::transactional_id(id)) => {
            Some(ErrorCode::TransactionalIdAuthorizationFailed)
        }
        _ => None,
    }
}

async fn append(
    services: &Services,
    ctx: &RequestContext,
    topic: TopicRef<'_>,
    data: PartitionProduceData,
    acks: i16,
    frame: &mut FrameRoom,
) -> Result<PendingAppend, Refusal> {
    let partition = services.replicas.partition(topic, data.index).await?;
    if !services.authorizer.allows(&ctx.principal, Operation::Write, Resource::topic(partition.topic())) {
        return Err(Refusal::plain(ErrorCode::TopicAuthorizationFailed));
    }
    if crate::quorum::is_internal_topic(partition.topic()) {
        let text = "this topic is written by the broker alone";
        return Err(Refusal::told(ErrorCode::InvalidTopicException, text));
    }
    let Some(records) = data.records.filter(|records| !records.is_empty()) else {
        return Err(Refusal::told(ErrorCode::InvalidRecord, "there is no record batch"));
    };
    // No transaction can be open: there is no coordinator yet.
    if BatchHeader::parse(&records).is_ok_and(|header| header.is_transactional()) {
        let text = "transactional batches are not accepted: transactions are not available yet";
        return Err(Refusal::told(ErrorCode::InvalidTxnState, text));
    }
    let min_insync_replicas =
        services.replicas.topic_config(topic).map_or(1, |config| config.min_insync_replicas.max(1) as usize);
    let rules = AppendRules {
        now_ms: services.env.clock.wall_ms(),
        origin: AppendOrigin::Client,
        acks,
        min_insync_replicas,
        zstd_allowed: ctx.api_version >= 7,
        full_validation: services.config.full_record_validation,
    };
    let pending = partition.append(records, rules, frame).await?;
    services.metrics.produced_batches.add(1);
    Ok(pending)
}

async fn finish(
    services: Arc<Services>,
    ctx: RequestContext,
    topics: Vec<Topic>,
    acks: i16,
    throttle: Duration,
) -> Answer {
    let mut responses = Vec::with_capacity(topics.len());
    let mut failed = 0;
    for Topic { mut answer, slots } in topics {
        for (index, slot) in slots {
            let outcome = match slot {
                Ok(pending) => match ctx.before_deadline(pending.acknowledged(acks)).await {
                    Some(outcome) => outcome.map_err(Refusal::from),
                    None => Err(Refusal::plain(ErrorCode::RequestTimedOut)),
                },
                Err(refusal) => Err(refusal),
            };
            failed += u64::from(outcome.is_err());
            answer.partition_responses.push(partition_response(index, outcome));
        }
        responses.push(answer);
    }
    services.metrics.failed_produces.add(failed);
    match acks {
        // Nobody reads an answer; a closed connection is how the producer learns that something is wrong.
        0 if failed > 0 => Answer::Disconnect,
        0 => Answer::Nothing,
        _ => {
            let throttle_time_ms = throttle.as_millis() as i32;
            Answer::of(ProduceResponse { responses, throttle_time_ms, ..Default::default() })
        }
    }
}

fn partition_response(index: i32, outcome: Result<AppendInfo, Refusal>) -> PartitionProduceResponse {
    match outcome {
        Ok(info) => PartitionProduceResponse {
            index,
            base_offset: info.base_offset,
            log_append_time_ms: info.log_append_time_ms,
            log_start_offset: info.log_start_offset,
            ..Default::default()
        },
        Err(Refusal { code, text, record }) => PartitionProduceResponse {
            index,
            error_code: code.code(),
            base_offset: -1,
            log_append_time_ms: -1,
            log_start_offset: -1,
            record_errors: record
                .map(|batch_index| BatchIndexAndErrorMessage { batch_index, batch_index_error_message: text.clone() })
                .into_iter()
                .collect(),
            error_message: text,
            ..Default::default()
        },
    }
}
