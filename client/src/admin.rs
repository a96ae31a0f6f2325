//! Administration: topics, offsets, groups.

use crate::{
    ClientError, Transport,
    call::{call, retrying},
    error::check,
    metadata::{self, Topic},
    topic_name::by_topic,
};
use levada_wire::{
    ApiKey, ErrorCode,
    messages::{
        create_topics::{CreatableTopic, CreatableTopicConfig, CreateTopicsRequest},
        delete_groups::DeleteGroupsRequest,
        delete_records::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic},
        describe_configs::{DescribeConfigsRequest, DescribeConfigsResource},
        describe_groups::DescribeGroupsRequest,
        list_offsets::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic, ListOffsetsTopicResponse},
        offset_delete::{OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
    },
};
use std::{collections::HashMap, sync::Arc, time::Duration};

/// Timestamp that asks for the log start offset.
pub const EARLIEST: i64 = -2;
/// Timestamp that asks for the end offset.
pub const LATEST: i64 = -1;

/// A described group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// State, in Kafka's words.
    pub state: String,
    /// Client id of each member.
    pub members: Vec<String>,
}

/// Administrative calls over a transport. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    transport: Arc<dyn Transport>,
    deadline: Duration,
}

impl Admin {
    /// Calls get `deadline` each, retries included.
    pub fn new(transport: Arc<dyn Transport>, deadline: Duration) -> Self {
        Self { transport, deadline }
    }

    /// Creates a topic; `None` leaves a count to the broker. `Ok(false)` when it exists already.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: Option<i32>,
        replication_factor: Option<i16>,
        configs: &[(String, String)],
    ) -> Result<bool, ClientError> {
        let configs =
            configs.iter().map(|(name, value)| CreatableTopicConfig { name: name.clone(), value: Some(value.clone()) });
        let topic = CreatableTopic {
            name: name.to_owned(),
            num_partitions: partitions.unwrap_or(-1),
            replication_factor: replication_factor.unwrap_or(-1),
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: self.deadline.as_millis() as i32,
            validate_only: false,
        };
        retrying(self.deadline, || async {
            let answer = call(&*self.transport, request.clone(), self.deadline).await?;
            let result = answer.topics.into_iter().next();
            let result = result.ok_or(ClientError::WrongAnswer { api: ApiKey::CreateTopics })?;
            match ErrorCode::from_code(result.error_code) {
                Some(ErrorCode::None) => Ok(true),
                Some(ErrorCode::TopicAlreadyExists) => Ok(false),
                _ => Err(ClientError::refused(format!("topic {name}"), result.error_code, result.error_message)),
            }
        })
        .await
    }

    /// Looks a topic up; never creates it.
    pub async fn topic(&self, name: &str) -> Result<Option<Topic>, ClientError> {
        let names = [name];
        let found = retrying(self.deadline, || metadata::topics(&*self.transport, &names, false, self.deadline)).await;
        Ok(found?.into_iter().next())
    }

    /// All topics.
    pub async fn topics(&self) -> Result<Vec<Topic>, ClientError> {
        retrying(self.deadline, || metadata::topics(&*self.transport, &[], false, self.deadline)).await
    }

    /// Values of a topic's configs; unknown keys are left out.
    pub async fn topic_configs(&self, name: &str, keys: &[&str]) -> Result<Vec<(String, String)>, ClientError> {
        let resource = DescribeConfigsResource {
            resource_type: 2,
            resource_name: name.to_owned(),
            configuration_keys: Some(keys.iter().map(|key| (*key).to_owned()).collect()),
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        let answer = retrying(self.deadline, || call(&*self.transport, request.clone(), self.deadline)).await?;
        let mut configs = Vec::new();
        for result in answer.results {
            check(|| format!("topic {name}"), result.error_code, result.error_message)?;
            configs.extend(result.configs.into_iter().filter_map(|config| Some((config.name, config.value?))));
        }
        Ok(configs)
    }

    /// Offset of each partition at a timestamp ([`EARLIEST`], [`LATEST`] or milliseconds; -1 when
    /// nothing is that late), in order.
    pub async fn list_offsets(
        &self,
        partitions: &[(Arc<str>, i32)],
        timestamp: i64,
        read_committed: bool,
    ) -> Result<Vec<i64>, ClientError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let entry = |(topic, partition): &(Arc<str>, i32)| {
            let entry = ListOffsetsPartition { partition_index: *partition, current_leader_epoch: -1, timestamp };
            (topic.clone(), entry)
        };
        let topic = |(topic, partitions): (Arc<str>, _)| ListOffsetsTopic { name: topic.to_string(), partitions };
        let request = ListOffsetsRequest {
            replica_id: -1,
            isolation_level: i8::from(read_committed),
            topics: by_topic(partitions.iter().map(entry)).into_iter().map(topic).collect(),
            timeout_ms: self.deadline.as_millis() as i32,
        };
        retrying(self.deadline, || async {
            let answer = call(&*self.transport, request.clone(), self.deadline).await?;
            let of_topic = |topic: ListOffsetsTopicResponse| {
                topic.partitions.into_iter().map(move |found| ((topic.name.clone(), found.partition_index), found))
            };
            let found: HashMap<_, _> = answer.topics.into_iter().flat_map(of_topic).collect();
            let offset = |(topic, partition): &(Arc<str>, i32)| {
                let found = found
                    .get(&(topic.to_string(), *partition))
                    .ok_or(ClientError::WrongAnswer { api: ApiKey::ListOffsets })?;
                check(|| format!("{topic}-{partition}"), found.error_code, None)?;
                Ok(found.offset)
            };
            partitions.iter().map(offset).collect()
        })
        .await
    }

    /// Deletes the records below `offset`; the new log start offset.
    pub async fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<i64, ClientError> {
        let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset }];
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic { name: topic.to_owned(), partitions }],
            timeout_ms: self.deadline.as_millis() as i32,
        };
        let answer = call(&*self.transport, request, self.deadline).await?;
        let result = answer.topics.into_iter().flat_map(|topic| topic.partitions).next();
        let result = result.ok_or(ClientError::WrongAnswer { api: ApiKey::DeleteRecords })?;
        check(|| format!("{topic}-{partition}"), result.error_code, None)?;
        Ok(result.low_watermark)
    }

    /// A group, or `None` when there is no such group.
    pub async fn describe_group(&self, group: &str) -> Result<Option<Group>, ClientError> {
        let request = DescribeGroupsRequest { groups: vec![group.to_owned()], ..Default::default() };
        retrying(self.deadline, || async {
            let answer = call(&*self.transport, request.clone(), self.deadline).await?;
            let Some(found) = answer.groups.into_iter().next() else { return Ok(None) };
            if ErrorCode::from_code(found.error_code) == Some(ErrorCode::GroupIdNotFound) || found.group_state == "Dead"
            {
                return Ok(None);
            }
            check(|| format!("group {group}"), found.error_code, found.error_message)?;
            let members = found.members.into_iter().map(|member| member.client_id).collect();
            Ok(Some(Group { state: found.group_state, members }))
        })
        .await
    }

    /// Deletes a group without members. `Ok(false)` when there is none.
    pub async fn delete_group(&self, group: &str) -> Result<bool, ClientError> {
        let request = DeleteGroupsRequest { groups_names: vec![group.to_owned()] };
        retrying(self.deadline, || async {
            let answer = call(&*self.transport, request.clone(), self.deadline).await?;
            let code = answer.results.first().map_or(0, |result| result.error_code);
            if ErrorCode::from_code(code) == Some(ErrorCode::GroupIdNotFound) {
                return Ok(false);
            }
            check(|| format!("group {group}"), code, None).map(|()| true)
        })
        .await
    }

    /// Removes committed offsets of a group.
    pub async fn delete_offsets(&self, group: &str, partitions: &[(Arc<str>, i32)]) -> Result<(), ClientError> {
        let entry = |(topic, partition): &(Arc<str>, i32)| {
            (topic.clone(), OffsetDeleteRequestPartition { partition_index: *partition })
        };
        let topic =
            |(topic, partitions): (Arc<str>, _)| OffsetDeleteRequestTopic { name: topic.to_string(), partitions };
        let topics = by_topic(partitions.iter().map(entry)).into_iter().map(topic).collect();
        let request = OffsetDeleteRequest { group_id: group.to_owned(), topics };
        retrying(self.deadline, || async {
            let answer = call(&*self.transport, request.clone(), self.deadline).await?;
            if ErrorCode::from_code(answer.error_code) == Some(ErrorCode::GroupIdNotFound) {
                return Ok(());
            }
            check(|| format!("group {group}"), answer.error_code, None)?;
            for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
                check(|| format!("group {group}"), partition.error_code, None)?;
            }
            Ok(())
        })
        .await
    }
}
