//! The `consumer` group protocol's own bytes: subscriptions and assignments, as standard tools read them.

use super::assignor::TopicPartition;
use crate::ClientError;
use bytes::{Buf, Bytes};
use levada_wire::{
    ApiKey, EncodeError, Message,
    messages::consumer_protocol::{
        ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition, ConsumerProtocolSubscription,
        ConsumerProtocolSubscriptionTopicPartition,
    },
};

/// Version written; the newest that every client since Kafka 2.4 reads.
const VERSION: i16 = 1;

/// Bytes of a subscription.
pub(super) fn subscription(topics: &[String], owned: &[TopicPartition]) -> Result<Bytes, EncodeError> {
    let mut by_topic: Vec<ConsumerProtocolSubscriptionTopicPartition> = Vec::new();
    for (topic, partition) in owned {
        match by_topic.iter_mut().find(|known| *known.topic == **topic) {
            Some(known) => known.partitions.push(*partition),
            None => by_topic.push(ConsumerProtocolSubscriptionTopicPartition {
                topic: topic.to_string(),
                partitions: vec![*partition],
            }),
        }
    }
    let subscription =
        ConsumerProtocolSubscription { topics: topics.to_vec(), owned_partitions: by_topic, ..Default::default() };
    subscription.to_versioned_bytes(VERSION)
}

/// Topics of a member's subscription, also of a newer version than we know.
pub(super) fn subscribed(bytes: Bytes) -> Result<Vec<String>, ClientError> {
    let (version, mut rest) = versioned(bytes, ApiKey::JoinGroup)?;
    let version = version.min(ConsumerProtocolSubscription::VERSIONS.max);
    let read = ConsumerProtocolSubscription::decode(&mut rest, version);
    read.map(|subscription| subscription.topics).map_err(|_| ClientError::WrongAnswer { api: ApiKey::JoinGroup })
}

/// Bytes of an assignment.
pub(super) fn assignment(partitions: &[TopicPartition]) -> Result<Bytes, EncodeError> {
    let mut by_topic: Vec<ConsumerProtocolAssignmentTopicPartition> = Vec::new();
    for (topic, partition) in partitions {
        match by_topic.iter_mut().find(|known| *known.topic == **topic) {
            Some(known) => known.partitions.push(*partition),
            None => by_topic.push(ConsumerProtocolAssignmentTopicPartition {
                topic: topic.to_string(),
                partitions: vec![*partition],
            }),
        }
    }
    ConsumerProtocolAssignment { assigned_partitions: by_topic, user_data: None }.to_versioned_bytes(VERSION)
}

/// Partitions of an assignment; no bytes are no partitions.
pub(super) fn assigned(bytes: Bytes) -> Result<Vec<TopicPartition>, ClientError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let (version, mut rest) = versioned(bytes, ApiKey::SyncGroup)?;
    let version = version.min(ConsumerProtocolAssignment::VERSIONS.max);
    let read = ConsumerProtocolAssignment::decode(&mut rest, version)
        .map_err(|_| ClientError::WrongAnswer { api: ApiKey::SyncGroup })?;
    let mut partitions = Vec::new();
    for topic in read.assigned_partitions {
        let name: std::sync::Arc<str> = topic.topic.into();
        partitions.extend(topic.partitions.into_iter().map(|partition| (name.clone(), partition)));
    }
    Ok(partitions)
}

fn versioned(mut bytes: Bytes, api: ApiKey) -> Result<(i16, Bytes), ClientError> {
    let version = bytes.try_get_i16().map_err(|_| ClientError::WrongAnswer { api })?;
    if version < 0 {
        return Err(ClientError::WrongAnswer { api });
    }
    Ok((version, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscriptions_and_assignments_survive_both_ways() {
        let topics = vec!["a".to_owned(), "b".to_owned()];
        let partitions = vec![("a".into(), 0), ("a".into(), 2), ("b".into(), 1)];
        assert_eq!(subscribed(subscription(&topics, &partitions).unwrap()).unwrap(), topics);
        assert_eq!(assigned(assignment(&partitions).unwrap()).unwrap(), partitions);
        assert_eq!(assigned(Bytes::new()).unwrap(), []);
        assert!(assigned(Bytes::from_static(b"\x00")).is_err());
    }

    #[test]
    fn a_newer_subscription_is_read_as_far_as_known() {
        let mut bytes = subscription(&["a".to_owned()], &[]).unwrap().to_vec();
        bytes[1] = 9;
        // Generation and rack of version 3, then what version 9 may add.
        bytes.extend_from_slice(b"\xff\xff\xff\xff\xff\xffnew");
        assert_eq!(subscribed(bytes.into()).unwrap(), ["a"]);
    }
}
