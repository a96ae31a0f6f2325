//! Records as tasks see them.

use crate::{Schema, Str, Value};
use std::{ops::Deref, slice, sync::Arc};

/// A record header.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Name; not unique.
    pub key: Str,
    /// Schema of the value, if it has one.
    pub schema: Option<Arc<Schema>>,
    /// Value.
    pub value: Value,
}

/// Headers in order, which records may share: a clone is a reference, and what changes one copies what is shared. Without an
/// allocation when there are none.
#[derive(Clone, Debug, Default)]
pub struct Headers(Option<Arc<Vec<Header>>>);

impl Headers {
    /// None.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Adds one behind the others.
    pub fn push(&mut self, header: Header) {
        self.to_mut().push(header);
    }

    /// The headers for a change.
    pub fn to_mut(&mut self) -> &mut Vec<Header> {
        Arc::make_mut(self.0.get_or_insert_default())
    }

    /// Whether others have the same ones in memory.
    pub fn is_shared(&self) -> bool {
        self.0.as_ref().is_some_and(|headers| Arc::strong_count(headers) > 1)
    }

    /// Whether both are the same in memory, and so surely equal.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }
}

impl Deref for Headers {
    type Target = [Header];

    fn deref(&self) -> &[Header] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self[..] == other[..]
    }
}

impl From<Vec<Header>> for Headers {
    fn from(headers: Vec<Header>) -> Self {
        Self((!headers.is_empty()).then(|| Arc::new(headers)))
    }
}

impl FromIterator<Header> for Headers {
    fn from_iter<I: IntoIterator<Item = Header>>(headers: I) -> Self {
        Vec::from_iter(headers).into()
    }
}

impl Extend<Header> for Headers {
    fn extend<I: IntoIterator<Item = Header>>(&mut self, headers: I) {
        let mut headers = headers.into_iter().peekable();
        if headers.peek().is_some() {
            self.to_mut().extend(headers);
        }
    }
}

impl<'a> IntoIterator for &'a Headers {
    type Item = &'a Header;
    type IntoIter = slice::Iter<'a, Header>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// A record on its way from a source into a topic.
#[derive(Clone, Debug)]
pub struct SourceRecord {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition, or `None` to let the partitioner choose.
    pub partition: Option<i32>,
    /// Schema of the key.
    pub key_schema: Option<Arc<Schema>>,
    /// Key.
    pub key: Value,
    /// Schema of the value.
    pub value_schema: Option<Arc<Schema>>,
    /// Value.
    pub value: Value,
    /// Milliseconds since the epoch, or `None` for the time of the append.
    pub timestamp: Option<i64>,
    /// Headers.
    pub headers: Headers,
}

impl SourceRecord {
    /// A record of a value alone: no key, schemas or headers, any partition, the time of the append.
    pub fn new(topic: impl Into<Arc<str>>, value: Value) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key_schema: None,
            key: Value::Null,
            value_schema: None,
            value,
            timestamp: None,
            headers: Headers::new(),
        }
    }
}

/// What a record's timestamp means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// Given by the producer.
    #[default]
    CreateTime,
    /// Given by the broker.
    LogAppendTime,
}

/// A record on its way from a topic into a sink.
#[derive(Clone, Debug)]
pub struct SinkRecord {
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Schema of the key.
    pub key_schema: Option<Arc<Schema>>,
    /// Key.
    pub key: Value,
    /// Schema of the value.
    pub value_schema: Option<Arc<Schema>>,
    /// Value.
    pub value: Value,
    /// Milliseconds since the epoch.
    pub timestamp: i64,
    /// What the timestamp means.
    pub timestamp_type: TimestampType,
    /// Headers.
    pub headers: Headers,
    /// The topic it was read from, where a transform has changed `topic` (KIP-793). Offsets are always those of this
    /// one; see [`SinkRecord::original_topic`].
    pub original_topic: Option<Arc<str>>,
}

impl SinkRecord {
    /// The topic that `partition` and `offset` belong to: the one it was read from, whatever transforms made of its name.
    pub fn original_topic(&self) -> &Arc<str> {
        self.original_topic.as_ref().unwrap_or(&self.topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_shared_headers_is_nobody_elses() {
        let header = |key: &'static str| Header { key: Str::from_static(key), schema: None, value: Value::Null };
        let first = Headers::from(vec![header("a")]);
        let mut second = first.clone();
        assert!(first.is_shared() && first.is_shared_with(&second));
        second.push(header("b"));
        assert!(!first.is_shared() && !first.is_shared_with(&second));
        assert_eq!((first.len(), second.len()), (1, 2));
        second.to_mut().clear();
        assert_eq!(second, Headers::new());
        assert!(!Headers::new().is_shared_with(&Headers::new()));
    }
}
