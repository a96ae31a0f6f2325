//! Source partitions and offsets: the JSON objects that Connect keeps in its offsets topic.

/// A flat or nested JSON object with its key order kept, since key bytes decide compaction.
pub type OffsetMap = serde_json::Map<String, serde_json::Value>;

/// What a source reads from, for example `{"filename":"/var/log/a.log"}`.
pub type SourcePartition = OffsetMap;

/// Where in it, for example `{"position":4096}`.
pub type SourceOffset = OffsetMap;
