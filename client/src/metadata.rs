//! What a client knows of topics.

use crate::{ClientError, Transport, call::call};
use levada_wire::{
    ErrorCode,
    messages::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse},
};
use std::{sync::Arc, time::Duration};
use uuid::Uuid;

/// A topic as metadata tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Name.
    pub name: Arc<str>,
    /// Topic id.
    pub id: Uuid,
    /// Partition count.
    pub partitions: i32,
    /// Whether it is one of the broker's own.
    pub internal: bool,
}

/// Looks topics up by name; missing ones are left out, or created where `create` and the broker
/// allow it. An empty list asks for all topics.
pub async fn topics(
    transport: &dyn Transport,
    names: &[&str],
    create: bool,
    deadline: Duration,
) -> Result<Vec<Topic>, ClientError> {
    let wanted = names.iter().map(|name| MetadataRequestTopic { name: Some((*name).to_owned()), ..Default::default() });
    let request = MetadataRequest {
        topics: (!names.is_empty()).then(|| wanted.collect()),
        allow_auto_topic_creation: create && !names.is_empty(),
        ..Default::default()
    };
    read(call(transport, request, deadline).await?)
}

fn read(response: MetadataResponse) -> Result<Vec<Topic>, ClientError> {
    let mut topics = Vec::with_capacity(response.topics.len());
    for topic in response.topics {
        let name = topic.name.unwrap_or_default();
        match ErrorCode::from_code(topic.error_code) {
            Some(ErrorCode::None) => topics.push(Topic {
                name: name.into(),
                id: topic.topic_id,
                partitions: topic.partitions.len() as i32,
                internal: topic.is_internal,
            }),
            // Being created, or not there: the caller looks again later.
            Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::LeaderNotAvailable | ErrorCode::UnknownTopicId) => {}
            _ => return Err(ClientError::refused(format!("topic {name}"), topic.error_code, None)),
        }
    }
    Ok(topics)
}
