//! What a source task's runner reads from the connector's and the worker's configuration.

use crate::connect::transform::JavaRegex;
use crate::connect::{
    bus::{NewTopic, ProducerOptions},
    task::{ErrorPolicy, TaskTimes},
};
use levada_connector_api::Config;
use std::time::Duration;

/// Options of one source task.
#[derive(Clone, Debug, Default)]
pub struct SourceTaskOptions {
    /// Worker keys.
    pub times: TaskTimes,
    /// `errors.*`.
    pub errors: ErrorPolicy,
    /// Client defaults with `producer.override.*` applied.
    pub producer: ProducerOptions,
    /// How missing topics are made; `None` when `topic.creation.enable=false`: then the log's own
    /// automatic creation decides, and without it the task waits for the topic.
    pub topic_creation: Option<TopicCreation>,
    /// Keys that are accepted and have no effect, for the herder to warn about.
    pub ignored: Vec<String>,
}

impl SourceTaskOptions {
    /// Reads a validated connector configuration. `topic_creation_enabled` is the worker's
    /// `topic.creation.enable`; `client_id` is the producer's default.
    pub fn from_config(
        config: &Config,
        times: TaskTimes,
        topic_creation_enabled: bool,
        client_id: String,
    ) -> Result<Self, String> {
        let mut options = Self {
            times,
            errors: ErrorPolicy::from_config(config)?,
            producer: ProducerOptions { client_id, ..ProducerOptions::default() },
            ..Self::default()
        };
        for (key, value) in config {
            if let Some(key) = key.strip_prefix("producer.override.") {
                options.producer_override(key, value)?;
            }
        }
        if topic_creation_enabled {
            options.topic_creation = Some(TopicCreation::from_config(config)?);
        }
        Ok(options)
    }

    fn producer_override(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |must: &str| format!("producer.override.{key} is \"{value}\"; it must be {must}");
        match key {
            "client.id" => value.clone_into(&mut self.producer.client_id),
            "compression.type" => {
                if !["none", "gzip", "snappy", "lz4", "zstd"].contains(&value) {
                    return Err(wrong("none, gzip, snappy, lz4 or zstd"));
                }
                value.clone_into(&mut self.producer.compression);
            }
            "batch.size" => {
                let bytes: usize = value.trim().parse().map_err(|_| wrong("a number of bytes"))?;
                self.producer.batch_bytes = bytes.clamp(1, 16 * 1024 * 1024);
            }
            "buffer.memory" => {
                let bytes: usize = value.trim().parse().map_err(|_| wrong("a number of bytes"))?;
                self.producer.max_in_flight_bytes = bytes.max(64 * 1024);
            }
            // Appends are always acknowledged by every in-sync replica and always in order (invariant 7).
            "acks" if value == "all" || value == "-1" => {}
            "linger.ms" => {
                let millis = value.trim().parse().map_err(|_| wrong("a number of milliseconds"))?;
                self.producer.linger = Duration::from_millis(millis);
            }
            "enable.idempotence" | "max.in.flight.requests.per.connection" => {}
            _ => self.ignored.push(format!("producer.override.{key}")),
        }
        Ok(())
    }
}

/// `topic.creation.*`: rules in order, the last one matches everything.
#[derive(Clone, Debug, Default)]
pub struct TopicCreation {
    /// Rules in order.
    pub rules: Vec<TopicCreationRule>,
}

/// One group of `topic.creation.groups`, or the default group.
#[derive(Clone, Debug)]
pub struct TopicCreationRule {
    /// Topics it is for; empty matches all.
    pub include: Vec<JavaRegex>,
    /// Topics it is not for.
    pub exclude: Vec<JavaRegex>,
    /// Partition count; `None` for the log's default.
    pub partitions: Option<i32>,
    /// Replication factor; `None` for the log's default.
    pub replication_factor: Option<i16>,
    /// Topic configs.
    pub configs: Vec<(String, String)>,
}

impl TopicCreation {
    /// Reads `topic.creation.*`.
    pub fn from_config(config: &Config) -> Result<Self, String> {
        let default = TopicCreationRule::from_config(config, "default", None)?;
        let groups = config.get("topic.creation.groups").map_or("", String::as_str);
        let names = groups.split(',').map(str::trim).filter(|name| !name.is_empty() && *name != "default");
        let mut rules = names
            .map(|name| TopicCreationRule::from_config(config, name, Some(&default)))
            .collect::<Result<Vec<_>, _>>()?;
        rules.push(default);
        Ok(Self { rules })
    }

    /// How `topic` is made.
    pub fn topic(&self, topic: &str) -> NewTopic {
        let rule = self.rules.iter().find(|rule| rule.matches(topic));
        NewTopic {
            name: topic.to_owned(),
            partitions: rule.and_then(|rule| rule.partitions),
            replication_factor: rule.and_then(|rule| rule.replication_factor),
            configs: rule.map(|rule| rule.configs.clone()).unwrap_or_default(),
        }
    }
}

impl TopicCreationRule {
    fn matches(&self, topic: &str) -> bool {
        // A pattern that takes too many steps on a name does not match it.
        let among = |list: &[JavaRegex]| list.iter().any(|regex| regex.matches(topic).unwrap_or(false));
        (self.include.is_empty() || among(&self.include)) && !among(&self.exclude)
    }

    fn from_config(config: &Config, group: &str, default: Option<&Self>) -> Result<Self, String> {
        let prefix = format!("topic.creation.{group}.");
        let mut rule = Self {
            include: Vec::new(),
            exclude: Vec::new(),
            partitions: default.and_then(|rule| rule.partitions),
            replication_factor: default.and_then(|rule| rule.replication_factor),
            configs: Vec::new(),
        };
        for (key, value) in config {
            let Some(name) = key.strip_prefix(&prefix) else { continue };
            let number =
                || value.trim().parse::<i32>().map_err(|_| format!("{key} is \"{value}\"; it must be a number"));
            match name {
                "partitions" => rule.partitions = Some(number()?).filter(|count| *count > 0),
                "replication.factor" => {
                    rule.replication_factor = i16::try_from(number()?).ok().filter(|factor| *factor > 0);
                }
                "include" => rule.include = regexes(key, value)?,
                "exclude" => rule.exclude = regexes(key, value)?,
                _ => rule.configs.push((name.to_owned(), value.clone())),
            }
        }
        if default.is_some() && rule.include.is_empty() {
            return Err(format!("{prefix}include is missing; name the topics that the group is for"));
        }
        Ok(rule)
    }
}

/// Regular expressions that match the whole name, as Java's `matches`.
fn regexes(key: &str, list: &str) -> Result<Vec<JavaRegex>, String> {
    let compile = |text: &str| JavaRegex::new(text).map_err(|error| format!("{key}: {error}"));
    list.split(',').map(str::trim).filter(|text| !text.is_empty()).map(compile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(entries: &[(&str, &str)]) -> Config {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn read(entries: &[(&str, &str)]) -> Result<SourceTaskOptions, String> {
        SourceTaskOptions::from_config(&config(entries), TaskTimes::default(), true, "c".to_owned())
    }

    #[test]
    fn the_first_matching_group_makes_the_topic() {
        let options = read(&[
            ("topic.creation.groups", "logs, big"),
            ("topic.creation.default.partitions", "3"),
            ("topic.creation.default.replication.factor", "-1"),
            ("topic.creation.logs.include", "log-.*"),
            ("topic.creation.logs.retention.ms", "1000"),
            ("topic.creation.big.include", ".*"),
            ("topic.creation.big.exclude", "small"),
            ("topic.creation.big.partitions", "12"),
        ])
        .unwrap();
        let creation = options.topic_creation.unwrap();
        let log = creation.topic("log-a");
        assert_eq!((log.partitions, log.configs.len(), log.replication_factor), (Some(3), 1, None));
        assert_eq!(creation.topic("x").partitions, Some(12));
        assert_eq!(creation.topic("small").partitions, Some(3));
    }

    #[test]
    fn overrides_that_matter_are_read_and_others_are_named() {
        let options = read(&[
            ("producer.override.compression.type", "zstd"),
            ("producer.override.batch.size", "1000"),
            ("producer.override.linger.ms", "20"),
            ("producer.override.acks", "1"),
            ("producer.override.acks.x", "1"),
        ])
        .unwrap();
        assert_eq!(options.producer.compression, "zstd");
        assert_eq!(options.producer.batch_bytes, 1000);
        assert_eq!(options.producer.linger, Duration::from_millis(20));
        assert_eq!(options.ignored, ["producer.override.acks", "producer.override.acks.x"]);
        assert!(read(&[("producer.override.compression.type", "rar")]).unwrap_err().contains("rar"));
        assert!(read(&[("producer.override.linger.ms", "-1")]).unwrap_err().contains("-1"));
    }

    #[test]
    fn a_group_needs_topics() {
        assert!(read(&[("topic.creation.groups", "g")]).unwrap_err().contains("topic.creation.g.include"));
    }
}
