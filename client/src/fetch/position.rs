//! A partition being read and where its reader is.

use crate::{TopicName, consumer::assignor::TopicPartition};
use std::fmt;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Position {
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    /// The next offset to read; `None` until it is looked up.
    pub(crate) offset: Option<i64>,
    /// High watermark or last stable offset of the last answer.
    pub(crate) end: Option<i64>,
    /// Whether its owner has said where to read, so that a log that ends before that is not the one it knows.
    pub(crate) sought: bool,
    /// Where it was sought to, once the broker has said that there is no such offset.
    pub(crate) refused: Option<i64>,
}

impl Position {
    pub(crate) fn new(topic: TopicName, partition: i32, offset: Option<i64>) -> Self {
        Self { topic, partition, offset, end: None, sought: false, refused: None }
    }

    pub(crate) fn key(&self) -> TopicPartition {
        (self.topic.name.clone(), self.partition)
    }

    pub(crate) fn is(&self, topic: &str, partition: i32) -> bool {
        self.partition == partition && *self.topic.name == *topic
    }

    pub(crate) fn lag(&self) -> u64 {
        match (self.offset, self.end) {
            (Some(offset), Some(end)) => u64::try_from(end.saturating_sub(offset)).unwrap_or(0),
            _ => 0,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic.name, self.partition)
    }
}
