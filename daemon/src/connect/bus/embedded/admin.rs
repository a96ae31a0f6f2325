//! Administration over the client.

use super::{EmbeddedBus, error_map::bus_error};
use crate::connect::bus::{BoxFuture, BusAdmin, GroupDescription, NewTopic, Result, TopicDescription};
use levada_client::{
    TopicName,
    offsets::{self, Committer},
};
use levada_connector_api::{Committed, TopicPartition};
use std::sync::Arc;

impl BusAdmin for EmbeddedBus {
    fn create_topic(&self, topic: NewTopic) -> BoxFuture<'_, Result<bool>> {
        Box::pin(async move {
            let NewTopic { name, partitions, replication_factor, configs } = topic;
            let created = self.admin.create_topic(&name, partitions, replication_factor, &configs).await;
            created.map_err(|error| bus_error(format!("creation of topic {name}"), error))
        })
    }

    fn describe_topic(&self, topic: &str, configs: &[&str]) -> BoxFuture<'_, Result<Option<TopicDescription>>> {
        let name = topic.to_owned();
        let keys: Vec<String> = configs.iter().map(|key| (*key).to_owned()).collect();
        Box::pin(async move {
            let failed = |error| bus_error(format!("description of topic {name}"), error);
            let Some(found) = self.admin.topic(&name).await.map_err(failed)? else { return Ok(None) };
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let configs = if keys.is_empty() {
                Vec::new()
            } else {
                self.admin.topic_configs(&name, &keys).await.map_err(failed)?
            };
            Ok(Some(TopicDescription { name: name.clone(), partitions: found.partitions, configs }))
        })
    }

    fn list_topics(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(async move {
            let topics = self.admin.topics().await.map_err(|error| bus_error("list of topics", error))?;
            Ok(topics.into_iter().map(|topic| topic.name.to_string()).collect())
        })
    }

    fn end_offsets(&self, partitions: &[TopicPartition]) -> BoxFuture<'_, Result<Vec<i64>>> {
        let partitions: Vec<_> = partitions.iter().map(|tp| (tp.topic.clone(), tp.partition)).collect();
        Box::pin(async move {
            let ends = self.admin.list_offsets(&partitions, levada_client::admin::LATEST, false).await;
            ends.map_err(|error| bus_error("end offsets", error))
        })
    }

    fn group_offsets(&self, group: &str) -> BoxFuture<'_, Result<Vec<Committed>>> {
        let group = group.to_owned();
        Box::pin(async move {
            let failed = |error| bus_error(format!("offsets of group {group}"), error);
            let names = self.topic_names().await.map_err(failed)?;
            let transport = (self.transports)("connect-worker");
            let found = offsets::fetch(&*transport, &group, None, &names, super::CALL_DEADLINE).await;
            let committed = found.map_err(failed)?.into_iter().map(|found| Committed {
                partition: TopicPartition { topic: found.topic, partition: found.partition },
                offset: Some(found.offset),
                metadata: found.metadata,
            });
            Ok(committed.collect())
        })
    }

    fn describe_group(&self, group: &str) -> BoxFuture<'_, Result<Option<GroupDescription>>> {
        let group = group.to_owned();
        Box::pin(async move {
            let found = self.admin.describe_group(&group).await;
            let found = found.map_err(|error| bus_error(format!("description of group {group}"), error))?;
            Ok(found.map(|found| GroupDescription { state: found.state, members: found.members.len() }))
        })
    }

    fn alter_group_offsets(
        &self,
        group: &str,
        offsets: Vec<(TopicPartition, Option<i64>)>,
    ) -> BoxFuture<'_, Result<()>> {
        let group = group.to_owned();
        Box::pin(async move {
            let failed = |error| bus_error(format!("change of the offsets of group {group}"), error);
            let names = self.topic_names().await.map_err(failed)?;
            let name = |topic: &Arc<str>| {
                let known = names.iter().find(|known| known.name == *topic).cloned();
                known.unwrap_or_else(|| TopicName { name: topic.clone(), id: uuid::Uuid::nil() })
            };
            let (mut set, mut removed) = (Vec::new(), Vec::new());
            for (tp, offset) in offsets {
                match offset {
                    Some(offset) => set.push((name(&tp.topic), tp.partition, offset, String::new())),
                    None => removed.push((tp.topic, tp.partition)),
                }
            }
            if !set.is_empty() {
                let committer = Committer { group: group.clone(), member: String::new(), generation: -1 };
                let transport = (self.transports)("connect-worker");
                offsets::commit(&*transport, &committer, &set, super::CALL_DEADLINE).await.map_err(failed)?;
            }
            if !removed.is_empty() {
                self.admin.delete_offsets(&group, &removed).await.map_err(failed)?;
            }
            Ok(())
        })
    }

    fn delete_group(&self, group: &str) -> BoxFuture<'_, Result<()>> {
        let group = group.to_owned();
        Box::pin(async move {
            let deleted = self.admin.delete_group(&group).await;
            deleted.map(drop).map_err(|error| bus_error(format!("deletion of group {group}"), error))
        })
    }
}

impl EmbeddedBus {
    async fn topic_names(&self) -> Result<Vec<TopicName>, levada_client::ClientError> {
        let topics = self.admin.topics().await?;
        Ok(topics.into_iter().map(|topic| TopicName { name: topic.name, id: topic.id }).collect())
    }
}
