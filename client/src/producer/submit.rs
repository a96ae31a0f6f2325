//! One Produce request: how it is made, sent, and what its answer means.

use super::partition::Outcome;
use crate::{
    BoxFuture, ClientError, Transport,
    call::call,
    metadata::{self, Topic},
};
use bytes::Bytes;
use levada_wire::{
    ApiKey, ErrorCode,
    messages::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData},
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// A request for one batch of one partition, with `acks=all`.
pub(super) fn request(topic: &str, id: Uuid, partition: i32, batch: Bytes, timeout: Duration) -> ProduceRequest {
    ProduceRequest {
        transactional_id: None,
        acks: -1,
        timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        topic_data: vec![TopicProduceData {
            name: topic.to_owned(),
            topic_id: id,
            partition_data: vec![PartitionProduceData { index: partition, records: Some(batch) }],
        }],
    }
}

/// Sends a request; its first poll hands it over.
pub(super) fn submit(
    transport: Arc<dyn Transport>,
    request: ProduceRequest,
    topic: Arc<str>,
    partition: i32,
    timeout: Duration,
) -> BoxFuture<'static, Outcome> {
    // The broker's own wait ends first, so that its answer, which says more than silence, arrives.
    let deadline = timeout + Duration::from_secs(5);
    Box::pin(async move {
        match call(&*transport, request, deadline).await {
            Ok(answer) => outcome(answer, &topic, partition),
            Err(error) if error.is_retriable() => Outcome::Retry { error, ambiguous: true },
            Err(error) => Outcome::Refused { error, ambiguous: true },
        }
    })
}

fn outcome(answer: ProduceResponse, topic: &str, partition: i32) -> Outcome {
    let found = answer.responses.into_iter().flat_map(|topic| topic.partition_responses).next();
    let Some(found) = found else {
        let error = ClientError::WrongAnswer { api: ApiKey::Produce };
        return Outcome::Refused { error, ambiguous: true };
    };
    let record_error = found.record_errors.into_iter().find_map(|error| error.batch_index_error_message);
    let refused = |message| ClientError::refused(format!("{topic}-{partition}"), found.error_code, message);
    match ErrorCode::from_code(found.error_code) {
        Some(ErrorCode::None | ErrorCode::DuplicateSequenceNumber) => Outcome::Acked(found.base_offset),
        Some(
            ErrorCode::OutOfOrderSequenceNumber
            | ErrorCode::UnknownProducerId
            | ErrorCode::InvalidProducerEpoch
            | ErrorCode::InvalidProducerIdMapping,
        ) => Outcome::OutOfOrder(refused(found.error_message)),
        Some(code) if code.is_retriable() => Outcome::Retry {
            error: refused(found.error_message),
            ambiguous: matches!(
                code,
                ErrorCode::RequestTimedOut | ErrorCode::NotEnoughReplicasAfterAppend | ErrorCode::NetworkException
            ),
        },
        _ => Outcome::Refused { error: refused(found.error_message.or(record_error)), ambiguous: false },
    }
}

/// Looks a topic up again, after the broker said that it has moved or is gone. With `create` the broker may make it.
pub(super) fn refresh(transport: Arc<dyn Transport>, topic: Arc<str>, create: bool) -> BoxFuture<'static, Vec<Topic>> {
    Box::pin(async move {
        let found = metadata::topics(&*transport, &[&topic], create, Duration::from_secs(30)).await;
        found.unwrap_or_default()
    })
}

/// How long to wait after `attempts` tries.
pub(super) fn backoff(attempts: u32) -> Duration {
    Duration::from_millis(20 << attempts.min(6)).min(Duration::from_secs(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TransportError;
    use levada_wire::{RequestKind, ResponseKind, messages::metadata::MetadataResponse};
    use parking_lot::Mutex;

    /// Remembers whether each look-up may create.
    #[derive(Default)]
    struct LookUps(Mutex<Vec<bool>>);

    impl Transport for LookUps {
        fn call(&self, request: RequestKind) -> BoxFuture<'_, Result<ResponseKind, TransportError>> {
            if let RequestKind::Metadata(request) = request {
                self.0.lock().push(request.allow_auto_topic_creation);
            }
            Box::pin(async { Ok(MetadataResponse::default().into()) })
        }
    }

    #[tokio::test]
    async fn a_topic_that_is_gone_is_made_by_a_look_up_only_where_that_is_wanted() {
        let broker = Arc::new(LookUps::default());
        for create in [true, false] {
            refresh(broker.clone(), "t".into(), create).await;
        }
        assert_eq!(*broker.0.lock(), [true, false]);
    }
}
