//! The committed offsets of one group.

use std::collections::{BTreeMap, HashSet};

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAndMetadata {
    /// The next offset to read.
    pub offset: i64,
    /// Leader epoch of the last record read; -1 if the client didn't say.
    pub leader_epoch: i32,
    /// Whatever the client wants to remember.
    pub metadata: String,
    /// When it was committed, wall time.
    pub commit_timestamp: i64,
    /// When it ends whatever the group does (asked for by clients before Kafka 2.1).
    pub expire_timestamp: Option<i64>,
}

/// Topic and partition.
pub type TopicPartition = (String, i32);

/// Committed offsets by topic and partition.
#[derive(Debug, Clone, Default)]
pub struct GroupOffsets {
    topics: BTreeMap<String, BTreeMap<i32, OffsetAndMetadata>>,
}

impl GroupOffsets {
    /// Takes over a commit, or with `None` a deletion. Called in log order only.
    pub fn apply(&mut self, topic: &str, partition: i32, value: Option<OffsetAndMetadata>) {
        match value {
            Some(value) => match self.topics.get_mut(topic) {
                Some(partitions) => {
                    partitions.insert(partition, value);
                }
                None => {
                    self.topics.insert(topic.to_owned(), BTreeMap::from([(partition, value)]));
                }
            },
            None => {
                if let Some(partitions) = self.topics.get_mut(topic) {
                    partitions.remove(&partition);
                    if partitions.is_empty() {
                        self.topics.remove(topic);
                    }
                }
            }
        }
    }

    /// The committed offset.
    pub fn get(&self, topic: &str, partition: i32) -> Option<&OffsetAndMetadata> {
        self.topics.get(topic)?.get(&partition)
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// All topics with their partitions.
    pub fn topics(&self) -> impl Iterator<Item = (&str, &BTreeMap<i32, OffsetAndMetadata>)> {
        self.topics.iter().map(|(topic, partitions)| (topic.as_str(), partitions))
    }

    /// All of the given topics.
    pub fn select_topics(&self, wanted: &HashSet<String>) -> Vec<TopicPartition> {
        let topics = self.topics.iter().filter(|(topic, _)| wanted.contains(*topic));
        topics.flat_map(|(topic, partitions)| partitions.keys().map(|partition| (topic.clone(), *partition))).collect()
    }

    /// Topics and partitions whose offset fits.
    pub fn select(&self, fits: impl Fn(&str, i32, &OffsetAndMetadata) -> bool) -> Vec<TopicPartition> {
        let mut found = Vec::new();
        for (topic, partitions) in &self.topics {
            let fitting = partitions.iter().filter(|(partition, value)| fits(topic, **partition, value));
            found.extend(fitting.map(|(partition, _)| (topic.clone(), *partition)));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: i64) -> OffsetAndMetadata {
        OffsetAndMetadata {
            offset,
            leader_epoch: -1,
            metadata: String::new(),
            commit_timestamp: 0,
            expire_timestamp: None,
        }
    }

    #[test]
    fn last_commit_wins_and_deletion_leaves_nothing() {
        let mut offsets = GroupOffsets::default();
        offsets.apply("t", 0, Some(at(1)));
        offsets.apply("t", 0, Some(at(2)));
        offsets.apply("t", 1, Some(at(3)));
        assert_eq!(offsets.get("t", 0).unwrap().offset, 2);
        assert_eq!(offsets.select(|_, _, value| value.offset == 3), [("t".to_owned(), 1)]);
        offsets.apply("t", 0, None);
        offsets.apply("t", 1, None);
        offsets.apply("u", 0, None);
        assert!(offsets.is_empty());
        assert_eq!(offsets.get("t", 0), None);
    }
}
