//! What a sink task's runner reads from the connector's and the worker's configuration.

use crate::connect::{
    bus::{ConsumerOptions, OffsetReset},
    task::{ErrorPolicy, TaskTimes},
};
use levada_connector_api::Config;
use regex::Regex;
use std::fmt::Write as _;
use std::time::Duration;

/// Options of one sink task.
#[derive(Clone, Debug, Default)]
pub struct SinkTaskOptions {
    /// Worker keys.
    pub times: TaskTimes,
    /// `errors.*`.
    pub errors: ErrorPolicy,
    /// Topics, group and client defaults with `consumer.override.*` applied.
    pub consumer: ConsumerOptions,
    /// `errors.deadletterqueue.*`; `None` without a topic.
    pub dead_letters: Option<DeadLetterOptions>,
    /// Keys that are accepted and have no effect, for the herder to warn about.
    pub ignored: Vec<String>,
}

/// `errors.deadletterqueue.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterOptions {
    /// `topic.name`.
    pub topic: String,
    /// `topic.replication.factor`; `None` for the log's default.
    pub replication_factor: Option<i16>,
    /// `context.headers.enable`.
    pub headers: bool,
}

impl DeadLetterOptions {
    fn from_config(config: &Config) -> Result<Option<Self>, String> {
        let key = |name: &str| format!("errors.deadletterqueue.{name}");
        let given = |name: &str| config.get(&key(name)).map(|value| value.trim()).filter(|value| !value.is_empty());
        let Some(topic) = given("topic.name") else { return Ok(None) };
        let factor = "topic.replication.factor";
        let replication_factor = match given(factor).map(|value| (value, value.parse::<i16>())) {
            // Connect's own default is 3, which no single node has.
            None | Some((_, Ok(-1))) => None,
            Some((_, Ok(number))) if number > 0 => Some(number),
            Some((value, _)) => return Err(format!("{} is \"{value}\"; it must be 1 or more, or -1", key(factor))),
        };
        let headers = given("context.headers.enable").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        Ok(Some(Self { topic: topic.to_owned(), replication_factor, headers }))
    }
}

impl SinkTaskOptions {
    /// The group of a connector's sink tasks.
    pub fn group(connector: &str, config: &Config) -> String {
        config.get("consumer.override.group.id").cloned().unwrap_or_else(|| format!("connect-{connector}"))
    }

    /// Reads a validated connector configuration.
    pub fn from_config(connector: &str, config: &Config, times: TaskTimes, client_id: String) -> Result<Self, String> {
        let mut options = Self { times, errors: ErrorPolicy::from_config(config)?, ..Self::default() };
        options.consumer.instance_id = instance_id(&client_id);
        options.consumer.client_id = client_id;
        options.consumer.group = Self::group(connector, config);
        options.topics(config)?;
        options.dead_letters = DeadLetterOptions::from_config(config)?;
        for (key, value) in config {
            if let Some(key) = key.strip_prefix("consumer.override.") {
                options.consumer_override(key, value)?;
            }
        }
        Ok(options)
    }

    fn topics(&mut self, config: &Config) -> Result<(), String> {
        let names = config.get("topics").map_or("", String::as_str);
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        self.consumer.topics = names.map(str::to_owned).collect();
        let regex = config.get("topics.regex").map_or("", String::as_str);
        match (self.consumer.topics.is_empty(), regex.is_empty()) {
            (true, true) => return Err("either topics or topics.regex must be set".to_owned()),
            (false, false) => return Err("topics and topics.regex exclude each other".to_owned()),
            (false, true) => {}
            (true, false) => {
                let compiled = Regex::new(&format!("^(?:{regex})$"))
                    .map_err(|_| format!("topics.regex is \"{regex}\", which is no regular expression"))?;
                self.consumer.topics_regex = Some(compiled);
            }
        }
        Ok(())
    }

    fn consumer_override(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |must: &str| format!("consumer.override.{key} is \"{value}\"; it must be {must}");
        let number = || value.trim().parse::<u64>().map_err(|_| wrong("a whole number"));
        let consumer = &mut self.consumer;
        match key {
            "group.id" => {}
            "client.id" => value.clone_into(&mut consumer.client_id),
            "group.instance.id" => consumer.instance_id = Some(value.to_owned()),
            "auto.offset.reset" => {
                consumer.offset_reset = match value {
                    "earliest" => OffsetReset::Earliest,
                    "latest" => OffsetReset::Latest,
                    "none" => OffsetReset::None,
                    _ => return Err(wrong("earliest, latest or none")),
                };
            }
            "isolation.level" => {
                consumer.read_committed = match value {
                    "read_committed" => true,
                    "read_uncommitted" => false,
                    _ => return Err(wrong("read_committed or read_uncommitted")),
                };
            }
            "max.poll.records" => consumer.max_poll_records = (number()?.clamp(1, 1_000_000)) as usize,
            // Keys come in order: what `fetch.max.bytes` has lowered stays below it.
            "fetch.max.bytes" => consumer.fetch_bytes = consumer.fetch_bytes.min(fetch_bytes(number()?)),
            "max.partition.fetch.bytes" => {
                let is_capped = consumer.fetch_bytes < ConsumerOptions::default().fetch_bytes;
                let bytes = fetch_bytes(number()?);
                consumer.fetch_bytes = if is_capped { consumer.fetch_bytes.min(bytes) } else { bytes };
            }
            "session.timeout.ms" => consumer.session_timeout = Duration::from_millis(number()?),
            "heartbeat.interval.ms" => consumer.heartbeat_interval = Duration::from_millis(number()?.max(1)),
            "max.poll.interval.ms" => consumer.rebalance_timeout = Duration::from_millis(number()?.max(1)),
            _ => self.ignored.push(format!("consumer.override.{key}")),
        }
        Ok(())
    }
}

/// What one fetch may bring, within what a task may hold in memory.
fn fetch_bytes(asked: u64) -> usize {
    asked.clamp(1, 64 << 20) as usize
}

/// The static member that a task is in its group (KIP-345): after a kill -9 it takes its old place at once,
/// where a dynamic member would wait for the old session to end. Kafka allows in it what a topic name may
/// hold; other bytes are written as `_XX`. `None`, a dynamic member, when that gets too long.
fn instance_id(client_id: &str) -> Option<String> {
    let mut id = String::with_capacity(client_id.len());
    for byte in client_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => id.push(char::from(byte)),
            other => {
                let _ = write!(id, "_{other:02X}");
            }
        }
    }
    (id.len() <= 249).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &str)]) -> Result<SinkTaskOptions, String> {
        let config = entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        SinkTaskOptions::from_config("s", &config, TaskTimes::default(), "c".to_owned())
    }

    #[test]
    fn defaults_are_connects() {
        let options = read(&[("topics", "a, b")]).unwrap();
        assert_eq!(options.consumer.group, "connect-s");
        assert_eq!(options.consumer.topics, ["a", "b"]);
        assert_eq!(options.consumer.offset_reset, OffsetReset::Earliest);
    }

    #[test]
    fn overrides_are_read() {
        let options = read(&[
            ("topics.regex", "t-.*"),
            ("consumer.override.group.id", "g"),
            ("consumer.override.auto.offset.reset", "latest"),
            ("consumer.override.max.poll.records", "7"),
            ("consumer.override.client.rack", "r1"),
            ("consumer.override.max.partition.fetch.bytes", "4194304"),
        ])
        .unwrap();
        assert_eq!(options.consumer.fetch_bytes, 4 << 20);
        let capped =
            [("consumer.override.fetch.max.bytes", "1000"), ("consumer.override.max.partition.fetch.bytes", "2000")];
        let capped = read(&[("topics", "a")].into_iter().chain(capped).collect::<Vec<_>>()).unwrap();
        assert_eq!(capped.consumer.fetch_bytes, 1000);
        assert_eq!(options.consumer.group, "g");
        assert_eq!(options.consumer.offset_reset, OffsetReset::Latest);
        assert_eq!(options.consumer.max_poll_records, 7);
        assert_eq!(options.ignored, ["consumer.override.client.rack"]);
        let regex = options.consumer.topics_regex.unwrap();
        assert!(regex.is_match("t-1") && !regex.is_match("xt-1"));
    }

    #[test]
    fn a_task_is_a_static_member_under_a_name_kafka_allows() {
        assert_eq!(instance_id("connector-consumer-a b/é-0").unwrap(), "connector-consumer-a_20b_2F_C3_A9-0");
        assert_eq!(instance_id(&"x".repeat(250)), None);
        assert_eq!(read(&[("topics", "a")]).unwrap().consumer.instance_id.as_deref(), Some("c"));
    }

    #[test]
    fn dead_letters_are_read() {
        assert_eq!(read(&[("topics", "a")]).unwrap().dead_letters, None);
        let options = read(&[("topics", "a"), ("errors.deadletterqueue.topic.name", "d")]).unwrap();
        let expected = DeadLetterOptions { topic: "d".to_owned(), replication_factor: None, headers: false };
        assert_eq!(options.dead_letters, Some(expected));
        let options = read(&[
            ("topics", "a"),
            ("errors.deadletterqueue.topic.name", "d"),
            ("errors.deadletterqueue.topic.replication.factor", "1"),
            ("errors.deadletterqueue.context.headers.enable", "TRUE"),
        ]);
        let expected = DeadLetterOptions { topic: "d".to_owned(), replication_factor: Some(1), headers: true };
        assert_eq!(options.unwrap().dead_letters, Some(expected));
    }

    #[test]
    fn wrong_topics_are_refused() {
        assert!(read(&[]).is_err());
        assert!(read(&[("topics", "a"), ("topics.regex", "b")]).is_err());
        assert!(read(&[("topics.regex", "(")]).unwrap_err().contains("topics.regex"));
    }
}
