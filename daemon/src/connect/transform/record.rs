//! A record as transforms and predicates see it, whichever way it goes.

use levada_connector_api::{Headers, Schema, SinkRecord, SourceRecord, Value};
use std::sync::Arc;

/// The half of a record that a `$Key` or `$Value` transform works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The key.
    Key,
    /// The value.
    Value,
}

/// What source and sink records have in common.
pub trait ConnectRecord: Clone + Send + 'static {
    /// Topic.
    fn topic(&self) -> &Arc<str>;

    /// Changes the topic. A sink record remembers the one it was read from.
    fn set_topic(&mut self, topic: Arc<str>);

    /// Partition; `None` where the partitioner is to choose.
    fn partition(&self) -> Option<i32>;

    /// Offset, which only a sink's record has.
    fn offset(&self) -> Option<i64>;

    /// Milliseconds since the epoch; `None` where there is none.
    fn timestamp(&self) -> Option<i64>;

    /// Headers.
    fn headers(&self) -> &Headers;

    /// Headers, to change.
    fn headers_mut(&mut self) -> &mut Headers;

    /// Schema and value of one half.
    fn part(&self, part: Part) -> (&Option<Arc<Schema>>, &Value);

    /// Schema and value of one half, to change.
    fn part_mut(&mut self, part: Part) -> (&mut Option<Arc<Schema>>, &mut Value);

    /// Replaces one half.
    fn set_part(&mut self, part: Part, schema: Option<Arc<Schema>>, value: Value) {
        let (old_schema, old_value) = self.part_mut(part);
        (*old_schema, *old_value) = (schema, value);
    }
}

macro_rules! halves {
    () => {
        fn headers(&self) -> &Headers {
            &self.headers
        }

        fn headers_mut(&mut self) -> &mut Headers {
            &mut self.headers
        }

        fn topic(&self) -> &Arc<str> {
            &self.topic
        }

        fn part(&self, part: Part) -> (&Option<Arc<Schema>>, &Value) {
            match part {
                Part::Key => (&self.key_schema, &self.key),
                Part::Value => (&self.value_schema, &self.value),
            }
        }

        fn part_mut(&mut self, part: Part) -> (&mut Option<Arc<Schema>>, &mut Value) {
            match part {
                Part::Key => (&mut self.key_schema, &mut self.key),
                Part::Value => (&mut self.value_schema, &mut self.value),
            }
        }
    };
}

impl ConnectRecord for SourceRecord {
    halves!();

    fn set_topic(&mut self, topic: Arc<str>) {
        self.topic = topic;
    }

    fn partition(&self) -> Option<i32> {
        self.partition
    }

    fn offset(&self) -> Option<i64> {
        None
    }

    fn timestamp(&self) -> Option<i64> {
        self.timestamp
    }
}

impl ConnectRecord for SinkRecord {
    halves!();

    fn set_topic(&mut self, topic: Arc<str>) {
        if topic != self.topic {
            let read_from = std::mem::replace(&mut self.topic, topic);
            self.original_topic.get_or_insert(read_from);
        }
    }

    fn partition(&self) -> Option<i32> {
        Some(self.partition)
    }

    fn offset(&self) -> Option<i64> {
        Some(self.offset)
    }

    fn timestamp(&self) -> Option<i64> {
        Some(self.timestamp).filter(|timestamp| *timestamp >= 0)
    }
}
