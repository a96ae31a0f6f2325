//! Offsets of connectors: shown in any state, changed only while the connector is stopped (KIP-875).
//!
//! A source's offsets are in the offsets topic, a sink's are the committed offsets of its consumer group.

use super::{
    HerderHandle,
    command::{Command, Held},
    error::HerderError,
    model::Offsets,
};
use crate::connect::{plugin::Plugin, sink_task::SinkTaskOptions};
use levada_connector_api::{ConnectorKind, OffsetMap, TopicPartition};
use serde_json::{Value, json};
use std::sync::Arc;

const TOPIC: &str = "kafka_topic";
const PARTITION: &str = "kafka_partition";
const OFFSET: &str = "kafka_offset";

impl HerderHandle {
    /// What a connector has committed.
    pub async fn offsets(&self, name: &str) -> Result<Offsets, HerderError> {
        let config = self.view().config_of(name)?;
        match self.plugin_of(&config)?.info.kind {
            ConnectorKind::Source => {
                let offsets = self.offset_store.all(name).await?;
                Ok(offsets.into_iter().map(|(partition, offset)| (partition, Some(offset))).collect())
            }
            ConnectorKind::Sink => {
                let mut committed = self.bus.group_offsets(&SinkTaskOptions::group(name, &config)).await?;
                committed.retain(|entry| entry.offset.is_some());
                committed.sort_by(|a, b| a.partition.cmp(&b.partition));
                Ok(committed
                    .iter()
                    .map(|entry| (sink_partition(&entry.partition), entry.offset.map(sink_offset)))
                    .collect())
            }
        }
    }

    /// Sets or, with `None`, removes offsets of a stopped connector. The text says how much the plugin vouches for it.
    pub async fn alter_offsets(&self, name: &str, offsets: Offsets) -> Result<String, HerderError> {
        if offsets.is_empty() {
            return Err(HerderError::BadRequest(
                "Partitions / offsets need to be provided for an offset alter request".into(),
            ));
        }
        let held = self.hold(name).await?;
        let plugin = self.plugin_of(&held.config)?;
        match plugin.info.kind {
            ConnectorKind::Source => {
                let vouched = self.ask_plugin(plugin, &held, &offsets).await?;
                self.offset_store.put(name, &offsets, None).await?;
                Ok(message("altered", vouched))
            }
            ConnectorKind::Sink => {
                let changes = offsets
                    .iter()
                    .map(|(partition, offset)| Ok((parse_partition(partition)?, parse_offset(offset.as_ref())?)));
                let changes: Vec<(TopicPartition, Option<i64>)> = changes.collect::<Result<_, HerderError>>()?;
                // Before the plugin, which may change what it keeps elsewhere.
                let group = self.idle_group(name, &held).await?;
                let vouched = self.ask_plugin(plugin, &held, &offsets).await?;
                self.bus.alter_group_offsets(&group, changes).await?;
                Ok(message("altered", vouched))
            }
        }
    }

    /// Removes all offsets of a stopped connector.
    pub async fn reset_offsets(&self, name: &str) -> Result<String, HerderError> {
        let held = self.hold(name).await?;
        let plugin = self.plugin_of(&held.config)?;
        // A task that is still leaving may commit more.
        let group = match plugin.info.kind {
            ConnectorKind::Source => None,
            ConnectorKind::Sink => Some(self.idle_group(name, &held).await?),
        };
        let known = self.offsets(name).await?;
        let changes: Offsets = known.into_iter().map(|(partition, _)| (partition, None)).collect();
        let vouched = self.ask_plugin(Arc::clone(&plugin), &held, &changes).await?;
        match group {
            Some(group) => {
                if !changes.is_empty() {
                    // A sink may keep offsets of partitions that its group has none of any more.
                    self.ask_plugin(plugin, &held, &Offsets::new()).await?;
                }
                self.bus.delete_group(&group).await?;
            }
            None if changes.is_empty() => {}
            None => self.offset_store.put(name, &changes, None).await?,
        }
        Ok(message("reset", vouched))
    }

    async fn hold(&self, name: &str) -> Result<Held, HerderError> {
        self.ask(|reply| Command::HoldStopped { name: name.to_owned(), reply }).await
    }

    fn plugin_of(&self, config: &levada_connector_api::Config) -> Result<Arc<Plugin>, HerderError> {
        let class = config.get("connector.class").map(|class| class.trim()).unwrap_or_default();
        let plugin = self.view().registry().find(class).cloned();
        plugin.ok_or_else(|| HerderError::Plugin(format!("no connector class is called {class}")))
    }

    async fn ask_plugin(&self, plugin: Arc<Plugin>, held: &Held, changes: &Offsets) -> Result<bool, HerderError> {
        let asked = self.worker.alter_offsets(plugin, held.config.clone(), changes.clone()).await;
        asked.map_err(|failure| HerderError::Plugin(failure.text().to_owned()))
    }

    /// A sink's group, which must have no members: a task that is still leaving would commit over the change.
    async fn idle_group(&self, name: &str, held: &Held) -> Result<String, HerderError> {
        let group = SinkTaskOptions::group(name, &held.config);
        let members = self.bus.describe_group(&group).await?.map_or(0, |group| group.members);
        if members > 0 {
            return Err(HerderError::Plugin(format!(
                "Failed to modify consumer group offsets for connector {name} either because its tasks haven't stopped \
                 completely yet or the connector was resumed before the request could be completed; consumer group {group} \
                 has {members} member(s)"
            )));
        }
        Ok(group)
    }
}

fn message(what: &str, vouched: bool) -> String {
    if vouched {
        return format!("The offsets for this connector have been {what} successfully");
    }
    format!(
        "The Connect framework-managed offsets for this connector have been {what} successfully. However, if this \
         connector manages offsets externally, they will need to be manually {what} in the system that the connector uses."
    )
}

fn sink_partition(partition: &TopicPartition) -> OffsetMap {
    let mut map = OffsetMap::new();
    map.insert(TOPIC.to_owned(), json!(&*partition.topic));
    map.insert(PARTITION.to_owned(), json!(partition.partition));
    map
}

fn sink_offset(offset: i64) -> OffsetMap {
    let mut map = OffsetMap::new();
    map.insert(OFFSET.to_owned(), json!(offset));
    map
}

fn bad(text: impl Into<String>) -> HerderError {
    HerderError::BadRequest(text.into())
}

/// Numbers are taken as numbers and as texts, as Connect does.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn parse_partition(partition: &OffsetMap) -> Result<TopicPartition, HerderError> {
    let (Some(topic), Some(number)) = (partition.get(TOPIC), partition.get(PARTITION)) else {
        return Err(bad(format!(
            "The partition for a sink connector offset must contain the keys '{TOPIC}' and '{PARTITION}'"
        )));
    };
    let topic = topic.as_str().ok_or_else(|| bad("Kafka topic names must be valid strings and may not be null"))?;
    if number.is_null() {
        return Err(bad("Kafka partitions must be valid numbers and may not be null"));
    }
    let number = whole(number).and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0);
    let number = number.ok_or_else(|| {
        bad(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{}'. Partition values for \
             sink connectors need to be integers.",
            partition.get(PARTITION).map(Value::to_string).unwrap_or_default()
        ))
    })?;
    Ok(TopicPartition { topic: topic.into(), partition: number })
}

fn parse_offset(offset: Option<&OffsetMap>) -> Result<Option<i64>, HerderError> {
    let Some(offset) = offset else { return Ok(None) };
    let value = offset.get(OFFSET).ok_or_else(|| {
        bad(format!("The offset for a sink connector should either be null or contain the key '{OFFSET}'"))
    })?;
    whole(value).filter(|offset| *offset >= 0).map(Some).ok_or_else(|| {
        bad(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{value}'. Offset values for \
             sink connectors need to be integers."
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(text: &str) -> OffsetMap {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn sink_partitions_and_offsets_are_taken_as_numbers_or_texts() {
        let parsed = parse_partition(&map(r#"{"kafka_topic":"t","kafka_partition":"3"}"#)).unwrap();
        assert_eq!((&*parsed.topic, parsed.partition), ("t", 3));
        assert_eq!(parse_offset(Some(&map(r#"{"kafka_offset":"1000"}"#))), Ok(Some(1000)));
        assert_eq!(parse_offset(None), Ok(None));
        for wrong in [
            r#"{"kafka_topic":"t"}"#,
            r#"{"kafka_topic":null,"kafka_partition":0}"#,
            r#"{"kafka_topic":"t","kafka_partition":"x"}"#,
            r#"{"kafka_topic":"t","kafka_partition":-1}"#,
        ] {
            assert!(matches!(parse_partition(&map(wrong)), Err(HerderError::BadRequest(_))), "{wrong}");
        }
        for wrong in ["{}", r#"{"kafka_offset":null}"#, r#"{"kafka_offset":-5}"#] {
            assert!(matches!(parse_offset(Some(&map(wrong))), Err(HerderError::BadRequest(_))), "{wrong}");
        }
    }
}
