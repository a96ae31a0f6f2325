//! The topic-level configuration keys, their defaults and the broker keys those defaults come from.

use super::key::{Allowed, KeyDef, KeyType, Update};

const MAX: i64 = i64::MAX;
const INT_MAX: i64 = i32::MAX as i64;
const DYNAMIC: Update = Update::Dynamic;

const fn key(name: &'static str, kind: KeyType, default: &'static str, allowed: Allowed, doc: &'static str) -> KeyDef {
    KeyDef { name, kind, default: Some(default), allowed, update: DYNAMIC, doc }
}

/// Every topic key, in alphabetical order.
pub const TOPIC_KEYS: &[KeyDef] = &[
    key(
        "ack.durability",
        KeyType::String,
        "fsync",
        Allowed::OneOf(&["fsync", "page-cache"]),
        "When a record counts as safe: fsync waits for the disk, page-cache only for the operating system; with page-cache a power loss can lose acknowledged records.",
    ),
    key(
        "cleanup.policy",
        KeyType::List,
        "delete",
        Allowed::OneOf(&["delete", "compact"]),
        "What happens to old segments: delete drops them by age and size, compact keeps the last record of each key; both may be given.",
    ),
    key(
        "compression.gzip.level",
        KeyType::Int,
        "-1",
        Allowed::Range(-1, 9),
        "Level used when the broker compresses with gzip.",
    ),
    key(
        "compression.lz4.level",
        KeyType::Int,
        "9",
        Allowed::Range(1, 17),
        "Level used when the broker compresses with lz4.",
    ),
    key(
        "compression.type",
        KeyType::String,
        "producer",
        Allowed::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "Codec of the stored batches; producer keeps what the producer sent.",
    ),
    key(
        "compression.zstd.level",
        KeyType::Int,
        "3",
        Allowed::Range(-131072, 22),
        "Level used when the broker compresses with zstd.",
    ),
    key(
        "delete.retention.ms",
        KeyType::Long,
        "86400000",
        Allowed::Range(0, MAX),
        "How long a compacted topic keeps tombstones.",
    ),
    key(
        "file.delete.delay.ms",
        KeyType::Long,
        "60000",
        Allowed::Range(0, MAX),
        "How long a dropped file stays on disk before it is removed.",
    ),
    key(
        "flush.messages",
        KeyType::Long,
        "9223372036854775807",
        Allowed::Range(1, MAX),
        "Records after which the log is synced regardless of acknowledgements.",
    ),
    key(
        "flush.ms",
        KeyType::Long,
        "9223372036854775807",
        Allowed::Range(0, MAX),
        "Time after which the log is synced regardless of acknowledgements.",
    ),
    key(
        "follower.replication.throttled.replicas",
        KeyType::List,
        "",
        Allowed::Any,
        "Replicas throttled on the follower side.",
    ),
    key(
        "index.interval.bytes",
        KeyType::Int,
        "4096",
        Allowed::Range(0, INT_MAX),
        "Bytes of log between two entries of the offset index.",
    ),
    key(
        "leader.replication.throttled.replicas",
        KeyType::List,
        "",
        Allowed::Any,
        "Replicas throttled on the leader side.",
    ),
    key(
        "local.retention.bytes",
        KeyType::Long,
        "-2",
        Allowed::Range(-2, MAX),
        "Size kept on local disk under tiered storage; -2 follows retention.bytes.",
    ),
    key(
        "local.retention.ms",
        KeyType::Long,
        "-2",
        Allowed::Range(-2, MAX),
        "Age kept on local disk under tiered storage; -2 follows retention.ms.",
    ),
    key(
        "max.compaction.lag.ms",
        KeyType::Long,
        "9223372036854775807",
        Allowed::Range(1, MAX),
        "Longest time a record may stay uncompacted.",
    ),
    key(
        "max.message.bytes",
        KeyType::Int,
        "1048588",
        Allowed::Range(0, INT_MAX),
        "Largest record batch accepted, as stored.",
    ),
    key(
        "message.timestamp.after.max.ms",
        KeyType::Long,
        "3600000",
        Allowed::Range(0, MAX),
        "How far ahead of the broker's clock a record's timestamp may be.",
    ),
    key(
        "message.timestamp.before.max.ms",
        KeyType::Long,
        "9223372036854775807",
        Allowed::Range(0, MAX),
        "How far behind the broker's clock a record's timestamp may be.",
    ),
    key(
        "message.timestamp.type",
        KeyType::String,
        "CreateTime",
        Allowed::OneOf(&["CreateTime", "LogAppendTime"]),
        "Whose time a record carries: the producer's or the broker's at append.",
    ),
    key(
        "min.cleanable.dirty.ratio",
        KeyType::Double,
        "0.5",
        Allowed::Fraction(0.0, 1.0),
        "Share of uncompacted log that makes compaction worthwhile.",
    ),
    key(
        "min.compaction.lag.ms",
        KeyType::Long,
        "0",
        Allowed::Range(0, MAX),
        "Shortest time a record stays uncompacted.",
    ),
    key("min.insync.replicas", KeyType::Int, "1", Allowed::Range(1, INT_MAX), "In-sync replicas needed for acks=all."),
    key("preallocate", KeyType::Boolean, "false", Allowed::Any, "Reserve the space of a new segment at once."),
    key(
        "remote.storage.enable",
        KeyType::Boolean,
        "false",
        Allowed::OneOf(&["false"]),
        "Tiered storage; not available.",
    ),
    key(
        "retention.bytes",
        KeyType::Long,
        "-1",
        Allowed::Range(-1, MAX),
        "Size above which the oldest segments of a partition go; -1 is no limit.",
    ),
    key(
        "retention.ms",
        KeyType::Long,
        "604800000",
        Allowed::Range(-1, MAX),
        "Age after which segments go; -1 is no limit.",
    ),
    key(
        "segment.bytes",
        KeyType::Int,
        "1073741824",
        Allowed::Range(1048576, INT_MAX),
        "Size at which a new segment is started.",
    ),
    key(
        "segment.index.bytes",
        KeyType::Int,
        "10485760",
        Allowed::Range(4, INT_MAX),
        "Largest size of a segment's offset index.",
    ),
    key(
        "segment.jitter.ms",
        KeyType::Long,
        "0",
        Allowed::Range(0, MAX),
        "Random part taken off segment.ms so that segments do not roll together.",
    ),
    key("segment.ms", KeyType::Long, "604800000", Allowed::Range(1, MAX), "Age at which a new segment is started."),
    key(
        "unclean.leader.election.enable",
        KeyType::Boolean,
        "false",
        Allowed::Any,
        "Let a replica outside the in-sync set lead, at the price of losing records.",
    ),
];

/// Keys Kafka 4 no longer has; accepted and ignored, so that scripts written for older versions run.
pub const IGNORED_TOPIC_KEYS: &[&str] =
    &["message.format.version", "message.downconversion.enable", "message.timestamp.difference.max.ms"];

/// The broker keys a topic key's default comes from, the first one set wins, with the factor from its unit to the topic
/// key's.
pub fn broker_synonyms(topic_key: &str) -> &'static [(&'static str, i64)] {
    match topic_key {
        "ack.durability" => &[("ack.durability", 1)],
        "cleanup.policy" => &[("log.cleanup.policy", 1)],
        "compression.gzip.level" => &[("compression.gzip.level", 1)],
        "compression.lz4.level" => &[("compression.lz4.level", 1)],
        "compression.type" => &[("compression.type", 1)],
        "compression.zstd.level" => &[("compression.zstd.level", 1)],
        "delete.retention.ms" => &[("log.cleaner.delete.retention.ms", 1)],
        "file.delete.delay.ms" => &[("log.segment.delete.delay.ms", 1)],
        "flush.messages" => &[("log.flush.interval.messages", 1)],
        "flush.ms" => &[("log.flush.interval.ms", 1)],
        "index.interval.bytes" => &[("log.index.interval.bytes", 1)],
        "max.compaction.lag.ms" => &[("log.cleaner.max.compaction.lag.ms", 1)],
        "max.message.bytes" => &[("message.max.bytes", 1)],
        "message.timestamp.after.max.ms" => &[("log.message.timestamp.after.max.ms", 1)],
        "message.timestamp.before.max.ms" => &[("log.message.timestamp.before.max.ms", 1)],
        "message.timestamp.type" => &[("log.message.timestamp.type", 1)],
        "min.cleanable.dirty.ratio" => &[("log.cleaner.min.cleanable.ratio", 1)],
        "min.compaction.lag.ms" => &[("log.cleaner.min.compaction.lag.ms", 1)],
        "min.insync.replicas" => &[("min.insync.replicas", 1)],
        "preallocate" => &[("log.preallocate", 1)],
        "retention.bytes" => &[("log.retention.bytes", 1)],
        "retention.ms" => {
            &[("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)]
        }
        "segment.bytes" => &[("log.segment.bytes", 1)],
        "segment.index.bytes" => &[("log.index.size.max.bytes", 1)],
        "segment.jitter.ms" => &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)],
        "segment.ms" => &[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)],
        "unclean.leader.election.enable" => &[("unclean.leader.election.enable", 1)],
        _ => &[],
    }
}

/// The definition of a topic key.
pub fn topic_key(name: &str) -> Option<&'static KeyDef> {
    TOPIC_KEYS.binary_search_by(|def| def.name.cmp(name)).ok().and_then(|at| TOPIC_KEYS.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_and_defaults_pass_their_own_check() {
        assert!(TOPIC_KEYS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for def in TOPIC_KEYS {
            def.check(def.default.unwrap()).unwrap();
            assert!(topic_key(def.name).is_some());
        }
    }
}
