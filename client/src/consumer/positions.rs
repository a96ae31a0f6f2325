//! An owned partition and where its consumer is.

use super::assignor::TopicPartition;
use crate::offsets::TopicName;
use std::fmt;

/// An owned partition.
#[derive(Clone, Debug)]
pub(super) struct Owned {
    pub(super) topic: TopicName,
    pub(super) partition: i32,
    /// The next offset to fetch; `None` until it is looked up.
    pub(super) position: Option<i64>,
    /// High watermark or last stable offset of the last answer.
    pub(super) end: Option<i64>,
}

impl Owned {
    pub(super) fn new(topic: TopicName, partition: i32, position: Option<i64>) -> Self {
        Self { topic, partition, position, end: None }
    }

    pub(super) fn key(&self) -> TopicPartition {
        (self.topic.name.clone(), self.partition)
    }

    pub(super) fn is(&self, key: &TopicPartition) -> bool {
        self.partition == key.1 && self.topic.name == key.0
    }

    pub(super) fn lag(&self) -> u64 {
        match (self.position, self.end) {
            (Some(position), Some(end)) => u64::try_from(end.saturating_sub(position)).unwrap_or(0),
            _ => 0,
        }
    }
}

impl fmt::Display for Owned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic.name, self.partition)
    }
}
