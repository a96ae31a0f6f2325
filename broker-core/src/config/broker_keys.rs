//! The broker-level configuration keys: what the daemon accepts under `[broker]` and DescribeConfigs shows.

use super::key::{Allowed, KeyDef, KeyType, Update};

const MAX: i64 = i64::MAX;
const INT_MAX: i64 = i32::MAX as i64;
const SHORT_MAX: i64 = i16::MAX as i64;
const CODECS: &[&str] = &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];

const fn fixed(
    name: &'static str,
    kind: KeyType,
    default: Option<&'static str>,
    allowed: Allowed,
    doc: &'static str,
) -> KeyDef {
    KeyDef { name, kind, default, allowed, update: Update::ReadOnly, doc }
}

const fn dynamic(
    name: &'static str,
    kind: KeyType,
    default: Option<&'static str>,
    allowed: Allowed,
    doc: &'static str,
) -> KeyDef {
    KeyDef { name, kind, default, allowed, update: Update::Dynamic, doc }
}

/// Every broker key, in alphabetical order.
pub const BROKER_KEYS: &[KeyDef] = &[
    dynamic(
        "ack.durability",
        KeyType::String,
        Some("fsync"),
        Allowed::OneOf(&["fsync", "page-cache"]),
        "When a record counts as safe: fsync waits for the disk, page-cache only for the operating system.",
    ),
    fixed(
        "advertised.listeners",
        KeyType::List,
        None,
        Allowed::Any,
        "NAME://HOST:PORT list told to clients; the listeners themselves where not given.",
    ),
    fixed(
        "append.queue.bytes",
        KeyType::Long,
        Some("33554432"),
        Allowed::Range(1_048_576, MAX),
        "Memory for record batches that wait for the disk; producers wait beyond it. Internal topics have a quarter on top.",
    ),
    fixed(
        "auto.create.topics.enable",
        KeyType::Boolean,
        Some("true"),
        Allowed::Any,
        "Create a topic when a client asks for its metadata and allows it.",
    ),
    fixed("broker.rack", KeyType::String, None, Allowed::Any, "Rack of this broker."),
    dynamic(
        "compression.gzip.level",
        KeyType::Int,
        Some("-1"),
        Allowed::Range(-1, 9),
        "Level used when the broker compresses with gzip.",
    ),
    dynamic(
        "compression.lz4.level",
        KeyType::Int,
        Some("9"),
        Allowed::Range(1, 17),
        "Level used when the broker compresses with lz4.",
    ),
    dynamic(
        "compression.type",
        KeyType::String,
        Some("producer"),
        Allowed::OneOf(CODECS),
        "Codec of the stored batches; producer keeps what the producer sent.",
    ),
    dynamic(
        "compression.zstd.level",
        KeyType::Int,
        Some("3"),
        Allowed::Range(-131072, 22),
        "Level used when the broker compresses with zstd.",
    ),
    fixed(
        "connections.max.idle.ms",
        KeyType::Long,
        Some("600000"),
        Allowed::Range(1, MAX),
        "A connection without a request for this long is closed.",
    ),
    fixed(
        "default.replication.factor",
        KeyType::Int,
        Some("1"),
        Allowed::Range(1, SHORT_MAX),
        "Replication factor of topics that do not say.",
    ),
    fixed("delete.topic.enable", KeyType::Boolean, Some("true"), Allowed::Any, "Allow topics to be deleted."),
    fixed(
        "fetch.max.bytes",
        KeyType::Int,
        Some("57671680"),
        Allowed::Range(1024, INT_MAX),
        "Most bytes answered to one fetch.",
    ),
    fixed(
        "fetch.memory.bytes",
        KeyType::Long,
        Some("67108864"),
        Allowed::Range(0, MAX),
        "Memory for answers to fetches on their way out, over all connections; past it answers come from the files.",
    ),
    fixed(
        "group.consumer.max.size",
        KeyType::Int,
        Some("2147483647"),
        Allowed::Range(1, INT_MAX),
        "Most members of a consumer group.",
    ),
    fixed(
        "group.initial.rebalance.delay.ms",
        KeyType::Int,
        Some("0"),
        Allowed::Range(0, INT_MAX),
        "How long the first rebalance of an empty group waits for more members.",
    ),
    fixed(
        "group.max.session.timeout.ms",
        KeyType::Int,
        Some("1800000"),
        Allowed::Range(1, INT_MAX),
        "Longest session timeout a group member may ask for.",
    ),
    fixed("group.max.size", KeyType::Int, Some("2147483647"), Allowed::Range(1, INT_MAX), "Most members of a group."),
    fixed(
        "group.min.session.timeout.ms",
        KeyType::Int,
        Some("6000"),
        Allowed::Range(1, INT_MAX),
        "Shortest session timeout a group member may ask for.",
    ),
    fixed(
        "inter.broker.listener.name",
        KeyType::String,
        None,
        Allowed::Any,
        "Listener other brokers use; the first one where not given.",
    ),
    fixed(
        "listener.security.protocol.map",
        KeyType::List,
        Some("PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL"),
        Allowed::Any,
        "Security protocol of each listener name; only PLAINTEXT is available.",
    ),
    fixed(
        "listeners",
        KeyType::List,
        Some("PLAINTEXT://127.0.0.1:9092"),
        Allowed::Any,
        "NAME://HOST:PORT list the broker listens on.",
    ),
    dynamic(
        "log.cleaner.delete.retention.ms",
        KeyType::Long,
        Some("86400000"),
        Allowed::Range(0, MAX),
        "How long a compacted topic keeps tombstones.",
    ),
    dynamic(
        "log.cleaner.max.compaction.lag.ms",
        KeyType::Long,
        Some("9223372036854775807"),
        Allowed::Range(1, MAX),
        "Longest time a record may stay uncompacted.",
    ),
    dynamic(
        "log.cleaner.min.cleanable.ratio",
        KeyType::Double,
        Some("0.5"),
        Allowed::Fraction(0.0, 1.0),
        "Share of uncompacted log that makes compaction worthwhile.",
    ),
    dynamic(
        "log.cleaner.min.compaction.lag.ms",
        KeyType::Long,
        Some("0"),
        Allowed::Range(0, MAX),
        "Shortest time a record stays uncompacted.",
    ),
    dynamic(
        "log.cleanup.policy",
        KeyType::List,
        Some("delete"),
        Allowed::OneOf(&["delete", "compact"]),
        "What happens to old segments of topics that do not say.",
    ),
    fixed("log.dir", KeyType::String, None, Allowed::Any, "Directory of the log; set by the daemon's data directory."),
    fixed(
        "log.dirs",
        KeyType::List,
        None,
        Allowed::Any,
        "Directory of the log; set by the daemon's data directory. One directory is supported.",
    ),
    dynamic(
        "log.flush.interval.messages",
        KeyType::Long,
        Some("9223372036854775807"),
        Allowed::Range(1, MAX),
        "Records after which a log is synced regardless of acknowledgements.",
    ),
    dynamic(
        "log.flush.interval.ms",
        KeyType::Long,
        None,
        Allowed::Range(0, MAX),
        "Time after which a log is synced regardless of acknowledgements.",
    ),
    dynamic(
        "log.index.interval.bytes",
        KeyType::Int,
        Some("4096"),
        Allowed::Range(0, INT_MAX),
        "Bytes of log between two entries of the offset index.",
    ),
    dynamic(
        "log.index.size.max.bytes",
        KeyType::Int,
        Some("10485760"),
        Allowed::Range(4, INT_MAX),
        "Largest size of an offset index.",
    ),
    dynamic(
        "log.message.timestamp.after.max.ms",
        KeyType::Long,
        Some("3600000"),
        Allowed::Range(0, MAX),
        "How far ahead of the broker's clock a record's timestamp may be.",
    ),
    dynamic(
        "log.message.timestamp.before.max.ms",
        KeyType::Long,
        Some("9223372036854775807"),
        Allowed::Range(0, MAX),
        "How far behind the broker's clock a record's timestamp may be.",
    ),
    dynamic(
        "log.message.timestamp.type",
        KeyType::String,
        Some("CreateTime"),
        Allowed::OneOf(&["CreateTime", "LogAppendTime"]),
        "Whose time a record carries.",
    ),
    dynamic(
        "log.preallocate",
        KeyType::Boolean,
        Some("false"),
        Allowed::Any,
        "Reserve the space of a new segment at once.",
    ),
    dynamic(
        "log.retention.bytes",
        KeyType::Long,
        Some("-1"),
        Allowed::Range(-1, MAX),
        "Size above which the oldest segments of a partition go; -1 is no limit.",
    ),
    fixed(
        "log.retention.check.interval.ms",
        KeyType::Long,
        Some("300000"),
        Allowed::Range(1, MAX),
        "How often retention looks for segments to drop.",
    ),
    fixed(
        "log.retention.hours",
        KeyType::Int,
        Some("168"),
        Allowed::Range(-1, INT_MAX),
        "Age in hours after which segments go, where log.retention.ms and .minutes are not set.",
    ),
    fixed(
        "log.retention.minutes",
        KeyType::Int,
        None,
        Allowed::Range(-1, INT_MAX),
        "Age in minutes after which segments go, where log.retention.ms is not set.",
    ),
    dynamic(
        "log.retention.ms",
        KeyType::Long,
        None,
        Allowed::Range(-1, MAX),
        "Age in milliseconds after which segments go; -1 is no limit.",
    ),
    fixed(
        "log.roll.hours",
        KeyType::Int,
        Some("168"),
        Allowed::Range(1, INT_MAX),
        "Age in hours at which a new segment is started, where log.roll.ms is not set.",
    ),
    fixed(
        "log.roll.jitter.hours",
        KeyType::Int,
        Some("0"),
        Allowed::Range(0, INT_MAX),
        "Random part taken off log.roll.hours.",
    ),
    dynamic("log.roll.jitter.ms", KeyType::Long, None, Allowed::Range(0, MAX), "Random part taken off log.roll.ms."),
    dynamic(
        "log.roll.ms",
        KeyType::Long,
        None,
        Allowed::Range(1, MAX),
        "Age in milliseconds at which a new segment is started.",
    ),
    dynamic(
        "log.segment.bytes",
        KeyType::Int,
        Some("1073741824"),
        Allowed::Range(1048576, INT_MAX),
        "Size at which a new segment is started.",
    ),
    dynamic(
        "log.segment.delete.delay.ms",
        KeyType::Long,
        Some("60000"),
        Allowed::Range(0, MAX),
        "How long a dropped file stays on disk before it is removed.",
    ),
    fixed(
        "log.syncfs.min.files",
        KeyType::Int,
        Some("16"),
        Allowed::Range(0, INT_MAX),
        "From this many files waiting for a sync at once, one syncfs serves them all; it also writes what other programs left dirty on that file system. 0 never uses it.",
    ),
    fixed(
        "max.connections",
        KeyType::Int,
        Some("2147483647"),
        Allowed::Range(0, INT_MAX),
        "Most client connections at a time; further ones are closed at once. Never more than the limit of open files allows beside the log's own.",
    ),
    fixed(
        "max.connections.per.ip",
        KeyType::Int,
        Some("2147483647"),
        Allowed::Range(0, INT_MAX),
        "Most client connections at a time from one address.",
    ),
    fixed(
        "max.incremental.fetch.session.cache.slots",
        KeyType::Int,
        Some("1000"),
        Allowed::Range(0, INT_MAX),
        "Most incremental fetch sessions kept.",
    ),
    fixed(
        "max.request.partition.size.limit",
        KeyType::Int,
        Some("2000"),
        Allowed::Range(1, INT_MAX),
        "Most partitions answered to one DescribeTopicPartitions.",
    ),
    fixed(
        "max.requests.in.flight.per.connection",
        KeyType::Int,
        Some("64"),
        Allowed::Range(1, 10_000),
        "Most unanswered requests read from one connection.",
    ),
    dynamic(
        "message.max.bytes",
        KeyType::Int,
        Some("1048588"),
        Allowed::Range(0, INT_MAX),
        "Largest record batch accepted, as stored.",
    ),
    dynamic(
        "min.insync.replicas",
        KeyType::Int,
        Some("1"),
        Allowed::Range(1, INT_MAX),
        "In-sync replicas needed for acks=all.",
    ),
    fixed("node.id", KeyType::Int, Some("1"), Allowed::Range(0, INT_MAX), "Id of this node in the cluster."),
    dynamic(
        "num.partitions",
        KeyType::Int,
        Some("1"),
        Allowed::Range(1, INT_MAX),
        "Partitions of topics that do not say.",
    ),
    fixed(
        "offset.metadata.max.bytes",
        KeyType::Int,
        Some("4096"),
        Allowed::Range(0, INT_MAX),
        "Longest metadata text committed with an offset.",
    ),
    fixed(
        "offsets.retention.check.interval.ms",
        KeyType::Long,
        Some("600000"),
        Allowed::Range(1, MAX),
        "How often expired committed offsets are looked for.",
    ),
    fixed(
        "offsets.retention.minutes",
        KeyType::Int,
        Some("10080"),
        Allowed::Range(1, INT_MAX),
        "How long offsets of an empty group are kept.",
    ),
    fixed(
        "offsets.topic.num.partitions",
        KeyType::Int,
        Some("50"),
        Allowed::Range(1, INT_MAX),
        "Partitions of __consumer_offsets; their files are made on first use.",
    ),
    fixed(
        "offsets.topic.replication.factor",
        KeyType::Short,
        Some("1"),
        Allowed::Range(1, SHORT_MAX),
        "Replication factor of __consumer_offsets; lowered to the number of brokers.",
    ),
    fixed(
        "offsets.topic.segment.bytes",
        KeyType::Int,
        Some("104857600"),
        Allowed::Range(1_048_576, INT_MAX),
        "Segment size of __consumer_offsets.",
    ),
    fixed(
        "producer.id.expiration.ms",
        KeyType::Int,
        Some("86400000"),
        Allowed::Range(1, INT_MAX),
        "How long the state of an idle idempotent producer is kept.",
    ),
    fixed(
        "queued.max.request.bytes",
        KeyType::Long,
        Some("67108864"),
        Allowed::Range(1_048_576, MAX),
        "Memory for requests being received and served, over all connections.",
    ),
    fixed(
        "record.validation",
        KeyType::String,
        Some("structural"),
        Allowed::OneOf(&["structural", "full"]),
        "How closely the records inside a compressed batch are looked at; full decompresses each one.",
    ),
    fixed(
        "socket.listen.backlog.size",
        KeyType::Int,
        Some("1024"),
        Allowed::Range(1, INT_MAX),
        "Connections the system may hold before they are accepted.",
    ),
    fixed(
        "socket.request.max.bytes",
        KeyType::Int,
        Some("104857600"),
        Allowed::Range(1, INT_MAX),
        "Largest request accepted; a longer one closes its connection.",
    ),
    fixed(
        "tail.cache.bytes",
        KeyType::Long,
        Some("33554432"),
        Allowed::Range(0, MAX),
        "Memory for the newest records of all partitions.",
    ),
    fixed(
        "transaction.max.timeout.ms",
        KeyType::Int,
        Some("900000"),
        Allowed::Range(1, INT_MAX),
        "Longest transaction timeout a producer may ask for.",
    ),
    dynamic(
        "unclean.leader.election.enable",
        KeyType::Boolean,
        Some("false"),
        Allowed::Any,
        "Let a replica outside the in-sync set lead, at the price of losing records.",
    ),
];

/// The definition of a broker key.
pub fn broker_key(name: &str) -> Option<&'static KeyDef> {
    BROKER_KEYS.binary_search_by(|def| def.name.cmp(name)).ok().and_then(|at| BROKER_KEYS.get(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::topic_keys::{TOPIC_KEYS, broker_synonyms};

    #[test]
    fn table_is_sorted_and_defaults_pass_their_own_check() {
        for pair in BROKER_KEYS.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} before {}", pair[0].name, pair[1].name);
        }
        for def in BROKER_KEYS {
            if let Some(default) = def.default {
                def.check(default).unwrap();
            }
        }
    }

    #[test]
    fn every_synonym_of_a_topic_key_is_a_broker_key() {
        for topic in TOPIC_KEYS {
            for (name, _) in broker_synonyms(topic.name) {
                assert!(broker_key(name).is_some(), "{name}");
            }
        }
    }
}
