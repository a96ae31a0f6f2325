//! `TimestampRouter`: puts the record's time into its topic's name.

use crate::connect::transform::{ConnectRecord, Part, Plugin, simple_date::SimpleDate};
use levada_connector_api::{ConnectorConfig, ConnectorError, Result, config::KeyError};
use std::sync::Arc;

#[derive(Debug, ConnectorConfig)]
pub(super) struct Config {
    /// Format string which can contain ${topic} and ${timestamp} as placeholders for the topic and timestamp, respectively.
    #[config(key = "topic.format", default = "${topic}-${timestamp}", importance = "high")]
    topic_format: String,
    /// Format string for the timestamp that is compatible with java.text.SimpleDateFormat.
    #[config(key = "timestamp.format", default = "yyyyMMdd", importance = "high")]
    timestamp_format: String,
}

pub(super) struct TimestampRouter {
    topic_format: String,
    timestamp_format: SimpleDate,
    /// The last answer: records of one topic and day come in rows.
    last: Option<(Arc<str>, String, Arc<str>)>,
}

impl Plugin for TimestampRouter {
    type Config = Config;

    fn new(_: Part, config: Config) -> Result<Self, KeyError> {
        let timestamp_format = SimpleDate::parse_pattern(&config.timestamp_format)
            .map_err(|reason| KeyError::invalid("timestamp.format", &config.timestamp_format, &reason))?;
        Ok(Self { topic_format: config.topic_format, timestamp_format, last: None })
    }

    fn apply<R: ConnectRecord>(&mut self, mut record: R) -> Result<Option<R>> {
        let Some(timestamp) = record.timestamp() else {
            return Err(ConnectorError::data(format!("Timestamp missing on record of topic {}", record.topic())));
        };
        let time = self.timestamp_format.format(timestamp);
        let routed = match &self.last {
            Some((topic, known, routed)) if *topic == *record.topic() && *known == time => Arc::clone(routed),
            _ => {
                let routed = self.topic_format.replace("${topic}", record.topic()).replace("${timestamp}", &time);
                let routed: Arc<str> = routed.into();
                self.last = Some((Arc::clone(record.topic()), time, Arc::clone(&routed)));
                routed
            }
        };
        record.set_topic(routed);
        Ok(Some(record))
    }
}
